import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.hub.cache import SOURCE, place, read_source
from lianlu.hub.get import get
from lianlu.hub.identifier import parse

TAKEN = {"config.json", "model.safetensors", "tokenizer.json", "empty.txt"}


@pytest.mark.parametrize("text", ["hf:a/b", "a/b", "ms:a/b"])
def test_a_model_lies_in_the_cache(hub: Any, text: str) -> None:
    events: list[dict[str, Any]] = []
    directory = get(text, listen=events.append)
    assert directory == place(parse(text))
    assert {path.name for path in directory.iterdir()} == TAKEN | {SOURCE}
    source = read_source(directory)
    assert source is not None
    assert set(source.files) == TAKEN
    assert events[-1]["finished"]
    assert events[-1]["done"] == source.size


def test_equal_downloads_are_equal_bytes(hub: Any, tmp_path: Path) -> None:
    first, second = get("hf:a/b", tmp_path / "one"), get("hf:a/b", tmp_path / "two")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_data_set(hub: Any) -> None:
    hub.files = {"data/train.parquet": b"PAR1", "README.md": b"# data", "load.py": b"code"}
    directory = get("hf:datasets/a/b")
    assert (directory / "data/train.parquet").read_bytes() == b"PAR1"
    assert not (directory / "load.py").exists()


def test_an_interrupted_download_is_no_model_yet(hub: Any) -> None:
    get("hf:a/b")
    hub.files["config.json"] = b'{"model_type": "qwen3"}'
    hub.corrupt = True
    with pytest.raises(StepFailed):
        get("hf:a/b")
    assert read_source(place(parse("hf:a/b"))) is None
    hub.corrupt = False
    directory = get("hf:a/b")
    assert json.loads((directory / "config.json").read_text())["model_type"] == "qwen3"


def test_without_network_the_old_download_stays(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = get("hf:a/b")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached"):
        get("hf:a/b")
    assert read_source(directory) is not None


def test_a_directory_is_its_own_download(tmp_path: Path) -> None:
    assert get(str(tmp_path)) == tmp_path.resolve()


def test_too_large(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="more than the"):
        get("hf:a/b", limit_bytes=1000)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(UserError, match="LIANLU_HOME"):
        get("hf:a/b")


def test_the_token_goes_to_hugging_face_only(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get("hf:a/b")
    assert set(hub.tokens) == {"Bearer hf_secret"}
    hub.tokens.clear()
    get("ms:a/b")
    assert set(hub.tokens) == {None}
