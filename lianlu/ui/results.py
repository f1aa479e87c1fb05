"""What the steps of a run gave, as the console shows it: corpus, curves, scores, trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lianlu.progress import METRICS
from lianlu.ui.files import Row, items, mapping, number, read_json, tail_rows, text
from lianlu.ui.reader import RunState
from lianlu.ui.trace import TraceEvent, read_events

SCORED = ("before", "after", "after-small")
TRAINED = ("base", "model")
Pair = tuple[float, float]
VALID = ("valid_loss", "valid", "eval_loss")
MAX_TRAJECTORIES = 200
TRAJECTORY_LIMIT = 2**20  # its events carry token ids, so it is larger than its words


@dataclass(frozen=True)
class Sample:
    """A dropped document; `value` is what the rule measured, or the error."""

    id: str
    uri: str
    value: str
    excerpt: str


@dataclass(frozen=True)
class Rule:
    """A rule of a stage, and up to three documents that it dropped."""

    name: str
    dropped: float
    threshold: str
    samples: list[Sample]


@dataclass(frozen=True)
class Stage:
    name: str
    before: float
    after: float
    rules: list[Rule]


@dataclass(frozen=True)
class Corpus:
    """The card of a corpus. `counts` are documents; so are a source's, beside its `bytes`."""

    counts: dict[str, float]
    stages: list[Stage]
    sources: dict[str, dict[str, float]]
    languages: list[tuple[str, float]]
    bytes_raw: float | None
    chars_kept: float | None
    exact: float | None
    near: float | None


@dataclass(frozen=True)
class Curve:
    """Losses of a training by optimizer step, and the last row of other measurements."""

    node: str
    train: list[tuple[float, float]]
    valid: list[tuple[float, float]]
    last: dict[str, float]


@dataclass(frozen=True)
class Score:
    name: str
    value: float
    low: float | None
    high: float | None
    n: float | None
    unit: str
    better: str
    contamination: float | None


@dataclass(frozen=True)
class Compression:
    """What compression cost and gained. `sizes` (bytes), `bits` (per byte) and `speeds` (tokens a
    second of one sequence) are pairs: before, after. Losses are relative rises of bits per byte."""

    accepted: bool | None
    loss: float | None
    low: float | None
    high: float | None
    allowed: float | None
    sizes: Pair | None
    bits: Pair | None
    speeds: Pair | None
    worst: list[tuple[str, float]]


@dataclass(frozen=True)
class Trajectory:
    """What was asked, and what came of it; `expected` is the right answer, `right` the verdict."""

    question: str
    right: bool | None
    expected: str
    id: str
    events: list[TraceEvent]


@dataclass(frozen=True)
class Trial:
    """The agent's trial through the served model; latencies in seconds, but tokens a second."""

    n: float | None
    right: float | None
    called_right: float | None
    interval: Pair | None
    latency: dict[str, float]
    trajectories: list[Trajectory]


def corpus_of(run: RunState) -> Corpus | None:
    card = mapping(_read(run, "corpus", "card.json"))
    if not card:
        return None
    duplicates = mapping(card.get("duplicates"))
    rules = mapping(card.get("rules")) | {"quarantined": {"samples": card.get("errors")}}
    return Corpus(
        counts=_numbers(card.get("counts")),
        stages=[_stage(entry, rules) for entry in items(card.get("stages"))[:64]],
        sources={
            text(name, 80): _numbers(entry)
            for name, entry in list(mapping(card.get("sources")).items())[:64]
        },
        languages=sorted(_numbers(card.get("languages")).items(), key=lambda pair: -pair[1])[:12],
        bytes_raw=number(card.get("bytes_raw")),
        chars_kept=number(card.get("chars_kept")),
        exact=number(duplicates.get("exact")),
        near=number(duplicates.get("near")),
    )


def _stage(entry: Row, rules: Row) -> Stage:
    return Stage(
        name=text(entry.get("name"), 64),
        before=number(entry.get("in")) or 0,
        after=number(entry.get("out")) or 0,
        rules=[
            _rule(name, dropped, mapping(rules.get(name)))
            for name, dropped in list(_numbers(entry.get("dropped")).items())[:64]
        ],
    )


def _rule(name: str, dropped: float, entry: Row) -> Rule:
    samples = [
        Sample(
            id=text(sample.get("id"), 64),
            uri=text(sample.get("uri"), 300),
            value=text(sample.get("error"), 300) or _short(sample.get("value")),
            excerpt=text(sample.get("excerpt"), 600),
        )
        for sample in items(entry.get("samples"))[:5]
    ]
    return Rule(name, dropped, _short(entry.get("threshold")), samples)


def _short(value: Any) -> str:
    told = number(value)
    return text(value, 64) if told is None else f"{told:.4g}"


