"""Tolerances: 0.1 dB where a band is above -80 dB re the spectrogram's peak (both compute in float32, whose rounding a
logarithm magnifies in empty bands), 1e-3 dB at the median; for MFCC, sums of 128 such bands, 0.1."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from helpers.closure import ROOT
from helpers.project import SPEC

from genre_core.features.spectrogram import FLOOR_POWER, FeatureSpec, dct_basis, mel_and_mfcc, mel_band_hz, mel_filters

GRID = [
    SPEC,
    replace(SPEC, n_mels=64, n_mfcc=13, fmin_hz=30.0, fmax_hz=8000.0),
    FeatureSpec(sample_rate=16000, n_fft=512, hop_length=256, n_mels=40, n_mfcc=40, fmin_hz=20.0, fmax_hz=8000.0),
    FeatureSpec(sample_rate=44100, n_fft=4096, hop_length=1000, n_mels=96, n_mfcc=20, fmin_hz=50.0, fmax_hz=20000.0),
]


def signal(name: str, sample_rate: int) -> np.ndarray:
    t = np.arange(2 * sample_rate + 77) / sample_rate
    if name == "tone":
        return (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    if name == "sweep":
        return librosa.chirp(fmin=50, fmax=0.45 * sample_rate, sr=sample_rate, duration=2).astype(np.float32)
    return np.random.default_rng(0).normal(0, 0.1, len(t)).astype(np.float32)


@pytest.mark.parametrize("spec", GRID, ids=lambda s: f"{s.sample_rate}-{s.n_fft}-{s.hop_length}-{s.n_mels}")
@pytest.mark.parametrize("name", ["tone", "sweep", "noise"])
def test_equal_to_librosa(name, spec):
    y = signal(name, spec.sample_rate)
    mel, mfcc = mel_and_mfcc(y, spec)
    power = librosa.feature.melspectrogram(
        y=y, sr=spec.sample_rate, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels, fmin=spec.fmin_hz, fmax=spec.fmax_hz
    )
    expected = librosa.power_to_db(power, ref=1.0, amin=FLOOR_POWER, top_db=None).T
    assert mel.shape == expected.shape == (1 + len(y) // spec.hop_length, spec.n_mels)
    assert mel.dtype == mfcc.dtype == np.float32
    difference = np.abs(mel - expected)
    assert difference[expected > expected.max() - 80].max() < 0.1
    assert np.median(difference) < 1e-3
    assert np.abs(mfcc - scipy.fft.dct(mel, type=2, norm="ortho", axis=1)[:, : spec.n_mfcc]).max() < 2e-3  # an independent DCT
    # Empty bands are rounding noise in both: compare as librosa does by default, no lower than 80 dB below the peak.
    ours, theirs = (librosa.feature.mfcc(S=np.maximum(x, x.max() - 80).T, n_mfcc=spec.n_mfcc) for x in (mel, expected))
    assert np.abs(ours - theirs).max() < 0.1
    if name == "noise":
        assert np.abs(mfcc.T - librosa.feature.mfcc(S=expected.T, n_mfcc=spec.n_mfcc)).max() < 0.01


@pytest.mark.parametrize("spec", GRID)
def test_filters_equal_librosa(spec):
    expected = librosa.filters.mel(sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.fmin_hz, fmax=spec.fmax_hz)
    np.testing.assert_allclose(mel_filters(spec).numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("hz", [100, 440, 1000, 5000])
def test_a_tone_is_hot_in_its_own_band(hz):
    y = (0.5 * np.sin(2 * np.pi * hz * np.arange(22050) / 22050)).astype(np.float32)
    mel, _ = mel_and_mfcc(y, SPEC)
    hottest = int(mel[10:-10].mean(0).argmax())
    edges = mel_band_hz(SPEC)
    assert abs(edges[hottest] - hz) <= np.diff(edges)[min(hottest, 126)] + 22050 / 2048


def test_level_is_in_decibels(rng):
    y = rng.normal(0, 0.1, 22050).astype(np.float32)
    loud, quiet = mel_and_mfcc(y, SPEC)[0], mel_and_mfcc(y / 10, SPEC)[0]
    np.testing.assert_allclose(loud - quiet, 20, atol=1e-2)


def test_silence_is_the_floor_and_one_sample_is_one_frame():
    mel, mfcc = mel_and_mfcc(np.zeros(22050, np.float32), SPEC)
    np.testing.assert_allclose(mel, -100)
    np.testing.assert_allclose(mfcc[:, 1:], 0, atol=1e-3)
    assert mel_and_mfcc(np.ones(1, np.float32), SPEC)[0].shape == (1, 128)


def test_dct_of_a_known_signal():
    cosine = np.cos(np.pi * 3 * (2 * np.arange(128) + 1) / 256)  # the third basis function itself
    coefficients = cosine @ dct_basis(128, 20)
    expected = np.zeros(20)
    expected[3] = np.sqrt(128 / 2)
    np.testing.assert_allclose(coefficients, expected, atol=1e-4)


def test_a_block_border_leaves_no_trace(monkeypatch, rng):
    y = rng.normal(0, 0.1, 5 * 22050).astype(np.float32)
    expected = mel_and_mfcc(y, SPEC)[0]
    monkeypatch.setattr("genre_core.features.spectrogram._BLOCK_FRAMES", 7)
    np.testing.assert_allclose(mel_and_mfcc(y, SPEC)[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("seconds", "frames"), [(3, 130), (30, 1292), (0.5, 22), (10, 431)]
)  # 1 + floor(s * 22050 / 512), as the field counts them
def test_frames_of_a_segment(seconds, frames):
    assert SPEC.frames(seconds) == frames
    y = np.zeros(round(seconds * 22050), np.float32)
    assert len(mel_and_mfcc(y, SPEC)[0]) == frames


def test_exact_multiples_do_not_fall_a_frame_short():
    spec = replace(SPEC, hop_length=441)
    for k in range(1, 400):
        assert spec.first_frame(k * 0.02) == k


def test_golden():
    """Made by golden/make.py; guards against a change that moves us and librosa alike."""
    golden = np.load(ROOT / "tests/golden" / "features.npz")
    torch.set_num_threads(1)
    mel, mfcc = mel_and_mfcc(golden["y"].astype(np.float32) / 32768, SPEC)
    np.testing.assert_allclose(mel, golden["mel"].astype(np.float32), atol=0.05)  # stored as float16
    np.testing.assert_allclose(mfcc, golden["mfcc"], atol=0.01)
