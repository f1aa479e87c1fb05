"""Byte-level BPE: trained on a corpus, and loaded from any `tokenizer.json`."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers

from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.model.section import TokenizerConfig

END_OF_TEXT, START, END, CALL = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|tool_call|>"
SPECIALS = (END_OF_TEXT, START, END, CALL, *(f"<|reserved_{i}|>" for i in range(4)))

# Words take the space before them; digits stand alone; runs of `_` and of `.` never join other
# marks, so that a dotted name is cut the same way wherever it stands between quotes or backticks.
PIECES = (
    r" ?[\p{L}\p{M}]+"
    r"|\p{N}"
    r"|_+|\.+"
    r"| ?[^\s\p{L}\p{M}\p{N}._]+"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

# What the chat template writes around every call. Corpora hardly hold it, so it is shown to the
# trainer often enough to become whole tokens; short contexts are not to be spent on quotes.
FRAME = 'system\nuser\nassistant\ntool\nTools:\n{"name":"a","arguments":{"a":"a"}}\n'
FRAMES = 2000


class Tokenizer:
    """Text to ids and back. Encoding plain text never yields a special token."""

    def __init__(self, definition: str, eos: str | None, bos: str | None = None) -> None:
        value = json.loads(definition)
        added = value.get("added_tokens") or []
        # A token that is added but not marked special would be found in plain text.
        value["added_tokens"] = [{**token, "special": True} for token in added]
        value |= {"truncation": None, "padding": None}
        guarded = json.dumps(value)
        self._plain = tokenizers.Tokenizer.from_str(guarded)
        self._plain.encode_special_tokens = True
        self._rendered = tokenizers.Tokenizer.from_str(guarded)
        self.special_ids: dict[str, int] = {token["content"]: token["id"] for token in added}
        # Ids may have gaps: what counts is the largest.
        self.vocab_size: int = 1 + max(self._plain.get_vocab(with_added_tokens=True).values())
        self.eos, self.bos = eos, bos
        self.eos_id, self.bos_id = self._id(eos), self._id(bos)
        self.digest = hashlib.sha256(definition.encode()).hexdigest()

    @classmethod
    def load(cls, directory: Path) -> "Tokenizer":
        """The tokenizer of a model or tokenizer directory.

        Raises:
            UserError: no `tokenizer.json`, or one that cannot be read.
        """
        path = directory / "tokenizer.json"
        try:
            definition = path.read_text(encoding="utf-8")
            settings = read_settings(directory)
            return cls(definition, _content(settings, "eos_token"), _content(settings, "bos_token"))
        except FileNotFoundError as error:
            raise UserError(
                f"{path}: no such file",
                "only fast tokenizers (tokenizer.json) are read; save one with transformers",
            ) from error
        # The tokenizers library raises bare Exception for a malformed file.
        except Exception as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path}: not a tokenizer ({error})") from error

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; `<|im_end|>` written in it is ordinary characters."""
        return self._plain.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many texts at once, on all cores."""
        batch = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in batch]

    def encode_rendered(self, text: str) -> list[int]:
        """Ids of what a chat template rendered: special tokens in it are special."""
        return self._rendered.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int], specials: bool = True) -> str:
        """Text of `ids`; `specials` false leaves special tokens out."""
        return self._plain.decode(list(ids), skip_special_tokens=not specials)

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._plain.token_to_id(token)


def read_settings(directory: Path) -> dict[str, Any]:
    """`tokenizer_config.json` of a directory, empty where there is none."""
    path = directory / "tokenizer_config.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value


def _content(settings: dict[str, Any], key: str) -> str | None:
    token = settings.get(key)  # a string, or the older {"content": ...}
    return token.get("content") if isinstance(token, dict) else token


def train_tokenizer(config: TokenizerConfig, job: Job) -> Facts:
    """Train a byte-level BPE on `job.inputs["corpus"]` and write it with the chat template.

    Reads `sample_mb` of text drawn evenly over the corpus; the same corpus gives the same bytes.

    Raises:
        UserError: the corpus holds no text.
    """
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=32,
    )
    sample = _Sample(job, config.sample_mb * 1e6)
    tokenizer.train_from_iterator(chain([FRAME * FRAMES], sample), trainer)
    if not sample.documents:
        raise UserError("the corpus holds no text to train a tokenizer on")
    definition = tokenizer.to_str(pretty=True)
    (job.out / "tokenizer.json").write_text(definition, encoding="utf-8")
    write_settings(job.out)
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "sample_documents": sample.documents,
        "sample_bytes": sample.bytes,
        "digest": hashlib.sha256(definition.encode()).hexdigest(),
    }


def write_settings(directory: Path) -> None:
    """Write `tokenizer_config.json` and the chat template beside a tokenizer of ours."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")
    template = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
    (directory / "chat_template.jinja").write_text(template, encoding="utf-8")


class _Sample:
    """Documents drawn evenly over a corpus until they make up about `budget` bytes."""

    def __init__(self, job: Job, budget: float) -> None:
        self.job = job
        self.parts = sorted(job.inputs["corpus"].glob("part-*.parquet"))
        size = sum(_text_bytes(part) for part in self.parts)
        self.share = min(1.0, budget / size) if size else 0.0
        self.documents = self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        seen = 0
        progress = self.job.progress
        progress.begin("read sample", unit="B")
        for part in self.parts:
            for batch in pq.ParquetFile(part).iter_batches(256, columns=["text"]):
                for text in batch.column(0).to_pylist():
                    seen += 1
                    if text and int(seen * self.share) > int((seen - 1) * self.share):
                        self.documents += 1
                        size = len(text.encode())
                        self.bytes += size
                        progress.advance("read sample", size)
                        yield text
        progress.finish("read sample")
        progress.say("merging byte pairs")


def _text_bytes(part: Path) -> int:
    """Uncompressed size of the text column, from the file's footer alone."""
    metadata = pq.read_metadata(part)
    column = metadata.schema.names.index("text")
    groups = range(metadata.num_row_groups)
    return sum(metadata.row_group(g).column(column).total_uncompressed_size for g in groups)
