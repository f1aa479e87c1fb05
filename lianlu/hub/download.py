"""One file from a hub to disk: resumed where it stopped, checked before it gets its name."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from lianlu.errors import StepFailed
from lianlu.hub.listing import RemoteFile, unreachable

ATTEMPTS = 5
_BLOCK = 1 << 20


def download(
    client: httpx.Client,
    file: RemoteFile,
    target: Path,
    advance: Callable[[int], None],
    pause: float = 1.0,
) -> str:
    """Fetch `file` into `target` and return its sha256; bytes that are there already are kept.

    The unfinished file is named by its digest, so bytes of two versions never mix. A connection
    that breaks is taken up again after `pause`, 2 · `pause`, … seconds.

    Raises UserError when the hub cannot be reached, StepFailed when it does not send the file that
    it listed.
    """
    if target.is_file() and (found := _sha256_if_whole(file, target)):
        advance(file.size)
        return found
    part = target.with_name(f"{target.name}.{file.digest[:12]}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = min(part.stat().st_size, file.size) if part.exists() else 0
    advance(have)
    for attempt in range(ATTEMPTS):
        try:
            _receive(client, file, part, advance)
            break
        except httpx.TransportError as error:
            if attempt == ATTEMPTS - 1:
                raise unreachable(file.url, error) from None
            time.sleep(pause * 2**attempt)
    sha256 = _sha256_if_whole(file, part)
    if sha256 is None:
        part.unlink()
        raise StepFailed(f"{file.path}: the bytes that came are not those the hub lists; try again")
    part.replace(target)
    return sha256


def _receive(
    client: httpx.Client, file: RemoteFile, part: Path, advance: Callable[[int], None]
) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= file.size:
        part.touch()
        return
    with client.stream("GET", file.url, headers={"Range": f"bytes={have}-"}) as response:
        if response.status_code not in (200, 206):
            raise StepFailed(f"{file.path}: the hub answers {response.status_code}")
        resumed = response.status_code == 206
        if have and not resumed:  # the server sends all of it again
            advance(-have)
        with part.open("ab" if resumed else "wb") as out:
            for block in response.iter_raw():
                out.write(block)
                advance(len(block))
                if out.tell() > file.size:  # more than was listed: stop before the disk is full
                    return


def _sha256_if_whole(file: RemoteFile, path: Path) -> str | None:
    """sha256 of `path` if it is the file that the hub lists."""
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)  # git's name of a file
    if path.stat().st_size != file.size:
        return None
    with path.open("rb") as data:
        while block := data.read(_BLOCK):
            sha256.update(block)
            if file.algorithm == "git":
                blob.update(block)
    found = (sha256 if file.algorithm == "sha256" else blob).hexdigest()
    return sha256.hexdigest() if found == file.digest else None
