"""The packaged model for real music."""

import json

import numpy as np
import pytest
import scipy.signal
import yaml
from helpers.closure import ROOT
from helpers.pretrained import RATE

from genre_core.inference import predictor as inference_predictor
from genre_core.inference.predictor import Predictor
from genre_core.models.file import PRETRAINED
from genre_core.util.files import digest, read_csv


@pytest.fixture(scope="module")
def predictor():
    return Predictor("pretrained")


def syllables(rng, seconds, whispered):
    """Speech-like: a pulse train or noise through two formants that change four times a second."""
    n = seconds * RATE
    pulses = np.diff(np.floor(np.cumsum(np.full(n, 130 / RATE))), prepend=0) > 0
    source = (1 - whispered) * 8 * pulses + whispered * rng.normal(0, 1, n)
    y = np.zeros(n)
    for start in range(0, n, RATE // 4):
        part = source[start : start + RATE // 4]
        for hz in (rng.uniform(300, 800), rng.uniform(900, 2300), 2600):
            part = scipy.signal.lfilter([0.03], [1, -1.94 * np.cos(2 * np.pi * hz / RATE), 0.97**2], part)
        y[start : start + RATE // 4] = part * np.hanning(len(part))
    return 0.3 * y / np.abs(y).max()


@pytest.mark.parametrize("seconds", [4, 12])
def test_what_is_no_music_gets_not_sure(predictor, rng, seconds):
    t = np.arange(seconds * RATE) / RATE
    noise = rng.normal(0, 1, len(t))
    sounds = {
        **{f"sine of {hz} Hz at {gain}": gain * np.sin(2 * np.pi * hz * t) for hz in (100, 300, 440, 1000) for gain in (0.5, 0.01)},
        "white noise": 0.1 * noise,
        "modulated noise": 0.1 * noise * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t)),
        "speech": syllables(rng, seconds, 0.0),
        "whisper": syllables(rng, seconds, 1.0),
    }
    assert [name for name, y in sounds.items() if predictor.predict(y.astype(np.float32), RATE).sure] == []
    with pytest.warns(inference_predictor.SilenceWarning):
        assert not predictor.predict(np.zeros(len(t), np.float32), RATE).sure


def test_files_of_three_seconds_to_minutes(predictor, rng):
    y = rng.normal(0, 0.1, 65 * RATE).astype(np.float32)
    said = predictor.predict(y, RATE)
    assert (len(said.timeline), said.window_seconds, said.starts_seconds[-1]) == (61, 5, 60)  # moment by moment
    assert len(predictor.predict(y[: 3 * RATE], RATE).timeline) == 1
    with pytest.raises(inference_predictor.AudioError, match=r"too short: 2\.90 s, the model needs 3 s"):
        predictor.predict(y[: int(2.9 * RATE)], RATE)


def test_the_package_files_are_small_and_open_without_pickle():
    files = list(PRETRAINED.parent.glob("*.safetensors"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) <= 2_000_000
    for file in files:
        assert int.from_bytes(file.read_bytes()[:8], "little") < 100_000  # safetensors: the header's length
    assert "Permission to use, copy, modify" in (PRETRAINED.parent / "NOTICE").read_text()


def test_the_card_the_metrics_and_the_file_agree(predictor):
    metrics = json.loads((ROOT / "pretrained/metrics.json").read_text())
    card = (PRETRAINED.parent / "CARD.md").read_text()
    crossed = metrics["cross_validation"]
    assert f"{crossed['accuracy']:.3f} [{crossed['accuracy_low']:.3f}, {crossed['accuracy_high']:.3f}]" in card
    assert crossed["accuracy"] >= 0.74
    assert crossed["ece"] < 0.08
    assert (metrics["test"] is None) == bool(metrics["test_reason"])
    assert metrics["model"]["bytes"] == PRETRAINED.stat().st_size
    assert predictor.model.temperature == metrics["model"]["temperature"]
    shown = metrics["test"] or crossed
    assert predictor.model.info["score"]["accuracy"] == shown["accuracy"]


def test_the_choice_rests_on_training_tracks_and_no_artist_is_on_both_sides():
    from genre_core.datasets import gtzan

    known = gtzan.table()
    rows = read_csv(ROOT / "pretrained/cross_validation.csv", strip=False)
    assert {known[row["track"]].split for row in rows} == {"train"}
    assert len({row["track"] for row in rows}) == 443
    candidates = read_csv(ROOT / "pretrained/candidates.csv")
    assert [row["chosen"] for row in candidates].count("True") == 1


def test_its_lock_and_metrics_are_of_what_is_committed():
    import hashlib

    lock = yaml.safe_load((ROOT / "pretrained/dvc.lock").read_text())["stages"]
    for stage in lock.values():
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            path = ROOT / entry["path"]
            if path.is_file():
                md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                assert md5 == entry["md5"], f"{path}: run `dvc repro pretrained/dvc.yaml`"
    metrics = json.loads((ROOT / "pretrained/metrics.json").read_text())
    assert metrics["model"]["sha256"] == digest(PRETRAINED)
    assert metrics["card_sha256"] == digest(PRETRAINED.with_name("CARD.md"))
