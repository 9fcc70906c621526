"""A classifier whose answer rests on one band only is seen through; interventions find the same."""

import numpy as np
import pytest
import soundfile
import torch
from helpers.explanation import pulsing

from genre_core import networks
from genre_core.analysis import interventions
from genre_core.analysis.occlusion import explain
from genre_core.audio import effects as audio_effects
from genre_core.features.spectrogram import FeatureSpec
from genre_core.inference.predictor import Predictor
from genre_core.models.model import GenreModel
from genre_core.models.normalisation import Normalisation
from genre_core.reports import figures_prediction

SPEC = FeatureSpec(22050, 2048, 512, 128, 20, 20.0, 11025.0)


class OneBand(networks.GenreNetwork):
    """Says "loud" where the level in some bins changes much over time; hears nothing else."""

    def __init__(self, bins):
        super().__init__()
        self.bins = bins
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, windows):
        change = windows[:, :, self.bins].std(dim=(1, 2))
        return self.scale * torch.stack([change - 5, 5 - change], 1)


class Level(OneBand):
    """Says "loud" where some bins have more than -40 dB."""

    def forward(self, windows):
        level = windows[:, :, self.bins].mean(dim=(1, 2))
        return self.scale * torch.stack([level + 40, -40 - level], 1)


def model_of(bins, network=OneBand):
    normalisation = Normalisation("dataset", torch.zeros(128), torch.ones(128))
    return GenreModel("cnn", {}, network(bins), ["loud", "quiet"], SPEC, 1.0, 0.5, normalisation)


@pytest.mark.parametrize(("bins", "band"), [(slice(64, 80), 4), (slice(0, 16), 0), (slice(112, 128), 7)])
def test_the_one_band_that_counts_is_named(rng, bins, band):
    found = explain(model_of(bins), pulsing(rng), 22050, [0.0, 1.0, 2.0], "loud")
    falls = [fall for _, fall in found.bands]
    assert int(np.argmax(falls)) == band
    assert falls[band] > 0.5
    assert max(abs(f) for i, f in enumerate(falls) if i != band) < 1e-3
    assert found.carried.shape == (8, 3)


def test_a_band_that_counts_by_its_level_is_named_too(rng):
    y = rng.normal(0, 0.1, 4 * 22050).astype(np.float32)
    model = model_of(slice(64, 80), Level)
    model.normalisation = Normalisation("dataset", torch.full((128,), -70.0), torch.ones(128))  # in the data set the band is silent
    model.network.forward = lambda windows: Level.forward(model.network, windows - 70)
    falls = [fall for _, fall in explain(model, y, 22050, [0.0, 1.0], "loud").bands]
    assert int(np.argmax(falls)) == 4
    assert falls[4] > 0.5


def test_the_loudest_band_is_not_blamed_for_what_its_absence_uncovers(rng):
    """A sine far above all else, which only sets how far down the network sees."""
    y = 0.002 * pulsing(rng) + (0.7 * np.sin(2 * np.pi * 60 * np.arange(6 * 22050) / 22050)).astype(np.float32)
    model = model_of(slice(64, 80))
    model.normalisation = Normalisation("dataset", torch.zeros(128), torch.ones(128), range_db=60.0)
    found = explain(model, y, 22050, [0.0, 1.0, 2.0], "quiet")
    assert abs(found.falls[0]) < 1e-3
    loud = explain(model, y + 0.5 * pulsing(rng), 22050, [0.0, 1.0, 2.0], "loud")
    assert int(np.argmax(loud.falls)) == 4
    assert abs(loud.falls[0]) < 1e-3


def test_a_track_as_short_as_a_segment_has_no_interventions(tmp_path, rng, monkeypatch):
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, 22050), 22050)
    monkeypatch.setattr(interventions, "predictor_once", lambda model, model_digest: Predictor(model_of(slice(0, 9))))
    assert interventions.measure(tmp_path / "a.wav", [tmp_path / "a.wav"], ["loud"], ["a"], samples=100, seed=0, workers=1) == []


@pytest.mark.parametrize("rate", [8000, 11025, 20000, 22050, 44100])
def test_an_mp3_at_any_rate_is_the_same_music(rng, rate):
    y = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.float32)
    heard = audio_effects.mp3(y, rate)
    assert len(heard) == pytest.approx(len(y), rel=0.05)
    spectrum = np.abs(np.fft.rfft(heard[rate // 2 : rate // 2 + rate]))
    assert int(spectrum.argmax()) == pytest.approx(440, abs=2)


def test_a_name_with_dollar_signs_is_no_formula(tmp_path, rng):
    found = explain(model_of(slice(64, 80)), pulsing(rng), 22050, [0.0, 1.0, 2.0], "loud")
    figures_prediction.explanation(tmp_path / "a.png", found, segment_seconds=1.0, title="A$^$B R$B_$x^")
    assert (tmp_path / "a.png").exists()


def test_the_moment_that_counts_is_seen(rng):
    y = rng.normal(0, 0.1, 6 * 22050).astype(np.float32)
    y[: 3 * 22050] = pulsing(rng, 3)  # only the first half changes its level
    found = explain(model_of(slice(64, 80)), y, 22050, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "loud")
    assert found.probability[:2].min() > 0.7
    assert found.probability[4:].max() < 0.5
    assert found.carried[4, :2].min() > found.carried[4, 4:].max()


def test_interventions_find_the_model_that_needs_what_they_take_away(tmp_path, rng, monkeypatch):
    files = []
    for i in range(12):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, 6 * 22050), 22050)
        files.append(tmp_path / f"{i}.wav")
    monkeypatch.setattr(interventions, "predictor_once", lambda model, model_digest: Predictor(model_of(slice(122, 128), Level)))
    found = interventions.measure(files[0], files, ["loud"] * 12, list("abcdefghijkl"), samples=200, seed=0, workers=1)
    by_name = {outcome.intervention: outcome for outcome in found}
    assert by_name["none"].accuracy == 1
    assert (by_name["low-pass 8 kHz"].verdict, by_name["low-pass 8 kHz"].change) == ("falls", -1.0)
    assert by_name["gain -12 dB"].verdict == "holds"
    assert by_name["high-pass 20 Hz"].change == 0


def test_filters_take_away_what_they_name(rng):
    t = np.arange(3 * 22050) / 22050
    low, middle, high = (np.sin(2 * np.pi * hz * t).astype(np.float32) for hz in (8, 1000, 10000))
    for kind, hz, gone, kept in (("highpass", 20.0, low, middle), ("lowpass", 8000.0, high, middle)):
        for y, level in ((gone, 0.1), (kept, 1.0)):
            heard = audio_effects.filter_waveform(y, 22050, hz=hz, kind=kind)[22050:-22050]
            assert np.std(heard) / np.std(y) == pytest.approx(level, abs=0.1)
    assert audio_effects.filter_waveform(high, 22050, hz=12000.0, kind="lowpass") is high


def test_the_picture_is_drawn(tmp_path, rng):
    found = explain(model_of(slice(64, 80)), pulsing(rng), 22050, [0.0, 1.0, 2.0], "loud")
    figures_prediction.explanation(tmp_path / "a.png", found, segment_seconds=1.0, title="a")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
