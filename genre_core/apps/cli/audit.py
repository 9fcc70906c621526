"""``genre audit``: look for faults of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.apps.cli.common import FOUND
from genre_core.errors import GenreError
from genre_core.terminal import say, say_json


def audit(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genre_core.corpus import audit as auditing
    from genre_core.corpus.catalogue import CATALOGUE, read_catalogue
    from genre_core.datasets import folder
    from genre_core.reports import audit as report
    from genre_core.reports import figures_data

    root = Path(chosen.folder)
    tracks = read_catalogue(root) if (root / CATALOGUE).exists() else folder.scan(root)[0]
    if not tracks:
        raise GenreError(f"{chosen.folder}: no audio file in this folder")
    found = auditing.audit(root, tracks)
    if chosen.out:
        title = root.resolve().name
        report.write(found, chosen.out, title=title, picture="report.png")
        figures_data.audit(chosen.out / "report.png", [asdict(t) for t in found.tracks], title=title)
    if chosen.json:
        rows = [{"file": row.file, "problems": list(filter(None, row.problems.split("; ")))} for row in found.tracks]
        pairs = [asdict(pair) for pair in found.pairs]
        said = {"pairs": pairs, "tracks": rows, "crossing_artists": found.crossing_artists, "not_looked_at": found.not_looked_at}
        say_json(said)
        return 0 if found.clean else FOUND
    for pair in found.pairs:
        say(f"{pair.a} = {pair.b} ({pair.kind}, {pair.score:.3f}, shifted by {pair.offset_s:+.2f} s)")
    for row in found.tracks:
        if row.problems:
            say(f"{row.file}: {row.problems}")
    for artist in found.crossing_artists:
        say(f"artist {artist} stands on two sides of the data set's own split")
    if found.not_looked_at:
        say(f"{found.not_looked_at} tracks are features made elsewhere: nothing was looked for in them")
    flawed = sum(bool(row.problems) for row in found.tracks)
    where = f"; report in {chosen.out / 'report.md'}" if chosen.out else ""
    say(
        f"{len(found.tracks)} files: {len(found.pairs)} pairs of copies, {flawed} files with a problem, "
        f"{len(found.crossing_artists)} crossing artists{where}"
    )
    return 0 if found.clean else FOUND
