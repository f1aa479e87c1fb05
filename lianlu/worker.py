"""The process in which one step runs: `python -m lianlu.worker DIRECTORY.part`.

A process of its own gives each step its peak memory measured, its allocator chosen, and a death
that takes nothing else along. It reads `job.json`, and leaves `facts.json` or `error.json`.
"""

import ctypes
import errno
import json
import os
import re
import resource
import signal
import sys
import traceback
from pathlib import Path

from lianlu.errors import StepFailed, UserError
from lianlu.job import Job
from lianlu.lineage import write_json
from lianlu.links import LINKS
from lianlu.progress import Progress

JOB, RESULT, ERROR = "job.json", "facts.json", "error.json"
_PR_SET_PDEATHSIG = 1


def main() -> int:
    part = Path(sys.argv[1])
    order = json.loads((part / JOB).read_text(encoding="utf-8"))
    _die_with(order["parent"])
    job = Job(
        out=part,
        inputs={name: Path(path) for name, path in order["inputs"].items()},
        progress=Progress(part),
    )
    try:
        facts = LINKS[order["link"]].work(order["config"], order["extra"], job)
    except (UserError, StepFailed) as error:
        return _fail(part, type(error).__name__, str(error))
    except MemoryError:
        return _fail(part, "StepFailed", "out of memory; `lianlu plan` names the knob that helps")
    except OSError as error:
        return _fail(part, "StepFailed", _explain(error))
    except Exception:
        traceback.print_exc()
        last = traceback.format_exc().strip().rsplit("\n", 1)[-1]
        return _fail(part, "Crash", f"{last}; the traceback is in {part / 'log.txt'}")
    write_json(part / RESULT, {"facts": facts, "peak_rss_bytes": _peak_memory()})
    return 0


def _peak_memory() -> int:
    """Bytes this process held at most. VmHWM, since ru_maxrss still knows the parent's memory."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _die_with(parent: int) -> None:
    """A killed run must not leave a step working on: the kernel ends us when our parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the request was in place
            os.kill(os.getpid(), signal.SIGKILL)


def _explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space, run again"
    return str(error)


def _fail(part: Path, kind: str, message: str) -> int:
    try:
        write_json(part / ERROR, {"kind": kind, "message": message})
    except OSError:  # a full disk: the log's last line must do
        print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
