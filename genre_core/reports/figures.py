"""Pictures, as PNG: the bytes are the same each time."""

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

Out = str | Path | IO[bytes]  # where a picture is written


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot, which keeps state that threads would share

    matplotlib.rcParams["text.parse_math"] = False  # a name with two dollar signs is no formula
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(figure: Figure, out: Out) -> None:
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a letter that no font has is drawn as a box
    options: dict[str, Any] = {"dpi": 90, "format": "png", "metadata": {"Software": None}}
    if not isinstance(out, str | Path):
        figure.savefig(out, **options)
        return
    with atomic(out) as part:
        figure.savefig(part, **options)


def mel_axes(axes: Axes, spec: FeatureSpec) -> None:
    """Label the bins of a spectrogram by their frequency."""
    centres = mel_band_hz(spec)
    wanted = [hz for hz in (100, 500, 1000, 2000, 4000, 8000, 16000) if centres[0] < hz < centres[-1]]
    axes.set_yticks([float(np.interp(hz, centres, np.arange(len(centres)))) for hz in wanted], [f"{hz:,}" for hz in wanted])
    axes.set_ylabel("frequency (Hz)")
