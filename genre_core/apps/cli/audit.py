"""``genre audit``: find problems in a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genre_core.apps.cli.common import FOUND
from genre_core.errors import GenreError, as_text
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    from genre_core.analysis.labels import LabelCheck
    from genre_core.corpus.audit import Audit, Copies
    from genre_core.corpus.catalogue import Track


def _tracks(root: Path) -> list[Track]:
    """List the tracks of a folder, with their paths on the disk; count on standard error what is skipped."""
    from dataclasses import replace

    from genre_core.corpus.catalogue import CATALOGUE, read_catalogue
    from genre_core.datasets import folder, listing

    if (root / CATALOGUE).is_file():
        return read_catalogue(root)
    scanned = folder.scan(root)
    if scanned.skipped:
        say(f"{root}: {listing.summary(scanned.skipped)}", sys.stderr)
    if obstacles := listing.dvc_obstacles(scanned.files.values(), scanned.skipped):
        names = ", ".join(obstacles[:3]) + (", ..." if len(obstacles) > 3 else "")
        say(f"{root}: `dvc repro` would stop at {names}: remove or rename it first, if this is a data set", sys.stderr)
    return [replace(track, path=scanned.files.get(track.path, track.path)) for track in scanned.tracks]


def _with_text_names(result: Audit) -> Audit:
    """Percent-escape the bytes of file names that are not UTF-8."""
    from dataclasses import replace

    def renamed(pairs: list[Copies]) -> list[Copies]:
        return [replace(pair, a=as_text(pair.a), b=as_text(pair.b)) for pair in pairs]

    rows = [replace(row, file=as_text(row.file)) for row in result.tracks]
    return replace(result, tracks=rows, pairs=renamed(result.pairs), crossing_pairs=renamed(result.crossing_pairs))


def _check_labels(root: Path, tracks: list[Track], pairs: list[Copies]) -> LabelCheck:
    """Find labels that look wrong; their paths are those of the catalogue, as `segment.labels` needs them."""
    from dataclasses import replace

    from genre_core.analysis import labels
    from genre_core.corpus.catalogue import CATALOGUE

    is_catalogue = (root / CATALOGUE).is_file()
    # In a scanned folder, a track is named by its path in a catalogue, which can be spelt otherwise than on the disk.
    names = {track.path: track.path if is_catalogue else track.track for track in tracks}
    labelled = [track for track in tracks if track.genre]
    found = labels.check(root, labelled, [(pair.a, pair.b) for pair in pairs])
    suspects = [replace(suspect, path=names[suspect.path]) for suspect in found.suspects]
    return replace(found, suspects=suspects, notes=[as_text(note) for note in found.notes])


def audit(chosen: argparse.Namespace) -> int:
    """Audit a data set; return exit code 0 if clean, else 1."""
    from dataclasses import asdict

    from genre_core.corpus import audit as auditing
    from genre_core.reports import audit as report
    from genre_core.reports import figures_data
    from genre_core.reports import labels as labels_report

    root = Path(chosen.folder)
    tracks = _tracks(root)
    if not tracks:
        raise GenreError(f"{chosen.folder}: no audio file in this folder")
    if chosen.labels:
        import sklearn as _  # noqa: F401 (said to be missing before the audit, not after it)
    audited = auditing.audit(root, tracks)
    checked = _check_labels(root, tracks, audited.pairs) if chosen.labels else None
    result = _with_text_names(audited)
    clean = result.clean and not (checked and checked.suspects)
    if chosen.out:
        title = as_text(root.resolve().name)
        more = labels_report.section(checked) if checked else []
        report.write(result, chosen.out, title=title, picture="report.png", more=more)
        if checked:
            labels_report.write_table(checked.suspects, chosen.out)
        figures_data.audit(chosen.out / "report.png", [asdict(t) for t in result.tracks], title=title)
    if chosen.json:
        rows = [{"file": row.file, "problems": list(filter(None, row.problems.split("; ")))} for row in result.tracks]
        pairs = [asdict(pair) for pair in result.pairs]
        answer = {"pairs": pairs, "tracks": rows, "crossing_artists": result.crossing_artists, "not_looked_at": result.not_looked_at}
        if checked:
            answer["labels"] = asdict(checked)
        say_json(answer)
        return 0 if clean else FOUND
    for pair in result.pairs:
        say(f"{pair.a} = {pair.b} ({pair.kind}, {pair.score:.3f}, shifted by {pair.offset_s:+.2f} s)")
    for row in result.tracks:
        if row.problems:
            say(f"{row.file}: {row.problems}")
    for artist in result.crossing_artists:
        say(f"artist {artist} has tracks on two sides of the split that the data set defines")
    if result.not_looked_at:
        say(f"{result.not_looked_at} tracks are precomputed features without audio: they were not audited")
    if checked:
        for suspect in checked.suspects:
            said = f"{suspect.suggested} {suspect.p_suggested:.2f} against {suspect.p_genre:.2f}"
            say(f"{suspect.path}: the label {suspect.genre} looks wrong ({said})")
        for note in checked.notes:
            say(note)
    flawed = sum(bool(row.problems) for row in result.tracks)
    report_note = f"; report in {chosen.out / 'report.md'}" if chosen.out else ""
    labels_note = f", {len(checked.suspects)} of {checked.judged} labels that look wrong" if checked else ""
    say(
        f"{len(result.tracks)} files: {len(result.pairs)} pairs of duplicates, {flawed} files with a problem, "
        f"{len(result.crossing_artists)} crossing artists{labels_note}{report_note}"
    )
    return 0 if clean else FOUND
