"""Ids of models and data sets on a hub: `hf:owner/name`, `ms:datasets/owner/name@revision`."""

import re
from dataclasses import dataclass
from typing import Literal

from lianlu.errors import UserError

Hub = Literal["hf", "ms"]
Kind = Literal["models", "datasets"]

_SHAPE = re.compile(
    r"(?:(?P<hub>hf|ms):)?(?P<datasets>datasets/)?"
    r"(?P<repository>(?:[\w-][\w.-]*/)?[\w-][\w.-]*)"
    r"(?:@(?P<revision>[\w-][\w./-]*))?",
    re.ASCII,
)
_FIRST_REVISION: dict[Hub, str] = {"hf": "main", "ms": "master"}


@dataclass(frozen=True)
class Identifier:
    """A model or a data set on Hugging Face or ModelScope, at a branch, tag or commit."""

    hub: Hub
    kind: Kind
    repository: str
    revision: str

    def __str__(self) -> str:
        folder = "datasets/" if self.kind == "datasets" else ""
        named = "" if self.revision == _FIRST_REVISION[self.hub] else f"@{self.revision}"
        return f"{self.hub}:{folder}{self.repository}{named}"


def parse(text: str) -> Identifier:
    """Read an id; a bare `owner/name` is a model on Hugging Face. Raises UserError."""
    found = _SHAPE.fullmatch(text)
    if found is None or ".." in text or not (found["hub"] or "/" in found["repository"]):
        raise UserError(
            f"{text!r} is no id of a hub",
            "ids: hf:owner/name, ms:owner/name, hf:datasets/owner/name, each with @revision or not",
        )
    hub: Hub = found["hub"] or "hf"  # type: ignore[assignment]  # the pattern knows no other
    return Identifier(
        hub=hub,
        kind="datasets" if found["datasets"] else "models",
        repository=found["repository"],
        revision=found["revision"] or _FIRST_REVISION[hub],
    )
