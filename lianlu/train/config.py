"""The recipe's `pretrain` and `tune` sections."""

from typing import ClassVar, Literal

from pydantic import Field

from lianlu.section import Section

RUN_FIELDS = frozenset({"threads", "save_every", "micro_tokens", "compile"})


class PretrainConfig(Section):
    """Tokens to a base model."""

    run_fields: ClassVar[frozenset[str]] = RUN_FIELDS

    tokens: int = Field(default=1_500_000, ge=1)
    """Tokens to train on; beyond what the corpus holds, further epochs in another order."""
    batch_tokens: int = Field(default=4096, ge=64)
    """Tokens per optimizer step."""
    lr: float = Field(default=6e-3, gt=0)
    """Peak learning rate."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for the matrices and AdamW for the rest, or AdamW throughout."""
    warmup: float = Field(default=0.02, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    decay: float = Field(default=0.5, ge=0, le=1)
    """Share of the steps, at the end, in which the rate falls linearly to zero."""
    seed: int = 0
    """Seed of the weights and of the data order."""
    exact: bool = False
    """Bitwise the same weights after kill and resume (on CPU; slower, nothing is compiled)."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 takes every core."""
    save_every: int = Field(default=100, ge=1)
    """Steps between checkpoints."""
    compile: bool = True
    """Compile the blocks where a C++ compiler is at hand and the training is long enough."""
    micro_tokens: int = Field(default=0, ge=0)
    """Tokens that go through the model at once, to save memory; 0 takes the whole batch."""


class TuneConfig(Section):
    """Dialogues to a tuned model."""

    run_fields: ClassVar[frozenset[str]] = RUN_FIELDS

    method: Literal["auto", "full", "lora"] = "auto"
    """auto takes full training where it fits the machine, LoRA otherwise."""
    epochs: float = Field(default=1, gt=0)
    """Passes over the dialogues."""
    batch_tokens: int = Field(default=4096, ge=64)
    """Tokens per optimizer step."""
    lr: float = Field(default=5e-3, gt=0)
    """Peak learning rate."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for the matrices and AdamW for the rest, or AdamW throughout."""
    rank: int = Field(default=16, ge=1)
    """Rank of the LoRA matrices."""
    seed: int = 0
    """Seed of the data order and of the adapter's weights."""
    exact: bool = False
    """Bitwise the same weights after kill and resume (on CPU; slower, nothing is compiled)."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 takes every core."""
    save_every: int = Field(default=100, ge=1)
    """Steps between checkpoints."""
    compile: bool = True
    """Compile the blocks where a C++ compiler is at hand and the training is long enough."""
    micro_tokens: int = Field(default=0, ge=0)
    """Tokens that go through the model at once, to save memory; 0 takes the whole batch."""
