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


def _corpus(tmp_path: Path, tiny_corpus: Path, changed: dict[int, str]) -> Path:
    """The tiny corpus with some other texts, by row."""
    table = pq.read_table(tiny_corpus / "part-00000.parquet")
    texts = [changed.get(i, text) for i, text in enumerate(table["text"].to_pylist())]
    other = tmp_path / "other"
    other.mkdir()
    column = table.schema.get_field_index("text")
    pq.write_table(table.set_column(column, "text", [texts]), other / "part-00000.parquet")
    return other


@pytest.fixture
def normalizing(job: Job) -> None:
    """The tokenizer composes characters, and takes spaces at the ends away."""
    path = job.inputs["tokenizer"] / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    strip = {"type": "Strip", "strip_left": True, "strip_right": True}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, strip]}
    path.write_text(json.dumps(tokenizer))


@pytest.mark.usefixtures("normalizing")
def test_a_document_that_changes_is_left_out_and_a_normalized_one_is_not(
    job: Job, tmp_path: Path, tiny_corpus: Path
) -> None:
    corpus = _corpus(tmp_path, tiny_corpus, {3: "cafe\u0301 here", 8: "  indented", 9: "the end "})
    facts = tokenize(TokensConfig(holdout=0.2), Job(job.out, {**job.inputs, "corpus": corpus}))
    assert facts["normalized"] == 1
    assert facts["left_out"] == {"documents": 2, "ids": [f"{8:016x}", f"{9:016x}"]}
    assert facts["documents"] + facts["valid_documents"] == 38
    train, valid = _documents(job, "train"), _documents(job, "valid")
    assert "caf\u00e9 here" in train + valid
    assert not {"indented", "the end"} & {text.strip() for text in train + valid}
    held_out = pq.read_table(job.out / "valid.parquet")["id"].to_pylist()
    assert len(held_out) == facts["valid_documents"]


@pytest.mark.usefixtures("normalizing")
def test_more_than_a_small_share_left_out_fails(
    job: Job, tmp_path: Path, tiny_corpus: Path
) -> None:
    corpus = _corpus(tmp_path, tiny_corpus, dict.fromkeys(range(3), " indented"))
    with pytest.raises(StepFailed, match=r"for 3 documents and more, beginning with 0000000000000"):
        tokenize(TokensConfig(), Job(job.out, {**job.inputs, "corpus": corpus}))


@pytest.mark.usefixtures("normalizing")
def test_a_side_of_the_split_that_is_left_out_fails(
    job: Job, tmp_path: Path, tiny_corpus: Path
) -> None:
    tokenize(TokensConfig(holdout=1e-9), job)
    (chosen,) = pq.read_table(job.out / "valid.parquet")["id"].to_pylist()
    corpus = _corpus(tmp_path, tiny_corpus, {int(chosen, 16): " indented"})
    with pytest.raises(StepFailed, match="valid side was left out"):
        tokenize(TokensConfig(holdout=1e-9), Job(job.out, {**job.inputs, "corpus": corpus}))


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
