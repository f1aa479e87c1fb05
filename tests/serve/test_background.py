"""A server in a child process: it answers, tells mistakes apart, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.serve.background import served
from lianlu.serve.config import ServeConfig

CONFIG = ServeConfig(port=0, kv_tokens=1024, threads=1)


def gone(url: str) -> bool:
    for _ in range(100):
        try:
            httpx.get(f"{url}/health")
        except httpx.ConnectError:
            return True
        time.sleep(0.05)
    return False


def test_it_answers_inside_the_block_only(model_dir: Path) -> None:
    with served(model_dir, CONFIG) as url:
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    assert gone(url)


def test_the_users_mistakes_come_through(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"), served(tmp_path, CONFIG):
        pass


def test_another_end_shows_the_log(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(model_dir / "nowhere"))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StepFailed, match="ended with code 1"), served(model_dir, CONFIG):
        pass


def test_it_dies_with_a_parent_that_is_killed(model_dir: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from lianlu.serve.background import served\n"
        "from lianlu.serve.config import ServeConfig\n"
        f"with served(Path({str(model_dir)!r}), ServeConfig(port=0, threads=1)) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert httpx.get(f"{url}/health").status_code == 200
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert gone(url)
