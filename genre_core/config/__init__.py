"""Parameters of ``params.yaml`` as frozen, validated objects.

Every value is converted to its declared type: ``dvc exp run -S train.lr=1e-5`` writes ``1e-05``, and YAML reads that as a string.
An error message lists up to 20 problems, each with its key, its value and the allowed values.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from genre_core.config.params import Augment, Batches, Copies, FeatureSettings, Params, Train, architectures
from genre_core.config.section import Section, parse
from genre_core.errors import GenreError
from genre_core.util.files import plain_file

__all__ = ["Augment", "Batches", "Copies", "FeatureSettings", "Params", "Section", "Train", "architectures", "load", "parse"]
_MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses aliases.

    A few lines with aliases can expand to gigabytes.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias (*{self.peek_event().anchor}) is not allowed: write the value out")
        return super().compose_node(parent, index)


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """Read a whole number in decimal digits.

    YAML would also read 0x10 and 1:30 as numbers, but people read them as text. More than 400 digits are refused too.
    """
    if not re.fullmatch(r"[-+]?[0-9_]{1,400}", node.value):
        raise yaml.YAMLError(f"{node.value[:40]!r} is not a whole number in decimal digits")
    return int(node.value.replace("_", ""))


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and validate a params file.

    Parameters
    ----------
    path : str or Path
        Path of the YAML file.

    Returns
    -------
    Params
        Validated, frozen parameters.

    Raises
    ------
    GenreError
        The file is missing, is larger than 1 MB, is not YAML, or contains a value that is not allowed.
    """
    plain_file(path, max_bytes=_MAX_BYTES, missing="no such file; run from the project's folder")
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a number of 5,000 digits
        raise GenreError(f"{path}: not readable as YAML: {error or type(error).__name__}") from None
    return parse(Params, values, str(path))
