"""Dialogues from a corpus: questions about documented names, answered with a tool or from a text.

Every row is true: the tool's turn is what the tool really returns, and the answer is the first
sentence of it. Names held out for validation and test occur nowhere in the training rows.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.lineage import write_json
from lianlu.refine.config import DialoguesConfig
from lianlu.refine.corpus import count_documents, read_batches
from lianlu.refine.entries import Entry, Limits, find_entries, unique_entries
from lianlu.tools.python_docs import ENTRIES, python_docs_tool
from lianlu.tools.tool import Tool

Row = dict[str, Any]
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

QUESTIONS = (
    "What does {name} do?",
    "What is {name}?",
    "What is {name} for?",
    "Explain {name}.",
    "Describe {name}.",
    "Look up {name}.",
    "Tell me about {name}.",
    "Can you explain {name}?",
    "What do the docs say about {name}?",
    "I came across {name}. What is it?",
    "In one sentence: {name}?",
    "{name}: what is that?",
)
READING = (
    "{text}\n\nWhat does this say {name} is?",
    "{text}\n\nDescribe {name}.",
    "Documentation:\n{text}\n\nWhat is {name}?",
    "What does {name} do? It says:\n{text}",
)
# Fewer names than this teach nothing; "auto" then looks at headings instead.
MIN_NAMES = 8
# At most this part of the names is held out, however small the corpus is.
MAX_HELD_OUT = 0.25


@dataclass(frozen=True)
class Draw:
    """Choices that depend on a seed and on what is chosen for, never on what came before."""

    seed: int

    def number(self, *key: object) -> int:
        digest = hashlib.sha256("\0".join(map(str, (self.seed, *key))).encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def share(self, *key: object) -> float:
        """Uniform in [0, 1)."""
        return self.number(*key) / 2**64

    def pick(self, options: Sequence[Any], *key: object) -> Any:
        return options[self.number(*key) % len(options)]


def make_dialogues(config: DialoguesConfig, job: Job) -> Facts:
    """Write `{train,valid,test}.jsonl`, `entries.jsonl` and `card.json` from `inputs["corpus"]`.

    Rows are OpenAI messages with `tools` and `meta: {name, doc_id, kind}`; kinds are "tool" (the
    model calls the tool), "read" (the text stands in the question) and, in training only,
    "unknown" (nobody documented the name, and the answer says so).

    Raises:
        UserError: the corpus documents too few names.
    """
    entries = _entries(config, job)
    splits = split_names(entries, config)
    tool = python_docs_tool({entry.name: entry.text for entry in entries})
    draw = Draw(config.seed)
    rows = {split: list(_rows(splits[split], split, tool, config, draw)) for split in SPLITS}
    held_out = [entry.name for split in ("valid", "test") for entry in splits[split]]
    rows["train"] += _unknown_rows(splits["train"], len(rows["train"]), held_out, tool, config)
    kept = [row for row in rows["train"] if not mentions(row, held_out)]
    leaking = len(rows["train"]) - len(kept)
    rows["train"] = sorted(kept, key=lambda row: draw.number("order", row["id"]))
    for split in SPLITS:
        _write_jsonl(job.out / f"{split}.jsonl", rows[split])
    named = sorted((e.name, split, e) for split in SPLITS for e in splits[split])
    _write_jsonl(job.out / ENTRIES, [{**asdict(e), "split": split} for _, split, e in named])
    facts: Facts = {
        "entries": len(entries),
        "names": {split: len(splits[split]) for split in SPLITS},
        "rows": {split: len(rows[split]) for split in SPLITS},
        "kinds": dict(sorted(Counter(r["meta"]["kind"] for r in rows["train"]).items())),
        "dropped_for_leaking": leaking,
    }
    samples = {split: rows[split][:3] for split in SPLITS}
    write_json(job.out / "card.json", {**facts, "samples": samples})
    return facts


def split_names(entries: Sequence[Entry], config: DialoguesConfig) -> dict[Split, list[Entry]]:
    """Every entry in one split, by a hash of its name.

    Only a name that no other entry mentions can be held out, so that training needs to lose no row
    to keep it unseen. Neither held-out split is empty: raises UserError when there are too few.
    """
    draw = Draw(config.seed)
    ordered = sorted(entries, key=lambda entry: draw.number("split", entry.name))
    wanted = config.test_names + config.valid_names
    room = int(len(entries) * MAX_HELD_OUT)
    # One line an entry: a name found once in all of them is found in its own entry only.
    everything = "\n".join(entry.name for entry in entries)
    texts = "\n".join(entry.text for entry in entries)
    held: list[Entry] = []
    for entry in ordered:
        if len(held) == min(wanted, room):
            break
        others = texts.count(entry.name) - entry.text.count(entry.name)
        if everything.count(entry.name) == 1 and others == 0:
            held.append(entry)
    if len(held) < 2:
        raise UserError(
            "the corpus mentions nearly every documented name in several places: too few can be "
            "held out",
            "give more documents, or leave the recipe's `dialogues` out",
        )
    n_test = min(max(1, round(len(held) * config.test_names / wanted)), len(held) - 1)
    names = {entry.name for entry in held}
    return {
        "train": [entry for entry in entries if entry.name not in names],
        "valid": held[n_test:],
        "test": held[:n_test],
    }


def mentions(row: Row, names: Sequence[str]) -> bool:
    """Whether any of `names` stands in what the row says, in any role."""
    said = "\n".join(
        text
        for message in row["messages"]
        for text in (
            message.get("content") or "",
            *(call["function"]["arguments"] for call in message.get("tool_calls", ())),
        )
    )
    return any(name in said for name in names)


def _entries(config: DialoguesConfig, job: Job) -> list[Entry]:
    limits = Limits(config.max_text_chars, config.max_answer_chars)
    wanted: Sequence[Literal["python", "headings"]]
    wanted = ("python", "headings") if config.names == "auto" else (config.names,)
    entries: list[Entry] = []
    for kind in wanted:
        found: list[Entry] = []
        pages: list[Entry] = []
        for document in _documents(job):
            rendered = document["meta"].get("kind") == "pydoc"
            (pages if rendered else found).extend(find_entries(document, limits, kind))
        # A page repeats what the source says, in other lines: the source goes first.
        sourced = {entry.name for entry in found}
        entries = unique_entries(found + [e for e in pages if e.name not in sourced])
        if len(entries) >= MIN_NAMES:
            return entries
    raise UserError(
        f"the corpus documents {len(entries)} names; dialogues need {MIN_NAMES}",
        "give documents with headings or Python sources with docstrings, raise "
        "dialogues.max_answer_chars, or leave the recipe's `dialogues` out",
    )


def _documents(job: Job) -> Iterator[dict[str, Any]]:
    corpus = job.inputs["corpus"]
    job.progress.begin("reading", count_documents(corpus), "documents")
    for batch in read_batches(corpus, ["id", "text", "meta"]):
        for row in batch.to_pylist():
            yield {**row, "meta": json.loads(row["meta"] or "{}")}
        job.progress.advance("reading", batch.num_rows)
    job.progress.finish("reading")


def _rows(
    entries: Sequence[Entry], split: Split, tool: Tool, config: DialoguesConfig, draw: Draw
) -> Iterator[Row]:
    """Training: `per_name` rows a name. Held out: all tool rows first, then all reading rows."""
    if split == "train":
        for entry in entries:
            for k in range(config.per_name):
                calls = draw.share("kind", entry.name, k) < config.tool_share
                yield (_tool_row if calls else _read_row)(entry, k, tool, draw)
    else:
        for make in (_tool_row, _read_row):
            for entry in entries:
                yield make(entry, 0, tool, draw)


def _tool_row(entry: Entry, k: int, tool: Tool, draw: Draw) -> Row:
    messages = _lookup(entry.name, tool, draw, k, answer=entry.summary)
    return _row(messages, [tool.schema], entry.name, entry.doc_id, "tool", k)


def _read_row(entry: Entry, k: int, tool: Tool, draw: Draw) -> Row:
    wording = READING[(draw.number("reading", entry.name) + k) % len(READING)]
    question = wording.format(name=entry.name, text=entry.text)
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": entry.summary},
    ]
    return _row(messages, [], entry.name, entry.doc_id, "read", k)


def _unknown_rows(
    entries: Sequence[Entry],
    known: int,
    held_out: Sequence[str],
    tool: Tool,
    config: DialoguesConfig,
) -> Iterator[Row]:
    """Rows about names put together from the parts of two documented ones."""
    draw = Draw(config.seed)
    documented = {entry.name for entry in entries}.union(held_out)
    names = [entry.name for entry in entries]
    wanted = round(known * config.unknown_share / (1 - config.unknown_share))
    made: set[str] = set()
    for i in range(4 * wanted):  # some attempts give a documented name, or one made before
        if len(made) == wanted:
            return
        name = recombine(draw.pick(names, "head", i), draw.pick(names, "tail", i))
        if name is None or name in documented or name in made:
            continue
        if any(held in name for held in held_out):
            continue
        made.add(name)
        messages = _lookup(name, tool, draw, 0, answer=f"{name} is not documented.")
        yield _row(messages, [tool.schema], name, "", "unknown", 0)


def recombine(head: str, tail: str) -> str | None:
    """The start of one name with the end of another: `json.loads`, `gzip.open` → `json.open`."""
    for separator in (".", " "):
        if separator in head and separator in tail:
            start, end = head.rpartition(separator)[0], tail.rpartition(separator)[2]
            return f"{start}{separator}{end}"
    return None


def _lookup(name: str, tool: Tool, draw: Draw, k: int, answer: str) -> list[Row]:
    wording = QUESTIONS[(draw.number("question", name) + k) % len(QUESTIONS)]
    arguments = json.dumps({"name": name}, ensure_ascii=False)
    call = {
        "id": "call_0",
        "type": "function",
        "function": {"name": tool.name, "arguments": arguments},
    }
    return [
        {"role": "user", "content": wording.format(name=name)},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": tool.call(arguments).text},
        {"role": "assistant", "content": answer},
    ]


def _row(messages: list[Row], tools: list[Row], name: str, doc_id: str, kind: str, k: int) -> Row:
    digest = hashlib.sha256(f"{kind}\0{name}\0{k}".encode()).hexdigest()[:16]
    meta = {"name": name, "doc_id": doc_id, "kind": kind}
    return {"id": digest, "messages": messages, "tools": tools, "meta": meta}


def _write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
