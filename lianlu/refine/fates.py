"""What becomes of each document: stages in turn note who leaves, by which rule, for whom."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lianlu.refine.config import RefineConfig
from lianlu.refine.dedup import Clusters
from lianlu.refine.examine import SCORES
from lianlu.refine.ledger import EXCERPT, SCHEMA
from lianlu.refine.rules.policy import ALL, Rule, judge
from lianlu.refine.rules.sets import RULE_SETS

_QUARANTINING = ("read", "extract")


class Fates:
    """The fate of every document of a table with `examine.DOCUMENT`'s columns, sorted by id.

    A document without a stage is still in; each of the other arrays holds a ledger column.
    """

    def __init__(self, documents: pa.Table) -> None:
        n = len(documents)
        self.documents = documents
        self.stage = np.array(documents["stage"].to_pylist(), object)
        self.rule = np.full(n, None, object)
        self.value = np.full(n, np.nan)
        self.threshold = np.full(n, np.nan)
        self.span = np.full(n, None, object)
        self.head = np.full(n, None, object)

    def remaining(self) -> npt.NDArray[np.int64]:
        """Indices of the documents that are still in."""
        return np.flatnonzero(self.stage == "")

    def texts(self) -> pa.ChunkedArray:
        """The texts of the documents that are still in."""
        return self.documents["text"].take(self.remaining())

    def apply_rules(self, stage: str, rules: Sequence[Rule], config: RefineConfig) -> None:
        """Drop what breaks a rule; the first rule broken is the reason."""
        rows = self.remaining()
        table = self.documents.take(rows)
        languages, genres = table["lang"].to_pylist(), table["genre"].to_pylist()
        columns = scores(table)
        wanted = set(config.languages)
        columns["language_kept"] = np.array(
            [g == "code" or c in wanted for g, c in zip(genres, languages, strict=True)], float
        )
        verdicts = judge(rules, columns, genres, languages)
        spans = table["spans"]
        for i in np.flatnonzero(verdicts.rule >= 0):
            rule, row = rules[verdicts.rule[i]], rows[i]
            self.stage[row], self.rule[row] = stage, rule.name
            self.value[row], self.threshold[row] = verdicts.value[i], verdicts.threshold[i]
            if rule.measure in SCORES:
                self.span[row] = spans[i][SCORES.index(rule.measure)].as_py() or None
            elif rule.measure == "language_kept":
                self.span[row] = languages[i]

    def apply_clusters(self, stage: str, rule: str, clusters: Clusters, threshold: float) -> None:
        """Keep the head of every cluster of the remaining documents."""
        rows, ids = self.remaining(), self.documents["id"]
        for i in np.flatnonzero(clusters.head != np.arange(len(rows))):
            row = rows[i]
            self.stage[row], self.rule[row] = stage, rule
            self.value[row], self.threshold[row] = clusters.similarity[i], threshold
            self.head[row] = ids[int(rows[clusters.head[i]])].as_py()

    def ledger(self) -> pa.Table:
        """One row per document, with `ledger.SCHEMA`."""
        table, kept = self.documents, self.stage == ""
        quarantined = np.isin(self.stage, _QUARANTINING)
        status = np.where(kept, "kept", np.where(quarantined, "quarantined", "dropped"))
        excerpt = pc.utf8_slice_codeunits(table["text"], 0, EXCERPT)
        columns = {
            "id": table["id"],
            "source": table["source"],
            "uri": table["uri"],
            "status": pa.array(status.tolist()),
            "stage": pa.array([stage or None for stage in self.stage], pa.string()),
            "rule": pa.array(self.rule.tolist(), pa.string()),
            "value": pa.array(self.value, from_pandas=True),
            "threshold": pa.array(self.threshold, from_pandas=True),
            "span": pa.array(self.span.tolist(), pa.string()),
            "head": pa.array(self.head.tolist(), pa.string()),
            "error": pc.if_else(pa.array(quarantined), table["error"], None),
            "chars": pc.utf8_length(table["text"]),
            "excerpt": pc.if_else(pa.array(kept), None, excerpt),
        }
        return pa.table(columns).cast(SCHEMA)

    def kept(self) -> pa.Table:
        """The documents that stayed, with `corpus.SCHEMA`'s columns."""
        table = self.documents.take(self.remaining())
        n, names = len(table), len(SCORES)
        keys = pa.array(np.tile(np.array(SCORES, object), n), pa.string())
        values = table["values"].combine_chunks().flatten()
        offsets = pa.array(np.arange(n + 1, dtype=np.int32) * names)
        empty = pa.ListArray.from_arrays(np.zeros(n + 1, np.int32), pa.array([], pa.string()))
        return pa.table(
            {
                "id": table["id"],
                "text": table["text"],
                "source": table["source"],
                "lang": table["lang"],
                "media": empty,
                "scores": pa.MapArray.from_arrays(offsets, keys, values),
                "meta": table["meta"],
            }
        )


def policies(config: RefineConfig) -> list[tuple[str, tuple[Rule, ...]]]:
    """The stages that judge by measures, in order, with their rules."""
    stages: list[tuple[str, tuple[Rule, ...]]] = []
    if config.languages:
        kept = Rule("language.not_wanted", "language_kept", least=1, genres=ALL)
        stages.append(("language", (kept,)))
    stages.append(("length", (Rule("length.chars", "chars", least=config.min_chars, genres=ALL),)))
    stages += [(name, RULE_SETS[name]) for name in dict.fromkeys(config.rules)]
    if config.pii == "drop":
        counts = [name for name in SCORES if name.startswith("pii_")]
        found = tuple(Rule(f"pii.{name[4:]}", name, most=0, genres=ALL) for name in counts)
        stages.append(("pii", found))
    return stages


def scores(documents: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    """The measures of documents as columns by name."""
    flat = documents["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix = flat.reshape(len(documents), len(SCORES))
    return {name: matrix[:, i] for i, name in enumerate(SCORES)}
