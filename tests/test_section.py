"""Sections: what decides the output stays apart from how the work is done."""

import pytest
from pydantic import ValidationError

from lianlu.errors import UserError
from lianlu.section import override
from lianlu.train.config import PretrainConfig


def test_run_fields_are_outside_the_identity() -> None:
    one, two = PretrainConfig(threads=1), PretrainConfig(threads=2)
    assert one.identity() == two.identity()
    assert one.run_settings()["threads"] == 1
    assert set(one.identity()) | set(one.run_settings()) == set(PretrainConfig.model_fields)


def test_a_section_is_closed_and_frozen() -> None:
    with pytest.raises(ValidationError):
        PretrainConfig(lrr=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        PretrainConfig().lr = 2  # type: ignore[misc]


def test_override() -> None:
    assert override(PretrainConfig(), ["lr=0.5", "exact=true"]) == PretrainConfig(
        lr=0.5, exact=True
    )
    with pytest.raises(UserError, match="no such field"):
        override(PretrainConfig(), ["lrr=0.5"])
    with pytest.raises(UserError, match="lr"):
        override(PretrainConfig(), ["lr=fast"])
