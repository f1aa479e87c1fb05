"""A small tokenizer and tiny random models, shared by the tests of this room."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lianlu.job import Job
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import train_tokenizer

WORDS = (
    "os.path.join(a, *p) joins one or more path segments. collections.OrderedDict remembers the "
    "order; json.loads parses a document of 1234 bytes. def __init__(self): return None\n"
)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Parquet parts of sixty documents each."""
    directory = tmp_path_factory.mktemp("corpus")
    for part in range(2):
        texts = [WORDS * (1 + i % 5) + f"page {part} {i}\n" for i in range(60)]
        ids = [f"{part}{i:04d}" for i in range(60)]
        pq.write_table(pa.table({"id": ids, "text": texts}), directory / f"part-{part:05d}.parquet")
    return directory


@pytest.fixture(scope="session")
def tokenizer_dir(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tokenizer with its chat template."""
    directory = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=400, sample_mb=1)
    train_tokenizer(config, Job(out=directory, inputs={"corpus": corpus}))
    return directory


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
