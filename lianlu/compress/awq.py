"""AWQ: scale the input channels that matter up before rounding (Lin et al. 2023, arXiv 2306.00978).

Multiplying an input channel of W by s and dividing the channel itself by s changes nothing before
rounding, and after it makes the channel's error s times smaller. The division is folded into what
produces the channel: the norm before, or the rows of the linear before.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lianlu.compress.rtn import SHRINKS, quantise

# Exponents of the activations' magnitude that are tried; 0 leaves the layer as it is.
RATIOS = tuple(i / 10 for i in range(10))
# The ranges tried with each: a quarter of those of the final rounding find the same exponent.
COARSE = SHRINKS[::4]


def group_moments(moments: Tensor, group: int) -> Tensor:
    """The diagonal blocks of [K, K]: `[K/g, g, g]`."""
    count = len(moments) // group
    blocks = moments.unflatten(0, (count, group)).unflatten(-1, (count, group))
    return blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()


def output_error(error: Tensor, moments: Tensor) -> float:
    """Expected squared change of a linear's output for a change of its weight [N, K]."""
    return float(((error @ moments) * error).sum())


@torch.inference_mode()
def rescale(
    block: nn.Module, moments: Mapping[str, Tensor], group: int, *, symmetric: bool = True
) -> dict[str, Tensor]:
    """Search and fold the scales of one decoder block, in place.

    Returns the moments as they are after folding. For each set of linears with one input the
    exponent is kept that gives the smallest error of their outputs, measured with rounding and
    clipping.
    """
    changed = dict(moments)
    for producer, names in _chains(block):
        consumers = [_linear(block, name) for name in names]
        if any(linear.in_features % group for linear in consumers):
            continue
        weights = [linear.weight.float() for linear in consumers]
        scale = _search(weights, changed[names[0]], group, symmetric)
        _divide(block.get_submodule(producer), scale)
        for name, linear in zip(names, consumers, strict=True):
            linear.weight.mul_(scale.to(linear.weight.dtype))
            changed[name] = changed[name] / torch.outer(scale, scale)
    return changed


def _chains(block: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """`(producer, consumers)` of a Llama-like block, in the order of the forward."""
    attention = "self_attn."
    yield "input_layernorm", [attention + name for name in ("q_proj", "k_proj", "v_proj")]
    v, o = (_linear(block, attention + name) for name in ("v_proj", "o_proj"))
    if v.out_features == o.in_features:  # with grouped queries a row of v feeds several columns
        yield attention + "v_proj", [attention + "o_proj"]
    yield "post_attention_layernorm", ["mlp.gate_proj", "mlp.up_proj"]
    yield "mlp.up_proj", ["mlp.down_proj"]


def _search(weights: list[Tensor], moments: Tensor, group: int, symmetric: bool) -> Tensor:
    """The scale [K] with the least output error over all weights [N, K]."""
    magnitude = moments.diagonal().sqrt().clamp(min=1e-4)
    best, found = torch.inf, torch.ones_like(magnitude)
    for ratio in RATIOS:
        scale = magnitude**ratio
        scale = scale / (scale.max() * scale.min()).sqrt()
        after = group_moments(moments / torch.outer(scale, scale), group)
        loss = 0.0
        for weight in weights:
            rounded = quantise(
                weight * scale, group, after, symmetric=symmetric, shrinks=COARSE
            ).dequantise()
            loss += output_error(rounded / scale - weight, moments)
        if loss < best:
            best, found = loss, scale
    return found


def _divide(producer: nn.Module, scale: Tensor) -> None:
    """Divide the outputs of a norm or a linear, channel by channel."""
    if isinstance(producer, nn.Linear):
        producer.weight.div_(scale.to(producer.weight.dtype)[:, None])
        if producer.bias is not None:
            producer.bias.div_(scale.to(producer.bias.dtype))
    else:
        weight = producer.get_parameter("weight")
        weight.div_(scale.to(weight.dtype))


def _linear(block: nn.Module, name: str) -> nn.Linear:
    module = block.get_submodule(name)
    if not isinstance(module, nn.Linear):
        raise TypeError(f"{name} is a {type(module).__name__}, not a linear layer")
    return module
