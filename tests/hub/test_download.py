import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.hub.download import download
from lianlu.hub.identifier import parse
from lianlu.hub.listing import RemoteFile, list_files

WEIGHTS = "model.safetensors"


def remote(name: str = WEIGHTS) -> RemoteFile:
    with httpx.Client() as client:
        listing = list_files(client, parse("hf:a/b"))
    return next(file for file in listing.files if file.path == name)


def fetch(file: RemoteFile, folder: Path) -> tuple[str, int]:
    """The digest told, and the sum of all progress."""
    advances: list[int] = []
    with httpx.Client() as client:
        sha256 = download(client, file, folder / file.path, advances.append, pause=0.0)
    return sha256, sum(advances)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "empty.txt"])
def test_a_file_arrives_whole(hub: Any, tmp_path: Path, name: str) -> None:
    sha256, told = fetch(remote(name), tmp_path)
    data = hub.files[name]
    assert (tmp_path / name).read_bytes() == data
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert told == len(data)
    assert [path.name for path in tmp_path.glob("*.part")] == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(hub: Any, tmp_path: Path, ranges: bool) -> None:
    file = remote()
    hub.break_after, hub.ranges = 100_000, ranges
    _, told = fetch(file, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert told == file.size
    resumed = hub.asked[-1][1]
    assert resumed.startswith("bytes=")
    assert 0 < int(resumed[6:-1]) <= 100_000


def test_bytes_of_an_interrupted_download_are_kept(hub: Any, tmp_path: Path) -> None:
    file = remote()
    part = tmp_path / f"{WEIGHTS}.{file.digest[:12]}.part"
    part.write_bytes(hub.files[WEIGHTS][:5000])
    _, told = fetch(file, tmp_path)
    assert hub.asked[-1][1] == "bytes=5000-"
    assert told == file.size
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_whole_file_is_not_fetched_again(hub: Any, tmp_path: Path) -> None:
    fetch(remote(), tmp_path)
    file = remote()
    before = len(hub.asked)
    fetch(file, tmp_path)
    assert len(hub.asked) == before
    (tmp_path / WEIGHTS).write_bytes(b"?" * file.size)
    fetch(file, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_other_bytes_than_listed_never_get_the_name(hub: Any, tmp_path: Path, name: str) -> None:
    file = remote(name)
    hub.corrupt = True
    with pytest.raises(StepFailed, match="not those the hub lists"):
        fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []
    hub.corrupt = False
    fetch(file, tmp_path)


def test_more_bytes_than_listed_stop_early(hub: Any, tmp_path: Path) -> None:
    file = remote("config.json")
    hub.files["config.json"] += b"x" * 1000
    with pytest.raises(StepFailed, match="not those the hub lists"):
        fetch(file, tmp_path)


def test_a_hub_that_goes_away(hub: Any, tmp_path: Path) -> None:
    file = remote()
    hub.status = 500
    with pytest.raises(StepFailed, match="answers 500"):
        fetch(file, tmp_path)
    gone = RemoteFile(WEIGHTS, 4, "http://127.0.0.1:9/x", "git", "0" * 40)
    with pytest.raises(UserError, match="cannot be reached"):
        fetch(gone, tmp_path)
