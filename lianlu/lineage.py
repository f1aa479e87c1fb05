"""Step records: keys from content, digests, what changed, and what a run reaches."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lianlu.progress import JOURNALS

RECORD = "step.json"
PART = ".part"


@dataclass(frozen=True)
class StepRecord:
    """What `step.json` holds: all that is known of one finished step.

    `key` names the work (link, version, identity, digests of the inputs); `digest` names the bytes
    that came out. Two keys with one digest are the same artefact to every later step.
    """

    name: str
    link: str
    version: int
    key: str
    identity: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    outputs: dict[str, dict[str, Any]]
    digest: str
    facts: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    predicted: dict[str, float] = field(default_factory=dict)
    lianlu: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    started: float = 0.0
    finished: float = 0.0


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces. Raises TypeError on what is not plain JSON."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def step_key(
    link: str, version: int, identity: Mapping[str, Any], inputs: Mapping[str, str]
) -> str:
    """sha256 over the link, its version, the fields that decide the output, the inputs' digests."""
    content = [link, version, dict(identity), dict(inputs)]
    return hashlib.sha256(canonical(content)).hexdigest()


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_outputs(directory: Path) -> dict[str, dict[str, Any]]:
    """`{relative path: {sha256, bytes}}` of a step's outputs; journals hold times, so not they."""
    return {
        path.relative_to(directory).as_posix(): {
            "sha256": digest_file(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in JOURNALS
    }


def digest_of(outputs: Mapping[str, Mapping[str, Any]]) -> str:
    return hashlib.sha256(
        canonical({name: entry["sha256"] for name, entry in outputs.items()})
    ).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write, flush to disk, then rename: a reader sees the old file or the new one, never half."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_record(directory: Path) -> StepRecord | None:
    """The record of a finished step, or None where there is none that can be read."""
    try:
        return StepRecord(**json.loads((directory / RECORD).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


class StepStore:
    """The folder `runs/steps`: one directory a step, named by node and key."""

    def __init__(self, runs: Path) -> None:
        self.root = runs / "steps"

    def place(self, name: str, key: str) -> Path:
        return self.root / f"{name}-{key[:16]}"

    def part(self, name: str, key: str) -> Path:
        return self.root / f"{name}-{key[:16]}{PART}"

    def find(self, name: str, key: str) -> StepRecord | None:
        """The finished step of this key, if its files are still as they were written.

        Sizes are compared, not digests: reading every byte again would cost minutes on a large
        model. `verify` compares digests.
        """
        place = self.place(name, key)
        record = read_record(place)
        sound = record and record.key == key and not list(damaged(place, record))
        return record if sound else None

    def commit(self, record: StepRecord) -> Path:
        """Write `step.json` last, then rename the part; from here on the step exists.

        A step of this key may stand here damaged; it makes room.
        """
        part, place = self.part(record.name, record.key), self.place(record.name, record.key)
        write_json(part / RECORD, asdict(record))
        if place.exists():
            shutil.rmtree(place)
        part.replace(place)
        return place

    def records(self) -> Iterator[tuple[Path, StepRecord]]:
        """Every finished step, oldest first."""
        found = [(p.parent, read_record(p.parent)) for p in self.root.glob(f"*/{RECORD}")]
        finished = [(path, record) for path, record in found if record is not None]
        yield from sorted(finished, key=lambda pair: pair[1].finished)

    def unreached(self, kept: set[str]) -> list[tuple[Path, int]]:
        """Finished steps whose directory is not named in `kept`, with their bytes."""
        return [
            (path, sum(entry["bytes"] for entry in record.outputs.values()))
            for path, record in self.records()
            if path.name not in kept
        ]


def damaged(place: Path, record: StepRecord) -> Iterator[str]:
    """Output files that are missing or of another size than was recorded."""
    for name, entry in record.outputs.items():
        path = place / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != entry["bytes"]:
            yield f"{name} has {path.stat().st_size} bytes, {entry['bytes']} were written"


def verify(place: Path, record: StepRecord) -> list[str]:
    """Every way in which a step's files differ from what was recorded, by digest."""
    wrong = list(damaged(place, record))
    broken = {line.split(" ", 1)[0] for line in wrong}
    for name, entry in record.outputs.items():
        if name not in broken and digest_file(place / name) != entry["sha256"]:
            wrong.append(f"{name} has other bytes than were written")
    return wrong


def changes(old: StepRecord, identity: Mapping[str, Any], inputs: Mapping[str, str]) -> list[str]:
    """In words, why this step is not the old one: `lr 0.01 → 0.02`, `tokens: other content`."""
    told = [
        f"{name} {_word(before)} → {_word(after)}"
        for name, before, after in _differing(old.identity, identity)
    ]
    old_inputs = {name: entry["digest"] for name, entry in old.inputs.items()}
    told += [f"{name}: other content" for name, _, _ in _differing(old_inputs, inputs)]
    return told


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differing(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}", before, after


def _word(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "…"
