"""Figures of one prediction: its timeline and its explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from genre_core.errors import one_line
from genre_core.features.spectrogram import mel_band_hz
from genre_core.reports.figures import Out, mel_axes, new_figure, save

if TYPE_CHECKING:
    from genre_core.analysis.occlusion import Explanation


def timeline(
    path: Out, starts_seconds: np.ndarray, probabilities: np.ndarray, genres: Sequence[str], *, segment_seconds: float, title: str
) -> None:
    """Draw the probability of each genre over a track.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    starts_seconds : np.ndarray [shape=(windows,)]
        Start of each window, in seconds.
    probabilities : np.ndarray [shape=(windows, genres)]
        Probabilities of each window.
    genres : sequence of str
        Names of the genres.
    segment_seconds : float
        Length of a window, in seconds.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(1, 1, 9, 0.8 + 0.3 * len(genres))
    axis = axes[0, 0]
    edges = np.append(starts_seconds, starts_seconds[-1] + segment_seconds)
    image = axis.pcolormesh(edges, np.arange(len(genres) + 1), probabilities.T, vmin=0, vmax=1, cmap="viridis")
    axis.set_yticks(np.arange(len(genres)) + 0.5, genres)
    axis.invert_yaxis()
    axis.set(xlabel="start of the segment (s)", title=one_line(title))
    figure.colorbar(image, ax=axis, label="probability", pad=0.01)
    save(figure, path)


def explanation(path: Out, found: Explanation, *, segment_seconds: float, title: str) -> None:
    """Draw which frequency bands and times of a file support the prediction.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    found : Explanation
        Result of `genre_core.analysis.occlusion.explain`.
    segment_seconds : float
        Length of a window, in seconds.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(2, 2, 11, 6)
    figure.suptitle(one_line(title), fontsize=11)
    grid = axes[0, 0].get_gridspec()
    grid.set_height_ratios([1, 3])
    grid.set_width_ratios([4, 1])
    seconds = len(found.mel) * found.spec.hop_length / found.spec.sample_rate
    edges = np.append(found.starts_seconds, max(found.starts_seconds[-1] + segment_seconds, seconds))
    axes[0, 1].axis("off")
    axes[0, 0].stairs(found.probability, edges, fill=True, color="tab:blue")
    axes[0, 0].set(ylim=(0, 1), xlim=(0, seconds), ylabel=f"P({found.genre})")

    axis = axes[1, 0]
    top = float(found.mel.max())
    extent = (0, seconds, 0, found.spec.n_mels)
    axis.imshow(found.mel.T, origin="lower", aspect="auto", extent=extent, vmin=top - 70, vmax=top, cmap="gray")
    centres = mel_band_hz(found.spec)
    rows = np.append(np.searchsorted(centres, found.edges_hz[:-1]), found.spec.n_mels)
    limit = max(0.05, float(np.abs(found.carried).max()))
    image = axis.pcolormesh(edges, rows, found.carried, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.55)
    axis.set(xlim=(0, seconds), ylim=(0, found.spec.n_mels), xlabel="time (s)")
    mel_axes(axis, found.spec)
    figure.colorbar(image, ax=axis, label="fall of P without the band", location="bottom", shrink=0.6)

    axis = axes[1, 1]
    axis.barh((rows[:-1] + rows[1:]) / 2, found.falls, height=np.diff(rows) * 0.9, color=np.where(found.falls > 0, "tab:red", "tab:blue"))
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(ylim=(0, found.spec.n_mels), yticks=[], xlabel="fall over the whole file")
    save(figure, path)
