"""The store: one model's answers stay its own, and the files depend on their content alone."""

import hashlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lianlu.evaluate.store import (
    DATABASE,
    ITEMS,
    SCORES,
    Item,
    Score,
    Store,
    read_items,
    read_scores,
)

SCORE = Score("answer", 0.5, 0.1, 0.9, 2, 0.95, "share", "higher", None)


def item(id_: str, output: str = "out") -> Item:
    return Item(id_, f"prompt of {id_}", output, "gold", 1.0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    items = [item("a", "with 'quotes' and 汉字"), item("b", "")]
    store = Store(tmp_path, "w")
    store.put("answer", "t", items)
    store.finish(SCORE, "t", items)
    assert list(store.get("t").values()) == items
    store.close()
    assert read_scores(tmp_path) == [SCORE]
    assert read_items(tmp_path) == {"answer": {"a": items[0], "b": items[1]}}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("xyz"), st.sampled_from("tu"), st.sampled_from("ab"), st.text("pq")
        ),
        max_size=12,
    )
)
def test_no_model_sees_the_answers_of_another(
    tmp_path_factory: object, writes: list[tuple[str, str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("store")  # type: ignore[attr-defined]
    expected: dict[tuple[str, str], dict[str, str]] = {}
    for weights, task, id_, output in writes:
        Store(folder, weights).put("answer", task, [item(id_, output)])
        expected.setdefault((weights, task), {})[id_] = output
    for weights in "xyz":
        for task in "tu":
            found = {id_: i.output for id_, i in Store(folder, weights).get(task).items()}
            assert found == expected.get((weights, task), {})


def test_bytes_do_not_depend_on_how_the_work_was_cut(tmp_path: Path) -> None:
    items = [item(f"{i:03}", "x" * i) for i in range(50)]

    def write(folder: Path, cuts: list[int]) -> list[str]:
        folder.mkdir()
        store = Store(folder, "w")
        for start, end in zip([0, *cuts], [*cuts, 50], strict=True):
            store.put("answer", "t", items[start:end])
            store = Store(folder, "w")  # as after an interruption
        store.put("answer", "t", items[:1])
        store.finish(SCORE, "t", items)
        store.close()
        names = (DATABASE, ITEMS, SCORES)
        return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]

    assert write(tmp_path / "a", []) == write(tmp_path / "b", [3, 20, 31])
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted([DATABASE, ITEMS, SCORES])
