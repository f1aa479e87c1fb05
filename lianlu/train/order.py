"""The order of the data: a pure function of (seed, global index), with no state but the index."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4


@dataclass(frozen=True)
class Shuffle:
    """A permutation of 0..n-1 that is computed, not stored: any item in O(1), at any world size.

    A Feistel network over the smallest even number of bits that holds n, walked along its cycle
    until it falls inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """

    n: int
    seed: int
    epoch: int = 0

    @cached_property
    def _keys(self) -> list[int]:
        text = f"{self.seed}/{self.epoch}/{self.n}".encode()
        digest = hashlib.sha256(text).digest()
        return [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(ROUNDS)]

    @cached_property
    def _half(self) -> int:
        """Bits of one half of the network's word."""
        return max(1, ((self.n - 1).bit_length() + 1) // 2)

    def __call__(self, index: int) -> int:
        """Where item `index` of the shuffled order lies in the unshuffled one."""
        if not 0 <= index < self.n:
            raise IndexError(f"{index} is not below {self.n}")
        index = self._step(index)
        while index >= self.n:
            index = self._step(index)
        return index

    def _step(self, word: int) -> int:
        mask = (1 << self._half) - 1
        left, right = word >> self._half, word & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right, key) & mask)
        return left << self._half | right


def items_at(n: int, seed: int, start: int, count: int) -> NDArray[np.int64]:
    """`count` items of the endless stream, from global index `start`."""
    shuffles: dict[int, Shuffle] = {}
    found = np.empty(count, np.int64)
    for i in range(count):
        epoch, within = divmod(start + i, n)
        shuffle = shuffles.setdefault(epoch, Shuffle(n, seed, epoch))
        found[i] = shuffle(within)
    return found


def _mix(value: int, key: int) -> int:
    """64 well-mixed bits of (value, key): the finaliser of MurmurHash3."""
    mixed = (value ^ key) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ mixed >> 33) * 0xFF51AFD7ED558CCD) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ mixed >> 33) * 0xC4CEB9FE1A85EC53) & 0xFFFFFFFFFFFFFFFF
    return mixed ^ mixed >> 33
