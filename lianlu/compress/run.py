"""A model to a smaller one, with the loss measured on held-out documents."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lianlu.compress.awq import group_moments, output_error, rescale
from lianlu.compress.calibrate import Activations
from lianlu.compress.config import CompressConfig
from lianlu.compress.pack import save_packed
from lianlu.compress.report import decode_speed, losses, rounded_cache, summary, weight_bytes
from lianlu.compress.rtn import quantise
from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.kernels.int4 import Int4Linear
from lianlu.lineage import write_json
from lianlu.model.checkpoint import load_model, read_config
from lianlu.model.decoder import Decoder
from lianlu.model.fingerprint import (
    read_fingerprint,
    require_fingerprint,
    require_same_tokens,
    write_fingerprint,
)
from lianlu.model.likelihood import bits_per_byte, read_held_out
from lianlu.model.tokenizer import Tokenizer
from lianlu.progress import Progress


@dataclass(frozen=True)
class LayerError:
    """Output error of a layer, relative to its output: what rounding it costs."""

    name: str
    error: float


def compress(config: CompressConfig, job: Job) -> Facts:
    """Write `inputs["model"]` with 4-bit linears to `job.out`; measure on `inputs["tokens"]`.

    Facts: `loss` (relative rise of bits per byte as served, with its interval), `allowed`,
    `accepted`, `bytes`, and `layers`, worst first. The model is written, accepted or not.

    Raises:
        UserError: the model is compressed already, a name in `leave` is unknown, no layer can be
            compressed, or the tokens hold no documents.
    """
    source = job.inputs["model"]
    if "quantization_config" in read_config(source):
        raise UserError(f"{source}: compressed already", "compress the model it was made from")
    tokenizer = Tokenizer.load(source)
    held_out = read_held_out(job.inputs["tokens"], config.documents)
    documents = training_documents(job.inputs["tokens"], config.calibration)
    decoder = load_model(source).requires_grad_(False)
    require_fingerprint(decoder, source)
    job.progress.begin("measuring", 3 * len(held_out.ids), "documents")

    def measure(model: Decoder, kv_bits: int = 16) -> np.ndarray:
        def advance(n: int) -> None:
            job.progress.advance("measuring", n)

        wrap = rounded_cache(kv_bits)
        return bits_per_byte(model, tokenizer, held_out, wrap=wrap, advance=advance)

    before, speed_before = measure(decoder), decode_speed(decoder)
    layers = quantise_decoder(decoder.float(), config, documents, job.progress)
    save_packed(decoder.to(torch.bfloat16), job.out, source, config.kv_bits)
    small = load_model(job.out)
    written = read_fingerprint(source)
    if written is not None:
        require_same_tokens(written, job.out)
    write_fingerprint(small, job.out)
    after = measure(small)
    cached = measure(small, config.kv_bits)
    job.progress.finish("measuring")
    facts = losses(before, after, cached, held_out.bytes()) | {
        "allowed": config.max_loss,
        "bytes": {"before": weight_bytes(source), "after": weight_bytes(job.out)},
        "layers": [layer.name for layer in layers],
        "layer_errors": {layer.name: layer.error for layer in layers},
    }
    facts["accepted"] = facts["loss"] <= config.max_loss
    write_json(job.out / "compression.json", facts)
    speeds = speed_before, decode_speed(small)
    job.progress.metric(decode_tokens_per_second=speeds[1], decode_before=speeds[0])
    job.progress.say(summary(facts, speeds))
    return facts


def training_documents(tokens: Path, count: int) -> list[list[int]]:
    """`count` documents of `train.bin`, evenly spaced; fewer where there are fewer.

    Raises:
        UserError: the tokens directory lacks its training part.
    """
    try:
        width = {"uint16": np.uint16, "uint32": np.uint32}[_dtype(tokens)]
        offsets = np.load(tokens / "train.offsets.npy", allow_pickle=False)
        flat = np.memmap(tokens / "train.bin", dtype=width, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{tokens}: not a tokens directory: {error}") from error
    picked = np.unique(np.linspace(0, len(offsets) - 2, count).astype(np.int64))
    return [flat[offsets[i] : offsets[i + 1]].tolist() for i in picked if i >= 0]


@torch.inference_mode()
def quantise_decoder(
    decoder: Decoder, config: CompressConfig, documents: list[list[int]], progress: Progress
) -> list[LayerError]:
    """Replace the linears of a float32 decoder by `Int4Linear`, block by block, in place.

    Later blocks are calibrated on what the compressed earlier ones put out. Returns every layer's
    error, the worst first.
    """
    _check_leave(decoder, config)
    activations = Activations(decoder, documents)
    errors: list[LayerError] = []
    progress.begin("compressing", len(decoder.model.layers), "blocks")
    for index, block in enumerate(decoder.model.layers):
        moments = activations.observe(block)
        if config.method == "awq":
            moments = rescale(block, moments, config.group, symmetric=config.symmetric)
        linears = {n: m for n, m in block.named_modules() if isinstance(m, nn.Linear)}
        for name, linear in linears.items():
            full = f"model.layers.{index}.{name}"
            if full in config.leave or linear.in_features % config.group:
                continue
            seen = moments[name]
            blocks = group_moments(seen, config.group) if config.method == "awq" else None
            found = quantise(linear.weight, config.group, blocks, symmetric=config.symmetric)
            error = output_error(found.dequantise() - linear.weight, seen)
            size = output_error(linear.weight, seen)
            errors.append(LayerError(full, error / max(size, 1e-30)))
            block.set_submodule(
                name,
                Int4Linear.from_quantised(found.values, found.scale, found.zero, linear.bias),
            )
        activations.advance(block)
        progress.advance("compressing")
    progress.finish("compressing")
    if not errors:
        raise UserError(
            f"no layer has a width that is a multiple of {config.group}",
            "take a smaller compress.group",
        )
    return sorted(errors, key=lambda layer: (-layer.error, layer.name))


def _check_leave(decoder: Decoder, config: CompressConfig) -> None:
    names = {name for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    if unknown := sorted(set(config.leave) - names):
        raise UserError(
            f"compress.leave: no layer is called {unknown[0]!r}",
            "names look like model.layers.0.mlp.down_proj",
        )


def _dtype(tokens: Path) -> str:
    return str(json.loads((tokens / "tokens.json").read_text(encoding="utf-8"))["dtype"])
