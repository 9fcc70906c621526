import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support, top_k_accuracy_score

from genre_core.evaluation import calibration, intervals
from genre_core.evaluation import metrics as evaluation_metrics
from genre_core.evaluation import scoring as evaluation_scoring


def random_case(seed, n=200, genres=5):
    rng = np.random.default_rng(seed)
    true = rng.integers(genres, size=n)
    probabilities = rng.dirichlet(np.ones(genres), n)
    probabilities[np.arange(n), true] += 0.5
    return true, probabilities / probabilities.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learn_s(seed):
    true, probabilities = random_case(seed)
    predicted = probabilities.argmax(1)
    got = evaluation_scoring.scores(true, probabilities, list("abcde"), groups=[str(i) for i in range(200)], samples=100, seed=0)
    assert got["accuracy"] == pytest.approx((true == predicted).mean(), abs=1e-4)
    assert got["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-4)
    assert got["top2_accuracy"] == pytest.approx(top_k_accuracy_score(true, probabilities, k=2), abs=1e-4)
    precision, recall, f1, count = precision_recall_fscore_support(true, predicted)
    for i, genre in enumerate("abcde"):
        expected = {"precision": precision[i], "recall": recall[i], "f1": f1[i], "tracks": count[i]}
        assert got["genres"][genre] == pytest.approx(expected, abs=1e-4)


def test_macro_f1_of_genres_that_are_not_there_equals_scikit_learn_s():
    true, predicted = np.array([0, 0, 2, 2]), np.array([0, 3, 2, 2])
    assert evaluation_metrics.macro_f1(true, predicted, 5) == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))


def test_the_interval_of_independent_tracks_is_the_binomial_one():
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.7
    true = np.zeros(400, int)
    predicted = np.where(right, 0, 1)
    low, high = intervals.bootstrap(true, predicted, 2, groups=[str(i) for i in range(400)], samples=2000, seed=1)["accuracy"]
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert low == pytest.approx(right.mean() - half, abs=0.01)
    assert high == pytest.approx(right.mean() + half, abs=0.01)


def test_artists_widen_the_interval():
    """Ten tracks an artist, all right or all wrong: there are 20 independent observations, not 200."""
    right = np.repeat(np.arange(20) % 3 > 0, 10)
    true, predicted = np.zeros(200, int), np.where(right, 0, 1)
    widths = []
    for groups in ([str(i) for i in range(200)], [str(i // 10) for i in range(200)]):
        low, high = intervals.bootstrap(true, predicted, 2, groups=groups, samples=1000, seed=0)["accuracy"]
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(10), rel=0.15)


def test_a_genre_that_a_sample_lacks_does_not_count_as_zero():
    """Ten genres of two artists: an eighth of the genres is missing from a sample, which is no fault of the model."""
    true = np.repeat(np.arange(10), 4)
    groups = [f"{i // 2}" for i in range(40)]
    assert intervals.bootstrap(true, true, 10, groups=groups, samples=300, seed=0)["macro_f1"] == (1, 1)
    predicted = np.where(np.arange(40) % 4 == 0, (true + 1) % 10, true)
    low, high = intervals.bootstrap(true, predicted, 10, groups=groups, samples=1000, seed=0)["macro_f1"]
    assert (low + high) / 2 == pytest.approx(evaluation_metrics.macro_f1(true, predicted, 10), abs=0.05)


def test_one_artist_a_genre_leaves_the_interval_wide():
    """21 of 23 tracks right, each an artist: the exact binomial interval is 0.72 to 0.99."""
    true = np.arange(23) % 10
    predicted = np.where(np.arange(23) < 2, (true + 1) % 10, true)
    low, high = intervals.bootstrap(true, predicted, 10, groups=[str(i) for i in range(23)], samples=2000, seed=0)["accuracy"]
    assert 0.7 < low < 0.85
    assert high == 1


def test_calibration_of_known_classifiers():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20000)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    honest = (rng.random(20000) > confidence).astype(int)  # right as often as it says
    assert calibration.calibration_error(honest, probabilities, 10) < 0.015
    boasting = (rng.random(20000) > confidence - 0.2).astype(int)
    assert calibration.calibration_error(boasting, probabilities, 10) == pytest.approx(0.2, abs=0.015)
    rows = calibration.reliability(honest, probabilities, 10)
    assert sum(row["tracks"] for row in rows) == 20000
    assert all(abs(row["confidence"] - row["accuracy"]) < 0.04 for row in rows)


def test_certain_probabilities_fall_into_the_last_bin():
    assert calibration.reliability(np.array([0]), np.array([[1.0, 0.0]]), 10) == [{"confidence": 1.0, "accuracy": 1.0, "tracks": 1}]


@pytest.mark.parametrize(
    ("a", "n_a", "b", "n_b", "low", "high"),
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 10, 0.6075, 1.0), (5, 56, 0, 29, -0.0381, 0.1926)],
)
def test_differences_of_proportions_are_newcombes(a, n_a, b, n_b, low, high):
    found = intervals.proportion_difference(a / n_a, n_a, b / n_b, n_b)  # his table II, method 10
    assert found == pytest.approx((low, high), abs=1e-3)
