from typing import Any

import httpx
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.hub.identifier import parse
from lianlu.hub.listing import Listing, endpoint, list_files


def listed(text: str) -> Listing:
    with httpx.Client() as client:
        return list_files(client, parse(text))


@pytest.mark.parametrize("text", ["hf:a/b", "ms:a/b"])
def test_a_model_has_no_pickles_no_code_and_no_folders(hub: Any, text: str) -> None:
    listing = listed(text)
    paths = {file.path for file in listing.files}
    assert paths == {"config.json", "model.safetensors", "tokenizer.json", "empty.txt"}
    assert listing.size == sum(len(hub.files[path]) for path in paths)


def test_the_commit_is_pinned_where_the_hub_tells_it(hub: Any) -> None:
    listing = listed("hf:a/b@main")
    assert listing.revision.startswith("c0ffee")
    assert all(f"/resolve/{listing.revision}/" in file.url for file in listing.files)
    assert listed("ms:a/b").revision == "master"


def test_names_that_lead_out_are_left_out(hub: Any) -> None:
    for path in ("../up.json", "/root.json", "a/../../up.json", "..\\up.json", ".hidden.json"):
        hub.files[path] = b"{}"
    assert len(listed("hf:a/b").files) == 4
    hub.files["deep/data.parquet"] = b"PAR1"
    assert {f.path for f in listed("hf:datasets/a/b").files} >= {"deep/data.parquet"}
    assert not any(".." in f.path or f.path[0] in "/." for f in listed("hf:datasets/a/b").files)


def test_data_sets_come_in_pages(hub: Any) -> None:
    hub.files = {f"part-{i:05}.parquet": b"PAR1" for i in range(450)}
    assert len(listed("ms:datasets/a/b").files) == 450


def test_weights_only_as_pickles_are_refused(hub: Any) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(UserError, match=r"there is: \.bin, (.|\n)*pickles never"):
        listed("hf:a/b")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_no_such_id(hub: Any, status: int) -> None:
    hub.status = status
    with pytest.raises(UserError, match="knows no such id"):
        listed("hf:a/b")


def test_no_such_id_with_status_200(hub: Any) -> None:
    hub.empty_answer = True
    with pytest.raises(UserError, match="knows no such id"):
        listed("ms:a/b")


def test_a_hub_in_trouble(hub: Any) -> None:
    hub.status = 503
    with pytest.raises(StepFailed, match="answers 503"):
        listed("hf:a/b")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"sha": "0", "siblings": [{}]}'])
def test_an_answer_that_is_none(body: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    with (
        httpx.Client(transport=transport) as client,
        pytest.raises(StepFailed, match="not the answer of a hub"),
    ):
        list_files(client, parse("hf:a/b"))


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    assert endpoint("hf") == "http://127.0.0.1:9"
    with pytest.raises(UserError, match="cannot be reached"):
        listed("hf:a/b")
