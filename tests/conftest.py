"""Small real things that several tests need, made once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WORDS = ["the", "chain", "reads", "documents", "and", "writes", "a", "corpus", "for", "models"]


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus directory of forty short documents."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [
        " ".join(WORDS[(i * 7 + j * 3) % len(WORDS)] + str(i * j % 17) for j in range(120))
        for i in range(40)
    ]
    columns = {
        "id": [f"{i:016x}" for i in range(40)],
        "text": texts,
        "source": ["tiny"] * 40,
        "lang": ["en"] * 40,
        "media": pa.array([[]] * 40, pa.list_(pa.string())),
        "scores": pa.array([[]] * 40, pa.map_(pa.string(), pa.float64())),
        "meta": ["{}"] * 40,
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder
