"""Fates: who leaves at which stage, and what the ledger says of it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lianlu.refine.config import RefineConfig
from lianlu.refine.dedup import Clusters
from lianlu.refine.examine import DOCUMENT, SCORES
from lianlu.refine.fates import Fates, policies
from lianlu.refine.rules.policy import Rule


def _table(*rows: dict[str, Any]) -> pa.Table:
    full = []
    for i, row in enumerate(rows):
        values = [0.0] * len(SCORES)
        for name, value in row.get("scores", {}).items():
            values[SCORES.index(name)] = value
        full.append(
            {
                "piece": i,
                "id": f"id{i}",
                "source": "s",
                "uri": f"u{i}",
                "genre": row.get("genre", "prose"),
                "meta": "{}",
                "size": 1,
                "error": row.get("error", ""),
                "stage": "read" if row.get("error") else "",
                "text": row.get("text", "some text"),
                "lang": row.get("lang", "en"),
                "values": values,
                "spans": ["why"] * len(SCORES),
            }
        )
    return pa.Table.from_pylist(full, pa.schema(list(DOCUMENT)))


def test_a_broken_rule_is_in_the_ledger_with_value_threshold_and_span() -> None:
    fates = Fates(_table({"scores": {"words": 9}}, {"scores": {"words": 2}}, {"error": "bad"}))
    fates.apply_rules("set", (Rule("set.words", "words", least=3),), RefineConfig())
    rows = fates.ledger().to_pylist()
    assert [row["status"] for row in rows] == ["kept", "dropped", "quarantined"]
    assert rows[1]["rule"] == "set.words"
    assert (rows[1]["value"], rows[1]["threshold"], rows[1]["span"]) == (2, 3, "why")
    assert rows[1]["excerpt"] == "some text"
    assert (rows[0]["rule"], rows[0]["value"], rows[0]["excerpt"]) == (None, None, None)
    assert (rows[2]["error"], rows[2]["stage"]) == ("bad", "read")
    assert fates.kept()["id"].to_pylist() == ["id0"]


def test_languages_that_are_not_wanted_leave_but_code_stays() -> None:
    config = RefineConfig(languages=["en"])
    fates = Fates(_table({}, {"lang": "de"}, {"lang": "code", "genre": "code"}))
    stage, rules = policies(config)[0]
    fates.apply_rules(stage, rules, config)
    rows = fates.ledger().to_pylist()
    assert [row["status"] for row in rows] == ["kept", "dropped", "kept"]
    assert (rows[1]["rule"], rows[1]["span"]) == ("language.not_wanted", "de")


def test_a_duplicate_names_its_head_among_the_remaining() -> None:
    fates = Fates(_table({"error": "bad"}, {}, {}, {}))
    clusters = Clusters(np.array([0, 1, 0]), np.array([0.9, 0, 0.9]))
    fates.apply_clusters("near", "near.jaccard", clusters, 0.8)
    row = fates.ledger().to_pylist()[3]
    assert (row["status"], row["head"], row["value"]) == ("dropped", "id1", 0.9)
    assert fates.remaining().tolist() == [1, 2]


@pytest.mark.parametrize("pii", ["mask", "drop"])
def test_policies_follow_the_settings(pii: Any) -> None:
    config = RefineConfig(rules=["c4", "code"], pii=pii)
    names = [name for name, _ in policies(config)]
    assert names == ["length", "c4", "code"] + (["pii"] if pii == "drop" else [])


def test_scores_are_a_map_in_the_corpus() -> None:
    kept = Fates(_table({"scores": {"words": 7}})).kept()
    assert dict(kept["scores"][0].as_py())["words"] == 7
