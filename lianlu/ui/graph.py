"""Where the chain's nodes stand when they are drawn: columns by what they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from lianlu.ui.reader import Node

WIDTH, HEIGHT = 126, 58
GAP_X, GAP_Y = 42, 26
MARGIN = 8
# Rows: what is measured above, what is made in the middle, what the model is taught below.
ROWS = {"evaluate": 0, "dialogues": 2}


@dataclass(frozen=True)
class Box:
    node: Node
    x: int
    y: int


@dataclass(frozen=True)
class Edge:
    """An SVG path from a node to one that is made of it."""

    path: str
    live: bool


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    edges: list[Edge]


def draw(nodes: Sequence[Node]) -> Drawing:
    """Lay out a run's nodes left to right; an edge that a longer way implies is left out."""
    by_name = {node.name: node for node in nodes}
    inputs = {
        node.name: [name for name in node.inputs if name in by_name and name != node.name]
        for node in nodes
    }
    columns = _columns(inputs)
    taken: set[tuple[int, int]] = set()
    boxes: dict[str, Box] = {}
    for node in nodes:
        column, row = columns[node.name], _row(node)
        while (column, row) in taken:
            row += 1
        taken.add((column, row))
        boxes[node.name] = Box(
            node, MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)
        )
    edges = [
        _edge(boxes[source], boxes[name])
        for name in inputs
        for source in inputs[name]
        if not _implied(source, name, inputs)
    ]
    return Drawing(
        width=max((box.x for box in boxes.values()), default=0) + WIDTH + MARGIN,
        height=max((box.y for box in boxes.values()), default=0) + HEIGHT + MARGIN,
        boxes=list(boxes.values()),
        edges=edges,
    )


def _row(node: Node) -> int:
    if node.name in ("before", "after", "after-small"):
        return 0
    return ROWS.get(node.link, 2 if node.name == "dialogues" else 1)


def _columns(inputs: dict[str, list[str]]) -> dict[str, int]:
    """The longest way to each node; then each moves right, next to the first that needs it."""
    columns = dict.fromkeys(inputs, 0)
    for _ in inputs:  # as many rounds as nodes settle any chain, and end on a (damaged) cycle
        for name, sources in inputs.items():
            columns[name] = min(
                max((columns[source] + 1 for source in sources), default=0), len(inputs)
            )
    for name in sorted(columns, key=lambda name: -columns[name]):
        users = [columns[user] for user, sources in inputs.items() if name in sources]
        if users and inputs[name]:
            columns[name] = max(columns[name], min(users) - 1)
    return columns


def _implied(source: str, target: str, inputs: dict[str, list[str]]) -> bool:
    """Whether another input of `target` is itself made of `source`."""
    waiting = [name for name in inputs[target] if name != source]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name == source:
            return True
        if name not in seen:
            seen.add(name)
            waiting += inputs[name]
    return False


def _edge(source: Box, target: Box) -> Edge:
    x, y = source.x + WIDTH, source.y + HEIGHT // 2
    end_x, end_y = target.x, target.y + HEIGHT // 2
    bend = x + GAP_X
    middle = x + GAP_X // 2
    path = f"M{x} {y} C{middle} {y} {middle} {end_y} {bend} {end_y} L{end_x} {end_y}"
    return Edge(path, live=target.node.state == "running")
