"""What every section of a recipe is: frozen, closed to unknown keys, documented field by field."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lianlu.errors import UserError


class Section(BaseModel):
    """One section of a recipe.

    A docstring under a field is its description: the same words reach `--help`, the JSON Schema and
    the documentation. Fields named in `run_fields` (device, workers, log cadence) change how the
    work is done and never what comes out, so they stay outside the step's key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    run_fields: ClassVar[frozenset[str]] = frozenset()

    def identity(self) -> dict[str, Any]:
        """The fields that decide the output, as canonical JSON values."""
        return self.model_dump(mode="json", exclude=set(self.run_fields))

    def run_settings(self) -> dict[str, Any]:
        """The fields that only decide how the work is done."""
        return self.model_dump(mode="json", include=set(self.run_fields))


AnySection = TypeVar("AnySection", bound=Section)


def override(section: AnySection, assignments: Sequence[str]) -> AnySection:
    """A copy of `section` with `key=value` assignments applied. Raises UserError on a bad one."""
    values = section.model_dump()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key not in values:
            raise UserError(f"{assignment!r}: no such field", f"fields: {', '.join(values)}")
        values[key] = yaml.safe_load(text)
    try:
        return type(section)(**values)
    except ValidationError as error:
        told = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise UserError(told) from None
