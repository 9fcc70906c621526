"""Two models of known difference."""

import pytest
from helpers.comparison import predictions
from scipy.stats import binomtest

from genre_core.errors import GenreError
from genre_core.evaluation.comparison import compare
from genre_core.evaluation.intervals import mcnemar
from genre_core.util.files import write_csv


def test_a_better_model_is_called_so_and_the_other_way_round(tmp_path, rng):
    a = predictions(tmp_path / "a.csv", rng.random(300) < 0.5)
    b = predictions(tmp_path / "b.csv", rng.random(300) < 0.8)
    found = compare(a, b)
    assert found.verdict == "better"
    assert 0.2 < found.difference < 0.4
    assert found.low < found.difference < found.high
    assert found.p < 1e-6
    assert compare(b, a).verdict == "worse"
    assert compare(b, a).low == pytest.approx(-found.high)


def test_equal_models_are_better_in_one_of_twenty_at_most(tmp_path, rng):
    said = [
        compare(
            predictions(tmp_path / "a.csv", rng.random(100) < 0.7), predictions(tmp_path / "b.csv", rng.random(100) < 0.7), samples=500
        ).verdict
        for _ in range(100)
    ]
    assert said.count("no difference shown") >= 88


def test_tracks_of_one_artist_are_no_independent_evidence(tmp_path):
    right = [i < 40 for i in range(100)]
    better = [i < 60 for i in range(100)]
    apart = compare(predictions(tmp_path / "a.csv", right), predictions(tmp_path / "b.csv", better))
    artists = ["one" if 40 <= i < 60 else f"other {i}" for i in range(100)]
    together = compare(predictions(tmp_path / "a.csv", right, artists), predictions(tmp_path / "b.csv", better, artists))
    assert apart.verdict == "better"
    assert together.verdict == "no difference shown"
    assert (apart.only_a, apart.only_b, len(apart.disagreements)) == (0, 20, 20)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (3, 12), (20, 20), (0, 30)])
def test_mcnemar_is_the_binomial_test(a, b):
    assert mcnemar(a, b) == pytest.approx(binomtest(a, a + b).pvalue if a + b else 1.0)


def test_what_cannot_be_compared_is_refused(tmp_path):
    a = predictions(tmp_path / "a.csv", [True])
    with pytest.raises(GenreError, match="two data sets"):
        compare(a, predictions(tmp_path / "b.csv", [True], true="jazz"))
    write_csv(tmp_path / "c.csv", ["track", "true", "predicted"], [{"track": "x", "true": "a", "predicted": "a"}] * 2)
    with pytest.raises(GenreError, match="named twice"):
        compare(a, tmp_path / "c.csv")
    write_csv(tmp_path / "d.csv", ["track", "true", "predicted"], [{"track": "x", "true": "a", "predicted": "a"}])
    with pytest.raises(GenreError, match="no track in common"):
        compare(a, tmp_path / "d.csv")
