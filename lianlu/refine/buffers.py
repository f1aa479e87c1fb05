"""Arrow strings as what a numba kernel reads: one array of bytes and one of offsets."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def string_buffers(texts: pa.Array | pa.ChunkedArray | list[str]) -> tuple[Bytes, Offsets]:
    """UTF-8 bytes and `[n + 1]` offsets of a column of strings, without a copy where possible."""
    column: Any = pa.array(texts, pa.large_string()) if isinstance(texts, list) else texts
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = column.cast(pa.large_string())
    _, offsets, data = column.buffers()
    # A slice shares its parent's buffers: skip what lies before it.
    starts = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    if data is None:
        return np.zeros(1, np.uint8), np.zeros(len(column) + 1, np.int64)
    return np.frombuffer(data, np.uint8), starts
