"""Predictions of a cross-validation as a file, and scores that leave a genre out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from genre_core.errors import GenreError
from genre_core.evaluation import out_of_fold, scoring


def test_what_is_written_is_read(tmp_path, rng):
    logits = {name: torch.from_numpy(rng.normal(size=(n, 3))).log_softmax(1) for name, n in (("a, b/c", 1), ("d", 4))}
    predictions = out_of_fold.OutOfFold(["x", "y", "z"], logits, {"a, b/c": 0.7, "d": 1.3}, {"a, b/c": 0, "d": 4})
    out_of_fold.write(tmp_path / "o.csv", predictions, {"a, b/c": [0.0], "d": [0.0, 15.0, 30.0, 45.0]})
    read = out_of_fold.read(tmp_path / "o.csv", ["x", "y", "z"])
    assert (read.temperatures, read.folds, list(read.logits)) == (predictions.temperatures, predictions.folds, ["a, b/c", "d"])
    for name, value in logits.items():
        torch.testing.assert_close(read.logits[name], value, atol=1e-4, rtol=0)
    with pytest.raises(GenreError, match="p_w"):
        out_of_fold.read(tmp_path / "o.csv", ["x", "y", "w"])
    (tmp_path / "o.csv").write_text((tmp_path / "o.csv").read_text().replace("0.7", "much"))
    with pytest.raises(GenreError, match="much"):
        out_of_fold.read(tmp_path / "o.csv", ["x", "y", "z"])


def test_a_genre_that_is_left_out_does_not_count_in_macro_f1(rng):
    true = rng.integers(0, 3, 60)
    probabilities = 2 * rng.random((60, 4)) + np.eye(4)[true]
    groups = [str(i) for i in range(60)]
    found = scoring.scores(true, probabilities, list("abcd"), groups=groups, samples=200, seed=0, unscored=["d"])
    wanted = f1_score(true, probabilities.argmax(1), labels=[0, 1, 2], average="macro")
    assert found["macro_f1"] == pytest.approx(wanted, abs=1e-4)
    assert found["macro_f1_low"] < wanted < found["macro_f1_high"]
    assert (probabilities.argmax(1) == 3).any()  # else the genre would not have counted anyway
    assert scoring.scores(true, probabilities, list("abcd"), groups=groups, samples=200, seed=0)["macro_f1"] < found["macro_f1"]
