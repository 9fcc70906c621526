"""Figures as PNG files, with the same bytes in each run."""

from __future__ import annotations

import contextlib
import functools
import unicodedata
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from genre_core.features.spectrogram import FeatureSpec, mel_band_hz
from genre_core.util.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REPORTED: set[str] = set()  # letters that no font has, and that a warning has named
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


def add_fonts(figure: Figure) -> None:
    """Give the texts of a figure installed fonts for the letters that the default font lacks, for example Chinese ones.

    Parameters
    ----------
    figure : Figure

    Warns
    -----
    UserWarning
        No installed font has some letters, so boxes replace them. Each letter is named once in a process.
    """
    from matplotlib.text import Text

    for axes in figure.axes:  # creates the labels of the ticks
        axes.get_xticklabels()
        axes.get_yticklabels()
    letters_of = {text: {c for c in text.get_text() if c.isprintable() and not c.isspace()} for text in figure.findobj(Text)}
    missing = frozenset().union(*letters_of.values()) - _letters_of_default_font()
    if not missing:
        return
    families, lacking = _fonts_with(missing)
    for text, letters in letters_of.items():
        if letters & missing:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    if new := lacking - _REPORTED:
        _REPORTED.update(new)
        cjk = any(unicodedata.name(c, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL")) for c in new)
        warnings.warn(
            f"no installed font has the letters {''.join(sorted(new))}: figures show boxes instead; "
            f"install one, for example `apt-get install {'fonts-noto-cjk' if cjk else 'fonts-noto-core'}`",
            stacklevel=3,
        )


@functools.cache
def _letters_of_default_font() -> frozenset[str]:
    from matplotlib.font_manager import FontProperties, findfont

    return _letters(findfont(FontProperties()))


def _letters(font: str) -> frozenset[str]:
    """Return the characters of a font file; none if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(font).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _fonts_with(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Choose installed fonts for `letters`; return their families, and the letters that no font has."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in set(font_manager.findSystemFonts()) - known:  # installed after matplotlib made its list
        with contextlib.suppress(OSError, RuntimeError):
            manager.addfont(path)
    # Regular faces first. The font of last resort has a box for each script, and no letters.
    entries = [entry for entry in manager.ttflist if "Last Resort" not in entry.name]
    entries.sort(
        key=lambda entry: (entry.style != "normal", str(entry.weight) not in ("400", "normal", "regular"), entry.name, entry.fname)
    )
    families: list[str] = []
    for entry in entries:
        if not letters:
            break
        if found := letters & _letters(entry.fname):
            families.append(entry.name)
            letters -= found
    return tuple(families), letters


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
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # one line of `add_fonts` replaces a line for each letter
    add_fonts(figure)
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
