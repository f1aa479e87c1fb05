"""What a recipe's `sources` name: pieces to read, and the digest of their content.

A piece is what one worker reads at a time: a file, or a handful of modules for pydoc.
"""

import fnmatch
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

import xxhash

from lianlu.errors import UserError
from lianlu.refine import python_docs
from lianlu.refine.config import PathSource, PythonDocsSource, Source

_MODULES_PER_PIECE = 8
_SMALLEST_PAGE = 8192  # bytes that a page counts for under `limit_mb` at least
_HTML = frozenset({".html", ".htm", ".xhtml"})
_MARKDOWN = frozenset({".md", ".markdown"})
_CODE = frozenset(
    {".bash", ".c", ".cc", ".cfg", ".cmake", ".cpp", ".cs", ".css", ".cu", ".cuh", ".go", ".h"}
    | {".hpp", ".ini", ".java", ".js", ".json", ".jsx", ".kt", ".lua", ".m", ".mk", ".php", ".pl"}
    | {".proto", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".toml", ".ts", ".tsx"}
    | {".xml", ".yaml", ".yml", ".zig"}
)


@dataclass(frozen=True)
class Piece:
    """Something to read: `uri` is its stable name within `source`, `path` where it lies now."""

    source: str
    uri: str
    kind: str
    """pydoc, python, code, html, markdown, rst, text, jsonl or parquet; unreadable for a folder."""
    path: str = ""
    modules: tuple[str, ...] = ()
    """For kind `pydoc` the modules to render; for `python` the name of the module, if known."""
    genre: str = "prose"
    """prose, reference or code: which rules may judge it."""
    error: str = ""
    """Why a folder cannot be listed: what it holds is one quarantined document."""


def list_pieces(sources: Sequence[Source], base: Path) -> list[Piece]:
    """Every piece of every source, in a fixed order; relative paths start at `base`.

    Raises UserError for a missing path, a source that holds nothing and two sources of one name.
    """
    pieces: list[Piece] = []
    names: set[str] = set()
    for source in sources:
        name = source_name(source, base)
        if name in names:
            raise UserError(
                f"two sources are called {name!r}", "give one of them another `name` in the recipe"
            )
        names.add(name)
        pieces += _pieces(source, base)
    if not pieces:
        raise UserError("the recipe names no sources", "add a folder: sources: [{path: docs}]")
    return pieces


def source_name(source: Source, base: Path) -> str:
    """How the corpus calls a source."""
    if isinstance(source, PythonDocsSource):
        return "python-docs"
    return source.name or (base / source.path).resolve().name or "files"


def digest(source: Source, base: Path) -> str:
    """The content digest of a source: equal where the documents are equal, wherever they lie."""
    rendered = isinstance(source, PythonDocsSource) and "pydoc" in source.parts
    module_files = dict(python_docs.page_modules()) if rendered else {}
    total = hashlib.sha256(source_name(source, base).encode("utf-8", "surrogateescape"))
    for piece in _pieces(source, base):
        total.update(f"\0{piece.kind}\0{piece.uri}\0".encode("utf-8", "surrogateescape"))
        if piece.path:
            total.update(_file_digest(Path(piece.path)))
        if piece.kind == "pydoc":
            # A page is a function of the interpreter and of the module's source.
            total.update(f"{python_docs.RENDERER_VERSION} {sys.version}".encode())
            for module in piece.modules:
                path = module_files[module]
                total.update(module.encode() + (_file_digest(path) if path else b""))
    return total.hexdigest()


def _pieces(source: Source, base: Path) -> list[Piece]:
    if isinstance(source, PythonDocsSource):
        return _python_docs_pieces(source)
    return _path_pieces(source, base)


def _path_pieces(source: PathSource, base: Path) -> list[Piece]:
    root = (base / source.path).expanduser()
    if not root.exists():
        raise UserError(
            f"the source {str(source.path)!r} does not exist",
            f"paths start at the recipe's folder; looked for {root}",
        )
    unreadable: list[Piece] = []
    name = source_name(source, base)
    if root.is_file():
        files = [root]
    else:
        unreadable = list(_unreadable(name, root, source.include))
        try:
            matches = {path for pattern in source.include for path in root.glob(pattern)}
        except (ValueError, NotImplementedError) as error:
            raise UserError(
                f"`include` of the source {str(source.path)!r}: {error}",
                "write patterns below the folder, such as '**/*.html'",
            ) from None
        files = sorted(path for path in matches if _is_file(path) and _visible(path, root))
    if not files and not unreadable:
        raise UserError(
            f"the source {str(source.path)!r} holds no document",
            f"`include` is {source.include}; hidden files are not read",
        )
    top = root.parent if root.is_file() else root
    pieces = [_file_piece(name, path.relative_to(top).as_posix(), path) for path in files]
    return sorted(pieces + unreadable, key=lambda piece: PurePath(piece.uri))


