import numpy as np
import pytest
import soundfile
from helpers.audio import encode

from genre_core.audio.io import decode
from genre_core.audio.level import peak
from genre_core.errors import AudioError


def peak_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio.y * np.hanning(len(audio.y))))
    return np.argmax(spectrum) * audio.sample_rate / len(audio.y)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
@pytest.mark.parametrize(("sample_rate", "channels"), [(22050, 1), (44100, 2)])
def test_common_formats(write_tone, suffix, sample_rate, channels):
    audio = decode(write_tone(f"tone.{suffix}", hz=1000, seconds=2, sample_rate=sample_rate, channels=channels), sample_rate=22050)
    assert audio.y.dtype == np.float32
    assert audio.sample_rate == 22050
    assert (audio.source.sample_rate, audio.source.channels) == (sample_rate, channels)
    assert audio.seconds == pytest.approx(2, abs=0.1)  # mp3 adds a part of a frame
    assert peak_hz(audio) == pytest.approx(1000, abs=1)
    assert np.max(np.abs(audio.y)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "sample_rate"), [("tone.m4a", "aac", 44100), ("tone.webm", "libopus", 48000), ("tone.mka", "ac3", 44100)]
)
def test_formats_of_video_sites_need_no_ffmpeg_program(tmp_path, monkeypatch, name, codec, sample_rate):
    monkeypatch.setenv("PATH", "")
    y = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * sample_rate) / sample_rate)
    encode(tmp_path / name, np.stack([y, y]), sample_rate, codec, layout="stereo")
    audio = decode(tmp_path / name, sample_rate=22050)
    assert (audio.source.sample_rate, audio.source.channels) == (sample_rate, 2)
    assert peak_hz(audio) == pytest.approx(1000, abs=2)
    assert np.max(np.abs(audio.y[1000:-1000])) == pytest.approx(0.5, abs=0.06)


def test_mono_is_the_mean_of_the_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([[0.5, -0.25]] * 100), 8000)
    np.testing.assert_allclose(decode(tmp_path / "a.wav").y, 0.125, atol=1e-4)


def test_a_part(write_tone):
    path = write_tone("tone.wav", seconds=4)
    whole, part = decode(path), decode(path, start_seconds=1, seconds=2)
    np.testing.assert_array_equal(part.y, whole.y[22050 : 3 * 22050])
    assert decode(path, start_seconds=3, seconds=30).seconds == 1
    with pytest.raises(AudioError, match="no audio after 5 s"):
        decode(path, start_seconds=5, seconds=1)


def test_too_long_is_refused_before_it_is_read(write_tone):
    path = write_tone("tone.wav", seconds=4)
    with pytest.raises(AudioError, match=r"longer than 0\.05 minutes"):
        decode(path, max_seconds=3)
    assert decode(path, max_seconds=3, start_seconds=0, seconds=1).seconds == 1
    assert decode(path, max_seconds=4).seconds == 4
    with pytest.raises(AudioError, match="4 s are requested, at most 3 s are read"):
        decode(path, max_seconds=3, seconds=4)


def test_wrong_files_are_named_with_a_reason(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("this is no audio at all\n" * 100)
    (tmp_path / "page.m4a").write_text("<!doctype html><title>404</title>")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 22050)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan] * 50), 22050, subtype="FLOAT")
    for name, reason in [
        ("missing.wav", "No such file"),
        ("empty.wav", "empty file"),
        ("text.mp3", "not audio"),
        ("page.m4a", "not audio"),
        ("nothing.wav", "contains no audio"),
        ("nan.wav", "not numbers"),
    ]:
        with pytest.raises(AudioError, match=reason) as caught:
            decode(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(AudioError, match="is a folder"):
        decode(tmp_path)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_libsndfile_s(tmp_path, rng, subtype, channels):
    soundfile.write(tmp_path / "a.wav", np.clip(rng.normal(0, 0.5, (3000, channels)), -1, 1), 8000, subtype=subtype)
    expected = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_array_equal(decode(tmp_path / "a.wav").y, expected)


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [1.0, np.nan], [np.inf, 0.0], [-np.inf, 0.0], [np.inf, -np.inf]])
def test_a_peak_that_is_no_number_stays_none(bad):
    assert not np.isfinite(peak(np.array(bad, np.float32)))
    assert peak(np.array([0.2, -0.7], np.float32)) == pytest.approx(0.7)


def test_a_playlist_opens_nothing(tmp_path, write_tone, monkeypatch):
    secret = write_tone("secret.wav")
    playlist = tmp_path / "list.m4a"
    monkeypatch.chdir(tmp_path)
    playlist.write_text(f"ffconcat version 1.0\nfile {secret.name}\n")  # FFmpeg itself refuses an absolute name
    with pytest.raises(AudioError):
        decode(playlist)


def test_a_truncated_file_gives_what_is_there(write_tone):
    path = write_tone("tone.wav", seconds=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert decode(path).seconds == pytest.approx(2, abs=0.01)
