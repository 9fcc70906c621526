"""Audio and model files that lie: right, or one line that says file, reason and remedy; bounded; the rest goes on."""

import contextlib
import csv
import json
import os
import pickle
import struct
import subprocess
import sys
import time

import av
import numpy as np
import pytest
import safetensors
import soundfile
import torch
from closure import ROOT
from conftest import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_audio import encode

from genre_core import config, files, inference
from genre_core.audio import decode
from genre_core.errors import AudioError, GenreError

SECONDS = 4
T = np.arange(SECONDS * 44100) / 44100
TONE = 0.4 * np.sin(2 * np.pi * 440 * T) + 0.1 * np.sin(2 * np.pi * 3000 * T)


def wav_header_that_claims_hours(path, y):
    soundfile.write(path, y, 44100, subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    position = raw.index(b"data") + 4
    raw[position : position + 4] = struct.pack("<I", 0xFFFFFF00)
    raw[4:8] = struct.pack("<I", 0xFFFFFF24)
    path.write_bytes(raw)


def video(path):
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=44100, layout="mono")
        for _ in range(SECONDS * 10):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(TONE[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        resampler = av.AudioResampler(format=sound.format, layout="mono", rate=44100, frame_size=sound.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))


def tagged_mp3(path):
    soundfile.write(path, TONE, 44100, format="MP3")
    picture = b"\0image/png\0\3\0" + b"\x89PNG" * 250_000
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = len(frame)
    syncsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + syncsafe + frame + path.read_bytes())


GOOD = {
    "8 bit.wav": lambda p: soundfile.write(p, TONE, 44100, subtype="PCM_U8"),
    "24 bit.wav": lambda p: soundfile.write(p, TONE, 44100, subtype="PCM_24"),
    "beyond 1.wav": lambda p: soundfile.write(p, 8 * TONE, 44100, subtype="FLOAT"),
    "8 kHz.wav": lambda p: soundfile.write(p, TONE[::5][: SECONDS * 8000], 8000),
    "96 kHz.flac": lambda p: soundfile.write(p, np.interp(np.arange(SECONDS * 96000) / 96000, T, TONE), 96000),
    "picture.mp3": tagged_mp3,
    "vorbis.ogg": lambda p: soundfile.write(p, TONE, 44100, format="OGG"),
    "voice.opus": lambda p: soundfile.write(p, np.interp(np.arange(SECONDS * 48000) / 48000, T, TONE), 48000, format="OGG", subtype="OPUS"),
    "song.m4a": lambda p: encode(p, TONE, 44100, "aac"),
    "song.webm": lambda p: encode(p, np.interp(np.arange(SECONDS * 48000) / 48000, T, TONE), 48000, "libopus"),
    "video.mp4": video,
    "hours.wav": lambda p: wav_header_that_claims_hours(p, TONE),
    'it\'s "quoted" & spaced.wav': lambda p: soundfile.write(p, TONE, 44100),
    "two\nlines.wav": lambda p: soundfile.write(p, TONE, 44100),
    "música 音楽 Музыка.wav": lambda p: soundfile.write(p, TONE, 44100),
}


def truncated(path):
    soundfile.write(path, TONE, 44100)
    path.write_bytes(path.read_bytes()[:60_000])


