"""One recording in the odd forms that disks hold."""

import io

import numpy as np
import soundfile
import soxr
from helpers import audio

RATE = 44_100
BARE = {"write_xing": "0", "id3v2_version": "0"}


class _Pipe(io.RawIOBase):
    """File in which a muxer cannot go back to fill in its header."""

    def __init__(self, path):
        self.file = path.open("wb")

    def writable(self):
        return True

    def seekable(self):
        return False

    def write(self, data):
        return self.file.write(data)

    def close(self):
        self.file.close()
        super().close()


def at(y, rate):
    """Resample a recording at `RATE`."""
    return soxr.resample(y, RATE, rate).astype(np.float32)


def encode(target, y, rate, codec, muxer, *, layout="stereo", piped=False, options=None, codec_options=None):
    """Encode mono `y` with FFmpeg's libraries, or Ogg Vorbis with libsndfile."""
    channels = {"mono": 1, "stereo": 2}[layout]
    if codec == "vorbis":
        with soundfile.SoundFile(target, "w", rate, channels, format="OGG", subtype="VORBIS") as file:
            for start in range(0, len(y), rate):  # libvorbis crashes on long blocks
                file.write(np.stack([y[start : start + rate]] * channels, 1))
        return target
    out = _Pipe(target) if piped else target
    audio.encode(out, np.stack([y] * channels), rate, codec, layout, muxer=muxer, options=options, codec_options=codec_options)
    if piped:
        out.close()
    return target


def joined(target, first, second):
    """Write two files, one after the other, as one; `first` and `second` are keyword arguments of `encode`."""
    parts = [encode(target.with_suffix(f".{i}"), **part) for i, part in enumerate((first, second))]
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return target


def damaged(path, *, size, share=0.4, rng=None):
    """Overwrite `size` bytes of a file, with zeros or with noise from `rng`."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * share)
    data[start : start + size] = bytes(size) if rng is None else rng.bytes(size)
    path.write_bytes(data)
    return path
