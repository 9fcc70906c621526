"""Figures of the experiments: accuracy of split protocols and of folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre_core.reports.figures import Out, new_figure, save


def protocols(path: Out, rows: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str) -> None:
    """Draw the accuracy of one model under several split protocols.

    The figure shows the mean with its interval, and a dot for each seed.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    rows : mapping of label to sequence of mappings
        Results of `experiments.judged`: protocol, mean, low, high, accuracies and leaky are read.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(1, 1, 8, 4.5)
    axis = axes[0, 0]
    names = list(dict.fromkeys(row["protocol"] for label_rows in rows.values() for row in label_rows))
    width = 0.8 / len(rows)
    for number, (label, label_rows) in enumerate(rows.items()):
        x = np.array([names.index(row["protocol"]) for row in label_rows]) + (number - (len(rows) - 1) / 2) * width
        mean = np.array([row["mean"] for row in label_rows])
        errors = np.abs(np.array([[row["low"], row["high"]] for row in label_rows]).T - mean)
        axis.bar(x, mean, width * 0.9, yerr=errors, capsize=4, color=f"C{number}", alpha=0.75, label=label)
        for centre, row in zip(x, label_rows, strict=True):
            axis.plot([centre] * len(row["accuracies"]), row["accuracies"], "k.", markersize=4)
            axis.text(centre, 0.02, f"{row['mean']:.2f}", ha="center", color="white", fontsize=9)
    leaky = {row["protocol"] for label_rows in rows.values() for row in label_rows if row["leaky"]}
    axis.set_xticks(range(len(names)), [f"{name}\n(leaky)" if name in leaky else name for name in names])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks", xlabel="protocol of the split", title=title)
    if len(rows) > 1:
        axis.legend(loc="upper right", fontsize=8)
    save(figure, path)


def folds(path: Out, accuracies: Mapping[int, Sequence[float]], pooled: Mapping[str, float], *, title: str) -> None:
    """Draw the accuracy of each fold and seed, and of all folds.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    accuracies : mapping of fold to sequence of float
        Accuracy of each seed in each fold.
    pooled : mapping
        Accuracy over all folds and its 95 % interval: accuracy, accuracy_low, accuracy_high.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(1, 1, 7, 4)
    axis = axes[0, 0]
    axis.axhspan(pooled["accuracy_low"], pooled["accuracy_high"], color="tab:blue", alpha=0.2, label="all folds, 95 % over artists")
    axis.axhline(pooled["accuracy"], color="tab:blue")
    for fold, values in accuracies.items():
        axis.plot([fold] * len(values), values, "o", color="black", markersize=5)
    axis.set_xticks(list(accuracies), [f"fold {fold}" for fold in accuracies])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks (one dot per seed)", title=title)
    axis.legend(loc="lower right", fontsize=8)
    save(figure, path)
