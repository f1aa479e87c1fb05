"""Answers and scores, keyed so that nothing of one model is ever served as another's."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, create_engine, select

from lianlu.lineage import write_json

DATABASE = "scores.sqlite"
SCORES = "scores.json"
ITEMS = "items.parquet"


@dataclass(frozen=True)
class Item:
    """One question to a model, or one document, and the verdict on it."""

    id: str
    prompt: str
    output: str
    expected: str
    verdict: float
    """1 right, 0 wrong; or the measured value."""
    weight: float = 1.0
    """The score is the mean of the verdicts, weighted by this."""


@dataclass(frozen=True)
class Score:
    """A number with its interval, and the share of its items that training had seen."""

    name: str
    value: float
    low: float
    high: float
    n: int
    confidence: float
    unit: str
    better: str
    """"higher" or "lower"."""
    contamination: float | None
    """None where there is no training data to compare with."""


_metadata = MetaData()
_KEY = ("weights", "task", "id")
# No hidden row ids in SQLite: the file then depends on what it holds, not on the order of writing.
_items = Table(
    "items",
    _metadata,
    *(Column(name, String, primary_key=True) for name in _KEY),
    Column("score", String, nullable=False),
    Column("prompt_hash", String, nullable=False),
    *(Column(name, String, nullable=False) for name in ("prompt", "output", "expected")),
    *(Column(name, Float, nullable=False) for name in ("verdict", "weight")),
    sqlite_with_rowid=False,
)
_scores = Table(
    "scores",
    _metadata,
    *(Column(name, String, primary_key=True) for name in ("weights", "task")),
    Column("name", String, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("value", "low", "high", "confidence")),
    Column("n", Integer, nullable=False),
    *(Column(name, String, nullable=False) for name in ("unit", "better")),
    Column("contamination", Float),
    sqlite_with_rowid=False,
)


class Store:
    """What one model answered. `weights` is the digest of its directory.

    Kept in `scores.sqlite` of a directory while the work goes on, so that an interrupted
    evaluation asks nothing twice; `close` writes the rest and brings the file into the one form
    that its content has.
    """

    def __init__(self, directory: Path, weights: str) -> None:
        self.directory = directory
        self.weights = weights
        self._engine = create_engine(f"sqlite:///{directory / DATABASE}")
        _metadata.create_all(self._engine)
        self._written: list[tuple[Score, Sequence[Item]]] = []

    def get(self, task: str) -> dict[str, Item]:
        """This model's items of a task (its hash), by id."""
        columns = [_items.c[field.name] for field in fields(Item)]
        mine = (_items.c.weights == self.weights) & (_items.c.task == task)
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).where(mine))
            return {row.id: Item(**row._mapping) for row in rows}

    def put(self, score: str, task: str, items: Sequence[Item]) -> None:
        """Keep items of a task; those that are there already are replaced."""
        rows = [
            {"weights": self.weights, "task": task, "score": score, **_row(item)} for item in items
        ]
        self._replace(_items, _KEY, rows)

    def finish(self, score: Score, task: str, items: Sequence[Item]) -> None:
        """Keep a score and the items it is the mean of."""
        self._replace(
            _scores,
            ("weights", "task"),
            [{"weights": self.weights, "task": task, **asdict(score)}],
        )
        self._written.append((score, items))

    def close(self) -> None:
        """Write `scores.json`, `items.parquet` and the final `scores.sqlite`."""
        write_json(self.directory / SCORES, [asdict(score) for score, _ in self._written])
        rows = [
            {"score": score.name, **_row(item)} for score, items in self._written for item in items
        ]
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), self.directory / ITEMS)
        self._rewrite()

    def _rewrite(self) -> None:
        """Write the database anew in the order of its keys: SQLite's file tells its history."""
        ordered = self.directory / f"{DATABASE}.new"
        ordered.unlink(missing_ok=True)
        target = create_engine(f"sqlite:///{ordered}")
        _metadata.create_all(target)
        with self._engine.connect() as old, target.begin() as new:
            for table in _metadata.sorted_tables:
                query = select(table).order_by(*table.primary_key.columns)
                if rows := [dict(row._mapping) for row in old.execute(query)]:
                    new.execute(table.insert(), rows)
        target.dispose()
        self._engine.dispose()
        os.replace(ordered, self.directory / DATABASE)

    def _replace(
        self, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, object]]
    ) -> None:
        with self._engine.begin() as connection:
            for row in rows:
                same = [table.c[name] == row[name] for name in key]
                connection.execute(table.delete().where(*same))
                connection.execute(table.insert(), row)


def read_scores(directory: Path) -> list[Score]:
    """The scores of a finished evaluation."""
    return [Score(**row) for row in json.loads((directory / SCORES).read_text(encoding="utf-8"))]


def read_items(directory: Path) -> dict[str, dict[str, Item]]:
    """Items by score and id."""
    found: dict[str, dict[str, Item]] = {}
    for row in pq.read_table(directory / ITEMS).to_pylist():
        score = row.pop("score")
        del row["prompt_hash"]
        found.setdefault(score, {})[row["id"]] = Item(**row)
    return found


_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("score", "id", "prompt_hash", "prompt", "output", "expected")]
    + [("verdict", pa.float64()), ("weight", pa.float64())]
)


def _row(item: Item) -> dict[str, object]:
    return {**asdict(item), "prompt_hash": hashlib.sha256(item.prompt.encode()).hexdigest()}
