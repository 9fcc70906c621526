"""Formats of audio files, and the suffixes of their names."""

from __future__ import annotations

from pathlib import Path

# Suffixes of each format, the usual one first, by the names that libsndfile and FFmpeg give; a missing format is not checked.
_SUFFIXES = {
    "wav": (".wav", ".wave", ".rf64"),
    "wavex": (".wav", ".wave", ".rf64"),
    "rf64": (".wav", ".wave", ".rf64"),
    "w64": (".w64",),
    "aiff": (".aif", ".aiff", ".aifc"),
    "au": (".au", ".snd"),
    "caf": (".caf",),
    "flac": (".flac",),
    "mp3": (".mp3", ".mp2"),
    "ogg": (".ogg", ".oga", ".opus", ".spx"),
    "mov,mp4,m4a,3gp,3g2,mj2": (".m4a", ".mp4", ".m4b", ".mov", ".3gp"),
    "matroska,webm": (".webm", ".mka", ".mkv"),
    "asf": (".wma",),
    "aac": (".aac",),
    "ac3": (".ac3",),
    "ape": (".ape",),
    "tta": (".tta",),
    "wv": (".wv",),
    "dsf": (".dsf",),
    "amr": (".amr",),
}


def wrong_suffix(path: Path, source_format: str) -> str:
    """Compare the suffix of a file with its content.

    Parameters
    ----------
    path : Path
    source_format : str
        Format of the content, as `Source.format`.

    Returns
    -------
    str
        Content and suffix in words; empty if they agree, or if the format has no known suffix.
    """
    suffixes = _SUFFIXES.get(source_format, ())
    if not suffixes or path.suffix.lower() in suffixes:
        return ""
    return f"the content is {suffixes[0][1:]}, the name ends in {path.suffix or 'no known suffix'}"
