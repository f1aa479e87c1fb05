"""bits_per_byte: how many bits the model needs for a byte of a document it has not seen.

Log-likelihood in bits over UTF-8 bytes, summed over documents: comparable between models with
different tokenizers, which perplexity per token is not.
"""

import hashlib

from lianlu.evaluate.store import Item
from lianlu.lineage import canonical
from lianlu.model.decoder import Decoder
from lianlu.model.likelihood import HeldOut, bits_per_byte
from lianlu.model.tokenizer import Tokenizer
from lianlu.progress import Progress

NAME = "bits_per_byte"
VERSION = 1


def task_digest(held_out: HeldOut) -> str:
    """Hash of the documents that are read."""
    return hashlib.sha256(canonical([NAME, VERSION, held_out.ids, held_out.texts])).hexdigest()


def measure(
    decoder: Decoder, tokenizer: Tokenizer, held_out: HeldOut, progress: Progress
) -> list[Item]:
    """One item a document: its bits per byte, weighted by its bytes."""
    progress.begin(NAME, len(held_out.ids), "documents")

    def advance(n: int) -> None:
        progress.advance(NAME, n)

    bits = bits_per_byte(decoder, tokenizer, held_out, advance=advance)
    progress.finish(NAME)
    return [
        Item(id_, text, "", "", float(value), float(size))
        for id_, text, value, size in zip(
            held_out.ids, held_out.texts, bits, held_out.bytes(), strict=True
        )
    ]
