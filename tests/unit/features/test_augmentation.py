import librosa
import numpy as np
import pytest
import torch
from helpers.project import SPEC

from genre_core.audio import effects as audio_effects
from genre_core.audio.effects import transform
from genre_core.features.spectrogram import mel_and_mfcc
from genre_core.features.versions import plan
from genre_core.training.augment import mask, mixup


def test_the_plan_depends_on_seed_track_and_number_alone(params):
    copies = params.augment.copies.model_copy(update={"pitch": 3, "tempo": 2})
    planned = plan("blues.1", copies, seed=1)
    assert [c.copy for c in planned] == ["blues.1#pitch0", "blues.1#pitch1", "blues.1#pitch2", "blues.1#tempo0", "blues.1#tempo1"]
    assert plan("blues.1", copies, seed=1) == planned
    assert plan("blues.1", copies.model_copy(update={"pitch": 1}), seed=1)[0] == planned[0]
    assert {c.pitch_semitones for c in plan("blues.2", copies, seed=1)} != {c.pitch_semitones for c in planned}
    assert plan("blues.1", copies, seed=2) != planned
    for c in planned:
        assert copies.pitch_semitones.min <= c.pitch_semitones <= copies.pitch_semitones.max
        assert copies.tempo_rate.min <= c.tempo_rate <= copies.tempo_rate.max


def test_amounts_fill_their_range(params):
    shifts = [plan(f"t{i}", params.augment.copies, 0)[0].pitch_semitones for i in range(300)]
    assert min(shifts) < -1.8
    assert max(shifts) > 1.8
    assert abs(np.mean(shifts)) < 0.3


@pytest.mark.parametrize("semitones", [-2.0, 1.5])
def test_a_pitch_copy_of_a_tone_is_the_shifted_tone(semitones):
    y = (0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 22050) / 22050)).astype(np.float32)
    shifted = transform(y, 22050, pitch_semitones=semitones)
    assert shifted.shape == y.shape
    assert shifted.dtype == np.float32
    peak_hz = np.abs(np.fft.rfft(shifted * np.hanning(len(y)))).argmax() / 3
    assert peak_hz == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)


def test_a_tempo_copy_is_shorter_and_keeps_its_pitch():
    y = (0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 22050) / 22050)).astype(np.float32)
    fast = transform(y, 22050, tempo_rate=1.25)
    assert len(fast) == pytest.approx(len(y) / 1.25, rel=0.01)
    peak_hz = np.abs(np.fft.rfft(fast * np.hanning(len(fast)))).argmax() * 22050 / len(fast)
    assert peak_hz == pytest.approx(440, rel=0.005)


def test_tempo_of_clicks_changes_by_the_rate():
    y = librosa.clicks(times=np.arange(0, 8, 0.5), sr=22050, length=8 * 22050).astype(np.float32)
    copy = transform(y, 22050, tempo_rate=1.2)
    before, after = (float(librosa.feature.tempo(y=x, sr=22050, start_bpm=130)[0]) for x in (y, copy))
    assert after / before == pytest.approx(1.2, rel=0.05)


def batches(params, **changes):
    return params.augment.batches.model_copy(update=changes)


def test_masks_are_whole_bands_and_spans_within_their_widths(params):
    settings = batches(params, frequency_masks=1, frequency_mask_share=0.2, time_masks=1, time_mask_share=0.1)
    x = torch.ones(200, 50, 40)
    masked = mask(x, torch.Generator().manual_seed(0), batches=settings)
    assert x.min() == 1  # the input is not changed
    gone_frames = (masked == 0).all(2).sum(1)
    gone_bins = (masked == 0).all(1).sum(1)
    assert gone_frames.max() == 5
    assert gone_bins.max() == 8
    assert gone_frames.min() == gone_bins.min() == 0
    # the rest is untouched
    assert ((masked == 0).sum((1, 2)) == gone_frames * 40 + gone_bins * 50 - gone_frames * gone_bins).all()
    spans = (masked == 0).all(1)
    assert (spans.int().diff(dim=1) == 1).sum(1).max() <= 1  # contiguous


def test_masks_are_drawn_anew_and_off_when_off(params):
    generator = torch.Generator().manual_seed(0)
    x = torch.ones(8, 50, 40)
    assert not torch.equal(mask(x, generator, batches=params.augment.batches), mask(x, generator, batches=params.augment.batches))
    assert torch.equal(mask(x, generator, batches=batches(params, frequency_masks=0, time_masks=0)), x)


def test_mixup_mixes_windows_and_targets_alike():
    x = torch.eye(16)[:, None, :].repeat(1, 3, 1)  # window i is one-hot i
    targets = torch.eye(16)
    mixed, soft = mixup(x, targets, 0.4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed[:, 0], soft)
    torch.testing.assert_close(soft.sum(1), torch.ones(16))
    assert (soft.max(1).values < 0.999).any()
    same, unchanged = mixup(x, targets, 0.0, torch.Generator())
    assert same is x
    assert unchanged is targets


def test_a_pitch_copy_moves_the_spectrogram_s_ridge():
    y = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)).astype(np.float32)
    up = audio_effects.transform(y, 22050, pitch_semitones=2)
    ridge = [int(mel_and_mfcc(x, SPEC)[0][5:-5].mean(0).argmax()) for x in (y, up)]
    assert ridge[1] > ridge[0]
