"""A section of params.yaml, and its check."""

from __future__ import annotations

import reprlib
from typing import TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from genre_core.errors import GenreError

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """A section of params.yaml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()} is not allowed: give a number")
        return value


def parse(section: type[S], values: object, where: str, prefix: str = "") -> S:
    """Validate `values` as a `section`.

    Raises
    ------
    GenreError
        One message with every offending key, its value and what is allowed. `where` names the file, `prefix` goes before each key.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = prefix + (".".join(str(part) for part in problem["loc"]) or "(the whole)")
            if problem["type"] == "extra_forbidden":
                lines.append(f"{key}: unknown key (value {_shown(problem['input'])}); allowed here: {_siblings(section, problem['loc'])}")
            elif problem["type"] == "missing":
                lines.append(f"{key}: missing; give it a value")
            elif problem["type"] == "value_error":
                lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
            else:
                lines.append(f"{key}: {_shown(problem['input'])} is not allowed: {problem['msg'].replace('Input s', 's')}")
        raise GenreError(f"{where}: " + "; ".join(lines[:20])) from None


def _shown(value: object) -> str:
    """Show a value in an error; a long one is cut."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # a number of thousands of digits
        return f"a {type(value).__name__} of too many digits"
    return text if len(text) <= 200 else f"{text[:200]}..."


def _siblings(section: type[BaseModel], location: tuple[int | str, ...]) -> str:
    for part in location[:-1]:
        section = cast(type[BaseModel], section.model_fields[str(part)].annotation)
    return ", ".join(section.model_fields)
