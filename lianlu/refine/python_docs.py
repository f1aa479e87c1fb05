"""The `python-docs` source: what the machine's own Python says about itself.

Three parts: pages that `pydoc` renders as HTML, the standard library's `.py` files, and the papers
(.txt, .md, .rst, METADATA) of the installed distributions. Nothing is downloaded.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

STDLIB = Path(sysconfig.get_path("stdlib"))
RENDERER = Path(__file__).with_name("pydoc_pages.py")
# Raise when what `pydoc_pages` writes for the same interpreter changes.
RENDERER_VERSION = 1

# Importing these acts (a browser, a poem, a prompt), or they are tests and demonstrations.
_SKIPPED_MODULES = frozenset(
    {"__main__", "__phello__", "antigravity", "ensurepip", "idlelib", "lib2to3", "msilib"}
    | {"msvcrt", "nt", "site", "test", "this", "turtledemo", "winreg", "winsound"}
)
_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "idlelib", "turtledemo"}
    | {"site-packages", "dist-packages", "__pycache__"}
)
_PAPER_SUFFIXES = frozenset({".txt", ".md", ".rst"})
_SECONDS_PER_MODULE = 20


def source_files() -> Iterator[tuple[str, Path]]:
    """`(path below the library, file)` of the standard library's Python sources, in order."""
    files = []
    for folder, folders, names in os.walk(STDLIB):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        # _sysconfigdata holds this machine's build paths.
        chosen = [n for n in names if n.endswith(".py") and not n.startswith("_sysconfigdata")]
        files += [Path(folder, name) for name in chosen]
    for path in sorted(files):
        yield path.relative_to(STDLIB).as_posix(), path


def module_name(inner: str) -> str:
    """The dotted name of a module: `os/path.py` is `os.path`, `json/__init__.py` is `json`."""
    return inner.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def page_modules() -> Iterator[tuple[str, Path | None]]:
    """`(module, its source file or None)` of every public module pydoc can render, in order."""
    files = {module_name(inner): path for inner, path in source_files()}
    for name in sorted(set(sys.stdlib_module_names) | set(files)):
        package = name.partition(".")[0]
        public = not package.startswith("_") or package == "__future__"
        known = package in sys.stdlib_module_names and package not in _SKIPPED_MODULES
        if public and known and not name.endswith(".__main__"):
            yield name, files.get(name)


def papers() -> Iterator[tuple[str, Path]]:
    """`(distribution/file, path)` of the papers of installed distributions, in order.

    lianlu's own are left out: they change with every edit, and every run would start over.
    """
    found: dict[str, Path] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if not name or name.lower() == "lianlu":
            continue
        for file in distribution.files or []:
            path = Path(str(file.locate()))
            paper = file.suffix.lower() in _PAPER_SUFFIXES or file.name == "METADATA"
            if paper and ".." not in file.parts and path.is_file():
                found.setdefault(f"{name}/{file.as_posix()}", path)
    yield from sorted(found.items())


def render(modules: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Have a child process render pages; yields `(module, html, error)`, in the order asked.

    The child gets a fixed environment and hash seed, forks once per module, so that no module sees
    what another one imported, and gives up on a module after a time limit.
    """
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "TZ": "UTC"}
    command = [sys.executable, "-s", "-S", "-P", "-B", str(RENDERER), str(_SECONDS_PER_MODULE)]
    done = subprocess.run(
        [*command, *modules],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    pages = {page["module"]: page for page in map(json.loads, done.stdout.splitlines())}
    for module in modules:
        page = pages.get(module, {"html": "", "error": "the renderer ended early"})
        yield module, page["html"], page["error"]
