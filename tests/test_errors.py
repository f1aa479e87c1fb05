"""A person's mistake carries its advice."""

from lianlu.errors import UserError


def test_the_hint_stands_below_the_message() -> None:
    assert str(UserError("no such run", "make one")) == "no such run\n  make one"
    assert str(UserError("no such run")) == "no such run"
