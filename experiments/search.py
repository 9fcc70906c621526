"""A sweep over parameters: queue every combination as a `dvc exp`, run them, and print the table ranked by the validation score.

    python -m experiments.search                      # experiments/search.txt
    python -m experiments.search mine.txt --jobs 2 -S dataset.name=folder -S dataset.folder.path=/path/to/music

A line of the file is a parameter and its values. Validation tracks rank; the test is not looked at: evaluate the winner alone,
with `dvc exp run -S ...` of its settings. Experiments run in copies of the last commit: the working tree stays as it is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from experiments import command
from genre_core.errors import GenreError
from genre_core.util import git as revisions

SPACE = Path("experiments/search.txt")
SCORES = ("valid_macro_f1", "valid_accuracy", "valid_loss", "best_epoch")


def combinations(path: Path) -> list[list[str]]:
    """Every combination of the values in a file, each a list of KEY=VALUE.

    Raises
    ------
    GenreError
        A line is no parameter with values.
    """
    axes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("#")[0].split()
        if len(words) == 1 or (words and not re.fullmatch(r"[\w.]+", words[0])):
            raise GenreError(f"{path}, line {number}: {line!r} is no parameter and its values, such as: train.lr 0.001 0.002")
        if words:
            axes.append([f"{words[0]}={value}" for value in words[1:]])
    if not axes:
        raise GenreError(f"{path}: no parameter; a line is: train.lr 0.001 0.002")
    return [list(chosen) for chosen in itertools.product(*axes)]


def run(names: Sequence[str], jobs: int, *, poll_s: float = 2.0) -> dict[str, str]:
    """Start the queue and wait for these experiments; the state of each: Success or Failed."""
    _dvc("queue", "start", "-j", str(jobs))
    states: dict[str, str] = {}
    with tqdm(total=len(names), desc="search", unit="experiment", disable=None) as bar:
        while len(states) < len(names):
            time.sleep(poll_s)
            rows = [line.split() for line in _dvc("queue", "status").splitlines()]
            now = {row[1]: row[-1] for row in rows if len(row) > 2 and row[1] in names}
            for name, state in now.items():
                if state in ("Success", "Failed") and name not in states:
                    states[name] = state
                    bar.update()
    return states


def table(settings: dict[str, list[str]]) -> str:
    """The finished experiments as Markdown, best first by macro-F1 of validation tracks, then by loss."""
    found = []
    for name, chosen in settings.items():
        scores = _metrics(name)
        if scores is not None:
            found.append((-scores["valid_macro_f1"], scores["valid_loss"], name, chosen, scores))
    lines = ["| experiment | settings | " + " | ".join(SCORES) + " |", "|---" * (2 + len(SCORES)) + "|"]
    for _, _, name, chosen, scores in sorted(found):
        lines.append(f"| `{name}` | {', '.join(f'`{s}`' for s in chosen)} | " + " | ".join(f"{scores[key]:.4g}" for key in SCORES) + " |")
    return "\n".join(lines)


def _metrics(name: str) -> dict[str, float] | None:
    shown = revisions.show(name, "metrics/train/metrics.json")
    return None if shown is None else dict(json.loads(shown))


def _dvc(*arguments: str) -> str:
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenreError(f"dvc {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", nargs="?", type=Path, default=SPACE, metavar="FILE", help=f"default: {SPACE}")
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="for all experiments")
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time (default: %(default)s)")
    chosen = parser.parse_args()
    label = time.strftime("search-%m%d%H%M%S")
    settings = {f"{label}-{i}": some for i, some in enumerate(combinations(chosen.space), start=1)}
    for name, some in tqdm(settings.items(), desc="queue", unit="experiment", disable=None):
        changes = [part for setting in [*chosen.settings, *some] for part in ("-S", setting)]
        _dvc("exp", "run", "--queue", "-n", name, *changes, "train")
    states = run(list(settings), chosen.jobs)
    print(table(settings))
    failed = [name for name, state in states.items() if state == "Failed"]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(settings)} experiments failed; see `dvc queue logs {failed[0]}`")


if __name__ == "__main__":
    command(main)
