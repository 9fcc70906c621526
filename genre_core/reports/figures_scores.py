"""Figure of scores: confusion matrix, F1, reliability and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genre_core.reports.figures import Out, new_figure, save


def report(
    path: Out,
    *,
    title: str,
    matrix: np.ndarray,
    genres: Sequence[str],
    f1: Mapping[str, float],
    reliability: Mapping[str, Sequence[Mapping[str, float]]],
    history: Sequence[Mapping[str, str]],
) -> None:
    """Draw confusion matrix, F1 of each genre, reliability and learning curves.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    title : str
        Title of the figure.
    matrix : np.ndarray [shape=(genres, genres)]
        Number of tracks by true genre (rows) and predicted genre (columns).
    genres : sequence of str
        Names of the genres.
    f1 : mapping of genre to float
        F1 of each genre, over tracks.
    reliability : mapping of label to sequence of mappings
        Rows of `genre_core.evaluation.calibration.reliability`, one curve for each label.
    history : sequence of mappings
        Rows of history.csv.
    """
    figure, axes = new_figure(2, 2, 11, 9)
    figure.suptitle(title, fontsize=11)
    axis = axes[0, 0]
    axis.imshow(matrix / np.maximum(matrix.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(genres)), genres, rotation=45, ha="right")
    axis.set_yticks(range(len(genres)), genres)
    axis.set(xlabel="predicted", ylabel="true", title="Tracks: true against predicted")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        share = matrix[row, column] / matrix[row].sum()
        axis.text(column, row, int(matrix[row, column]), ha="center", va="center", fontsize=8, color="white" if share > 0.5 else "black")

    axis = axes[0, 1]
    ordered = sorted(f1, key=lambda genre: f1[genre])
    axis.barh(ordered, [f1[genre] for genre in ordered], color="tab:blue")
    axis.set(xlim=(0, 1), xlabel="F1 of tracks", title="Genres")

    axis = axes[1, 0]
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    for label, rows in reliability.items():
        axis.plot([r["confidence"] for r in rows], [r["accuracy"] for r in rows], marker="o", label=label)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy", title="Reliability (tracks)")
    axis.legend()

    axis = axes[1, 1]
    epochs = [int(row["epoch"]) for row in history]
    axis.plot(epochs, [float(row["train_loss"]) for row in history], label="training loss (augmented)")
    axis.plot(epochs, [float(row["valid_loss"]) for row in history], label="validation loss (tracks)")
    axis.plot(epochs, [float(row["valid_macro_f1"]) for row in history], label="validation macro-F1 (tracks)")
    axis.set(xlabel="epoch", ylim=(0, None), title="Learning curves")
    axis.legend()
    save(figure, path)
