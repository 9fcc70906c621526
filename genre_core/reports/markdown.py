"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], text_if_empty: str) -> list[str]:
    """Return rows as lines of a Markdown table, or a text if there are none.

    Parameters
    ----------
    columns : sequence of str
        Keys of each row, which are the header too.
    rows : sequence of mapping
        Cell values by column.
    text_if_empty : str
        Line that stands for an empty table.
    """
    if not rows:
        return [text_if_empty]
    header = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return header + ["| " + " | ".join(str(row[c]).replace("|", "\\|") for c in columns) + " |" for row in rows]
