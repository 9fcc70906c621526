"""Report of labels that look wrong: a table to correct, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from genre_core.analysis.labels import LabelCheck, Suspect
from genre_core.errors import one_line
from genre_core.reports.markdown import table
from genre_core.util.files import atomic, write_csv

TABLE = "labels.csv"


def write_table(suspects: Sequence[Suspect], out: str | Path) -> None:
    """Write labels.csv to a folder: the tracks whose label looks wrong.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    write_csv(Path(out) / TABLE, [f.name for f in fields(Suspect)], map(asdict, suspects))


def write_page(found: LabelCheck | None, out: str | Path, *, title: str) -> None:
    """Write report.md to a folder.

    Parameters
    ----------
    found : LabelCheck or None
        Result of the check; None if it is switched off.
    out : str or Path
        Folder to write to.
    title : str
        Name of the data set, for the heading.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    off = ["The labels were not checked: `dvc exp run -S labels.check=true` does it.", ""]
    lines = [f"# Labels of {title}", "", *(section(found)[2:] if found else off)]
    with atomic(Path(out) / "report.md") as part:
        part.write_text("\n".join(lines), encoding="utf-8")


def section(found: LabelCheck) -> list[str]:
    """Return the result of the check as lines of Markdown, with a heading."""
    rows = [{key: one_line(str(value)) for key, value in asdict(suspect).items()} for suspect in found.suspects]
    lines = ["## Labels that look wrong", ""]
    lines += [f"{found.judged} labels were judged by heads that have not heard the artist; {len(rows)} look wrong, the worst first.", ""]
    lines += table([f.name for f in fields(Suspect)], rows, "No label looks wrong.")
    if rows:
        lines += ["", f"`{TABLE}` has the same rows. Listen to each; then correct its `genre`, or empty it to leave the track out."]
    return [*lines, "", *(f"- {one_line(note)}" for note in found.notes), ""]
