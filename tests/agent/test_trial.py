"""Trials against a server on loopback; killed with -9 and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lianlu.agent.config import AgentConfig
from lianlu.agent.trajectory import Trajectory
from lianlu.agent.trial import try_out
from lianlu.errors import UserError
from lianlu.job import Job

CONFIG = AgentConfig(questions=50, parallel=2)
SCRIPT = """
import sys
from pathlib import Path
from lianlu.agent.config import AgentConfig
from lianlu.agent.trial import try_out
from lianlu.job import Job
url, out, dialogues = sys.argv[1:]
config = AgentConfig(questions=50, parallel=2)
try_out(config, url, Job(Path(out), {"dialogues": Path(dialogues)}))
"""


def trial(out: Path, dialogues: Path, url: str, config: AgentConfig = CONFIG) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    facts = try_out(config, url, Job(out, {"dialogues": dialogues}))
    told = json.loads((out / "trial.json").read_text())
    assert {name: told[name] for name in facts} == facts
    return told


def test_a_trial_counts_calls_and_answers(server: Any, dialogues: Path, tmp_path: Path) -> None:
    told = trial(tmp_path / "out", dialogues, server.url)
    assert (told["n"], told["called_right"], told["right"]) == (6, 6, 4)
    low, high = told["interval"]
    assert low < 4 / 6 < high
    assert told["token_exact"] == 6
    assert set(told["latency"]) == {
        "ttft_p50",
        "ttft_p99",
        "tpot_p50",
        "tpot_p99",
        "tokens_per_second",
    }
    assert all(value > 0 for value in told["latency"].values())
    assert [(q["id"], q["right"]) for q in told["questions"]][3:5] == [("q3", True), ("q4", False)]
    files = sorted(path.name for path in (tmp_path / "out" / "trajectories").iterdir())
    assert files == [f"q{i}.jsonl" for i in range(6)]
    state = Trajectory(tmp_path / "out" / "trajectories" / "q2.jsonl").state
    assert state.answer == "Gives thing number 2."
    assert state.tools[0]["function"]["name"] == "python_docs"


def test_fewer_questions_may_be_asked(server: Any, dialogues: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"questions": 3})
    assert trial(tmp_path / "out", dialogues, server.url, config)["n"] == 3


def test_a_killed_trial_is_taken_up(server: Any, dialogues: Path, tmp_path: Path) -> None:
    undisturbed = trial(tmp_path / "whole", dialogues, server.url)
    server.asked.clear()
    server.delay = 0.1
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", SCRIPT, server.url, str(out), str(dialogues)]
    worker = subprocess.Popen(command)
    while sum(server.asked.values()) < 5:
        assert worker.poll() is None
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    assert not (out / "trial.json").exists()
    part = [Trajectory(path) for path in sorted((out / "trajectories").iterdir())]
    done = [t.events for t in part if t.state.ended]
    assert done
    server.asked.clear()
    server.delay = 0.0
    resumed = trial(out, dialogues, server.url)
    for told in (undisturbed, resumed):
        del told["latency"]
    assert resumed == undisturbed
    # What had been finished was not asked again, and stands as it was.
    for events in done:
        assert server.asked[events[0]["content"]] == 0
    after = [Trajectory(path).events for path in sorted((out / "trajectories").iterdir())]
    assert all(events in after for events in done)


def test_a_finished_trial_asks_nothing(server: Any, dialogues: Path, tmp_path: Path) -> None:
    trial(tmp_path / "out", dialogues, server.url)
    server.asked.clear()
    told = trial(tmp_path / "out", dialogues, server.url)
    assert not server.asked
    assert told["latency"]["tokens_per_second"] is None


def test_no_server_is_the_users_mistake(dialogues: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no server answers"):
        trial(tmp_path / "out", dialogues, "http://127.0.0.1:9")


@pytest.mark.parametrize("content", [None, "{", "[]\n", '{"meta": {"kind": "read"}}\n'])
def test_no_questions_are_the_users_mistake(
    dialogues: Path, tmp_path: Path, content: str | None
) -> None:
    (dialogues / "test.jsonl").unlink()
    if content is not None:
        (dialogues / "test.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"test\.jsonl"):
        trial(tmp_path / "out", dialogues, "http://127.0.0.1:9")
