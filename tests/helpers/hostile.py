"""What tests of hostile share."""

import json
import struct
import time

import av
import numpy as np
import pytest
import safetensors
import soundfile
from helpers.audio import encode
from safetensors.torch import save_file

from genre_core.errors import GenreError
from genre_core.models import file as model_file

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
    "nan.wav": (lambda p: soundfile.write(p, np.where(T < 1, np.nan, TONE), 44100, subtype="FLOAT"), "not numbers"),
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


def rewritten(source, target, change):
    """A model file with its description, or its tensors, changed."""
    with safetensors.safe_open(source, framework="pt") as file:
        description = json.loads(file.metadata()["genre_core"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = change(description, state)
    metadata = metadata if isinstance(metadata, dict) else None
    save_file(state, target, metadata={"genre_core": json.dumps(description)} if metadata is None else metadata)
    return target


def refusal(model, words):
    """What the error on a hostile model file says: soon, in one line, with `words`."""
    began = time.monotonic()
    with pytest.raises(GenreError) as caught:
        model_file.load(model)
    assert time.monotonic() - began < 5
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)
