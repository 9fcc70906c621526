"""Planted faults are found, and nothing else."""

import numpy as np
import pytest
import soundfile
import soxr
from helpers.audit import RATE
from scipy import signal

from genre_core.audio import effects as audio_effects
from genre_core.audio import fingerprint
from genre_core.audio.io import resample, write
from genre_core.corpus import audit as auditing
from genre_core.corpus import index
from genre_core.corpus import segment as corpus_segment
from genre_core.corpus.catalogue import Track, read_catalogue, write_catalogue
from genre_core.reports import audit as reports_audit
from genre_core.util.files import read_csv


def equalised(y):
    for hz, db, q in ((200, 8, 0.7), (1000, -8, 0.8), (3000, 6, 0.7)):
        a, w = 10 ** (db / 40), 2 * np.pi * hz / RATE
        alpha = np.sin(w) / (2 * q)
        y = signal.lfilter([1 + alpha * a, -2 * np.cos(w), 1 - alpha * a], [1 + alpha / a, -2 * np.cos(w), 1 - alpha / a], y)
    return (0.8 * y / np.abs(y).max()).astype(np.float32)


PLANTED = {
    "offset": lambda y: (y[3 * RATE :], RATE),
    "mp3 64 kb/s": lambda y: (audio_effects.mp3(y, RATE), RATE),
    "6 dB softer": lambda y: (y / 2, RATE),
    "6 dB louder, clipped": lambda y: (np.clip(2 * y, -1, 1), RATE),
    "equalised": lambda y: (equalised(y), RATE),
    "resampled to 16 kHz": lambda y: (soxr.resample(y, RATE, 16000), 16000),
    "resampled to 44.1 kHz": lambda y: (soxr.resample(y, RATE, 44100), 44100),
    "offset, equalised, mp3": lambda y: (audio_effects.mp3(equalised(y[2 * RATE :]), RATE), RATE),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_copies_are_found_and_nothing_else(music, name):
    originals = [fingerprint.fingerprint(y, RATE) for y in music.values()]
    copies = [fingerprint.fingerprint(*PLANTED[name](y)) for y in music.values()]
    pairs = fingerprint.find_pairs([*originals, *copies])
    found = {p.a for p in pairs if p.b == p.a + len(originals)}
    assert len(found) >= 0.95 * len(originals)
    assert len(pairs) == len(found)
    if "offset" in name:
        seconds = 3 if name == "offset" else 2
        assert np.median([p.offset_seconds for p in pairs]) == pytest.approx(seconds, abs=0.1)


def test_codes_looked_up_in_parts_make_the_same_pairs(music, monkeypatch):
    originals = [fingerprint.fingerprint(y, RATE) for y in music.values()]
    prints = [*originals, *(fingerprint.fingerprint(*PLANTED["offset"](y)) for y in music.values())]
    at_once = fingerprint.find_pairs(prints)
    monkeypatch.setattr(fingerprint, "_PART_FRAMES", len(prints[0].codes))
    assert fingerprint.find_pairs(prints) == at_once != []


@pytest.mark.parametrize("rate", [16_000, RATE, 32_000, 44_100])
def test_the_mp3_has_the_rate_that_its_name_says(music, rate):
    y = resample(next(iter(music.values())), RATE, rate)
    size = audio_effects.encode_mp3(y, rate).getbuffer().nbytes
    assert 8 * size / (len(y) / rate) == pytest.approx(64_000, rel=0.02)


def test_strangers_and_silence_make_no_pair(rng):
    noise = [fingerprint.fingerprint(rng.normal(0, 0.1, 10 * RATE).astype(np.float32), RATE) for _ in range(20)]
    silence = [fingerprint.fingerprint(np.zeros(10 * RATE, np.float32), RATE)] * 3
    assert fingerprint.find_pairs([*noise, *silence]) == []
    assert fingerprint.find_pairs([]) == []
    assert len(fingerprint.fingerprint(np.zeros(10, np.float32), RATE).codes) == 0


def test_headers_written_before_the_length_was_known_promise_nothing(tmp_path, write_tone):
    data = bytearray(write_tone("a.wav", seconds=3).read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    row = auditing.audit(tmp_path, [Track("a", "a.wav", "tone")], workers=1).tracks[0]
    assert "truncated" not in row.problems


def test_one_clipped_channel_is_found_and_a_loud_tone_is_not(tmp_path, rng):
    left, right = np.clip(rng.normal(0, 0.6, (2, 4 * RATE)), [[-0.7], [-9]], [[0.7], [9]])
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0.1 * right], 1), RATE)
    soundfile.write(tmp_path / "b.wav", 0.5 * np.sin(2 * np.pi * 100 * np.arange(4 * RATE) / RATE), RATE)
    rows = auditing.audit(tmp_path, [Track("a", "a.wav", "x"), Track("b", "b.wav", "x")], workers=1).tracks
    assert ["clipped" in row.problems for row in rows] == [True, False]


def test_features_made_elsewhere_are_said_to_be_unseen(tmp_path):
    found = auditing.audit(tmp_path, [Track("a", "mel/0.npy", "x")], workers=1)
    assert found.summary()["not_looked_at"] == 1
    assert "were not searched for duplicates" in reports_audit.report(found, "a", "report.png")


