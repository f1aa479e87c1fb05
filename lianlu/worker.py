"""The process in which one step runs: `python -m lianlu.worker DIRECTORY.part`.

A process of its own gives each step its peak memory measured, its allocator chosen, and a death
that takes nothing else along. It reads `job.json`, and leaves `facts.json` or `error.json`.
"""

import errno
import json
import re
import resource
import signal
import sys
import traceback
from pathlib import Path

from lianlu.errors import StepFailed, UserError
from lianlu.job import Job
from lianlu.lifeline import die_with_parent
from lianlu.lineage import write_json
from lianlu.links import LINKS
from lianlu.progress import Progress

JOB, RESULT, ERROR = "job.json", "facts.json", "error.json"
# Exit code of a worker that could not even write why: its last line in the log says it.
SPEECHLESS = 3


def main() -> int:
    part = Path(sys.argv[1])
    order = json.loads((part / JOB).read_text(encoding="utf-8"))
    # A killed run must not leave a step working on.
    die_with_parent(order["parent"], signal.SIGKILL)
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


def _explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space, run again"
    return str(error)


def _fail(part: Path, kind: str, message: str) -> int:
    try:
        write_json(part / ERROR, {"kind": kind, "message": message})
    except OSError:  # a full disk: the log's last line must do, if even that can be written
        print(message, file=sys.stderr)
        return SPEECHLESS
    return 1


if __name__ == "__main__":
    sys.exit(main())
