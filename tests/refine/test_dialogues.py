"""Dialogues: true rows, a clean split, the same bytes every time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.refine.config import DialoguesConfig
from lianlu.refine.dialogues import make_dialogues, mentions, recombine
from lianlu.tools.python_docs import load_texts, python_docs_tool

VERBS = ("open", "close", "read", "write", "seek", "flush", "merge", "split", "rotate", "invert")
NOUNS = ("file", "socket", "image", "matrix", "queue", "mailbox", "thread", "window")
CONFIG = DialoguesConfig(test_names=8, valid_names=4, per_name=3)


def python_document(noun: str) -> dict[str, Any]:
    functions = "\n".join(
        f'def {verb}_{noun}(x):\n    """{verb.title()} the {noun} that comes first.\n\n    More"""'
        for verb in VERBS
    )
    # One name that another entry's text mentions.
    extra = f'def again_{noun}(x):\n    """Call {noun}.{VERBS[0]}_{noun} a second time."""\n'
    text = f'"""Things to do with a {noun} of any kind."""\n{functions}\n{extra}'
    return {"text": text, "meta": {"uri": f"lib/{noun}.py", "kind": "python", "module": noun}}


def corpus(directory: Path, documents: Sequence[dict[str, Any]], parts: int = 1) -> Path:
    directory.mkdir()
    rows = [
        {"id": f"doc{i:03}", "text": d["text"], "meta": json.dumps(d["meta"])}
        for i, d in enumerate(documents)
    ]
    for part in range(parts):
        table = pa.Table.from_pylist(rows[part::parts])
        pq.write_table(table, directory / f"part-{part:05}.parquet")
    return directory


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def made(tmp_path: Path, config: DialoguesConfig = CONFIG, parts: int = 1) -> Path:
    out = tmp_path / f"out{parts}"
    out.mkdir()
    documents = [python_document(noun) for noun in NOUNS]
    make_dialogues(
        config, Job(out, {"corpus": corpus(tmp_path / f"corpus{parts}", documents, parts)})
    )
    return out


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("dialogues"))


def test_the_splits_have_their_sizes(dialogues: Path) -> None:
    card = json.loads((dialogues / "card.json").read_text())
    assert card["entries"] == len(NOUNS) * (len(VERBS) + 2)
    assert card["names"] == {"train": card["entries"] - 12, "valid": 4, "test": 8}
    test = rows_of(dialogues / "test.jsonl")
    assert [row["meta"]["kind"] for row in test] == ["tool"] * 8 + ["read"] * 8
    assert len({row["id"] for row in test}) == 16
    train = rows_of(dialogues / "train.jsonl")
    assert len({row["id"] for row in train}) == len(train) == card["rows"]["train"]
    assert card["kinds"]["unknown"] == round(0.25 * len(train))


def test_held_out_names_stand_nowhere_in_training(dialogues: Path) -> None:
    held_out = {
        row["name"] for row in rows_of(dialogues / "entries.jsonl") if row["split"] != "train"
    }
    assert len(held_out) == 12
    text = (dialogues / "train.jsonl").read_text(encoding="utf-8")
    assert not [name for name in held_out if name in text]
    asked = {row["meta"]["name"] for row in rows_of(dialogues / "test.jsonl")}
    assert asked < held_out


def test_every_row_is_true(dialogues: Path) -> None:
    tool = python_docs_tool(load_texts(dialogues))
    summaries = {row["name"]: row["summary"] for row in rows_of(dialogues / "entries.jsonl")}
    for split in ("train", "valid", "test"):
        for row in rows_of(dialogues / f"{split}.jsonl"):
            name, kind, messages = row["meta"]["name"], row["meta"]["kind"], row["messages"]
            answer = messages[-1]["content"]
            assert name in messages[0]["content"]
            if kind == "read":
                assert row["tools"] == []
                assert [m["role"] for m in messages] == ["user", "assistant"]
                assert answer in messages[0]["content"]
            else:
                assert row["tools"] == [tool.schema]
                roles = [m["role"] for m in messages]
                assert roles == ["user", "assistant", "tool", "assistant"]
                (call,) = messages[1]["tool_calls"]
                assert json.loads(call["function"]["arguments"]) == {"name": name}
                result = tool.call(call["function"]["arguments"])
                assert messages[2]["content"] == result.text
                assert messages[2]["tool_call_id"] == call["id"]
            if kind == "unknown":
                assert name not in summaries
                assert answer == f"{name} is not documented."
            else:
                assert answer == summaries[name]


def test_the_same_bytes_however_the_corpus_is_cut(dialogues: Path, tmp_path: Path) -> None:
    other = made(tmp_path, parts=3)
    for path in sorted(dialogues.iterdir()):
        assert (other / path.name).read_bytes() == path.read_bytes(), path.name


def test_another_seed_gives_another_split(dialogues: Path, tmp_path: Path) -> None:
    other = made(tmp_path, CONFIG.model_copy(update={"seed": 1}))
    assert (other / "test.jsonl").read_bytes() != (dialogues / "test.jsonl").read_bytes()


def test_shares_are_kept(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"tool_share": 0.0, "unknown_share": 0.0})
    kinds = {row["meta"]["kind"] for row in rows_of(made(tmp_path, config) / "train.jsonl")}
    assert kinds == {"read"}


def test_a_folder_of_prose_gives_dialogues_too(tmp_path: Path) -> None:
    text = "\n".join(
        f"## {v.title()} {n}\n\nTo {v} a {n} takes some care.\n"
        for i, v in enumerate(VERBS[:7])
        for j, n in enumerate(NOUNS[:7])
        if (i + j) % 2
    )
    meta = {"uri": "manual.md", "kind": "markdown"}
    out = tmp_path / "out"
    out.mkdir()
    source = corpus(tmp_path / "corpus", [{"text": text, "meta": meta}])
    facts = make_dialogues(CONFIG, Job(out, {"corpus": source}))
    assert facts["names"] == {"train": 18, "valid": 2, "test": 4}
    unknown = [r for r in rows_of(out / "train.jsonl") if r["meta"]["kind"] == "unknown"]
    assert unknown
    assert all(len(row["meta"]["name"].split()) == 2 for row in unknown)


def test_what_is_asked_about_can_be_chosen(tmp_path: Path) -> None:
    documents = [python_document(noun) for noun in NOUNS]
    job = Job(tmp_path, {"corpus": corpus(tmp_path / "corpus", documents)})
    with pytest.raises(UserError, match="documents 0 names"):
        make_dialogues(CONFIG.model_copy(update={"names": "headings"}), job)


def test_a_corpus_that_documents_too_little_is_the_users_mistake(tmp_path: Path) -> None:
    documents = [{"text": "Nothing of note.", "meta": {"uri": "a.txt", "kind": "text"}}]
    job = Job(tmp_path, {"corpus": corpus(tmp_path / "corpus", documents)})
    with pytest.raises(UserError, match="documents 0 names"):
        make_dialogues(CONFIG, job)


def test_names_that_all_mention_each_other_cannot_be_held_out(tmp_path: Path) -> None:
    lines = [f"# Part {'i' * n}\nFits into the part {'i' * n} as usual.\n" for n in range(1, 15)]
    lines += [f"# Rest {n}\nGoes with Part {'i' * n} of the thing.\n" for n in range(1, 15)]
    lines += [f"# Last {n}\nGoes with Rest {n} and Last {n + 1}.\n" for n in range(1, 15)]
    document = {"text": "\n".join(lines), "meta": {"uri": "a.md", "kind": "markdown"}}
    job = Job(tmp_path, {"corpus": corpus(tmp_path / "corpus", [document])})
    with pytest.raises(UserError, match="too few can be held out"):
        make_dialogues(CONFIG, job)


def test_a_small_corpus_fills_every_split(tmp_path: Path) -> None:
    names = ("one", "two", "six", "ten", "red", "blue", "left", "right", "up", "down")
    text = "\n".join(f"# The {name} knob\nTurns the machine a little.\n" for name in names[:3])
    text += "\n".join(f"# The {name} dial\nShows how far it is {name}.\n" for name in names)
    document = {"text": text, "meta": {"uri": "a.md", "kind": "markdown"}}
    job = Job(tmp_path, {"corpus": corpus(tmp_path / "corpus", [document])})
    config = DialoguesConfig(test_names=200, valid_names=1)
    facts = make_dialogues(config, job)
    assert facts["names"] == {"train": 10, "valid": 1, "test": 2}


def test_no_corpus_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus"):
        make_dialogues(CONFIG, Job(tmp_path, {"corpus": tmp_path}))


def test_mentions_looks_into_every_role() -> None:
    call = {"function": {"name": "python_docs", "arguments": '{"name": "a.b"}'}}
    row = {
        "messages": [
            {"role": "user", "content": "What is x.y?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "like p.q"},
        ]
    }
    for name in ("a.b", "x.y", "p.q"):
        assert mentions(row, ["zz", name])
    assert not mentions(row, ["c.d"])


def test_recombine() -> None:
    assert recombine("json.loads", "gzip.open") == "json.open"
    assert recombine("Pump one", "Valve two") == "Pump two"
    assert recombine("json", "gzip.open") is None
