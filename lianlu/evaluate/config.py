"""The recipe's `evaluate` and `goal` sections."""

from pydantic import Field, model_validator

from lianlu.section import Section


class EvaluateConfig(Section):
    """Weights to scores."""

    documents: int = Field(default=200, ge=1)
    """Held-out documents whose bits per byte are measured."""
    questions: int = Field(default=200, ge=1)
    """Held-out names that are asked about."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    batch: int = Field(default=16, ge=1)
    """Requests in flight at once; in bfloat16 it may decide between equally likely tokens."""


class GoalConfig(Section):
    """What the model must reach: a bound on one score's estimate (its interval is told beside)."""

    score: str = "tool_call"
    """Name of the score: bits_per_byte, tool_call or answer."""
    at_least: float | None = None
    """The score must not be lower."""
    at_most: float | None = None
    """The score must not be higher."""

    @model_validator(mode="after")
    def _one_bound(self) -> "GoalConfig":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a goal has one bound: at_least or at_most")
        return self
