"""Files as people's disks hold them: read whole, whatever their name and header say; damage costs its packet, and is said."""

import numpy as np
import pytest
import soundfile
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


def test_half_a_flac_is_used(tmp_path, y):
    soundfile.write(tmp_path / "a.flac", y, RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    audio = decode(tmp_path / "a.flac")
    np.testing.assert_allclose(audio.y[: 4 * RATE], y[: 4 * RATE], atol=1e-4)
    assert 0.3 * SECONDS < audio.seconds < 0.7 * SECONDS
    assert audio.source.damage == ""


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
