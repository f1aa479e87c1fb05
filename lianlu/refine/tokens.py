"""tokenize: a corpus to flat files of token ids, with documents held out for evaluation."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lianlu.errors import StepFailed, UserError
from lianlu.job import Facts, Job
from lianlu.model.tokenizer import Tokenizer
from lianlu.refine.config import TokensConfig
from lianlu.refine.corpus import count_documents, on_disk, read_batches

# More documents that do not come back from their ids than this share: the tokenizer is not fit.
_MOST_LEFT_OUT = 0.05

_HELD_OUT = pa.schema([("id", pa.string()), ("text", pa.large_string())])


class _Split:
    """One file of ids and the boundaries of its documents."""

    def __init__(self, file: IO[bytes], dtype: np.dtype) -> None:
        self.file = file
        self.dtype = dtype
        self.ends = [0]

    def add(self, ids: Sequence[int]) -> None:
        self.file.write(np.array(ids, self.dtype).tobytes())
        self.ends.append(self.ends[-1] + len(ids))

    @property
    def documents(self) -> int:
        return len(self.ends) - 1


@on_disk("the token files")
def tokenize(config: TokensConfig, job: Job) -> Facts:
    """Tokens of the artefact `corpus` by the artefact `tokenizer`; returns `tokens.json`.

    Writes `train.bin` and `valid.bin` (little-endian uint16, or uint32 for vocabularies beyond
    65,536; every document ends with eos), `*.offsets.npy` (int64 `[n + 1]`), `valid.parquet` (id,
    text) and `tokens.json`. A document is held out by a hash of its id alone, so that a document
    never changes sides when the corpus grows.

    A document whose ids decode to its NFC form is counted as `normalized`; one whose ids decode to
    something else is left out, and `left_out` names it.

    Raises StepFailed where more than 5 % of the documents, or one side of the split, would be left
    out, UserError for a tokenizer without an end token or a corpus of a single document.
    """
    corpus, out = job.inputs["corpus"], job.out
    tokenizer = Tokenizer.load(job.inputs["tokenizer"])
    if tokenizer.eos_id is None:
        raise UserError(
            "the tokenizer has no eos token", "set `eos_token` in tokenizer_config.json"
        )
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    held_out = _held_out(corpus, config.holdout)
    documents = count_documents(corpus)
    job.progress.begin("tokens", documents, "documents")
    valid_bytes = all_bytes = normalized = 0
    left_out: list[str] = []
    with (
        (out / "train.bin").open("wb") as train_file,
        (out / "valid.bin").open("wb") as valid_file,
        pq.ParquetWriter(out / "valid.parquet", _HELD_OUT) as texts_file,
    ):
        train, valid = _Split(train_file, dtype), _Split(valid_file, dtype)
        for batch in read_batches(corpus, ["id", "text"]):
            names, texts = batch["id"].to_pylist(), batch["text"].to_pylist()
            for name, text, ids in zip(names, texts, tokenizer.encode_batch(texts), strict=True):
                if (decoded := tokenizer.decode(ids)) != text:
                    if decoded != unicodedata.normalize("NFC", text):
                        left_out.append(name)
                        continue
                    normalized += 1
                size = len(text.encode())
                all_bytes += size
                valid_bytes += size if name in held_out else 0
                (valid if name in held_out else train).add([*ids, tokenizer.eos_id])
            if len(left_out) > _MOST_LEFT_OUT * documents:
                raise StepFailed(
                    f"decode(encode(x)) is not x for {len(left_out)} documents and more, beginning "
                    f"with {left_out[0]}: this tokenizer loses text; choose another one or train it"
                )
            chosen = held_out.difference(left_out)
            kept = [name in chosen for name in names]
            texts_file.write_table(pa.table(batch).filter(pa.array(kept)).cast(_HELD_OUT))
            job.progress.advance("tokens", len(names))
    for name, split in (("train", train), ("valid", valid)):
        if not split.documents:
            raise StepFailed(f"every document of the {name} side was left out: {left_out}")
        np.save(out / f"{name}.offsets.npy", np.array(split.ends, np.int64))
    job.progress.finish("tokens")

    tokens = train.ends[-1] + valid.ends[-1]
    facts: Facts = {
        "dtype": "uint16" if dtype.itemsize == 2 else "uint32",
        "vocab_size": tokenizer.vocab_size,
        "tokenizer_digest": tokenizer.digest,
        "eos_id": tokenizer.eos_id,
        "documents": train.documents,
        "tokens": train.ends[-1],
        "valid_documents": valid.documents,
        "valid_tokens": valid.ends[-1],
        "valid_bytes": valid_bytes,
        "normalized": normalized,
        "left_out": {"documents": len(left_out), "ids": left_out},
        "bytes_per_token": round(all_bytes / tokens, 4),
    }
    (out / "tokens.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def _held_out(corpus: Path, share: float) -> set[str]:
    """Ids whose hash falls into the held-out share; at least one document on either side."""
    ranks = {
        name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        for batch in read_batches(corpus, ["id"], rows=1 << 16)
        for name in batch["id"].to_pylist()
    }
    if len(ranks) < 2:
        raise UserError("a corpus of one document cannot be split", "add documents or relax rules")
    chosen = {name for name, rank in ranks.items() if rank < share * 2**64}
    # A tiny corpus may fall to one side as a whole: its extreme document then changes sides.
    if not chosen:
        return {min(ranks, key=lambda name: ranks[name])}
    if len(chosen) == len(ranks):
        chosen.remove(max(ranks, key=lambda name: ranks[name]))
    return chosen
