"""Playlists in the format M3U, in UTF-8."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from genre_core.errors import GenreError, one_line
from genre_core.library.similar import LibraryTrack
from genre_core.util.files import atomic

SUFFIXES = (".m3u8", ".m3u")


def check_suffix(path: Path) -> None:
    """Refuse a playlist whose name does not end in ``.m3u8`` or ``.m3u``.

    Raises
    ------
    GenreError
        The name has another ending, or is that of a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise GenreError(f"--m3u {path}: write to a .m3u8 or .m3u file")
    if path.is_dir():
        raise GenreError(f"--m3u {path}: is a folder, name a file")


def write_playlist(path: str | Path, tracks: Iterable[LibraryTrack]) -> list[str]:
    """Write a playlist that replaces `path` when it is complete.

    Paths are relative to the playlist if the files are in its folder or below, else absolute, so a folder can be moved with its
    playlist.

    Parameters
    ----------
    path : str or Path
        Playlist to write.
    tracks : iterable of LibraryTrack

    Returns
    -------
    list of str
        Absolute paths that a playlist cannot hold: their names have line breaks, or are not UTF-8. They are left out.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 (links stay)
    lines, skipped = ["#EXTM3U"], []
    for track in tracks:
        if not _fits(track.path):
            skipped.append(track.path)
            continue
        file = Path(track.path)
        entry = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else track.path
        if entry.startswith("#") or entry[0].isspace():  # players take it for a comment, or remove the space
            entry = f"./{entry}"
        title = f"{track.artist} - {file.stem}" if track.artist else file.stem
        lines += [f"#EXTINF:{round(track.seconds)},{one_line(title)}", entry]
    with atomic(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return skipped


def _fits(name: str) -> bool:
    """Tell whether a name is one line of UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return len(name.splitlines()) == 1 and name == name.strip()
