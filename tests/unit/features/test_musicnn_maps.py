"""The fast convolution of musicnn against the plain one."""

import numpy as np
import pytest
import torch

from genre_core.features import musicnn
from genre_core.features.band_maximum import BandMaximum


@pytest.fixture(scope="module")
def mel_db():
    rng = np.random.default_rng(3)
    t = np.arange(16000 * 8) / 16000
    y = 0.2 * np.sin(2 * np.pi * (200 + 100 * np.sin(t)) * t) * (np.sin(9 * t) > 0) + rng.normal(0, 0.02, len(t))
    return musicnn.decibel(y.astype("f4"))


@torch.inference_mode()
def test_maps_are_those_of_the_plain_convolution(mel_db):
    mel, convolver = musicnn.log_mel(mel_db), musicnn.convolver()
    plain = musicnn.load().convolve(mel[None])[0]
    torch.testing.assert_close(convolver.maps(mel, convolver.highest_input(mel)), plain, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_int8_changes_the_tags_little(mel_db):
    exact, fast = musicnn.embed_decibel(mel_db), musicnn.embed_decibel(mel_db, int8=True)
    assert exact.shape == fast.shape
    assert 0 < np.abs(exact - fast)[:, musicnn.TAGS].max() < 0.05
    assert np.corrcoef(exact[:, musicnn.POOLS].ravel(), fast[:, musicnn.POOLS].ravel())[0, 1] > 0.999


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("shape", [(5, 7, 38), (3, 128, 1), (9, 4, 96)])
@torch.inference_mode()
def test_band_maximum_of_any_filters(shape, int8, monkeypatch):
    monkeypatch.setattr("genre_core.features.band_maximum._BLOCK_VALUES", 60_000)  # several blocks
    torch.manual_seed(0)
    channels, frames, _bands = shape
    weight, x = torch.randn(shape), torch.randn(50, 96)
    bias, scale, offset = torch.randn(channels), torch.randn(channels), torch.randn(channels)
    assert (scale < 0).any()
    padded = torch.nn.functional.pad(x, (0, 0, (frames - 1) // 2, frames // 2))
    filtered = torch.nn.functional.conv2d(padded[None, None], weight[:, None], bias)[0].relu()  # (channels, 50, positions)
    expected = (filtered * scale[:, None, None] + offset[:, None, None]).amax(2).T
    computed = BandMaximum(weight, bias, scale, offset, int8=int8)(x, float(x.abs().max()))
    error = (computed - expected).abs()
    assert error.max() < (1.5 if int8 else 1e-3)
    assert error.mean() < (0.02 if int8 else 1e-5) * expected.std()


@torch.inference_mode()
def test_int8_of_silence_is_finite():
    assert np.isfinite(musicnn.embed_decibel(np.full((187, 96), -100, "f4"), int8=True)).all()