def _unreadable(source: str, root: Path, include: Sequence[str]) -> Iterator[Piece]:
    """The folders below `root` that cannot be listed and where `include` looks: globbing passes
    over them in silence. Raises UserError when that is `root` itself."""
    errors: list[OSError] = []
    for _, folders, _ in os.walk(root, onerror=errors.append):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
    for error in errors:
        folder = Path(error.filename).relative_to(root)
        reason = f"{type(error).__name__}: {error.strerror}"
        if not folder.parts:
            raise UserError(f"the source {str(root)!r} cannot be read: {reason}", "see its rights")
        if any(_looks_into(pattern, folder) for pattern in include):
            yield Piece(source, f"{folder.as_posix()}/", "unreadable", error=reason)


def _looks_into(pattern: str, folder: PurePath) -> bool:
    """Whether a glob pattern may match something in a folder (both relative to the same place)."""
    wanted = PurePath(pattern).parts
    for i, part in enumerate(folder.parts):
        if wanted[i : i + 1] == ("**",):
            return True
        if i + 1 >= len(wanted) or not fnmatch.fnmatchcase(part, wanted[i]):
            return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its folder may be listed but not entered: the reader will say so
        return True


def _visible(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _file_piece(source: str, uri: str, path: Path) -> Piece:
    kind = kind_of(path)
    genre = "code" if kind in {"python", "code"} else "prose"
    return Piece(source, uri, kind, str(path), genre=genre)


def kind_of(path: Path) -> str:
    """The kind of a file by its name; `.gz` and `.zst` are looked through."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    suffix = Path(name).suffix
    if suffix in _HTML:
        return "html"
    if suffix in _MARKDOWN:
        return "markdown"
    if suffix in {".py", ".pyi"}:
        return "python"
    if suffix in {".jsonl", ".ndjson"}:
        return "jsonl"
    if suffix in {".rst", ".parquet"}:
        return suffix[1:]
    return "code" if suffix in _CODE else "text"


def _python_docs_pieces(source: PythonDocsSource) -> list[Piece]:
    sized: list[tuple[int, Piece]] = []
    name = "python-docs"
    if "pydoc" in source.parts:
        for module, path in python_docs.page_modules():
            size = max(_SMALLEST_PAGE, 2 * path.stat().st_size if path else 0)
            sized.append((size, Piece(name, f"pydoc/{module}", "pydoc", "", (module,))))
    if "sources" in source.parts:
        for inner, path in python_docs.source_files():
            modules = (python_docs.module_name(inner),)
            piece = Piece(name, f"stdlib/{inner}", "python", str(path), modules, "code")
            sized.append((path.stat().st_size, piece))
    if "distributions" in source.parts:
        for inner, path in python_docs.papers():
            sized.append((path.stat().st_size, _file_piece(name, f"packages/{inner}", path)))
    chosen = _within(sized, int(source.limit_mb * 1e6))
    if not chosen:
        raise UserError(
            "the source python-docs holds no document",
            f"raise `limit_mb` (now {source.limit_mb:g}) or add `parts`",
        )
    pages = [piece.modules[0] for piece in chosen if piece.kind == "pydoc"]
    groups = [
        Piece(name, "pydoc", "pydoc", "", tuple(pages[i : i + _MODULES_PER_PIECE]), "reference")
        for i in range(0, len(pages), _MODULES_PER_PIECE)
    ]
    return groups + [piece for piece in chosen if piece.kind != "pydoc"]


def _within(sized: list[tuple[int, Piece]], limit: int) -> list[Piece]:
    """The pieces below `limit` bytes, drawn in the order of their names' hashes: a small limit
    then still takes from every part."""
    chosen, used = [], 0
    for size, piece in sorted(sized, key=lambda entry: _rank(entry[1].uri)):
        if used + size <= limit:
            chosen.append(piece)
            used += size
    return sorted(chosen, key=lambda piece: piece.uri)


def _rank(uri: str) -> int:
    return xxhash.xxh64_intdigest(uri.encode("utf-8", "surrogateescape"))


def _file_digest(path: Path) -> bytes:
    try:
        status = path.stat()
        return _content_digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        # An unreadable file is a document too: it will be quarantined.
        return f"unreadable {type(error).__name__}".encode()


@lru_cache(maxsize=200_000)
def _content_digest(path: Path, size: int, modified: int) -> bytes:
    """Digest of a file; size and time of change let one process ask twice without reading twice."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()
