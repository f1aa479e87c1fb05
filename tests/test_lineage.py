"""Keys from content, records that survive, words for what changed."""

from pathlib import Path

import pytest

from lianlu.lineage import (
    StepRecord,
    StepStore,
    canonical,
    changes,
    digest_of,
    digest_outputs,
    read_record,
    step_key,
    verify,
    write_json,
)


def make(store: StepStore, name: str, text: str, finished: float = 1.0, **identity: object) -> Path:
    key = step_key("refine", 1, identity, {})
    part = store.part(name, key)
    part.mkdir(parents=True)
    (part / "out.txt").write_text(text)
    (part / "metrics.jsonl").write_text(f"{finished}\n")
    outputs = digest_outputs(part)
    digest = digest_of(outputs)
    record = StepRecord(
        name, "refine", 1, key, dict(identity), {}, outputs, digest, {}, finished=finished
    )
    return store.commit(record)


def test_a_key_depends_on_content_alone() -> None:
    key = step_key("refine", 1, {"a": 1, "b": [1.5, "x"]}, {"corpus": "d1"})
    assert key == step_key("refine", 1, {"b": [1.5, "x"], "a": 1}, {"corpus": "d1"})
    assert key != step_key("refine", 2, {"a": 1, "b": [1.5, "x"]}, {"corpus": "d1"})
    assert key != step_key("refine", 1, {"a": 1, "b": [1.5, "x"]}, {"corpus": "d2"})


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), Path("x")])
def test_only_plain_json_may_enter_a_key(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical({"x": value})


def test_journals_are_no_part_of_the_digest(tmp_path: Path) -> None:
    store = StepStore(tmp_path)
    first = read_record(make(store, "a", "same", finished=1.0, x=1))
    second = read_record(make(store, "a", "same", finished=2.0, x=2))
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert first.digest == second.digest


def test_a_finished_step_is_found_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    store = StepStore(tmp_path)
    place = make(store, "a", "whole", x=1)
    record = read_record(place)
    assert record is not None
    assert store.find("a", record.key) == record
    (place / "out.txt").write_text("whol")
    assert store.find("a", record.key) is None
    (place / "out.txt").unlink()
    assert store.find("a", record.key) is None


def test_bytes_changed_in_place_are_noticed(tmp_path: Path) -> None:
    place = make(StepStore(tmp_path), "a", "whole", x=1)
    record = read_record(place)
    assert record is not None
    assert verify(place, record) == []
    (place / "out.txt").write_text("whale")
    assert verify(place, record) == ["out.txt has other bytes than were written"]
    (place / "out.txt").unlink()
    assert verify(place, record) == ["out.txt is missing"]


def test_a_half_written_record_is_no_record(tmp_path: Path) -> None:
    place = make(StepStore(tmp_path), "a", "whole", x=1)
    text = (place / "step.json").read_text()
    (place / "step.json").write_text(text[: len(text) // 2])
    assert read_record(place) is None


def test_what_changed_is_said_in_words(tmp_path: Path) -> None:
    place = make(StepStore(tmp_path), "a", "x", lr=0.01, model={"width": 256})
    record = read_record(place)
    assert record is not None
    told = changes(record, {"lr": 0.02, "model": {"width": 128}}, {"tokens": "d2"})
    assert told == ["lr 0.01 → 0.02", "model.width 256 → 128", "tokens: other content"]


def test_unreached_steps_are_found_and_unfinished_ones_are_not(tmp_path: Path) -> None:
    store = StepStore(tmp_path)
    kept, dead = make(store, "a", "x", x=1), make(store, "a", "yy", x=2)
    store.part("a", "f" * 64).mkdir()
    assert store.unreached({kept.name}) == [(dead, 2)]


def test_write_json_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]
