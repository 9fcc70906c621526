"""Base class of the sections of params.yaml, and their validation."""

from __future__ import annotations

import reprlib
from typing import TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from genre_core.errors import GenreError

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """Frozen section of params.yaml that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_as_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()} is not allowed: give a number")
        return value


def parse(section: type[S], values: object, where: str, prefix: str = "") -> S:
    """Validate `values` against the class `section`.

    Parameters
    ----------
    section : type
        Subclass of pydantic's `BaseModel`, for example of `Section`.
    values : object
        Content of the section, as loaded from YAML.
    where : str
        File name for the error message.
    prefix : str
        Text before each key in the error message.

    Returns
    -------
    BaseModel
        Instance of `section`.

    Raises
    ------
    GenreError
        A value is not allowed. The message lists up to 20 keys, each with its value and the allowed values.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = prefix + (".".join(str(part) for part in problem["loc"]) or "(top level)")
            if problem["type"] == "extra_forbidden":
                allowed = _allowed_keys(section, problem["loc"])
                lines.append(f"{key}: unknown key (value {_format_value(problem['input'])}); allowed here: {allowed}")
            elif problem["type"] == "missing":
                lines.append(f"{key}: missing; give it a value")
            elif problem["type"] == "value_error":
                lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
            else:
                lines.append(f"{key}: {_format_value(problem['input'])} is not allowed: {problem['msg'].replace('Input s', 's')}")
        raise GenreError(f"{where}: " + "; ".join(lines[:20])) from None


def _format_value(value: object) -> str:
    """Format a value for an error message, with at most 200 characters."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"{type(value).__name__} with too many digits"
    return text if len(text) <= 200 else f"{text[:200]}..."


def _allowed_keys(section: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """List the keys that are allowed in the section that contains `location`."""
    for part in location[:-1]:
        section = cast(type[BaseModel], section.model_fields[str(part)].annotation)
    return ", ".join(section.model_fields)
