import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.hub.identifier import Identifier, parse


@pytest.mark.parametrize(
    ("text", "hub", "kind", "repository", "revision"),
    [
        ("hf:Qwen/Qwen2.5-0.5B", "hf", "models", "Qwen/Qwen2.5-0.5B", "main"),
        ("Qwen/Qwen2.5-0.5B", "hf", "models", "Qwen/Qwen2.5-0.5B", "main"),
        ("hf:gpt2", "hf", "models", "gpt2", "main"),
        ("ms:Qwen/Qwen2.5-0.5B", "ms", "models", "Qwen/Qwen2.5-0.5B", "master"),
        ("hf:datasets/owner/name@v1.0", "hf", "datasets", "owner/name", "v1.0"),
        ("ms:datasets/owner/name", "ms", "datasets", "owner/name", "master"),
        ("hf:owner/name@refs/pr/1", "hf", "models", "owner/name", "refs/pr/1"),
    ],
)
def test_ids_of_both_hubs(text: str, hub: str, kind: str, repository: str, revision: str) -> None:
    identifier = parse(text)
    assert vars(identifier) == {
        "hub": hub,
        "kind": kind,
        "repository": repository,
        "revision": revision,
    }
    assert parse(str(identifier)) == identifier


@pytest.mark.parametrize(
    "text",
    ["", "name", "./model", "../model", "/model", "a/b/c", "hf:../b", "hf:a/..", "hf:a/b@../c"]
    + ["hf:a/b@", "s3:a/b", "hf:a/b?x=1", "hf:a b/c", "hf:.a/b"],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no id of a hub"):
        parse(text)


@given(st.text(alphabet="ab./@:-_ \\\nhfms", max_size=24))
def test_whatever_is_read_stays_inside_its_folder(text: str) -> None:
    try:
        identifier = parse(text)
    except UserError:
        return
    parts = identifier.repository.split("/")
    assert len(parts) <= 2
    assert not {"", ".", ".."} & set(parts)
    assert parse(str(identifier)) == identifier
    assert isinstance(identifier, Identifier)
