"""Live answers are those of a file with the same seconds."""

import numpy as np
import pytest
import soxr
from helpers.training import new_model

from genre_core.inference import streaming
from genre_core.inference.predictor import Predictor
from genre_core.models import frontend


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_the_answer_is_that_of_a_file_with_the_same_seconds(rng, rate):
    predictor = Predictor("pretrained")
    y = (0.2 * rng.normal(size=8 * 16000) * np.repeat(rng.uniform(0, 1, 80), 1600)).astype(np.float32)
    samples = y if rate == 16000 else soxr.resample(y, 16000, rate).astype(np.float32)
    listener = streaming.Listener(predictor.model, rate, context_seconds=60)
    answers = []
    for at in range(0, len(samples), rate // 3):
        listener.push(samples[at : at + rate // 3])
        answers.append(listener.now())
    assert answers[0] is None  # too little was heard
    heard = answers[-1]
    whole = predictor.predict(y, 16000)
    timeline_model = predictor.model.timeline_model()
    mels = frontend.compute_spectrograms(timeline_model, y, 16000)
    logits = timeline_model.score(frontend.features(timeline_model, mels), whole.starts_seconds)
    wanted = dict(zip(timeline_model.genres, timeline_model.track_probabilities(logits), strict=True))
    assert heard.seconds == pytest.approx(8, abs=0.01)
    assert heard.real_time_factor > 0
    assert heard.probabilities == pytest.approx(wanted, abs=1e-3 if rate == 16000 else 0.05)


def test_the_answer_forgets_what_is_past_and_silence_is_no_answer(rng):
    listener = streaming.Listener(Predictor("pretrained").model, 16000, context_seconds=6)
    listener.push(rng.normal(0, 0.1, 20 * 16000).astype(np.float32))
    assert len(listener._samples) == 6 * 16000
    listener.push(np.zeros(7 * 16000, np.float32))
    assert not listener.now().sure


@pytest.mark.parametrize("hz", [200, 1000])
def test_a_steady_tone_is_no_music_live_either(hz):
    listener = streaming.Listener(Predictor("pretrained").model, 16000)
    listener.push((0.3 * np.sin(2 * np.pi * hz * np.arange(12 * 16000) / 16000)).astype(np.float32))
    assert not listener.now().sure


def test_a_trained_model_listens_too(rng):
    from helpers.training import data

    train, _ = data(rng)
    listener = streaming.Listener(new_model(train), 22050)
    listener.push(rng.normal(0, 0.1, 6 * 22050).astype(np.float32))
    assert set(listener.now().probabilities) == {"a", "b", "c"}
