"""Experiments: each module runs the pipeline several times and writes a page or a table; its docstring has the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from genre_core.corpus.catalogue import artist_group
from genre_core.errors import GenreError
from genre_core.evaluation.intervals import artist_interval
from genre_core.util.files import read_csv, read_json

SEEDS = (1, 2, 3)
# Shorter than the default, where only differences count.
SHORT = ("train.epochs=20", "train.windows_per_epoch=1024")
_RUN: list[str] = []  # experiments of this process: after the first, params.yaml holds the settings of the one before


def command(main: Callable[[], None]) -> None:
    """Run a benchmark, or end with its one clear error."""
    try:
        main()
    except GenreError as error:
        sys.exit(f"error: {error}")


def experiment(name: str, settings: Iterable[str], *targets: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc exp run` from the committed params.yaml with settings; stages that they do not change are not run again.

    Parameters
    ----------
    name : str
        Name of the experiment; an earlier one of that name is replaced.
    settings : iterable of str
        Changes of params.yaml, each KEY=VALUE.
    targets : str
        Last stages to run; all stages if none is given.

    Raises
    ------
    GenreError
        params.yaml has changes that are not committed: they would be lost.
    """
    if not _RUN and subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], check=False).returncode:
        raise GenreError("params.yaml is not as in the last commit: commit it, or give its changes as -S and `git restore params.yaml`")
    _RUN.append(name)
    subprocess.run(["git", "restore", "--staged", "--worktree", "params.yaml"], check=True)
    subprocess.run(["dvc", "exp", "remove", "-q", name], capture_output=True, check=False)  # DVC keeps two of one name apart by refusing
    changes = [part for setting in settings for part in ("-S", setting)]
    return subprocess.run(["dvc", "exp", "run", "-n", name, *targets, *changes], capture_output=True, text=True, check=False)


def judged(runs: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """Run experiments (name, settings) that differ in their seed: each one's accuracy, and with an interval over artists
    the mean over tracks, each of which counts once, with the mean of its runs.

    Raises
    ------
    GenreError
        A run failed; with what it said.
    """
    right: dict[tuple[str, str], list[bool]] = {}
    accuracies = []
    metrics: dict[str, Any] = {}
    for name, settings in runs:
        done = experiment(name, settings, "evaluate")
        if done.returncode:
            raise GenreError(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        metrics = read_json("metrics/test/metrics.json")
        for found in read_csv("metrics/test/predictions.csv", strip=False):
            right.setdefault((artist_group(found["artist"], found["track"]), found["track"]), []).append(
                found["true"] == found["predicted"]
            )
        accuracies.append(metrics["track"]["accuracy"])
    share = np.array([np.mean(values) for values in right.values()])
    _, artist_of = np.unique([artist for artist, _ in right], return_inverse=True)
    low, high = artist_interval(share, artist_of, 2000, 0)
    return {
        **{key: metrics[key] for key in ("protocol", "scored_on", "leaky", "tracks")},
        "parameters": metrics["model"]["parameters"],
        "accuracies": accuracies,
        "mean": round(float(share.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }
