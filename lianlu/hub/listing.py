"""What files a hub has under an id, with their digests."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import httpx

from lianlu.errors import StepFailed, UserError
from lianlu.hub.identifier import Hub, Identifier

# Pickles run code when they are loaded, and code is code: neither is ever asked for.
MODEL_FILES = (".safetensors", ".json", ".jinja", ".txt", ".md", ".model")
DATA_FILES = (".parquet", ".jsonl", ".json", ".txt", ".md", ".rst", ".html")
_PAGE = 200


@dataclass(frozen=True)
class RemoteFile:
    """A file on a hub. Hubs give sha256 of large files, and of small ones git's own blob id."""

    path: str
    size: int
    url: str
    algorithm: Literal["sha256", "git"]
    digest: str


@dataclass(frozen=True)
class Listing:
    """The files taken of an id; `revision` is the commit on Hugging Face, else as asked."""

    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def endpoint(hub: Hub) -> str:
    """Base URL: `HF_ENDPOINT` and `MODELSCOPE_ENDPOINT` name a mirror."""
    if hub == "hf":
        url = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    else:
        url = os.environ.get("MODELSCOPE_ENDPOINT") or "https://www.modelscope.cn"
    return url.rstrip("/")


def list_files(client: httpx.Client, identifier: Identifier) -> Listing:
    """Ask the hub.

    Raises UserError: no such id, no access, or nothing in it that is safe to load. StepFailed: the
    hub answers nonsense.
    """
    try:
        of_hub = _hugging_face if identifier.hub == "hf" else _model_scope
        revision, found = of_hub(client, identifier)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StepFailed(f"{endpoint(identifier.hub)}: not the answer of a hub ({error})") from None
    files = tuple(file for file in found if _wanted(identifier, file.path))
    weights = [f for f in files if identifier.kind == "datasets" or f.path.endswith(".safetensors")]
    if not weights:
        there = ", ".join(sorted({PurePosixPath(f.path).suffix for f in found} - {""})) or "nothing"
        raise UserError(
            f"{identifier}: no file that lianlu takes (there is: {there})",
            "weights are read from safetensors, data from Parquet, JSON or text; pickles never",
        )
    return Listing(revision, files)


def ask(client: httpx.Client, url: str, told: str) -> Any:
    """JSON of a GET. Raises UserError naming `told` where it is not there or not allowed."""
    try:
        response = client.get(url)
    except httpx.TransportError as error:
        raise unreachable(url, error) from None
    # ModelScope says some of these with status 200 and no data.
    empty = response.status_code == 200 and response.json().get("Data", True) is None
    if response.status_code in (401, 403, 404) or empty:
        raise UserError(
            f"{told}: the hub knows no such id or revision, or does not show it to everyone",
            "check the spelling; for a gated one accept its licence there and set HF_TOKEN",
        )
    if response.status_code != 200:
        raise StepFailed(f"{told}: the hub answers {response.status_code}; try again later")
    return response.json()


def unreachable(url: str, error: Exception) -> UserError:
    return UserError(
        f"{httpx.URL(url).host}: cannot be reached ({error})",
        "check the network; HF_ENDPOINT and MODELSCOPE_ENDPOINT name a mirror; "
        "a directory brought by other means serves as well",
    )


def _hugging_face(client: httpx.Client, of: Identifier) -> tuple[str, list[RemoteFile]]:
    base = endpoint("hf")
    revision = quote(of.revision, safe="")
    answer = ask(
        client, f"{base}/api/{of.kind}/{of.repository}/revision/{revision}?blobs=true", str(of)
    )
    folder = "datasets/" if of.kind == "datasets" else ""
    files = []
    for entry in answer["siblings"]:
        path = entry["rfilename"]
        lfs = entry.get("lfs")
        files.append(
            RemoteFile(
                path=path,
                size=int(entry["size"]),
                url=f"{base}/{folder}{of.repository}/resolve/{answer['sha']}/{quote(path)}",
                algorithm="sha256" if lfs else "git",
                digest=lfs["sha256"] if lfs else entry["blobId"],
            )
        )
    return answer["sha"], files


def _model_scope(client: httpx.Client, of: Identifier) -> tuple[str, list[RemoteFile]]:
    base = f"{endpoint('ms')}/api/v1/{of.kind}/{of.repository}/repo"
    revision = quote(of.revision, safe="")
    files = [
        RemoteFile(
            path=entry["Path"],
            size=int(entry["Size"]),
            url=f"{base}?Revision={revision}&FilePath={quote(entry['Path'], safe='')}",
            algorithm="sha256",
            digest=entry["Sha256"],
        )
        for entry in _model_scope_entries(client, of, base, revision)
        if entry["Type"] != "tree"
    ]
    return of.revision, files


def _model_scope_entries(
    client: httpx.Client, of: Identifier, base: str, revision: str
) -> Iterator[dict[str, Any]]:
    """Models are listed whole, data sets in pages."""
    if of.kind == "models":
        url = f"{base}/files?Revision={revision}&Recursive=true"
        yield from ask(client, url, str(of))["Data"]["Files"]
        return
    for page in itertools.count(1):
        url = f"{base}/tree?Revision={revision}&Recursive=true"
        answer = ask(client, f"{url}&PageSize={_PAGE}&PageNumber={page}", str(of))
        yield from answer["Data"]["Files"]
        if len(answer["Data"]["Files"]) < _PAGE:
            return


def _wanted(identifier: Identifier, path: str) -> bool:
    """A name from a hub is outside data: nothing may lead out of the directory, or be hidden."""
    parts = path.split("/")
    if "\\" in path or any(part in ("", "..") or part.startswith(".") for part in parts):
        return False
    if identifier.kind == "datasets":
        return path.endswith(DATA_FILES)
    # Folders hold other formats of the same weights; so do Mistral's consolidated files.
    return len(parts) == 1 and path.endswith(MODEL_FILES) and not path.startswith("consolidated")
