"""trace: which documents of a corpus share words with a text, longest agreement first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from lianlu.refine.buffers import string_buffers
from lianlu.refine.corpus import read_batches
from lianlu.refine.words import mix, words

_LEAST = 3  # words in a row; shorter agreement is chance


def trace(corpus: Path, text: str, limit: int = 10) -> list[dict[str, Any]]:
    """The documents that share the longest runs of at least three words with `text`.

    Each match is `{id, source, uri, words, span, text, shared}`: the length of the run in words,
    its `[start, end)` in characters of `text`, that part of `text`, and the same words as the
    document has them. Case and punctuation do not count. Sorted by length, then by id.
    """
    data, _ = string_buffers([text])
    asked, starts, ends = words(data, 0, len(data) if text else 0)
    if len(asked) < _LEAST:
        return []
    found: list[dict[str, Any]] = []
    for batch in read_batches(corpus, ["id", "source", "meta", "text"]):
        texts, bounds = string_buffers(batch["text"])
        for row, (run, first, start, end) in enumerate(_longest(texts, bounds, asked)):
            # Later documents win only by a longer run: ids come in order.
            if run >= _LEAST:
                meta = json.loads(batch["meta"][row].as_py())
                shared = bytes(texts[start:end]).decode("utf-8", "replace")
                left, right = starts[first], ends[first + run - 1]
                span = [len(bytes(data[:cut]).decode("utf-8", "ignore")) for cut in (left, right)]
                found.append(
                    {
                        "id": batch["id"][row].as_py(),
                        "source": batch["source"][row].as_py(),
                        "uri": meta.get("uri", ""),
                        "words": int(run),
                        "span": span,
                        "text": text[span[0] : span[1]],
                        "shared": shared,
                    }
                )
        found = sorted(found, key=lambda match: (-match["words"], match["id"]))[:limit]
    return found


@njit(cache=True)
def _longest(data, offsets, asked):  # type: ignore[no-untyped-def]
    """Per document its longest run of `asked`'s words: `[n, 4]` of the run's length, its first word
    in `asked`, and its bytes in `data`."""
    found = np.zeros((len(offsets) - 1, 4), np.int64)
    grams = np.empty(len(asked) - 2, np.uint64)
    for i in range(len(grams)):
        grams[i] = _gram(asked, i)
    order = np.argsort(grams, kind="mergesort")
    grams = grams[order]
    # One bit per hash value modulo 2^16 lets most words go by without a search.
    maybe = np.zeros(1 << 16, np.bool_)
    for gram in grams:
        maybe[gram & np.uint64(0xFFFF)] = True
    for d in range(len(found)):
        hashes, starts, ends = words(data, offsets[d], offsets[d + 1])
        for i in range(len(hashes) - 2):
            gram = _gram(hashes, i)
            if not maybe[gram & np.uint64(0xFFFF)]:
                continue
            at = np.searchsorted(grams, gram)
            while at < len(grams) and grams[at] == gram:
                first, run = order[at], 0
                at += 1
                while (
                    first + run < len(asked)
                    and i + run < len(hashes)
                    and asked[first + run] == hashes[i + run]
                ):
                    run += 1
                if run > found[d, 0]:
                    found[d, 0], found[d, 1] = run, first
                    found[d, 2], found[d, 3] = starts[i], ends[i + run - 1]
    return found


@njit(cache=True)
def _gram(hashes, i):  # type: ignore[no-untyped-def]
    return mix(mix(mix(hashes[i]) ^ hashes[i + 1]) ^ hashes[i + 2])
