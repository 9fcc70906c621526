"""Experiments: modules that run the pipeline several times.

Each module writes a page or a table. The docstring of the module has the command.
"""

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
# Shorter than the default training: enough for experiments in which only differences count.
SHORT = ("train.epochs=20", "train.windows_per_epoch=1024")
# Experiments of this process: after the first one, params.yaml has the settings of the previous experiment.
_RUN: list[str] = []


def command(main: Callable[[], None]) -> None:
    """Run the main function of an experiment; exit with one line on an error.

    Parameters
    ----------
    main : callable
        Main function of the experiment.

    Raises
    ------
    SystemExit
        The main function raised a GenreError; the exit message is that error.
    """
    try:
        main()
    except GenreError as error:
        sys.exit(f"error: {error}")


def experiment(name: str, settings: Iterable[str], *targets: str) -> subprocess.CompletedProcess[str]:
    """Run the pipeline with changed settings by `dvc exp run`.

    The run starts from the committed params.yaml. DVC skips the stages that the settings do not change.

    Parameters
    ----------
    name : str
        Name of the experiment; it replaces an earlier experiment with this name.
    settings : iterable of str
        Changes to params.yaml, each KEY=VALUE.
    *targets : str
        Last stages to run; all stages if no target is given.

    Returns
    -------
    subprocess.CompletedProcess
        Result of `dvc exp run`, with its output and exit status; a failure does not raise.

    Raises
    ------
    GenreError
        params.yaml has uncommitted changes, which would be lost.
    subprocess.CalledProcessError
        git cannot restore params.yaml.
    """
    if not _RUN and subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], check=False).returncode:
        raise GenreError("params.yaml has uncommitted changes: commit them, or give them as -S and run `git restore params.yaml`")
    _RUN.append(name)
    subprocess.run(["git", "restore", "--staged", "--worktree", "params.yaml"], check=True)
    # DVC refuses a second experiment with the same name.
    subprocess.run(["dvc", "exp", "remove", "-q", name], capture_output=True, check=False)
    changes = [part for setting in settings for part in ("-S", setting)]
    return subprocess.run(["dvc", "exp", "run", "-n", name, *targets, *changes], capture_output=True, text=True, check=False)


def judged(runs: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """Run experiments that differ only in the seed, and summarise their accuracy.

    The mean is over tracks. Each track counts once, with its mean over the runs. The interval is a bootstrap over artists.

    Parameters
    ----------
    runs : sequence of (name, settings)
        Arguments of `experiment` for each run.

    Returns
    -------
    dict
        ``protocol``, ``scored_on``, ``leaky``, ``tracks`` and ``parameters`` of the last run, ``accuracies`` of all runs, and ``mean``,
        ``low`` and ``high``: the mean accuracy and its 95 % interval.

    Raises
    ------
    GenreError
        A run failed; the message contains its output.
    """
    right: dict[tuple[str, str], list[bool]] = {}
    accuracies = []
    metrics: dict[str, Any] = {}
    for name, settings in runs:
        done = experiment(name, settings, "evaluate")
        if done.returncode:
            raise GenreError(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        metrics = read_json("metrics/test/metrics.json")
        for row in read_csv("metrics/test/predictions.csv", strip=False):
            right.setdefault((artist_group(row["artist"], row["track"]), row["track"]), []).append(row["true"] == row["predicted"])
        accuracies.append(metrics["track"]["accuracy"])
    track_accuracy = np.array([np.mean(values) for values in right.values()])
    _, artist_index = np.unique([artist for artist, _ in right], return_inverse=True)
    low, high = artist_interval(track_accuracy, artist_index, 2000, 0)
    return {
        **{key: metrics[key] for key in ("protocol", "scored_on", "leaky", "tracks")},
        "parameters": metrics["model"]["parameters"],
        "accuracies": accuracies,
        "mean": round(float(track_accuracy.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }
