"""How probable a model finds documents: the sum behind perplexity and bits per byte."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import Tensor

from lianlu.errors import UserError
from lianlu.model.attention import VarlenAttention
from lianlu.model.decoder import Attend, Decoder
from lianlu.model.tokenizer import Tokenizer

# Elements of the logits that are held at once, in float32: 64 MiB.
LOGITS = 1 << 24

Wrap = Callable[[Attend], Attend]


@dataclass(frozen=True)
class HeldOut:
    """Documents that training has not seen, in a fixed order."""

    ids: list[str]
    texts: list[str]
    rows: list[int]
    """Their places in `valid.parquet` and among the documents of `valid.bin`."""

    def bytes(self) -> np.ndarray:
        """UTF-8 bytes of each document, float64."""
        return np.array([len(text.encode()) for text in self.texts], dtype=np.float64)


def read_held_out(tokens: Path, count: int) -> HeldOut:
    """The first `count` documents that are not empty of a tokens directory's `valid.parquet`.

    Raises:
        UserError: there is no readable `valid.parquet`, or nothing in it.
    """
    path = tokens / "valid.parquet"
    try:
        table = pq.read_table(path, columns=["id", "text"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors derive from these
        raise UserError(f"{path}: no held-out documents: {error}") from error
    rows = [i for i, row in enumerate(table) if row["text"]][:count]
    if not rows:
        raise UserError(f"{path}: no held-out documents", "raise the recipe's tokens.holdout")
    return HeldOut([table[i]["id"] for i in rows], [table[i]["text"] for i in rows], rows)


def bits_per_byte(
    decoder: Decoder,
    tokenizer: Tokenizer,
    held_out: HeldOut,
    *,
    wrap: Wrap | None = None,
    advance: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Bits per UTF-8 byte of each document, float64; weigh by `held_out.bytes()` for their mean.

    Raises:
        UserError: the tokenizer has no token to start a document with.
    """
    prefix = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    if prefix is None:
        raise UserError("the tokenizer has neither a bos nor an eos token to start a document with")
    documents = tokenizer.encode_batch(held_out.texts)
    nats = document_nats(decoder, documents, prefix, wrap=wrap, advance=advance)
    return np.array(nats) / math.log(2) / held_out.bytes()


@torch.inference_mode()
def document_nats(
    decoder: Decoder,
    documents: Sequence[Sequence[int]],
    prefix: int,
    *,
    pack: int = 4096,
    wrap: Wrap | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[float]:
    """Negative log-likelihood of each document in nats, every token predicted exactly once.

    The first token is predicted from `prefix` (the end-of-document token). A document longer than
    the context is cut as lm-evaluation-harness's rolling log-likelihood is: whole windows, and the
    last one reaches back so that it is full too. Windows are packed into forwards of about `pack`
    tokens. `wrap` may change the attention backend (say, round keys and values); `advance` is told
    the number of documents done.
    """
    nats = [0.0] * len(documents)
    pending: list[_Window] = []
    device = decoder.model.embed_tokens.weight.device
    done = size = 0
    for index, document in enumerate(documents):
        for inputs, targets in rolling_windows(document, prefix, decoder.config.context):
            if pending and size + len(inputs) > pack:
                _add(nats, decoder, pending, device, wrap)
                if advance:
                    advance(index - done)
                done, size, pending = index, 0, []
            pending.append((index, inputs, targets))
            size += len(inputs)
    if pending:
        _add(nats, decoder, pending, device, wrap)
    if advance:
        advance(len(documents) - done)
    return nats


def rolling_windows(
    tokens: Sequence[int], prefix: int, context: int
) -> Iterable[tuple[list[int], list[int]]]:
    """`(inputs, targets)`: the targets are the next tokens of the last `len(targets)` inputs."""
    shifted = [prefix, *tokens]
    for start in range(0, len(tokens), context):
        stop = min(start + context, len(tokens))
        yield shifted[max(0, stop - context) : stop], list(tokens[start:stop])


_Window = tuple[int, list[int], list[int]]


def _add(
    nats: list[float],
    decoder: Decoder,
    windows: list[_Window],
    device: torch.device,
    wrap: Wrap | None,
) -> None:
    """Run one packed forward and add each window's nats to its document."""
    lengths = torch.tensor([len(inputs) for _, inputs, _ in windows])
    bounds = F.pad(lengths.cumsum(0), (1, 0))
    attend: Attend = VarlenAttention(bounds.to(device), int(lengths.max()))
    positions = torch.cat([torch.arange(int(length)) for length in lengths])
    tokens = torch.tensor([token for _, inputs, _ in windows for token in inputs])
    hidden = decoder(tokens.to(device), positions.to(device), wrap(attend) if wrap else attend)
    ends = bounds[1:].tolist()
    predicting = torch.cat(
        [torch.arange(end - len(w[2]), end) for end, w in zip(ends, windows, strict=True)]
    )
    targets = torch.tensor([token for *_, targets in windows for token in targets])
    losses = _losses(decoder, hidden[predicting.to(device)], targets.to(device)).double().cpu()
    for (index, *_), part in zip(
        windows, losses.split([len(targets) for *_, targets in windows]), strict=True
    ):
        nats[index] += float(part.sum())


def _losses(decoder: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row, at least in float32: hidden [N, width], targets [N] → [N]."""
    rows = max(1, LOGITS // decoder.config.vocab_size)
    parts = []
    for h, t in zip(hidden.split(rows), targets.split(rows), strict=True):
        logits = decoder.logits(h)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        parts.append(F.cross_entropy(logits, t, reduction="none"))
    return torch.cat(parts)
