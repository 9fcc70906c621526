"""Files as people's disks hold them: read whole, whatever their name and header say; damage costs its packet, and is said."""

import time

import numpy as np
import pytest
import soundfile
from helpers import audio as helpers_audio
from helpers.odd import BARE, RATE, at, damaged, encode, joined
from helpers.serving import music
from scipy import signal

from genre_core.audio.io import decode
from genre_core.corpus import audit as auditing
from genre_core.corpus.catalogue import Track
from genre_core.errors import AudioError

SECONDS = 12.0


@pytest.fixture(scope="module")
def y():
    song = music(SECONDS, RATE, seed=1)
    return song * np.float32(0.8 / np.abs(song).max())


def vbr(path, y):
    return encode(path, y, RATE, "libmp3lame", "mp3", piped=True, codec_options={"flags": "+qscale", "global_quality": "236"})


def half(y, rate, codec, muxer, second=False, **options):
    n = len(y) // 2
    return {"y": at(y[n:] if second else y[:n], rate), "rate": rate, "codec": codec, "muxer": muxer, **options}


def zero_size(path, y):
    soundfile.write(path, y, RATE)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data)
    return path


def misnamed(path, y):
    encode(path.with_suffix(".m4a"), y, RATE, "aac", "mp4").rename(path)
    return path


def integers(path, y):
    soundfile.write(path, y * 32768, RATE, subtype="FLOAT")
    return path


ODD = {
    "streamed.mp3": vbr,
    "rates.mp3": lambda p, y: joined(
        p, half(y, 44100, "libmp3lame", "mp3", options=BARE), half(y, 48000, "libmp3lame", "mp3", True, options=BARE)
    ),
    "channels.mp3": lambda p, y: joined(
        p, half(y, RATE, "libmp3lame", "mp3", options=BARE), half(y, RATE, "libmp3lame", "mp3", True, options=BARE, layout="mono")
    ),
    "joined.mp3": lambda p, y: joined(p, half(y, RATE, "libmp3lame", "mp3"), half(y, RATE, "libmp3lame", "mp3", True)),
    "chained.ogg": lambda p, y: joined(p, half(y, 44100, "vorbis", ""), half(y, 48000, "vorbis", "", True, layout="mono")),
    "chained.opus": lambda p, y: joined(p, half(y, 48000, "libopus", "ogg", layout="mono"), half(y, 48000, "libopus", "ogg", True)),
    "joined.aac": lambda p, y: joined(p, half(y, 44100, "aac", "adts"), half(y, 48000, "aac", "adts", True)),
    "streamed.flac": lambda p, y: encode(p, y, RATE, "flac", "flac", piped=True),
    "joined.flac": lambda p, y: joined(p, half(y, 44100, "flac", "flac"), half(y, 48000, "flac", "flac", True)),
    "aac.mp3": misnamed,
    "died.wav": zero_size,
    "integers.wav": integers,
}


def likeness(y, wanted):
    """Correlate the core of `y` with `wanted`, at the best shift."""
    core = y[200:-200]
    shift = int(np.argmax(signal.correlate(wanted, core, mode="valid")))
    return float(np.corrcoef(core, wanted[shift : shift + len(core)])[0, 1])


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_whole(tmp_path, y, name):
    audio = decode(ODD[name](tmp_path / name, y), sample_rate=2000)  # at a low rate, the comparison of each shift is fast
    assert audio.seconds == pytest.approx(SECONDS, abs=0.12)
    assert audio.source.damage == ""
    wanted = at(y, 2000)
    n = len(wanted) // 2
    for part, original in ((audio.y[: n - 300], wanted[:n]), (audio.y[300 - n :], wanted[-n:])):  # both halves, of a joined file
        assert likeness(part, original) > 0.9
    assert np.abs(audio.y).max() < 1.2


