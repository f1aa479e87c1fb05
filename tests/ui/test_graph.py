from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lianlu.ui.graph import draw
from lianlu.ui.reader import Node, read_run


def node(name: str, *inputs: str) -> Node:
    return Node(name, "", "ran", "", inputs, None, None, None, None, None, {}, [], "")


def test_the_chain_reads_left_to_right(runs: Path) -> None:
    drawing = draw(read_run(runs, "demo").nodes)
    x = {box.node.name: box.x for box in drawing.boxes}
    assert x["corpus"] < x["tokenizer"] < x["tokens"] < x["base"] < x["model"] < x["small"]
    assert x["before"] == x["model"]
    assert x["dialogues"] == x["base"]
    assert len({(box.x, box.y) for box in drawing.boxes}) == len(drawing.boxes) == 11
    assert max(box.x for box in drawing.boxes) + 126 <= drawing.width <= 1200


def test_edges_that_a_longer_way_implies_are_left_out() -> None:
    edges = draw([node("a"), node("b", "a"), node("c", "a", "b")]).edges
    assert len(edges) == 2


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefx"), max_size=4), max_size=6
    )
)
def test_any_inputs_are_drawn_even_circles(inputs: dict[str, list[str]]) -> None:
    drawing = draw([node(name, *sources) for name, sources in inputs.items()])
    assert len({(box.x, box.y) for box in drawing.boxes}) == len(inputs)
