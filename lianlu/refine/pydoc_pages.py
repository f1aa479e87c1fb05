"""A script, run by `python_docs.render`: `pydoc_pages.py SECONDS MODULE...` prints JSON lines.

It imports the standard library only, because it runs without site-packages. Each module is
imported and rendered in a fork of its own: an import that hangs, prints or exits harms nothing.
"""

import json
import os
import pydoc
import re
import select
import signal
import sys
import sysconfig
import time
import warnings

# Addresses and paths differ between machines and runs; the page must not.
_ADDRESS = re.compile(r"( at 0x|handle )[0-9a-fA-F]{6,}")
_READ = 1 << 16


def page(module: str) -> str:
    """The module's HTML page, free of memory addresses and of this machine's paths."""
    thing, name = pydoc.resolve(module)  # type: ignore[misc]
    html = pydoc.html.page(pydoc.describe(thing), pydoc.html.document(thing, name))
    html = _ADDRESS.sub(r"\g<1>...", html)
    stdlib, here = sysconfig.get_path("stdlib"), os.path.dirname(os.path.abspath(__file__))
    homes = {sys.prefix, sys.base_prefix, sys.exec_prefix} - {"/usr", "/usr/local", "/"}
    html = (
        html.replace(here, "lib/python")
        .replace(stdlib, "lib/python")
        .replace(sys.executable, "python")
    )
    for home in sorted(homes, key=len, reverse=True):
        html = html.replace(home, "python-home")
    return html


def _child(module: str, pipe: int) -> None:
    """Write the page, or `!` and the error, to `pipe`; never return."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = open(nowhere, "w", closefd=False)  # noqa: SIM115 - until the end
    try:
        data = page(module).encode("utf-8", "replace")
    except BaseException as error:  # SystemExit too: the import is not ours
        reason = getattr(error, "value", error)  # pydoc wraps what an import raised
        told = _ADDRESS.sub(r"\g<1>...", str(reason))
        data = f"!{type(reason).__name__}: {told}".encode()
    with os.fdopen(pipe, "wb") as file:
        file.write(data)
    os._exit(0)


def render(module: str, seconds: float) -> dict[str, str]:
    """`{"module", "html", "error"}`; the error names a time limit or what the import raised."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _child(module, into)
    os.close(into)
    data, deadline, error = b"", time.monotonic() + seconds, ""
    while True:
        ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            error = f"no page after {seconds:g} s"
            os.kill(child, signal.SIGKILL)
            break
        chunk = os.read(out, _READ)
        if not chunk:
            break
        data += chunk
    os.close(out)
    os.waitpid(child, 0)
    text = data.decode("utf-8")
    if error or text.startswith("!") or not text:
        return {"module": module, "html": "", "error": error or text[1:] or "the import crashed"}
    return {"module": module, "html": text, "error": ""}


def main() -> None:
    seconds, modules = float(sys.argv[1]), sys.argv[2:]
    sys.argv = [""]
    warnings.simplefilter("ignore")
    for module in modules:
        print(json.dumps(render(module, seconds)), flush=True)


if __name__ == "__main__":
    main()
