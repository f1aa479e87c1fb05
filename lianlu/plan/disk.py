"""Bytes that a training leaves on disk, and how many it needs on its way."""

from lianlu.model.config import DecoderConfig
from lianlu.plan.memory import inner_parameters, lora_parameters

TOKENIZER = 2 << 20
CHECKPOINTS = 3  # two are kept, a third is written before the oldest goes


def model_bytes(config: DecoderConfig) -> int:
    """A model directory as training writes it: fp32 weights, tokenizer, configuration."""
    return 4 * config.parameters() + TOKENIZER


def training_bytes(config: DecoderConfig, *, method: str, optimizer: str, rank: int) -> int:
    """The most that stands on disk at once: checkpoints (weights and moments), then the model."""
    trained, matrices = config.parameters(), inner_parameters(config)
    if method == "lora":
        trained = matrices = lora_parameters(config, rank)
    moments = 4 * matrices + 8 * (trained - matrices) if optimizer == "muon" else 8 * trained
    return CHECKPOINTS * (4 * trained + moments) + model_bytes(config)
