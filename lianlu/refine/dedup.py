"""Exact and near duplicates: hashes of texts, MinHash LSH, verified candidates, clusters.

MinHash: Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec et
al., "Mining of Massive Datasets", chapter 3. Candidates are verified by their exact Jaccard
similarity, so that a merge never rests on an estimate; clusters are single-linkage, and the head of
a cluster is its first document in the order given.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from lianlu.refine.buffers import Bytes, Offsets, string_buffers
from lianlu.refine.words import mix, shingles

HASHES = 112
WIDTH = 5
_RECALL = 0.99  # of pairs at the threshold, by which the bands are laid out
_SLACK = 0.15  # three standard deviations of a similarity estimated from 112 hashes
_NEIGHBOURS = 32  # earlier members of a bucket that a document is compared with


@dataclass(frozen=True)
class Clusters:
    """For each document its cluster's head (itself when it is one) and the similarity that bound
    it to the cluster (1 for equal texts, 0 for documents alone)."""

    head: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


def exact_duplicates(texts: pa.Array | pa.ChunkedArray) -> Clusters:
    """Documents with the same bytes; the first of equal ones is the head."""
    data, offsets = string_buffers(texts)
    head = np.arange(len(texts), dtype=np.int64)
    view = memoryview(data)  # type: ignore[arg-type]
    seen: dict[bytes, int] = {}
    for i in range(len(texts)):
        key = xxhash.xxh3_128_digest(view[offsets[i] : offsets[i + 1]])
        head[i] = seen.setdefault(key, i)
    return Clusters(head, (head != np.arange(len(head))).astype(np.float64))


def near_duplicates(
    texts: pa.Array | pa.ChunkedArray, threshold: float, threads: int = 1
) -> Clusters:
    """Documents whose 5-word shingles have a Jaccard similarity of at least `threshold`.

    At least 99 % of the pairs at the threshold become candidates (more above it), and every merge
    is verified. A text without words is like no other. The result does not depend on `threads`.
    """
    data, offsets = string_buffers(texts)
    n = len(texts)
    head = np.arange(n, dtype=np.int64)
    similarity = np.zeros(n)
    signed = signatures(data, offsets, threads)
    bands, rows = layout(threshold)
    for band in range(bands):
        keys = _band_keys(signed, band * rows, rows)
        order = np.argsort(keys, kind="stable")
        _join(data, offsets, signed, keys, order, threshold, head, similarity)
    return Clusters(_roots(head), similarity)


def layout(threshold: float) -> tuple[int, int]:
    """`(bands, rows)` of 112 hashes: the most rows (fewest candidates) that keep the recall."""
    for rows in (16, 14, 8, 7, 6, 5, 4, 3, 2):
        bands = HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands, rows
    return HASHES, 1


def signatures(data: Bytes, offsets: Offsets, threads: int = 1) -> npt.NDArray[np.uint32]:
    """MinHash signatures `[n, 112]` of documents given as bytes and offsets."""
    out = np.empty((len(offsets) - 1, HASHES), np.uint32)
    generator = np.random.Generator(np.random.PCG64(20))
    factors = generator.integers(0, 2**32, HASHES, dtype=np.uint32) | np.uint32(1)
    terms = generator.integers(0, 2**32, HASHES, dtype=np.uint32)
    cuts = np.linspace(0, len(out), 4 * max(1, threads) + 1).astype(int)

    def sign(part: int) -> None:
        _sign(data, offsets, cuts[part], cuts[part + 1], factors, terms, out)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(sign, range(len(cuts) - 1)))
    return out


@njit(cache=True, nogil=True)
def _sign(data, offsets, first, last, factors, terms, out):  # type: ignore[no-untyped-def]
    for d in range(first, last):
        signature = np.full(HASHES, 0xFFFFFFFF, np.uint32)
        for gram in shingles(data, offsets[d], offsets[d + 1], WIDTH):
            # 32 bits of the shingle, then one multiply-add per hash: this loop is what SIMD runs.
            x = np.uint32(gram >> np.uint64(32))
            for k in range(HASHES):
                h = np.uint32(x * factors[k] + terms[k])
                h ^= h >> np.uint32(15)
                signature[k] = min(signature[k], h)
        out[d] = signature


@njit(cache=True, nogil=True)
def _band_keys(signed, first, rows):  # type: ignore[no-untyped-def]
    keys = np.empty(len(signed), np.uint64)
    for d in range(len(signed)):
        h = np.uint64(first + 1)
        for k in range(first, first + rows):
            h = mix(h ^ np.uint64(signed[d, k]))
        keys[d] = h
    return keys


@njit(cache=True, nogil=True)
def _root(head, i):  # type: ignore[no-untyped-def]
    while head[i] != i:
        head[i] = head[head[i]]
        i = head[i]
    return i


@njit(cache=True, nogil=True)
def _roots(head):  # type: ignore[no-untyped-def]
    for i in range(len(head)):
        head[i] = _root(head, i)
    return head


@njit(cache=True, nogil=True)
def jaccard(a, b):  # type: ignore[no-untyped-def]
    """Jaccard similarity of two sorted arrays of distinct values; 0 where both are empty."""
    i = j = both = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            both += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return both / max(1, len(a) + len(b) - both)


@njit(cache=True, nogil=True)
def _join(data, offsets, signed, keys, order, threshold, head, similarity):  # type: ignore[no-untyped-def]
    """Compare the documents of each bucket and unite the similar ones under the smaller head."""
    first = 0
    for last in range(1, len(order) + 1):
        if last < len(order) and keys[order[last]] == keys[order[first]]:
            continue
        for at in range(first + 1, last):
            for before in range(max(first, at - _NEIGHBOURS), at):
                i, j = order[before], order[at]
                a, b = _root(head, i), _root(head, j)
                if a == b or np.mean(signed[i] == signed[j]) < threshold - _SLACK:
                    continue
                value = jaccard(
                    shingles(data, offsets[i], offsets[i + 1], WIDTH),
                    shingles(data, offsets[j], offsets[j + 1], WIDTH),
                )
                if value >= threshold:
                    head[max(a, b)] = min(a, b)
                    similarity[i] = max(similarity[i], value)
                    similarity[j] = max(similarity[j], value)
        first = last
