"""Figures as PNG files, with the same bytes in each run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from genre_core.features.spectrogram import FeatureSpec, mel_band_hz
from genre_core.util.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Out = str | Path | IO[bytes]  # file that a figure is written to


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Create a figure with a grid of axes.

    Parameters
    ----------
    rows, columns : int
        Size of the grid.
    width, height : float
        Size of the figure, in inches.

    Returns
    -------
    figure : Figure
    axes : np.ndarray of Axes [shape=(rows, columns)]
    """
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: threads would share its state

    matplotlib.rcParams["text.parse_math"] = False  # otherwise a name with two dollar signs is drawn as a formula
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(figure: Figure, out: Out) -> None:
    """Write a figure as PNG.

    Parameters
    ----------
    figure : Figure
    out : str, Path or binary file
        File to write to.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box replaces a letter that the font lacks
    options: dict[str, Any] = {"dpi": 90, "format": "png", "metadata": {"Software": None}}
    if not isinstance(out, str | Path):
        figure.savefig(out, **options)
        return
    with atomic(out) as part:
        figure.savefig(part, **options)


def mel_axes(axes: Axes, spec: FeatureSpec) -> None:
    """Label the mel bins of a spectrogram with their frequency in Hz.

    Parameters
    ----------
    axes : Axes
        Axes whose vertical axis counts the mel bins.
    spec : FeatureSpec
        Parameters of the spectrogram.
    """
    centres = mel_band_hz(spec)
    ticks_hz = [hz for hz in (100, 500, 1000, 2000, 4000, 8000, 16000) if centres[0] < hz < centres[-1]]
    axes.set_yticks([float(np.interp(hz, centres, np.arange(len(centres)))) for hz in ticks_hz], [f"{hz:,}" for hz in ticks_hz])
    axes.set_ylabel("frequency (Hz)")
