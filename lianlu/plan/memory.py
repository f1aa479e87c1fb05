"""Closed-form memory of a training and of a server, from the shape alone.

A step's peak is at the start of its backward pass: every block's saved activations are alive, and
the loss works on its first chunk of logits. What a block saves was counted with torch's
saved-tensor hooks (torch 2.13); what the process itself takes was measured with jemalloc keeping
its pages, as a step runs. `bench/plan_memory.py` compares predictions with measured peaks.
"""

from dataclasses import asdict, dataclass

from lianlu.model.config import DecoderConfig
from lianlu.plan.hardware import native_dtype

MIB = 1 << 20
# Python, torch, our modules, kernels made at the first step; the compiler stays loaded.
RUNTIME, COMPILER = 410 * MIB, 100 * MIB
# Bytes that a block saves for its backward pass, for each token and unit of: the residual stream,
# queries, keys (values are as many), the MLP. Compiled code saves less, as it computes norms and
# products again.
SAVED: dict[tuple[str, bool], tuple[int, int, int, int]] = {
    ("bfloat16", False): (26, 12, 12, 8),
    ("float32", False): (24, 16, 16, 16),
    ("bfloat16", True): (10, 6, 6, 6),
    ("float32", True): (12, 12, 12, 12),
}
ROTARY = 400  # bytes a token and block: rotary tables, log-sum-exps, norms' scales
# A frozen matrix needs its input for no gradient of its own; the rank's own products are small.
LORA_SHARE = 0.78
LOSS_ROWS = 2048  # rows of logits at once, as train.loss takes them
# Muon's copies of gradients and updates, when the activations are gone: bytes a matrix weight.
ORTHOGONALISED = 12
VALID_WINDOWS = 32  # windows that are validated together, as train.pretrain does

# Bits that `Int4Linear` holds a weight, in groups of 32: as stored, 4 and a bfloat16 scale; in the
# order of the operator for few rows, 4, a scale and an offset; dense in bfloat16 for many rows.
HELD_INT4 = 4.5 + 5 + 16


@dataclass(frozen=True)
class Memory:
    """Bytes by what they are for; a name that does not apply is 0."""

    runtime: int = 0
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    workspace: int = 0
    cache: int = 0

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


def training_memory(
    config: DecoderConfig,
    *,
    method: str,
    optimizer: str,
    batch_tokens: int,
    context: int,
    dtype: str,
    rank: int,
    compiled: bool,
) -> Memory:
    """Peak resident memory of a worker that trains `config` on CPU.

    `batch_tokens` is what goes through the model at once: `micro_tokens` where that is set.
    Weights, gradients and moments are fp32; `dtype` is that of the products, `auto` as in training.
    """
    arithmetic = native_dtype() if dtype == "auto" else dtype
    parameters, inner = config.parameters(), inner_parameters(config)
    trained, matrices = parameters, inner
    if method == "lora":
        trained = matrices = lora_parameters(config, rank)
    casts = 2 * inner if arithmetic == "bfloat16" else 0
    step = _step_activations(config, batch_tokens, arithmetic, compiled, method)
    held_out = _evaluation(config, VALID_WINDOWS * context, arithmetic)
    update = ORTHOGONALISED * matrices if optimizer == "muon" else 0
    rows = min(batch_tokens, LOSS_ROWS)
    return Memory(
        runtime=RUNTIME + COMPILER * compiled,
        weights=4 * parameters,
        gradients=4 * trained,
        optimizer=4 * matrices + 8 * (trained - matrices) if optimizer == "muon" else 8 * trained,
        activations=max(step, held_out, update),
        logits=rows * config.vocab_size * (14 if arithmetic == "bfloat16" else 16),
        workspace=casts,
    )


def serving_memory(config: DecoderConfig, *, bits: int, kv_tokens: int, kv_bits: int) -> Memory:
    """Resident memory of a server: linears at `bits`, the rest of the weights, KV pages.

    A model in four bits is served in bfloat16, any other in its `bits`. Four bits take `HELD_INT4`:
    they save disk and time, not memory. Eight bits in the cache come with a range a head.
    """
    inner = inner_parameters(config)
    held, rest = (HELD_INT4, 16) if bits == 4 else (bits, bits)
    a_token = 2 * config.layers * config.kv_heads * config.head_dim
    scales = 2 * config.layers * config.kv_heads * 4 if kv_bits == 8 else 0
    return Memory(
        runtime=RUNTIME,
        weights=round((inner * held + rest * (config.parameters() - inner)) / 8),
        cache=kv_tokens * (a_token * kv_bits // 8 + scales),
    )


def inner_parameters(config: DecoderConfig) -> int:
    """Weights of the matrices inside the blocks: all but embeddings, head, norms and biases."""
    attention = 2 * config.width * config.head_dim * (config.heads + config.kv_heads)
    return config.layers * (attention + 3 * config.width * config.ffn)


def lora_parameters(config: DecoderConfig, rank: int) -> int:
    """Weights of LoRA matrices of `rank` beside every matrix inside the blocks."""
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    attention = 2 * (config.width + q) + 2 * (config.width + kv)
    return config.layers * rank * (attention + 3 * (config.width + config.ffn))


def _step_activations(
    config: DecoderConfig, tokens: int, arithmetic: str, compiled: bool, method: str
) -> int:
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    width, queries, keys, mlp = SAVED[arithmetic, compiled]
    block = width * config.width + queries * q + keys * kv + mlp * config.ffn + ROTARY
    share = LORA_SHARE if method == "lora" and not compiled else 1.0
    ends = 16 * config.width  # embedding, last norm, and their gradients
    return round(tokens * (config.layers * block * share + ends + _passing(config, arithmetic)))


def _evaluation(config: DecoderConfig, tokens: int, arithmetic: str) -> int:
    """A forward pass that saves nothing: one block's values at a time."""
    return tokens * (16 * config.width + _passing(config, arithmetic))


def _passing(config: DecoderConfig, arithmetic: str) -> int:
    """Bytes a token of values that pass through one block: its MLP, and attention's padding."""
    size = 2 if arithmetic == "bfloat16" else 4
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return size * (4 * config.ffn + 4 * q + 4 * kv)
