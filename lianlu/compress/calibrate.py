"""What the linear layers see: second moments of their inputs, one block at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lianlu.model.attention import VarlenAttention
from lianlu.model.decoder import Attend, Decoder
from lianlu.model.rope import rotary_table


@dataclass
class Batch:
    """A few packed documents on their way through the decoder."""

    hidden: Tensor  # [T, width]
    cos: Tensor
    sin: Tensor
    attend: Attend


class Activations:
    """Calibration documents between two blocks of a decoder.

    Only one block's moments exist at a time, so a model of any depth can be calibrated in the
    memory of its weights plus `documents` hidden states.
    """

    def __init__(
        self, decoder: Decoder, documents: Sequence[Sequence[int]], *, pack: int = 4096
    ) -> None:
        """`documents` are token ids; each is cut to the context, empty ones are left out."""
        context = decoder.config.context
        cut = [list(document[:context]) for document in documents if document]
        self.batches = [_embed(decoder, group) for group in _packs(cut, pack)]

    @torch.inference_mode()
    def observe(self, block: nn.Module) -> dict[str, Tensor]:
        """Mean outer product of each linear's inputs: name within the block → float32 [K, K].

        Linears that read the same input share one tensor (q, k and v; gate and up).
        """
        seen = _Moments()
        linears = {n: m for n, m in block.named_modules() if isinstance(m, nn.Linear)}
        hooks = [
            module.register_forward_pre_hook(partial(seen.add, name))
            for name, module in linears.items()
        ]
        try:
            for batch in self.batches:
                seen.inputs.clear()
                block(batch.hidden, batch.cos, batch.sin, batch.attend)
        finally:
            for hook in hooks:
                hook.remove()
        tokens = sum(len(batch.hidden) for batch in self.batches)
        means = {name: total / tokens for name, total in seen.totals.items()}
        return {name: means[seen.source[name]] for name in linears}

    @torch.inference_mode()
    def advance(self, block: nn.Module) -> None:
        """Pass through a block; call it on the compressed one, so that later ones see its error."""
        for batch in self.batches:
            batch.hidden = block(batch.hidden, batch.cos, batch.sin, batch.attend)


class _Moments:
    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}
        self.source: dict[str, str] = {}  # linear → the first linear that reads the same input
        self.inputs: dict[int, tuple[str, Tensor]] = {}  # holds the tensor: its id stays taken

    def add(self, name: str, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        first, _ = self.inputs.setdefault(id(args[0]), (name, args[0]))
        self.source[name] = first
        if first == name:
            x = args[0].float()
            self.totals[name] = self.totals.get(name, 0) + x.T @ x


def _packs(documents: Sequence[list[int]], pack: int) -> list[list[list[int]]]:
    packs: list[list[list[int]]] = []
    size = pack
    for document in documents:
        if size + len(document) > pack:
            packs.append([])
            size = 0
        packs[-1].append(document)
        size += len(document)
    return packs


@torch.inference_mode()
def _embed(decoder: Decoder, documents: list[list[int]]) -> Batch:
    lengths = torch.tensor([len(document) for document in documents])
    positions = torch.cat([torch.arange(int(length)) for length in lengths])
    tokens = torch.tensor([token for document in documents for token in document])
    device = decoder.model.embed_tokens.weight.device
    cos, sin = rotary_table(decoder.config, positions.to(device))
    bounds = F.pad(lengths.cumsum(0), (1, 0)).to(device)
    hidden = decoder.model.embed_tokens(tokens.to(device))
    return Batch(hidden, cos, sin, VarlenAttention(bounds, int(lengths.max())))
