"""`hub get`: a model or a data set by its id into a directory."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx

import lianlu
from lianlu.errors import UserError
from lianlu.hub.cache import SOURCE, Source, place, write_source
from lianlu.hub.download import download
from lianlu.hub.identifier import parse
from lianlu.hub.listing import list_files
from lianlu.progress import Event, Progress

LIMIT_BYTES = 200 * 10**9


def get(
    identifier: str,
    to: Path | None = None,
    listen: Callable[[Event], None] | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Path:
    """Download `identifier` into `to`, else into the cache, and return the directory.

    Only safetensors, JSON, tokenizers, templates and texts are taken, never pickles or code. An
    interrupted download goes on where it stopped, files that are there already are kept, and each
    is checked against the digest that the hub lists. `lianlu-source.json` is written last. A
    directory of this machine is its own download, and returned as it is.

    Raises UserError: no such id, no network, larger than `limit_bytes` or than the free disk.
    StepFailed: the hub sends other bytes than it lists.
    """
    if to is None and Path(identifier).is_dir():
        return Path(identifier).resolve()
    asked = parse(identifier)
    directory = to or place(asked)
    progress = Progress(listen=listen)
    with httpx.Client(headers=_headers(asked.hub), follow_redirects=True, timeout=30) as client:
        listing = list_files(client, asked)
        _require_room(str(asked), listing.size, limit_bytes, directory)
        directory.mkdir(parents=True, exist_ok=True)
        # From here on the directory may be half old and half new, so it loses its note.
        (directory / SOURCE).unlink(missing_ok=True)
        progress.begin("download", listing.size, "bytes")
        files: dict[str, dict[str, str | int]] = {}
        for file in sorted(listing.files, key=lambda file: file.path):
            sha256 = download(
                client, file, directory / file.path, lambda n: progress.advance("download", n)
            )
            files[file.path] = {"sha256": sha256, "bytes": file.size}
        progress.finish("download")
    write_source(directory, Source(str(asked), listing.revision, files))
    return directory


def _headers(hub: str) -> dict[str, str]:
    """httpx drops the token where a redirect leads to another host."""
    headers = {"User-Agent": f"lianlu/{lianlu.__version__}", "Accept-Encoding": "identity"}
    token = os.environ.get("HF_TOKEN")
    return headers | ({"Authorization": f"Bearer {token}"} if hub == "hf" and token else {})


def _require_room(what: str, size: int, limit: int, directory: Path) -> None:
    if size > limit:
        raise UserError(f"{what} has {size / 1e9:.1f} GB, more than the {limit / 1e9:.1f} allowed")
    above = next(path for path in (directory, *directory.resolve().parents) if path.exists())
    free = shutil.disk_usage(above).free
    if size > free:
        raise UserError(
            f"{what} has {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at {above}",
            "free some space, or set LIANLU_HOME to a folder on another disk",
        )
