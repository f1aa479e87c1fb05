"""Words of UTF-8 bytes, as hashes: what near-duplicate search and tracing compare.

A word is a run of ASCII letters and digits (case folded) and of non-ASCII letters; a Chinese or
Japanese character is a word by itself. Punctuation and layout are no words, so that two renderings
of a text have the same words.
"""

import numpy as np
from numba import njit

from lianlu.refine.buffers import Bytes

_PRIME = np.uint64(0x100000001B3)
_SEED = np.uint64(0xCBF29CE484222325)
# What each byte is: 0 separates, 1 belongs to a word, 2 begins a character that is a word (U+3000
# to U+9FFF). UTF-8 punctuation of U+2000-U+2FFF (lead byte 0xE2) separates.
_CLASS = np.zeros(256, np.uint8)
_CLASS[[*range(48, 58), *range(65, 91), *range(97, 123), 95]] = 1
_CLASS[0x80:] = 1
_CLASS[0xE3:0xEA] = 2
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[65:91] += 32


@njit(cache=True, nogil=True)
def mix(x: np.uint64) -> np.uint64:
    """A bijection of 64 bits that spreads every bit over all others (splitmix64's end)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def words(data: Bytes, start: int, stop: int):  # type: ignore[no-untyped-def]
    """`(hashes uint64 [w], starts int64 [w], ends int64 [w])` of the words of one document."""
    room = stop - start
    hashes = np.empty(room, np.uint64)
    starts = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    n, i = 0, start
    while i < stop:
        byte = data[i]
        if byte == 0xE2 and i + 2 < stop and data[i + 1] < 0xBA:
            i += 3
            continue
        kind = _CLASS[byte]
        if kind == 0:
            i += 1
            continue
        begin, h = i, _SEED
        if kind == 2:
            for _ in range(min(3, stop - i)):
                h = (h ^ np.uint64(data[i])) * _PRIME
                i += 1
            # U+3000 to U+303F is punctuation.
            if data[begin] == 0xE3 and i - begin == 3 and data[begin + 1] == 0x80:
                continue
        else:
            while i < stop and _CLASS[data[i]] == 1:
                if data[i] == 0xE2 and i + 2 < stop and data[i + 1] < 0xBA:
                    break
                h = (h ^ np.uint64(_LOWER[data[i]])) * _PRIME
                i += 1
        hashes[n] = mix(h)
        starts[n] = begin
        ends[n] = i
        n += 1
    return hashes[:n], starts[:n], ends[:n]


@njit(cache=True, nogil=True)
def shingles(data: Bytes, start: int, stop: int, width: int):  # type: ignore[no-untyped-def]
    """Sorted distinct hashes of `width` consecutive words; of all words where there are fewer, and
    none where there are no words."""
    hashes, _, _ = words(data, start, stop)
    if len(hashes) == 0:
        return np.empty(0, np.uint64)
    count = max(1, len(hashes) - width + 1)
    grams = np.empty(count, np.uint64)
    for i in range(count):
        h = _SEED
        for j in range(i, min(i + width, len(hashes))):
            h = (h * _PRIME) ^ hashes[j]
        grams[i] = mix(h)
    grams.sort()
    distinct = 1
    for i in range(1, count):
        if grams[i] != grams[distinct - 1]:
            grams[distinct] = grams[i]
            distinct += 1
    return grams[:distinct]