BAD = {
    "empty.wav": (lambda p: p.touch(), "empty file"),
    "silence.wav": (lambda p: soundfile.write(p, 0 * TONE, 44100), "silent"),
    "nan.wav": (lambda p: soundfile.write(p, np.where(T < 1, np.nan, TONE), 44100, subtype="FLOAT"), "no numbers"),
    "one sample.wav": (lambda p: soundfile.write(p, [0.5], 44100), "too short"),
    "opposite.wav": (lambda p: soundfile.write(p, np.stack([TONE, -TONE], 1), 44100), "silent as mono"),
    "text.wav": (lambda p: p.write_text("this is a text\n" * 1000), "not audio"),
    "page.mp3": (lambda p: p.write_text("<!doctype html><html>" + "x" * 5000), "not audio"),
    "cut.wav": (truncated, "too short"),
    "zeros.flac": (lambda p: p.write_bytes(bytes(100_000)), "audio"),
    "bad\nname.wav": (lambda p: p.touch(), "empty file"),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    for genre in ("low", "high"):
        (root / genre).mkdir()
        for name, make in GOOD.items():
            make(root / genre / name)
    for name, (make, _) in BAD.items():
        make(root / "low" / name)
    (root / "low" / "folder.wav").mkdir()
    return root


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_the_tone_that_they_hold(zoo, name):
    audio = decode(zoo / "low" / name, sample_rate=22050)
    assert audio.seconds == pytest.approx(SECONDS, abs=0.15)
    spectrum = np.abs(np.fft.rfft(audio.y[:66150] * np.hanning(66150)))
    assert np.argmax(spectrum) / 3 == pytest.approx(440, abs=2) or name == "8 kHz.wav"


def test_every_stage_takes_what_is_good_and_names_the_rest(zoo, project, tmp_path):
    target = tmp_path / "p"
    target.mkdir()
    params = (project / "params.yaml").read_text().replace("name: demo", "name: folder").replace("data/my_music", str(zoo))
    (target / "params.yaml").write_text(params)
    for stage in ("download", "audit", "segment", "extract", "embed", "augment", "train", "evaluate"):
        done = run(sys.executable, "-m", f"stages.{stage}", cwd=target, PYTHONPATH=str(ROOT))
        assert "Traceback" not in done.stderr
    with (target / "data/index/rejected.csv").open(newline="") as file:
        rejected = {row["track"].removeprefix("low/"): row["reason"] for row in csv.DictReader(file)}
    assert set(rejected) == set(BAD)
    for name, (_, words) in BAD.items():
        assert words in rejected[name]
    with (target / "data/index/tracks.csv").open(newline="") as file:
        assert {row["track"] for row in csv.DictReader(file)} == {f"{genre}/{name}" for genre in ("low", "high") for name in GOOD}


def test_predict_takes_what_is_good_and_says_a_line_of_the_rest(zoo, project):
    command = [
        sys.executable,
        "-m",
        "genre_core.cli",
        "predict",
        str(zoo / "low"),
        "--json",
        "--model",
        str(project / "data/model/model.safetensors"),
    ]
    began = time.monotonic()
    done = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 60
    assert done.returncode == 2
    heard = {entry["file"] for entry in json.loads(done.stdout)}
    silent = {"silence.wav", "opposite.wav"}  # answered, with a warning
    assert heard == {str(zoo / "low" / name) for name in [*GOOD, *silent]}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Note: ")]  # libmpg123's own words about text named .mp3
    assert len([line for line in lines if line.startswith("error: ")]) == len(BAD) - len(silent)
    assert sorted(line.split(": silent")[0].rsplit("/")[-1] for line in lines if line.startswith("warning: ")) == sorted(silent)
    assert [line for line in lines if not line.startswith(("error: ", "warning: "))] == []


@pytest.mark.parametrize("kind", ["headerless.raw", "title.m4a", "flipped.wav", "bytes"])
def test_more_of_what_is_met(tmp_path, kind, rng):
    if kind == "headerless.raw":
        (tmp_path / kind).write_bytes(rng.bytes(10_000))
        with pytest.raises(AudioError, match="not audio"):
            decode(tmp_path / kind)
    elif kind == "title.m4a":  # a tag in another encoding costs nobody a song
        encode(tmp_path / kind, TONE, 44100, "aac", metadata={"title": "Bjork"})
        raw = (tmp_path / kind).read_bytes()
        assert b"Bjork" in raw
        (tmp_path / kind).write_bytes(raw.replace(b"Bjork", b"Bj\xf6rk"))
        assert decode(tmp_path / kind).seconds == pytest.approx(SECONDS, abs=0.1)
    elif kind == "flipped.wav":
        soundfile.write(tmp_path / kind, TONE[:10_000], 44100)
        whole = (tmp_path / kind).read_bytes()
        for _ in range(300):
            raw = bytearray(whole)
            for position in rng.integers(0, 44, 3):
                raw[position] ^= 1 << int(rng.integers(8))
            (tmp_path / kind).write_bytes(raw)
            with contextlib.suppress(AudioError):
                decode(tmp_path / kind)
    else:
        name = os.fsdecode(os.fsencode(tmp_path) + b"/Bj\xf6rk.wav")
        with open(os.fsencode(name), "wb") as file:  # noqa: PTH123 (a name that is no Unicode)
            file.write(b"x")
        with pytest.raises(AudioError) as caught:
            decode(name)
        str(caught.value).encode()


def test_a_pipe_is_not_waited_for(tmp_path, project):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is a pipe or device"):
        decode(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is a pipe or device"):
        decode("/dev/zero")


def test_a_small_file_that_unpacks_to_hours_is_bounded(tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 60))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(AudioError, match="longer than 10 minutes"):
        decode(path, max_seconds=600)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), suffix=st.sampled_from(["wav", "flac", "mp3", "m4a", "ogg", "webm"]), kind=st.integers(0, 3))
