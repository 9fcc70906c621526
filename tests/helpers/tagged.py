"""Files of every format with many tags and a picture."""

import base64
import hashlib
import re

import av
import mutagen
import numpy as np
import soundfile
import soxr
from helpers.audio import encode
from mutagen import aiff, flac, id3, mp3, mp4, oggopus, oggvorbis, wave

from genre_core.datasets.demo import SAMPLE_RATE, synthesise

PICTURE = b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(150_000)  # longer than two pages of Ogg


def song(seconds=5.0):
    """Music of which the packaged model is sure: classical, with the mood "instrumental"."""
    return synthesise("classical", seed=0, artist=1, track=0, seconds=seconds)


def id3_frames(tags):
    for frame in (
        id3.TIT2(encoding=1, text=["Tïtle"]),
        id3.TPE1(encoding=1, text=["Ärtist"]),
        id3.APIC(encoding=0, mime="image/png", type=3, desc="front", data=PICTURE),
        id3.TXXX(encoding=1, desc="REPLAYGAIN", text=["-3 dB"]),
        id3.PRIV(owner="someone", data=b"\xff\xe0\x00\xff\x00\xff"),
        id3.POPM(email="a@b", rating=200, count=3),
        id3.COMM(encoding=1, lang="deu", desc="x", text=["Ünd"]),
    ):
        tags.add(frame)


def with_id3(path, kind, *, version=4, v1=0):
    """Write ID3 tags with mutagen."""
    file = kind(path)
    if file.tags is None:
        file.add_tags()
    id3_frames(file.tags)
    if version == 3:
        file.tags.update_to_v23()
    file.save(v2_version=version, **({"v1": v1} if kind is mp3.MP3 else {}))


def unsynchronised(path):
    """Write the ID3 tag of a file again with unsynchronisation: of the whole in version 2.3, of each frame in 2.4."""

    def encoded(content):
        return re.sub(rb"\xff(?=[\xe0-\xff\0])", b"\xff\0", content)

    number = id3._util.BitPaddedInt
    data = path.read_bytes()
    size = 10 + number(data[6:10])
    body = data[10:size]
    if data[3] == 4:
        frames, position = b"", 0
        while position < len(body) and body[position]:
            end = position + 10 + number(body[position + 4 : position + 8])
            content = encoded(body[position + 10 : end])
            frames += body[position : position + 4] + number.to_str(len(content)) + b"\0\2" + content
            position = end
        body = frames + bytes(100)
    else:
        body = encoded(body)
    path.write_bytes(data[:5] + b"\x80" + number.to_str(len(body)) + body + data[size:])


def version_2_2(path):
    """Put a tag of version 2.2 before the audio of an mp3 without tags."""
    frames = b"".join(
        name + len(content).to_bytes(3, "big") + content
        for name, content in (
            (b"TT2", b"\0Title"),
            (b"TP1", b"\0Artist"),
            (b"PIC", b"\0PNG\3front\0" + PICTURE),
            (b"TXX", b"\0OTHER\0value"),
        )
    )
    path.write_bytes(b"ID3\2\0\0" + id3._util.BitPaddedInt.to_str(len(frames)) + frames + path.read_bytes())


def with_info(path):
    """Append an INFO list without a genre to a WAV file."""
    fields = b"INFO" + b"INAM" + (6).to_bytes(4, "little") + b"Title\0"
    data = path.read_bytes() + b"LIST" + len(fields).to_bytes(4, "little") + fields
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])


def picture():
    made = flac.Picture()
    made.type, made.mime, made.desc, made.data = 3, "image/png", "front", PICTURE
    return made


def with_comments(path, kind, **fields):
    file = kind(path)
    for key, value in {"title": "Tïtle", "artist": ["Ä", "B"], "unusual": "=x", **fields}.items():
        file[key] = value
    if kind is flac.FLAC:
        file.add_picture(picture())
    else:
        file["metadata_block_picture"] = base64.b64encode(picture().write()).decode()
    file.save()


def with_atoms(path):
    file = mp4.MP4(path)
    file["\xa9nam"], file["trkn"], file["covr"] = "Tïtle", [(3, 9)], [mp4.MP4Cover(PICTURE, mp4.MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:LABEL"] = [b"x"]
    file.save()


def _mp3(path, y, **options):
    encode(path, y, SAMPLE_RATE, "libmp3lame", muxer="mp3", options={"id3v2_version": "0", **options})


def _id3_mp3(version, v1=0):
    def make(path, y):
        _mp3(path, y)
        with_id3(path, mp3.MP3, version=version, v1=v1)

    return make


def _vorbis(path, y):
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(y), SAMPLE_RATE):  # libvorbis crashes on long blocks
            file.write(y[start : start + SAMPLE_RATE])


def _chained(make, change):
    def both(path, y):
        make(path, y)
        change(path)

    return both


def _opus(path, y):
    encode(path, soxr.resample(y, SAMPLE_RATE, 48_000), 48_000, "libopus", muxer="ogg")


def _m4a(path, y, **options):
    encode(path, y, SAMPLE_RATE, "aac", muxer="mp4", options=options)


def _soundfile(path, y):
    soundfile.write(path, y, SAMPLE_RATE)


FORMATS = {
    "bare.mp3": _mp3,
    "v24.mp3": _id3_mp3(4),
    "v23_v1.mp3": _id3_mp3(3, v1=2),
    "v23_unsynchronised.mp3": _chained(_id3_mp3(3), unsynchronised),
    "v24_unsynchronised.mp3": _chained(_id3_mp3(4), unsynchronised),
    "v22.mp3": _chained(_mp3, version_2_2),
    "bare.flac": _soundfile,
    "tagged.flac": _chained(_soundfile, lambda path: with_comments(path, flac.FLAC)),
    "bare.ogg": _vorbis,
    "tagged.ogg": _chained(_vorbis, lambda path: with_comments(path, oggvorbis.OggVorbis)),
    "bare.opus": _opus,
    "tagged.opus": _chained(_opus, lambda path: with_comments(path, oggopus.OggOpus)),
    "bare.m4a": _m4a,
    "index_first.m4a": lambda path, y: _m4a(path, y, movflags="faststart"),
    "tagged.m4a": _chained(lambda path, y: _m4a(path, y, movflags="faststart"), with_atoms),
    "bare.wav": _soundfile,
    "tagged.wav": _chained(_soundfile, lambda path: with_id3(path, wave.WAVE)),
    "info.wav": _chained(_soundfile, with_info),
    "bare.aiff": _soundfile,
    "tagged.aiff": _chained(_soundfile, lambda path: with_id3(path, aiff.AIFF, version=3)),
}


def make_all(folder, seconds=5.0):
    """Write a file of every format; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    y = song(seconds)
    for name, make in FORMATS.items():
        make(folder / name, y)
    return [folder / name for name in FORMATS]


def samples(path):
    """Digest of the samples that FFmpeg decodes."""
    sha256 = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            sha256.update(frame.to_ndarray().tobytes())
    return sha256.hexdigest()


def other_fields(path):
    """All fields that are not written, as mutagen reads them, with pictures."""
    file = mutagen.File(path)
    own = ("TCON", "TMOO", "TXXX:MOOD", "TXXX:GENRE_PIPELINE", "genre", "mood", "genre_pipeline", "\xa9gen")
    own += ("----:com.apple.iTunes:MOOD", "----:com.genre-pipeline:GENRE_PIPELINE")
    fields = {key: repr(value) for key, value in (file.tags or {}).items() if key not in own}
    return fields, [picture.write() for picture in getattr(file, "pictures", [])]