HOLES = {
    "hole.mp3": ("libmp3lame", "mp3", 1000, 0.1),
    "zeros.mp3": ("libmp3lame", "mp3", 30_000, 2.0),
    "hole.flac": ("flac", "flac", 3000, 0.25),
    "zeros.flac": ("flac", "flac", 50_000, 2.2),
    "hole.ogg": ("vorbis", "", 3000, 2.2),
    "hole.opus": ("libopus", "ogg", 3000, 2.2),
    "hole.m4a": ("aac", "mp4", 3000, 0.4),
}


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("name", HOLES)
def test_damage_costs_its_packet_and_is_said(tmp_path, y, rng, capfd, name, noise):
    codec, muxer, size, most_seconds = HOLES[name]
    rate = 48_000 if codec == "libopus" else RATE
    whole = encode(tmp_path / name, at(y, rate), rate, codec, muxer)
    expected = decode(whole).seconds
    audio = decode(damaged(whole, size=size, rng=rng if noise else None))
    source = audio.source
    assert expected - most_seconds - 0.3 < audio.seconds <= expected + 0.03
    assert audio.seconds + source.lost_seconds == pytest.approx(expected, abs=0.25)
    assert source.damaged_at[0] == pytest.approx(0.4 * SECONDS, abs=1.2)
    assert "could not be decoded" in source.damage
    start = round(source.damaged_at[0] * audio.sample_rate) - audio.sample_rate
    assert np.abs(audio.y[start:]).max() < 4  # no damaged frame became loud noise
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.wv", "wavpack")])
def test_eight_channels(tmp_path, name, codec):
    """PyAV's own conversion of eight planes reads behind the end of a list, which ended the process."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * 48_000) / 48_000)
    helpers_audio.encode(tmp_path / name, np.stack([tone] * 8), 48_000, codec, layout="7.1")
    audio = decode(tmp_path / name)
    assert (audio.source.channels, audio.sample_rate) == (8, 48_000)
    assert audio.seconds == pytest.approx(2, abs=0.2)
    assert np.argmax(np.abs(np.fft.rfft(audio.y[:48_000]))) == pytest.approx(440, abs=2)


def test_integers_of_64_bits(tmp_path, y):
    encode(tmp_path / "a.wav", y, RATE, "pcm_s64le", "wav")
    np.testing.assert_allclose(decode(tmp_path / "a.wav").y, y, atol=1e-6)


def id3(size):
    return b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])


@pytest.mark.parametrize("start", [id3(300) + bytes(300), id3(9000) + bytes(9000) + bytes(20_000)])
def test_tags_and_padding_before_an_mp3(tmp_path, y, start):
    path = encode(tmp_path / "a.mp3", y, RATE, "libmp3lame", "mp3")
    expected = decode(path)
    path.write_bytes(start + path.read_bytes())
    audio = decode(path)
    assert (len(audio.y), audio.source.stated_seconds) == (len(expected.y), expected.source.stated_seconds)
    assert audio.damage == ""


def test_a_cover_between_joined_mp3_is_no_loss(tmp_path, y, rng):
    path = encode(tmp_path / "a.mp3", y, RATE, "libmp3lame", "mp3", options=BARE)
    song = path.read_bytes()
    path.write_bytes(song + id3(200_000) + rng.bytes(200_000) + song)
    audio = decode(path)
    assert audio.seconds == pytest.approx(2 * SECONDS, abs=0.15)
    assert audio.damage == ""


def test_damage_in_each_joined_part_is_counted_over_the_whole_file(tmp_path, y):
    part = damaged(encode(tmp_path / "a.opus", at(y, 48_000), 48_000, "libopus", "ogg"), size=3000).read_bytes()
    (tmp_path / "a.opus").write_bytes(part * 15)
    audio = decode(tmp_path / "a.opus")
    assert audio.seconds + audio.source.lost_seconds == pytest.approx(15 * SECONDS, abs=3)
    assert audio.source.damaged_at[1] == pytest.approx(audio.source.damaged_at[0] + SECONDS, abs=1.5)


@pytest.mark.parametrize("name", ["a.ogg", "a.aac"])
def test_what_follows_a_large_hole_is_read(tmp_path, y, name):
    codec, muxer = {"a.ogg": ("libopus", "ogg"), "a.aac": ("aac", "adts")}[name]
    path = encode(tmp_path / name, at(y, 48_000), 48_000, codec, muxer)
    audio = decode(damaged(path, size=path.stat().st_size * 4 // 10, share=0.3))
    assert audio.seconds + audio.source.lost_seconds == pytest.approx(SECONDS, abs=1.5)
    assert audio.source.lost_seconds == pytest.approx(0.4 * SECONDS, abs=1.5)


def test_a_file_full_of_headers_costs_little_time(tmp_path, y):
    """Each header was the start of a search through the rest of the file."""
    song = encode(tmp_path / "a.mp3", y, RATE, "libmp3lame", "mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(song + b"Info\0\0\0" * 400_000)
    began = time.monotonic()
    assert decode(tmp_path / "a.mp3").seconds == pytest.approx(SECONDS, abs=0.1)
    assert time.monotonic() - began < 10


def test_a_deadline_is_said_whatever_it_interrupts(tmp_path, y):
    path = encode(tmp_path / "a.mp3", y, RATE, "libmp3lame", "mp3")
    with pytest.raises(AudioError, match=r"a\.mp3: decoding took longer than 0 s"):
        decode(path, deadline_s=0)


def test_a_short_mp3_is_not_called_truncated(tmp_path, y):
    audio = decode(encode(tmp_path / "a.mp3", y[:RATE], RATE, "libmp3lame", "mp3"))
    assert audio.source.stated_seconds > audio.seconds
    assert audio.damage == ""


def test_half_a_flac_is_used(tmp_path, y):
    soundfile.write(tmp_path / "a.flac", y, RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    audio = decode(tmp_path / "a.flac")
    np.testing.assert_allclose(audio.y[: 4 * RATE], y[: 4 * RATE], atol=1e-4)
    assert 0.3 * SECONDS < audio.seconds < 0.7 * SECONDS
    assert audio.damage == f"truncated: {audio.seconds:.1f} s, its header states 12.0 s"


def test_mostly_damaged_is_refused(tmp_path, rng):
    path = encode(tmp_path / "a.mp3", music(60, RATE), RATE, "libmp3lame", "mp3")
    data = path.read_bytes()
    with pytest.raises(AudioError, match=r"a\.mp3: broken audio data: most of it cannot be decoded; replace or remove it"):
        path.write_bytes(data[:30_000] + bytes(len(data) - 60_000) + data[-30_000:])
        decode(path)


def test_the_limit_is_minutes_at_any_rate(tmp_path):
    """46 minutes at 192 kHz were called longer than 180 minutes; they are kept at 48 kHz, so that the memory stays bounded."""
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 192_000, 1, format="FLAC") as file:
        for _ in range(46):
            file.write(np.zeros(192_000 * 60, np.int16))
    audio = decode(tmp_path / "a.flac", sample_rate=8000)
    assert audio.seconds == pytest.approx(46 * 60)
    with pytest.raises(AudioError, match="longer than 45 minutes"):
        decode(tmp_path / "a.flac", max_seconds=45 * 60)
    high = decode(tmp_path / "a.flac", seconds=1)
    assert (high.sample_rate, high.source.sample_rate, len(high.y)) == (48_000, 192_000, 48_000)


def test_samples_beyond_any_scale_are_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, 1e20] * 4000), 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: contains samples of 1e\+20 times full scale; export it again"):
        decode(tmp_path / "a.wav")


def test_audit_says_what_such_files_are(tmp_path, y):
    """Each file has its problem, and a streamed file has none."""
    for name in ("streamed.mp3", "streamed.flac", "rates.mp3", "joined.mp3", "aac.mp3", "died.wav", "integers.wav"):
        ODD[name](tmp_path / name, y)
    soundfile.write(tmp_path / "shifted.wav", 0.5 * y + 0.1, RATE)
    damaged(encode(tmp_path / "hole.flac", y, RATE, "flac", "flac"), size=3000)
    soundfile.write(tmp_path / "half.flac", y, RATE)
    data = (tmp_path / "half.flac").read_bytes()
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    names = sorted(path.name for path in tmp_path.iterdir())
    rows = auditing.audit(tmp_path, [Track(name, name, "x") for name in names], workers=1).tracks
    problems = {row.file: row.problems for row in rows}
    wanted = {
        "aac.mp3": "wrong suffix: the content is m4a, the name ends in .mp3",
        "died.wav": "longer than its header: 12.0 s, it states 0.0 s",
        "half.flac": "truncated: ",
        "hole.flac": "damaged at 4.",
        "integers.wav": "float samples of integer scale: full scale is 32768, not 1",
        "joined.mp3": "longer than its header: 12.0 s, it states 6.0 s",
        "rates.mp3": "",
        "shifted.wav": "constant offset: +0.100 of full scale",
        "streamed.flac": "",
        "streamed.mp3": "",
    }
    assert set(problems) == set(wanted)
    for name, problem in wanted.items():
        assert problems[name].startswith(problem), name
        assert (problems[name] == "") == (problem == ""), problems[name]
