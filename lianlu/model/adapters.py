"""LoRA (Hu et al. 2021) over a decoder's linear layers, in PEFT's format on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lianlu.errors import UserError
from lianlu.lineage import write_json
from lianlu.model.checkpoint import seeded
from lianlu.model.decoder import Decoder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# What PEFT can do to a LoRA that would change its result here.
VARIANTS = ("use_dora", "modules_to_save", "alpha_pattern", "rank_pattern", "layer_replication")


class LoraLinear(nn.Module):
    """A frozen linear layer plus `scale · B A`; A [rank, in], B [out, rank]."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base
        self.scale = scale
        self.lora_A = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.lora_A), self.lora_B) * self.scale


def add_lora(
    decoder: Decoder,
    rank: int,
    alpha: float | None = None,
    targets: Sequence[str] = ALL_LINEAR,
    seed: int = 0,
) -> None:
    """Freeze the decoder and put a trainable LoRA beside every linear layer named in `targets`.

    `alpha` none takes 2 · rank. B starts at zero, so nothing changes yet; A is uniform as in PEFT,
    drawn by `seed` and name.

    Raises:
        UserError: a target that no layer has, or a layer that is quantized or has a LoRA.
    """
    decoder.requires_grad_(False)
    scale = (2 * rank if alpha is None else alpha) / rank
    found = set()
    for name, module in list(decoder.named_modules()):
        target = name.rpartition(".")[2]
        if target not in targets:
            continue
        if not isinstance(module, nn.Linear):
            raise UserError(f"{name} is quantized or has a LoRA already: take the base model")
        found.add(target)
        lora = LoraLinear(module, rank, scale)
        bound = lora.lora_A.shape[1] ** -0.5
        noise = torch.rand(lora.lora_A.shape, generator=seeded(seed, f"{name}.lora_A"))
        with torch.no_grad():
            lora.lora_A.copy_((2 * noise - 1) * bound)
        decoder.set_submodule(name, lora)
    if missing := set(targets) - found:
        raise UserError(f"LoRA targets {sorted(missing)} name no linear layer of this decoder")


def merge_lora(decoder: Decoder) -> None:
    """Add every LoRA to the weight beside it (summed in fp32) and take the LoRA away."""
    for name, lora in _loras(decoder).items():
        with torch.no_grad():
            update = lora.scale * (lora.lora_B.float() @ lora.lora_A.float())
            lora.base.weight.copy_(lora.base.weight.float() + update)
        decoder.set_submodule(name, lora.base)
    decoder.requires_grad_(True)


def save_adapter(decoder: Decoder, directory: Path, base: str | None = None) -> None:
    """Write the LoRAs of `decoder` as a PEFT directory; `base` is the name of the model below."""
    loras = _loras(decoder)
    if not loras:
        raise UserError("this decoder has no LoRA to save")
    directory.mkdir(parents=True, exist_ok=True)
    first = next(iter(loras.values()))
    rank = first.lora_A.shape[0]
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": first.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({name.rpartition(".")[2] for name in loras}),
        "inference_mode": True,
    }
    tensors = {
        f"{PREFIX}{name}.{part}.weight": getattr(lora, part).detach().contiguous()
        for name, lora in loras.items()
        for part in ("lora_A", "lora_B")
    }
    write_json(directory / CONFIG, config)
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})


@torch.no_grad()
def load_adapter(decoder: Decoder, directory: Path) -> None:
    """Put the LoRAs of a PEFT directory into `decoder`.

    Raises:
        UserError: no adapter, a kind that we do not have, or one that does not fit.
    """
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(directory / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{directory}: not a readable PEFT adapter ({error})") from error
    variants = [key for key in VARIANTS if config.get(key)]
    if config.get("peft_type") != "LORA" or variants:
        kind = ", ".join(variants) or config.get("peft_type")
        raise UserError(f"{directory}: adapters with {kind} are not supported, only plain LoRA")
    rank, alpha = config["r"], config["lora_alpha"]
    if config.get("use_rslora"):
        alpha *= rank**0.5
    targets = {name.split(".")[-3] for name in tensors}
    add_lora(decoder, rank, alpha, sorted(targets))
    for name, lora in _loras(decoder).items():
        for part in ("lora_A", "lora_B"):
            weight = getattr(lora, part)
            saved = tensors.pop(f"{PREFIX}{name}.{part}.weight", None)
            if saved is None or saved.shape != weight.shape:
                raise UserError(f"{directory}: no {part} that fits {name}; is this its base model?")
            weight.copy_(saved)
    if tensors:
        raise UserError(f"{directory}: {min(tensors)} has no place in this decoder")


def _loras(decoder: Decoder) -> dict[str, LoraLinear]:
    return {
        name: module for name, module in decoder.named_modules() if isinstance(module, LoraLinear)
    }
