"""A server in a child process, for as long as somebody needs it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lianlu.errors import StepFailed, UserError
from lianlu.lifeline import die_with_parent
from lianlu.serve.config import ServeConfig


@contextmanager
def served(path: Path, config: ServeConfig | None = None) -> Iterator[str]:
    """Serve the model in `path` from a child process; gives the URL once it answers.

    The child ends with the block, and also when this process dies, however it dies. (The kernel
    watches the thread that started the child: enter from one that lives as long as the block.)

    Raises:
        UserError: what `serve` raises.
        StepFailed: the server ended for another reason; the message holds the end of its log.
    """
    config = config or ServeConfig(port=0)
    command = [sys.executable, "-P", "-m", "lianlu.serve.background", str(path), str(os.getpid())]
    with tempfile.TemporaryFile() as log:
        # In a session of its own: a Ctrl-C at the terminal is meant for this process, which then
        # ends the child in order.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            # Threads that wait must not spin: beside a busy client that made steps 8 times slower.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        try:
            yield _wait_until_ready(child, config)
        except _Ended as ended:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            told = log.read().decode(errors="replace").strip()
            raise StepFailed(f"the server ended with code {ended.code}: {told}") from None
        finally:
            _stop(child)


class _Ended(Exception):
    """The child ended before it was ready."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _wait_until_ready(child: "subprocess.Popen[str]", config: ServeConfig) -> str:
    """Hand the child its config and read what it says: its URL, or the user's mistake."""
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the child has no pipes")
    try:
        child.stdin.write(config.model_dump_json())
        child.stdin.close()
    except BrokenPipeError:
        raise _Ended(child.wait()) from None
    line = child.stdout.readline()
    if not line:
        raise _Ended(child.wait())
    told = json.loads(line)
    if "url" in told:
        return str(told["url"])
    raise UserError(told["message"], told["hint"])


def _stop(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _main(path: str, parent: str) -> None:
    die_with_parent(int(parent), signal.SIGTERM)
    config = ServeConfig.model_validate_json(sys.stdin.read())
    from lianlu.serve.app import serve  # after the checks above: it takes seconds to import

    def tell(value: dict[str, str | None]) -> None:
        print(json.dumps(value), flush=True)

    try:
        serve(Path(path), config, lambda url: tell({"url": url}))
    except UserError as error:
        tell({"message": error.message, "hint": error.hint})
        sys.exit(2)


if __name__ == "__main__":
    _main(*sys.argv[1:])
