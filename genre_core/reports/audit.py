"""Audit report: tables, and a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from genre_core.corpus.audit import Audit, AuditedTrack, Copies
from genre_core.reports.markdown import table
from genre_core.util.files import atomic, write_csv, write_json


def write(found: Audit, out: str | Path, *, title: str, picture: str, more: Sequence[str] = ()) -> None:
    """Write tracks.csv, pairs.csv, metrics.json and report.md to a folder.

    Parameters
    ----------
    found : Audit
        Result of the audit.
    out : str or Path
        Folder to write to.
    title : str
        Name of the data set, for the heading of report.md.
    picture : str
        Path of the figure that report.md shows, relative to report.md.
    more : sequence of str
        Further lines of report.md.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    out = Path(out)
    write_csv(out / "tracks.csv", [f.name for f in fields(AuditedTrack)], map(asdict, found.tracks))
    write_csv(out / "pairs.csv", [f.name for f in fields(Copies)], map(asdict, found.pairs))
    write_json(out / "metrics.json", found.summary())
    with atomic(out / "report.md") as part:
        part.write_text(report(found, title, picture, more), encoding="utf-8")


def report(found: Audit, title: str, picture: str, more: Sequence[str] = ()) -> str:
    """Return the result of an audit as Markdown.

    Parameters
    ----------
    found : Audit
        Result of the audit.
    title : str
        Name of the data set, for the heading.
    picture : str
        Path of the figure that the page shows, relative to the page.
    more : sequence of str
        Further lines of the page.
    """
    summary = found.summary()
    lines = [
        f"# Audit of {title}",
        "",
        f"{summary['tracks']} files, {summary['hours']:.2f} hours, {summary['artists_unknown']} files with an unknown artist.",
        "",
    ]
    lines += [f"![Genres, lengths, levels and bandwidths]({picture})", "", "## Duplicates: the same recording twice", ""]
    if found.not_looked_at:
        lines += [f"{found.not_looked_at} tracks are precomputed features: they were not searched for duplicates or problems.", ""]
    lines += table(("a", "b", "score", "offset_s", "kind"), [asdict(p) for p in found.pairs], "No duplicates were found.")
    lines += ["", "## Across the data set's own split", ""]
    crossing = [f"- artist {artist}" for artist in found.crossing_artists]
    crossing += [f"- one recording: {p.a} and {p.b}" for p in found.crossing_pairs]
    lines += crossing or [
        "No artist and no recording is on two sides"
        + (", because the data set has no split of its own." if not any(t.split for t in found.tracks) else ".")
    ]
    lines += ["", "## Files", ""]
    lines += table(("file", "problems"), [asdict(t) for t in found.tracks if t.problems], "No file has a problem.")
    return "\n".join([*lines, "", *more])
