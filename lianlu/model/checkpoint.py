"""Weights in and out of a Hugging Face directory, tensor by tensor."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lianlu.errors import UserError
from lianlu.lineage import write_json
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.internlm2 import internlm2_as_llama
from lianlu.model.tokenizer import END, Tokenizer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)
# Left by older transformers in some checkpoints; computed from the config.
IGNORED = ("rotary_emb.inv_freq",)


def load_config(path: Path) -> DecoderConfig:
    """The shape of the model in `path`.

    Raises:
        UserError: no readable `config.json`, or a family that we do not have.
    """
    return DecoderConfig.from_hf(read_config(path))


def read_config(path: Path) -> dict[str, Any]:
    """The raw `config.json` of a model directory."""
    return read_json(path / "config.json", "is this a Hugging Face model directory?")


def load_model(
    path: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Decoder:
    """The decoder in `path`, in evaluation mode; `dtype` none keeps that of the files.

    Reads one tensor at a time: the memory needed is that of the model. A directory compressed as
    "pack-quantized" (compressed-tensors) gets `Int4Linear` in place of its packed linears.

    Raises:
        UserError: a missing, truncated or corrupt file, or tensors that do not fit the config.
    """
    hf = read_config(path)
    config = DecoderConfig.from_hf(hf)
    with torch.device("meta"):
        decoder = Decoder(config)
    # Int4Linear keeps its scales in the dtype it multiplies in, so they follow `dtype` too.
    tensors = {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in _named(hf, read_tensors(path))
        if not name.endswith(IGNORED) and not (config.tie and name == "lm_head.weight")
    }
    if quantization := hf.get("quantization_config"):
        _place_packed(decoder, tensors, quantization, path)
    _fill(decoder, tensors, path)
    return decoder.eval()


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a directory's safetensors files, one at a time.

    Raises:
        UserError: no weights, or a shard that is missing, truncated or corrupt.
    """
    for shard in _shards(path):
        if not shard.is_file():
            raise UserError(
                f"{shard}: the shard named in {INDEX} is missing", "download the model again"
            )
        try:
            with safe_open(shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{shard}: truncated or corrupt ({error})", "download or build the model again"
            ) from error


def save_model(decoder: Decoder, path: Path, tokenizer_from: Path | None = None) -> None:
    """Write a Hugging Face directory: config, weights, generation config and tokenizer files.

    The same decoder gives the same bytes. `tokenizer_from` is a directory whose tokenizer and chat
    template are copied; a new model learns from it which tokens end a turn and a text.
    """
    path.mkdir(parents=True, exist_ok=True)
    hf = _with_ends(decoder.config, tokenizer_from).to_hf()
    state = {name: tensor.detach().contiguous() for name, tensor in decoder.state_dict().items()}
    dtype = str(next(decoder.parameters()).dtype).removeprefix("torch.")
    save_file(state, path / WEIGHTS, metadata={"format": "pt"})
    write_json(path / "config.json", {**hf, "dtype": dtype, "torch_dtype": dtype})
    tokens = ("bos_token_id", "eos_token_id", "pad_token_id")
    write_json(path / "generation_config.json", {key: hf[key] for key in tokens})
    if tokenizer_from is not None:
        copy_tokenizer(tokenizer_from, path)


def copy_tokenizer(source: Path, path: Path) -> None:
    """Copy the tokenizer and chat template of `source` into the model directory `path`."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, path / name)


@torch.no_grad()
def init_weights(decoder: Decoder, seed: int) -> None:
    """Fill a new decoder, which may stand on the meta device's successor `to_empty`.

    Each tensor is drawn in fp32 from its own generator, seeded by `seed` and its name, so neither
    the order nor the set of tensors drawn matters. Matrices are normal with variance 1 / fan-in,
    those that write to the residual stream 1 / (2 · layers) of it; embeddings have deviation 0.02.
    """
    for name, weight in decoder.named_parameters():
        if weight.dim() == 1:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        deviation = weight.shape[1] ** -0.5
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            deviation = 0.02
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            deviation *= (2 * decoder.config.layers) ** -0.5
        weight.copy_(torch.randn(weight.shape, generator=seeded(seed, name)) * deviation)


def seeded(seed: int, name: str) -> torch.Generator:
    """The generator of one tensor; counter-based draws at any offset are not there yet."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _with_ends(config: DecoderConfig, tokenizer_from: Path | None) -> DecoderConfig:
    if config.eos_ids or tokenizer_from is None:
        return config
    tokenizer = Tokenizer.load(tokenizer_from)
    ends = (tokenizer.special_ids.get(END), tokenizer.eos_id)
    eos_ids = tuple(token for token in ends if token is not None)
    return replace(config, eos_ids=eos_ids, pad_id=tokenizer.eos_id)


def _named(
    hf: dict[str, Any], tensors: Iterator[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """The tensors under Llama's names."""
    if hf["model_type"] != "internlm2":
        return tensors
    group = hf["num_attention_heads"] // hf["num_key_value_heads"]
    return internlm2_as_llama(tensors, group, hf["hidden_size"] // hf["num_attention_heads"])


def _shards(path: Path) -> list[Path]:
    if (path / INDEX).is_file():
        weight_map = read_json(path / INDEX, "download the model again").get("weight_map", {})
        return [path / name for name in sorted(set(weight_map.values()))]
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    raise UserError(
        f"{path}: there is a config.json but no weights ({WEIGHTS} or {INDEX})",
        "only safetensors are read; pickled *.bin and *.pt files are refused",
    )


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """A JSON object of a model directory. Raises UserError with `hint` when it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file", hint) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: unreadable or not JSON ({error})", hint) from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object", hint)
    return value


def _fill(decoder: Decoder, tensors: dict[str, Tensor], path: Path) -> None:
    wanted = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise UserError(f"{path}: {len(missing)} tensors are missing, the first is {missing[0]}")
    if extra := sorted(tensors.keys() - wanted.keys()):
        raise UserError(
            f"{path}: {len(extra)} tensors have no place in the decoder, the first is {extra[0]}",
            "the config.json does not describe these weights",
        )
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise UserError(
                f"{path}: {name} has shape {list(tensors[name].shape)}, "
                f"the config asks for {list(shape)}"
            )
    decoder.load_state_dict(tensors, assign=True)


def _place_packed(
    decoder: Decoder, tensors: dict[str, Tensor], quantization: dict[str, Any], path: Path
) -> None:
    """Put an `Int4Linear` wherever the directory holds a packed weight."""
    from lianlu.kernels.int4 import Int4Linear  # the only use, and it builds kernels

    if quantization.get("format") != "pack-quantized":
        method = quantization.get("format") or quantization.get("quant_method")
        raise UserError(
            f"{path}: quantized as {method!r}",
            "compressed-tensors pack-quantized is the format that is read",
        )
    names = [name.removesuffix(".weight_packed") for name in tensors if name.endswith("_packed")]
    for name in names:
        linear = decoder.get_submodule(name)
        if not isinstance(linear, nn.Linear):
            raise UserError(f"{path}: {name} is packed but is no linear layer")
        scale = tensors.get(f"{name}.weight_scale")
        if scale is None or linear.in_features % scale.shape[1]:
            raise UserError(f"{path}: {name}.weight_scale is missing or of a wrong shape")
        with torch.device("meta"):
            packed = Int4Linear(
                linear.in_features,
                linear.out_features,
                linear.in_features // scale.shape[1],
                bias=linear.bias is not None,
                symmetric=f"{name}.weight_zero_point" not in tensors,
            )
        decoder.set_submodule(name, packed)
