"""``genre compare``: compare two models on the same tracks."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.errors import GenreError
from genre_core.terminal import say, say_json


def _predictions(name: str, copy: Path) -> str:
    """Return a file of predictions; that of a git revision or experiment is written to `copy`."""
    from genre_core.util import git as revisions

    if Path(name).exists() or name.endswith(".csv"):
        return name
    shown = revisions.show(name, "metrics/test/predictions.csv")
    if shown is None:
        raise GenreError(f"{name}: no file, and no git revision or experiment with metrics/test/predictions.csv")
    copy.write_bytes(shown)
    return str(copy)


def compare(chosen: argparse.Namespace) -> int:
    import tempfile
    from dataclasses import asdict

    from genre_core.evaluation import comparison
    from genre_core.evaluation.intervals import interval

    with tempfile.TemporaryDirectory() as folder:
        found = comparison.compare(_predictions(chosen.a, Path(folder, "a.csv")), _predictions(chosen.b, Path(folder, "b.csv")))
    if chosen.json:
        say_json({**asdict(found), "verdict": found.verdict})
        return 0
    say(f"A {found.accuracy_a:.3f}, B {found.accuracy_b:.3f} on {found.tracks} tracks of {found.artists} artists")
    say(f"B - A {interval(found.difference, found.low, found.high, sign='+')}: {found.verdict}")
    say(f"right alone: A {found.only_a}, B {found.only_b}; McNemar p = {found.p:.3g}")
    for row in found.disagreements:
        say(f"  {row['track']}: {row['true']}, A says {row['a']}, B says {row['b']}")
    return 0
