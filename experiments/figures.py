"""Pictures of experiments: accuracy under split protocols, and over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre_core.reports.figures import Out, new_figure, save


def protocols(path: Out, rows: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str) -> None:
    """Draw the accuracy of the same model under several protocols, with intervals and the single seeds.

    Parameters
    ----------
    path : str, Path or binary file
    rows : mapping of label to sequence of mappings
        Each with protocol, mean, low, high, accuracies and leaky.
    title : str
    """
    figure, axes = new_figure(1, 1, 8, 4.5)
    axis = axes[0, 0]
    names = list(dict.fromkeys(row["protocol"] for of_label in rows.values() for row in of_label))
    width = 0.8 / len(rows)
    for number, (label, of_label) in enumerate(rows.items()):
        x = np.array([names.index(row["protocol"]) for row in of_label]) + (number - (len(rows) - 1) / 2) * width
        mean = np.array([row["mean"] for row in of_label])
        span = np.abs(np.array([[row["low"], row["high"]] for row in of_label]).T - mean)
        axis.bar(x, mean, width * 0.9, yerr=span, capsize=4, color=f"C{number}", alpha=0.75, label=label)
        for at, row in zip(x, of_label, strict=True):
            axis.plot([at] * len(row["accuracies"]), row["accuracies"], "k.", markersize=4)
            axis.text(at, 0.02, f"{row['mean']:.2f}", ha="center", color="white", fontsize=9)
    leaky = {row["protocol"] for of_label in rows.values() for row in of_label if row["leaky"]}
    axis.set_xticks(range(len(names)), [f"{name}\n(leaky)" if name in leaky else name for name in names])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks", xlabel="protocol of the split", title=title)
    if len(rows) > 1:
        axis.legend(loc="upper right", fontsize=8)
    save(figure, path)


def folds(path: Out, accuracies: Mapping[int, Sequence[float]], pooled: Mapping[str, float], *, title: str) -> None:
    """Draw the accuracy of each fold and seed, and the pooled one with its interval.

    Parameters
    ----------
    path : str, Path or binary file
    accuracies : mapping of fold to the accuracy of each seed
    pooled : mapping
        accuracy, accuracy_low, accuracy_high.
    title : str
    """
    figure, axes = new_figure(1, 1, 7, 4)
    axis = axes[0, 0]
    axis.axhspan(pooled["accuracy_low"], pooled["accuracy_high"], color="tab:blue", alpha=0.2, label="all folds, 95 % over artists")
    axis.axhline(pooled["accuracy"], color="tab:blue")
    for fold, values in accuracies.items():
        axis.plot([fold] * len(values), values, "o", color="black", markersize=5)
    axis.set_xticks(list(accuracies), [f"fold {fold}" for fold in accuracies])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks (a dot a seed)", title=title)
    axis.legend(loc="lower right", fontsize=8)
    save(figure, path)
