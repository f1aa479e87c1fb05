"""What fits a memory: full training, else LoRA, else which knob to turn."""

from dataclasses import dataclass
from typing import Literal, Protocol

from lianlu.errors import UserError
from lianlu.model.config import DecoderConfig
from lianlu.model.section import ModelConfig
from lianlu.plan.hardware import Hardware
from lianlu.plan.memory import Memory, training_memory

Method = Literal["full", "lora"]
# Other programs want memory too, and a prediction may be short by some.
USABLE = 0.85
# Tuning packs dialogues into windows of so many contexts (train.dialogues), never cut further.
PACK_CONTEXTS = 4


class Tuning(Protocol):
    """The fields of the recipe's `tune` section that cost memory."""

    @property
    def optimizer(self) -> Literal["muon", "adamw"]: ...
    @property
    def batch_tokens(self) -> int: ...
    @property
    def micro_tokens(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def compile(self) -> bool: ...
    @property
    def exact(self) -> bool: ...


@dataclass(frozen=True)
class Choice:
    """A method, why it was taken, and the memory that it is to need."""

    method: Method
    reason: str
    memory: Memory


def choose_method(
    config: DecoderConfig, tune: Tuning, model: ModelConfig, hardware: Hardware
) -> Choice:
    """Full training where it fits the memory that is free, LoRA otherwise.

    Raises UserError where neither fits, naming the knob that would make LoRA fit.
    """
    limit = round(hardware.memory_available * USABLE)
    has = f"{_gigabytes(limit)} of memory may be used"
    tokens = _at_once(config, tune)
    full = _memory(config, tune, model, "full", tokens)
    if full.total <= limit:
        return Choice("full", f"it needs {_gigabytes(full.total)}, {has}", full)
    lora = _memory(config, tune, model, "lora", tokens)
    if lora.total <= limit:
        reason = f"full training needs {_gigabytes(full.total)}, LoRA {_gigabytes(lora.total)}"
        return Choice("lora", f"{reason}, {has}", lora)
    raise UserError(
        f"tuning does not fit: LoRA needs {_gigabytes(lora.total)}, {has}",
        _knob(config, tune, model, limit),
    )


def fit(
    limit_bytes: int, config: DecoderConfig, tune: Tuning, model: ModelConfig, method: Method
) -> int | None:
    """The most tokens that may go through the model at once: `batch_tokens` halved as often as it
    takes; none where not even one context may."""
    tokens = tune.batch_tokens
    while tokens >= config.context:
        if _memory(config, tune, model, method, tokens).total <= limit_bytes:
            return tokens
        tokens //= 2
    return None


def _at_once(config: DecoderConfig, tune: Tuning) -> int:
    pack = min(tune.batch_tokens, PACK_CONTEXTS * config.context)
    return max(pack, tune.micro_tokens or tune.batch_tokens)


def _knob(config: DecoderConfig, tune: Tuning, model: ModelConfig, limit: int) -> str:
    tokens = fit(limit, config, tune, model, "lora")
    if tokens is None:
        least = _memory(config, tune, model, "lora", config.context).total
        return (
            f"even one context ({config.context} tokens) at once needs {_gigabytes(least)}: take"
            " a base model with fewer layers or less width, or a machine with more memory"
        )
    if tokens >= PACK_CONTEXTS * config.context:
        return f"set tune.micro_tokens={tokens}: the same result, made in smaller pieces"
    return f"set tune.batch_tokens={tokens}: smaller steps"


def _memory(
    config: DecoderConfig, tune: Tuning, model: ModelConfig, method: Method, tokens: int
) -> Memory:
    return training_memory(
        config,
        method=method,
        optimizer=tune.optimizer,
        batch_tokens=tokens,
        context=config.context,
        dtype=model.dtype,
        rank=tune.rank,
        compiled=tune.compile and not tune.exact,
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
