"""``genre compare``: compare two models on the same tracks."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.errors import GenreError
from genre_core.terminal import say, say_json


def _predictions(name: str, copy: Path) -> str:
    """Return the path of a predictions file.

    The predictions of a git revision or experiment are written to `copy`.
    """
    from genre_core.util import git as revisions

    if Path(name).exists() or name.endswith(".csv"):
        return name
    content = revisions.show(name, "metrics/test/predictions.csv")
    if content is None:
        raise GenreError(f"{name}: neither a file nor a git revision or experiment with metrics/test/predictions.csv")
    copy.write_bytes(content)
    return str(copy)


def compare(chosen: argparse.Namespace) -> int:
    """Compare two files of predictions on the same tracks."""
    import tempfile
    from dataclasses import asdict

    from genre_core.evaluation import comparison
    from genre_core.evaluation.intervals import interval

    with tempfile.TemporaryDirectory() as folder:
        result = comparison.compare(_predictions(chosen.a, Path(folder, "a.csv")), _predictions(chosen.b, Path(folder, "b.csv")))
    if chosen.json:
        say_json({**asdict(result), "verdict": result.verdict})
        return 0
    say(f"A {result.accuracy_a:.3f}, B {result.accuracy_b:.3f} on {result.tracks} tracks of {result.artists} artists")
    say(f"B - A {interval(result.difference, result.low, result.high, sign='+')}: {result.verdict}")
    say(f"correct in one model only: A {result.only_a}, B {result.only_b}; McNemar p = {result.p:.3g}")
    for row in result.disagreements:
        say(f"  {row['track']}: {row['true']}, A says {row['a']}, B says {row['b']}")
    return 0
