"""Grid search over parameters, ranked by the validation score.

Each combination of values is a queued `dvc exp` experiment. The result is a table on standard output.

    python -m experiments.search                      # experiments/search.txt
    python -m experiments.search mine.txt --jobs 2 -S dataset.name=folder -S dataset.folder.path=/path/to/music

A line of the file is a parameter and its values. The ranking uses only the validation tracks, not the test tracks: evaluate only the
best combination on the test tracks, with `dvc exp run -S ...` and its settings. Experiments run in copies of the last commit: the
working tree does not change.
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
    """Read the combinations of the values in a file.

    Parameters
    ----------
    path : Path
        File with one parameter and its values on each line; text after ``#`` is a comment.

    Returns
    -------
    list of list of str
        Settings of each combination, each KEY=VALUE.

    Raises
    ------
    GenreError
        A line is not a parameter with values, or the file has no parameter.
    OSError
        The file cannot be read.
    """
    values_of_parameters = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("#")[0].split()
        if len(words) == 1 or (words and not re.fullmatch(r"[\w.]+", words[0])):
            raise GenreError(f"{path}, line {number}: {line!r} is not a parameter and its values, such as: train.lr 0.001 0.002")
        if words:
            values_of_parameters.append([f"{words[0]}={value}" for value in words[1:]])
    if not values_of_parameters:
        raise GenreError(f"{path}: the file has no parameter; an example of a line is: train.lr 0.001 0.002")
    return [list(chosen) for chosen in itertools.product(*values_of_parameters)]


def run(names: Sequence[str], jobs: int, *, poll_s: float = 2.0) -> dict[str, str]:
    """Start the queue, and wait until the experiments have ended.

    Parameters
    ----------
    names : sequence of str
        Names of the queued experiments.
    jobs : int
        Number of experiments that run at the same time.
    poll_s : float
        Time between two looks at the queue, in seconds.

    Returns
    -------
    dict of str to {"Success", "Failed"}
        State of each experiment.

    Raises
    ------
    GenreError
        A DVC command failed.
    """
    _dvc("queue", "start", "-j", str(jobs))
    states: dict[str, str] = {}
    with tqdm(total=len(names), desc="search", unit="experiment", disable=None) as bar:
        while len(states) < len(names):
            time.sleep(poll_s)
            rows = [line.split() for line in _dvc("queue", "status").splitlines()]
            state_now = {row[1]: row[-1] for row in rows if len(row) > 2 and row[1] in names}
            for name, state in state_now.items():
                if state in ("Success", "Failed") and name not in states:
                    states[name] = state
                    bar.update()
    return states


def table(settings: dict[str, list[str]]) -> str:
    """Return the finished experiments as a Markdown table, best first.

    The order is by macro-F1 of the validation tracks (highest first), then by validation loss (lowest first).

    Parameters
    ----------
    settings : dict of str to list of str
        Settings of each experiment, each KEY=VALUE.

    Returns
    -------
    str
        Table in Markdown, without the experiments that have no metrics.
    """
    ranked = []
    for name, chosen in settings.items():
        scores = _metrics(name)
        if scores is not None:
            ranked.append((-scores["valid_macro_f1"], scores["valid_loss"], name, chosen, scores))
    lines = ["| experiment | settings | " + " | ".join(SCORES) + " |", "|---" * (2 + len(SCORES)) + "|"]
    for _, _, name, chosen, scores in sorted(ranked):
        lines.append(f"| `{name}` | {', '.join(f'`{s}`' for s in chosen)} | " + " | ".join(f"{scores[key]:.4g}" for key in SCORES) + " |")
    return "\n".join(lines)


def _metrics(name: str) -> dict[str, float] | None:
    """Read the training metrics of an experiment; None if it has none."""
    text = revisions.show(name, "metrics/train/metrics.json")
    return None if text is None else dict(json.loads(text))


def _dvc(*arguments: str) -> str:
    """Run a DVC command, and return its standard output."""
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenreError(f"dvc {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "space", nargs="?", type=Path, default=SPACE, metavar="FILE", help=f"parameters and their values (default: {SPACE})"
    )
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change to params.yaml for all experiments; may be repeated",
    )
    parser.add_argument("--jobs", type=int, default=1, help="experiments that run at the same time (default: %(default)s)")
    chosen = parser.parse_args()
    label = time.strftime("search-%m%d%H%M%S")
    settings = {f"{label}-{i}": combination for i, combination in enumerate(combinations(chosen.space), start=1)}
    for name, combination in tqdm(settings.items(), desc="queue", unit="experiment", disable=None):
        changes = [part for setting in [*chosen.settings, *combination] for part in ("-S", setting)]
        _dvc("exp", "run", "--queue", "-n", name, *changes, "train")
    states = run(list(settings), chosen.jobs)
    print(table(settings))
    failed = [name for name, state in states.items() if state == "Failed"]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(settings)} experiments failed; see `dvc queue logs {failed[0]}`")


if __name__ == "__main__":
    command(main)