def test_of_two_copies_the_one_that_can_be_used_stays(tmp_path, rng):
    """An excerpt that is too short for a segment does not take its original away."""
    tracks = []
    y = rng.normal(0, 0.1, 6 * RATE)
    for genre in ("pop", "rock"):
        for i in range(7):
            sound = {("pop", 0): y[: 2 * RATE], ("pop", 1): y}.get((genre, i), rng.normal(0, 0.1, 6 * RATE))
            write(tmp_path / f"{genre}/{i}.wav", sound, RATE)
            tracks.append(Track(f"{genre}/{i}", f"{genre}/{i}.wav", genre))
    write_catalogue(tmp_path, tracks)
    options = {
        "protocol": "track",
        "folds": 3,
        "fold": 0,
        "seed": 0,
        "seconds": 3.0,
        "hop_seconds": 3.0,
        "silence_dbfs": -60.0,
        "workers": 1,
    }
    corpus_segment.build(tmp_path, tmp_path / "i", copies="exclude", pairs=[("pop/0.wav", "pop/1.wav")], **options)
    assert [row["reason"][:9] for row in read_csv(tmp_path / "i/rejected.csv")] == ["too short"]
    # Two excerpts of one song: the pair that links them is of a file that is not used
    pairs = [("pop/1.wav", "pop/0.wav"), ("pop/0.wav", "pop/2.wav")]
    corpus_segment.build(tmp_path, tmp_path / "i", copies="exclude", pairs=pairs, **options)
    assert [row["reason"][:9] for row in read_csv(tmp_path / "i/rejected.csv")] == ["too short", "a copy of"]
    crossed = set()
    for seed in range(8):
        made = corpus_segment.build(tmp_path, tmp_path / "i", copies="keep", pairs=pairs, **options | {"seed": seed})
        side = {w.track: w.split for w in index.read(tmp_path / "i").windows}
        crosses = side["pop/1"] != side["pop/2"]
        assert (made["copies"]["crossing"], made["leaky"]) == (2 * crosses, crosses)
        crossed.add(crosses)
        corpus_segment.build(tmp_path, tmp_path / "i", copies="group", pairs=pairs, **options | {"seed": seed})
        side = {w.track: w.split for w in index.read(tmp_path / "i").windows}
        assert side["pop/1"] == side["pop/2"]
    assert crossed == {True, False}


def test_a_file_shorter_than_nearly_all_others_is_called_truncated(tmp_path, rng):
    tracks = []
    for i in range(20):
        seconds = 4 if i == 7 else 6
        write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, seconds * RATE), RATE)
        tracks.append(Track(f"t{i}", f"{i}.wav", "noise"))
    found = auditing.audit(tmp_path, tracks, workers=1)
    assert [row.file for row in found.tracks if row.problems] == ["7.wav"]
    assert found.summary()["problems"] == {"truncated": 1}


def test_exact_copies_too_short_for_a_fingerprint_are_found(tmp_path, write_tone):
    for name in ("a.wav", "b.wav"):
        write_tone(name, seconds=0.2)
    write_tone("c.wav", seconds=0.2, hz=300)
    found = auditing.audit(tmp_path, [Track(n, f"{n}.wav", "tone") for n in "abc"], workers=1)
    assert [(p.a, p.b, p.kind) for p in found.pairs] == [("a.wav", "b.wav", "exact")]


@pytest.fixture
def with_a_copy(tmp_path, rng):
    """Two genres of six artists; rock's first recording is there again as another artist's."""
    tracks = []
    for genre in ("pop", "rock"):
        for i in range(6):
            y = rng.normal(0, 0.1, 6 * RATE) if (genre, i) != ("rock", 5) else soundfile.read(tmp_path / "rock/0.wav")[0] / 2
            write(tmp_path / f"{genre}/{i}.wav", y, RATE)
            tracks.append(Track(f"{genre}/{i}", f"{genre}/{i}.wav", genre, f"{genre} artist {i}"))
    write_catalogue(tmp_path, tracks)
    return tmp_path


@pytest.mark.parametrize("protocol", ["artist", "track"])
def test_copies_stay_on_one_side_or_go(with_a_copy, protocol):
    tracks = read_catalogue(with_a_copy)
    found = auditing.audit(with_a_copy, tracks, workers=1)
    pairs = [(p.a, p.b) for p in found.pairs]
    assert [set(pair) for pair in pairs] == [{"rock/0.wav", "rock/5.wav"}]
    options = {"protocol": protocol, "folds": 3, "fold": 0, "seconds": 3.0, "hop_seconds": 3.0, "silence_dbfs": -60.0, "workers": 1}
    crossed = set()
    for seed in range(6):
        out = with_a_copy / f"index{seed}"
        for copies in ("keep", "group", "exclude"):
            made = corpus_segment.build(with_a_copy, out, seed=seed, copies=copies, pairs=pairs, **options)
            side = {w.track: w.split for w in index.read(out).windows}
            if copies == "exclude":
                assert "rock/5" not in side
                assert read_csv(out / "rejected.csv")[0]["reason"] == "a copy of rock/0"
                continue
            crosses = side["rock/0"] != side["rock/5"]
            assert made["leaky"] == crosses
            assert made["copies"] == {"pairs": 1, "treated": copies, "crossing": int(crosses)}
            if copies == "group":
                assert not crosses
            else:
                crossed.add(crosses)
    assert True in crossed  # without care, they do cross
