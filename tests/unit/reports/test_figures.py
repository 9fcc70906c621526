"""Pictures of any name are drawn without a word."""

import io
import warnings

from genre_core.reports import figures


def test_a_letter_that_no_font_has_is_a_box_and_no_warning():
    figure, axes = figures.new_figure(1, 1, 3, 2)
    axes[0][0].set_title("音楽 $a$")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figures.save(figure, picture := io.BytesIO())
    assert picture.getvalue().startswith(b"\x89PNG")
    assert [str(warning.message) for warning in said] == []
