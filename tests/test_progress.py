"""Events are appended whole, throttled, and told to who listens."""

import json
from pathlib import Path

from lianlu.progress import METRICS, PROGRESS, Event, Progress


def rows(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_tasks_are_counted_and_throttled(tmp_path: Path) -> None:
    heard: list[Event] = []
    progress = Progress(tmp_path, heard.append)
    progress.begin("read", 1000, "documents")
    for _ in range(1000):
        progress.advance("read")
    progress.finish("read")
    written = rows(tmp_path / PROGRESS)
    assert written == heard
    assert len(written) < 100
    assert written[-1]["done"] == 1000
    assert written[-1]["finished"]
    assert written[0]["unit"] == "documents"


def test_words_and_metrics(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.say("文档 read")
    progress.metric(step=1, loss=2.5)
    assert rows(tmp_path / PROGRESS)[0]["say"] == "文档 read"
    assert rows(tmp_path / METRICS)[0]["loss"] == 2.5


def test_nobody_need_listen() -> None:
    progress = Progress()
    progress.begin("x")
    progress.advance("x", 3)
    progress.finish("x")
