"""One level for every input: silence does not count, an offset goes, and no answer depends on the volume."""

import numpy as np
import pytest
from helpers.serving import music

from genre_core.audio import level
from genre_core.inference.predictor import Predictor
from genre_core.inference.streaming import Listener

RATE = 16_000


def rms_dbfs(y):
    return 10 * np.log10(np.mean(np.square(y, dtype=np.float64)))


@pytest.mark.parametrize("db", [-40, 0, 60])
@pytest.mark.parametrize("offset", [0, 0.3])
def test_any_input_gets_the_level(rng, db, offset):
    y = rng.normal(0, 0.1, 3 * RATE).astype(np.float32)
    levelled = level.to_level(y * np.float32(10 ** (db / 20)) + np.float32(offset), RATE, -15.0)
    assert levelled.dtype == np.float32
    assert rms_dbfs(levelled) == pytest.approx(-15, abs=0.1)
    assert abs(levelled.mean()) < 1e-3
    np.testing.assert_allclose(levelled, level.to_level(y, RATE, -15.0), atol=1e-2 if offset and db < 0 else 1e-3)


def test_silence_does_not_count(rng):
    loud = rng.normal(0, 0.1, 4 * RATE).astype(np.float32)
    with_silence = np.concatenate([np.zeros(6 * RATE, np.float32), loud])
    assert rms_dbfs(level.to_level(with_silence, RATE, -15.0)[6 * RATE :]) == pytest.approx(-15, abs=0.5)
    soft = np.concatenate([loud, 0.9 * loud])  # what is not much softer counts
    assert rms_dbfs(level.to_level(soft, RATE, -15.0)) == pytest.approx(-15, abs=0.05)


def test_what_has_no_level_stays():
    y = np.array([0.5, -0.25, 0.1], np.float32)
    assert level.to_level(y, RATE, 0.0) is y
    assert rms_dbfs(level.to_level(y, RATE, -20.0)) == pytest.approx(-20, abs=0.01)  # shorter than a window
    assert not level.to_level(np.zeros(RATE, np.float32), RATE, -15.0).any()
    assert not level.to_level(np.full(RATE, 0.25, np.float32), RATE, -15.0).any()
    assert len(level.to_level(np.zeros(0, np.float32), RATE, -15.0)) == 0


@pytest.mark.parametrize("change", [-40.0, -20.0, 20.0, "offset", "integers"])
def test_no_answer_depends_on_the_volume(change):
    predictor = Predictor("pretrained")
    y = music(8, RATE)
    y *= np.float32(1 / np.abs(y).max())
    changed = y + np.float32(0.2) if change == "offset" else y * np.float32(32768 if change == "integers" else 10 ** (change / 20))
    expected, heard = predictor.predict(y, RATE), predictor.predict(changed, RATE)
    assert heard.probabilities == pytest.approx(expected.probabilities, abs=0.002)
    assert heard.sure == expected.sure
    answers = []
    for samples in (y, changed):
        listener = Listener(predictor.model, RATE)
        listener.push(samples)
        answers.append(listener.now())
    assert answers[1].probabilities == pytest.approx(answers[0].probabilities, abs=0.002)