def test_any_bytes_are_audio_or_refused(tmp_path, data, suffix, kind):
    start = [b"", b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\1\0\1\0", b"fLaC\0\0\0\x22", b"\x1aE\xdf\xa3"][kind]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(start + data)
    try:
        audio = decode(path, max_seconds=60)
    except AudioError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
    else:
        assert np.isfinite(audio.y).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda s: s.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_a_table_or_refused(tmp_path, data):
    path = tmp_path / "x.csv"
    path.write_bytes(b"path,genre\n" + data)
    try:
        rows = files.read_csv(path, ["path"])
    except GenreError as error:
        assert "\n" not in str(error)
    else:
        assert all(set(row) == {"path", "genre"} for row in rows)


leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2))


@settings(max_examples=60, deadline=None)
@given(section=st.sampled_from(["seed", "segment", "features", "train", "model", "augment"]), key=st.text(max_size=8), value=leaf)
def test_any_params_are_valid_or_refused_in_one_line(section, key, value):
    import yaml

    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    names = list(tree[section]) if isinstance(tree[section], dict) else []
    if names:
        tree[section][names[len(key) % len(names)] if len(key) % 2 else key] = value
    else:
        tree[section] = value
    try:
        config.parse(config.Params, tree, "params.yaml")
    except GenreError as error:
        assert "\n" not in str(error)


def of_ensembles(description, state):
    """An ensemble whose members say that they are ensembles."""
    own = {key: description.pop(key) for key in ("hyperparameters", "features", "genres")}
    description.update(type="ensemble", members=[{**description, **own, "type": "ensemble"}] * 2)
    for name in list(state):
        value = state.pop(name)
        state.update({f"0.{name}": value, f"1.{name}": value.clone()})


def rewritten(source, target, change):
    """A model file with its description, or its tensors, changed."""
    with safetensors.safe_open(source, framework="pt") as file:
        description = json.loads(file.metadata()["genre_core"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = change(description, state)
    metadata = metadata if isinstance(metadata, dict) else None
    save_file(state, target, metadata={"genre_core": json.dumps(description)} if metadata is None else metadata)
    return target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, s: {}, "no model of this project"),
        (lambda d, s: {"genre_core": "{"}, "no model of this project"),
        (lambda d, s: {"genre_core": "[" * 100_000}, "no model of this project"),
        (lambda d, s: d.update(format="genre-core model 99"), "format 'genre-core model 99', this version reads"),
        (lambda d, s: d.update(type="../../evil"), "is unknown: allowed are attention, cnn, crnn"),
        (of_ensembles, "damaged"),
        (lambda d, s: d.update(hop_seconds=0), "hop_seconds"),
        (lambda d, s: d.update(temperature="hot"), "temperature"),
        (lambda d, s: d.update(temperature=float("nan")), "temperature"),
        (lambda d, s: d.update(genres=["x"] * 2_000_000), "genres"),
        (lambda d, s: d["features"].update(n_fft=10**9), "features.n_fft"),
        (lambda d, s: d["hyperparameters"].update(width=10**6), "width"),
        (lambda d, s: d["hyperparameters"].update(width=8), "damaged"),
        (lambda d, s: d["genres"].append("another"), "damaged"),
        (lambda d, s: s.update({"normalisation.mean": torch.zeros(3)}), "normalisation of (3,) bins"),
        (lambda d, s: [s.pop("normalisation.mean")].clear(), "normalisation.mean"),
        (lambda d, s: s.update({"more": torch.zeros(3)}), "damaged"),
        (lambda d, s: s["normalisation.deviation"].zero_(), "a deviation that is not above 0"),
        (lambda d, s: s["head.1.bias"].fill_(float("nan")), "no finite numbers"),
        (lambda d, s: d["genres"].__setitem__(0, d["genres"][1]), "named twice"),
        (lambda d, s: d["genres"].__setitem__(0, "\x1b[2J"), "not printable"),
    ],
)
def test_hostile_model_files_are_refused_in_one_line(project, tmp_path, change, words):
    path = rewritten(project / "data/model/model.safetensors", tmp_path / "m.safetensors", change)
    began = time.monotonic()
    with pytest.raises(GenreError) as caught:
        inference.load(path)
    assert time.monotonic() - began < 5
    assert words in str(caught.value)
    assert str(path) in str(caught.value) or "is unknown" in str(caught.value) or "width" in words
    assert "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_pickle_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.safetensors", pickle.dumps(Bomb())), ("b.safetensors", None)):
        if content is None:
            torch.save({"x": Bomb()}, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(GenreError, match="not readable as a safetensors model"):
            inference.load(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_nothing_in_the_project_unpickles():
    for path in [*(ROOT / "genre_core").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        text = path.read_text()
        text = text.replace('torch.load(file, map_location="cpu", weights_only=True)', "")  # ImageNet's weights: tensors alone
        text = text.replace("allow_pickle=False", "")
        for word in ("pickle", "torch.load", "joblib.load", "allow_pickle=True", "yaml.load("):
            assert word not in text.replace("No pickle", "").replace("unpickles", ""), f"{path}: {word}"
