"""Pictures of any name: letters of every script, and one line about those that no font has."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import image
from matplotlib.font_manager import fontManager

from genre_core.reports import figures, figures_prediction

SCRIPTS = ("音樂", "ジャズ", "음악", "موسيقى", "संगीत", "מוזיקה", "ดนตรี")


@pytest.fixture
def square_font(tmp_path):
    """A font whose letters of all scripts above are filled squares, known to matplotlib while a test runs."""
    letters = sorted(set("".join(SCRIPTS)))
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    glyphs = [".notdef", *(f"g{i}" for i in range(len(letters)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(letter): f"g{i}" for i, letter in enumerate(letters)})
    builder.setupGlyf({glyph: TTGlyphPen(None).glyph() if glyph == ".notdef" else square for glyph in glyphs})
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "squares.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "squares.ttf")
    figures._fonts_with.cache_clear()
    yield
    fontManager.ttflist[:] = before
    figures._fonts_with.cache_clear()


def drawn(tmp_path, genres):
    """The picture of the timeline of some genres, and the lines of warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probabilities = np.full((2, len(genres)), 0.5)
        figures_prediction.timeline(tmp_path / "t.png", np.arange(2.0), probabilities, genres, segment_seconds=1, title=genres[0])
    return image.imread(tmp_path / "t.png"), [str(warning.message) for warning in caught]


@pytest.mark.usefixtures("square_font")
def test_letters_of_other_scripts_are_drawn_with_a_font_that_has_them(tmp_path):
    picture, lines = drawn(tmp_path, ["rock", *SCRIPTS])
    assert lines == []
    title = picture[:22, :, :3].mean(2)
    chinese, _ = drawn(tmp_path, [SCRIPTS[0]])
    black = (chinese[:22, :, :3].mean(2) < 0.1).sum()
    assert black > 2 * 12 * 12  # two filled squares of 12 points at 90 dots per inch, not two outlined boxes
    assert (title < 0.1).sum() < black


def test_letters_that_no_font_has_are_one_line(tmp_path):
    figures._REPORTED.clear()
    genres = ["\U00012000\U00012001 $a$", "\U00012002"]  # cuneiform
    _, lines = drawn(tmp_path, genres)
    assert len(lines) == 1
    assert "letters \U00012000\U00012001\U00012002: " in lines[0]
    assert "apt-get install fonts-noto-core" in lines[0]
    assert drawn(tmp_path, genres)[1] == []


def test_a_figure_of_plain_letters_is_as_before(tmp_path):
    """The committed pictures keep their bytes."""
    figure, axes = figures.new_figure(1, 1, 3, 2)
    axes[0, 0].set_title("rock")
    figure.savefig(tmp_path / "a.png", dpi=90, format="png", metadata={"Software": None})
    figures.save(figure, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