def curves_of(run: RunState) -> list[Curve]:
    """One curve a trained node that has rows; a file that grew too long shows its end."""
    curves = []
    for name in TRAINED:
        node = run.node(name)
        rows = tail_rows(node.directory / METRICS) if node and node.directory else []
        train = [point for row in rows if (point := _point(row, ("loss", "train_loss")))]
        valid = [point for row in rows if (point := _point(row, VALID))]
        last: dict[str, float] = {}
        for row in rows[-50:]:
            last |= _numbers(row)
        if train or valid:
            curves.append(Curve(name, train, valid, last))
    return curves


def _point(row: Row, keys: Sequence[str]) -> tuple[float, float] | None:
    step = number(row.get("step"))
    loss = next((value for key in keys if (value := number(row.get(key))) is not None), None)
    return None if step is None or loss is None else (step, loss)


def scores_of(run: RunState) -> dict[str, dict[str, Score]]:
    """`{node: {score: Score}}` of the nodes that were scored, in the chain's order."""
    scores = {}
    for name in SCORED:
        found = _read(run, name, "scores.json")
        entries = items(found if isinstance(found, list) else mapping(found).get("scores"))
        if entries:
            scores[name] = {score.name: score for entry in entries if (score := _score(entry))}
    return scores


def _score(entry: Row) -> Score | None:
    value = number(entry.get("value"))
    if value is None:
        return None
    return Score(
        name=text(entry.get("name"), 64),
        value=value,
        low=number(entry.get("low")),
        high=number(entry.get("high")),
        n=number(entry.get("n")),
        unit=text(entry.get("unit"), 32),
        better="lower" if entry.get("better") == "lower" else "higher",
        contamination=number(entry.get("contamination")),
    )


def compression_of(run: RunState) -> Compression | None:
    node = run.node("small")
    if node is None or node.directory is None or not node.facts:
        return None
    facts = node.facts
    bits = mapping(facts.get("bits_per_byte"))
    rows = [row for row in tail_rows(node.directory / METRICS) if "decode_before" in row]
    speed = rows[-1] if rows else {}
    accepted = facts.get("accepted")
    errors = sorted(_numbers(facts.get("layer_errors")).items(), key=lambda layer: -layer[1])
    return Compression(
        accepted=accepted if isinstance(accepted, bool) else None,
        loss=number(facts.get("loss")),
        low=number(facts.get("loss_low")),
        high=number(facts.get("loss_high")),
        allowed=number(facts.get("allowed")),
        sizes=_pair(mapping(facts.get("bytes")), "before", "after"),
        bits=_pair(
            {key: mapping(told).get("value") for key, told in bits.items()}, "before", "after"
        ),
        speeds=_pair(speed, "decode_before", "decode_tokens_per_second"),
        worst=errors[:5],
    )


def _pair(entry: Row, before: str, after: str) -> Pair | None:
    first, second = number(entry.get(before)), number(entry.get(after))
    return None if first is None or second is None else (first, second)


def trial_of(run: RunState) -> Trial | None:
    node = run.node("trial")
    if node is None or node.directory is None:
        return None
    told = mapping(read_json(node.directory / "trial.json"))
    trajectories = _trajectories(node.directory / "trajectories", items(told.get("questions")))
    if not told and not trajectories:
        return None
    ends = told.get("interval")
    low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
    return Trial(
        n=number(told.get("n")),
        right=number(told.get("right")),
        called_right=number(told.get("called_right")),
        interval=_pair({"low": low, "high": high}, "low", "high"),
        latency=_numbers(told.get("latency")),
        trajectories=trajectories,
    )


def _trajectories(folder: Path, questions: list[Row]) -> list[Trajectory]:
    """The first trajectories, by name, with the verdicts of a trial that is over."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".jsonl")
    except OSError:
        return []
    verdicts = {text(question.get("id"), 80): question for question in questions}
    return [
        _trajectory(path, verdicts.get(path.stem, {}))
        for path in paths[:MAX_TRAJECTORIES]
        if not path.is_symlink()
    ]


def _trajectory(path: Path, verdict: Row) -> Trajectory:
    events = list(read_events(tail_rows(path, TRAJECTORY_LIMIT)[:64]))
    name, right = text(path.stem, 80), verdict.get("right")
    return Trajectory(
        question=next((event.text for event in events if event.type == "user"), name),
        right=None if right is None else bool(right),
        expected=text(verdict.get("expected"), 500),
        id=name,
        events=events,
    )


def _read(run: RunState, node_name: str, file: str) -> Any:
    node = run.node(node_name)
    return read_json(node.directory / file) if node and node.directory else None


def _numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a JSON object."""
    return {
        text(key, 80): told
        for key, entry in mapping(value).items()
        if (told := number(entry)) is not None
    }
