"""Arrow strings as bytes and offsets."""

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.buffers import string_buffers


def _texts(column: pa.Array | pa.ChunkedArray | list[str]) -> list[str]:
    data, offsets = string_buffers(column)
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]))))
def test_every_text_is_found_again(texts: list[str]) -> None:
    assert _texts(texts) == texts


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_and_chunks(kind: pa.DataType) -> None:
    column = pa.array(["zero", "eins", "二", "trois"], kind)
    assert _texts(column.slice(1, 2)) == ["eins", "二"]
    assert _texts(pa.chunked_array([column.slice(3), column.slice(0, 1)])) == ["trois", "zero"]
