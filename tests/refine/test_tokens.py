"""tokenize: files of ids that decode to the corpus again."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.job import Job
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import Tokenizer, train_tokenizer
from lianlu.refine.config import TokensConfig
from lianlu.refine.tokens import tokenize


@pytest.fixture
def job(tmp_path: Path, tiny_corpus: Path) -> Job:
    trained = tmp_path / "tokenizer"
    trained.mkdir()
    train_tokenizer(TokenizerConfig(vocab_size=512), Job(trained, {"corpus": tiny_corpus}))
    out = tmp_path / "tokens"
    out.mkdir()
    return Job(out, {"corpus": tiny_corpus, "tokenizer": trained})


def _documents(job: Job, split: str) -> list[str]:
    tokenizer = Tokenizer.load(job.inputs["tokenizer"])
    ids = np.fromfile(job.out / f"{split}.bin", "<u2")
    offsets = np.load(job.out / f"{split}.offsets.npy")
    assert offsets.dtype == np.int64
    assert offsets[-1] == len(ids)
    texts = []
    for start, end in pairwise(offsets):
        assert ids[end - 1] == tokenizer.eos_id
        texts.append(tokenizer.decode(ids[start : end - 1].tolist()))
    return texts


def test_every_document_is_on_one_side_and_decodes(job: Job, tiny_corpus: Path) -> None:
    facts = tokenize(TokensConfig(holdout=0.2), job)
    table = pq.read_table(tiny_corpus / "part-00000.parquet")
    held_out = pq.read_table(job.out / "valid.parquet")
    train, valid = _documents(job, "train"), _documents(job, "valid")
    assert valid == held_out["text"].to_pylist()
    assert sorted(train + valid) == sorted(table["text"].to_pylist())
    assert 1 <= len(valid) < 20
    assert json.loads((job.out / "tokens.json").read_text()) == facts
    assert (facts["documents"], facts["valid_documents"]) == (len(train), len(valid))
    assert facts["valid_bytes"] == sum(len(text.encode()) for text in valid)
    assert facts["dtype"] == "uint16"


def test_the_split_is_a_function_of_the_id(job: Job, tmp_path: Path, tiny_corpus: Path) -> None:
    tokenize(TokensConfig(holdout=0.3), job)
    before = set(pq.read_table(job.out / "valid.parquet")["id"].to_pylist())
    smaller = tmp_path / "smaller"
    smaller.mkdir()
    table = pq.read_table(tiny_corpus / "part-00000.parquet").slice(10)
    pq.write_table(table, smaller / "part-00000.parquet")
    tokenize(TokensConfig(holdout=0.3), Job(job.out, {**job.inputs, "corpus": smaller}))
    after = set(pq.read_table(job.out / "valid.parquet")["id"].to_pylist())
    assert after == before & set(table["id"].to_pylist())


def test_a_tiny_share_still_holds_one_document_out(job: Job) -> None:
    assert tokenize(TokensConfig(holdout=1e-9), job)["valid_documents"] == 1


def test_a_tokenizer_that_loses_text_fails(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tokenizer, "decode", lambda self, ids: "something else")
    with pytest.raises(StepFailed, match=r"decode\(encode\(x\)\) is not x"):
        tokenize(TokensConfig(), job)


def test_one_document_cannot_be_split(job: Job, tmp_path: Path, tiny_corpus: Path) -> None:
    single = tmp_path / "single"
    single.mkdir()
    table = pq.read_table(tiny_corpus / "part-00000.parquet").slice(0, 1)
    pq.write_table(table, single / "part-00000.parquet")
    with pytest.raises(UserError, match="cannot be split"):
        tokenize(TokensConfig(), Job(job.out, {**job.inputs, "corpus": single}))
