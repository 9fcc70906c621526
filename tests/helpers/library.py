"""Files with tags, and a library without folders of genres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mutagen
import soundfile
from helpers.audio import encode
from mutagen.id3 import ID3, TCON, TPE1, TPE2

from genre_core.audio.io import resample
from genre_core.datasets import demo

CODECS = {".mp3": "libmp3lame", ".m4a": "aac", ".opus": "libopus"}  # others are written by libsndfile


def write_audio(path: Path, y, sample_rate: int) -> Path:
    """Write samples in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in CODECS:
        rate = 48_000 if path.suffix == ".opus" else sample_rate
        encode(path, resample(y, sample_rate, rate), rate, CODECS[path.suffix])
    else:
        soundfile.write(path, y, sample_rate)
    return path


def write_tags(path: Path, *, genres: Sequence[str] = (), artist: str = "", album_artist: str = "") -> Path:
    """Write tags as the format of the file has them: ID3, Vorbis comments or MP4 atoms."""
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    values = {"genre": list(genres), "artist": [artist] if artist else [], "albumartist": [album_artist] if album_artist else []}
    frames = {"genre": TCON, "artist": TPE1, "albumartist": TPE2}
    for key, texts in values.items():
        if texts and isinstance(file.tags, ID3):  # WAV and AIFF have no easy names
            file.tags.add(frames[key](encoding=3, text=texts))
        elif texts:
            file[key] = texts
    file.save()
    return path


def demo_library(root: Path, genres: Sequence[str], *, artists: int, tracks: int, seconds: float) -> Path:
    """The demo's music as ``Artist/Album/song``, in several formats and spellings; only the tags name genres and artists."""
    suffixes = [".mp3", ".flac", ".m4a", ".opus"]
    count = 0
    for genre in genres:
        for artist in range(artists):
            name = f"{genre} band {artist}".title()
            for track in range(tracks):
                y = demo.synthesise(genre, seed=1, artist=artist, track=track, seconds=seconds)
                path = write_audio(root / name / "Album" / f"{track}{suffixes[count % 4]}", y, demo.SAMPLE_RATE)
                spelling = [genre.upper(), genre.title(), f"{genre} Music"][count % 3]
                write_tags(
                    path, genres=[spelling], artist=name if count % 2 else name.upper(), album_artist="" if track else "Various Artists"
                )
                count += 1
    return root
