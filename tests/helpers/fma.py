"""The archives of FMA in small: the layout, the compression and the three header rows of the real ones."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence

# The 52 columns of the real table, by group, in its order.
COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude location longitude "
    "members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all information interest "
    "language_code license listens lyricist number publisher tags title",
}
TITLES = [(group, name) for group, names in COLUMNS.items() for name in names.split()]
NONCOMMERCIAL = "Attribution-NonCommercial-ShareAlike 3.0 International"
BIOGRAPHY = '<p>Two lines,\nand "quotes" with <a href="x">HTML</a></p>'


def row(track: int, **values: object) -> dict[str, object]:
    """A row of the table; keys as ``artist_id``, ``genre_top``, ``license``."""
    known = {"artist_id": track, "artist_name": f"Artist {track}", "split": "training", "subset": "small"}
    return {"track_id": track, "genre_top": "Rock", "license": NONCOMMERCIAL, **known, **values}


def tracks_csv(rows: Iterable[Mapping[str, object]], titles: Sequence[tuple[str, str]] = TITLES) -> str:
    """The table as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *(group for group, _ in titles)])
    writer.writerow(["", *(name for _, name in titles)])
    writer.writerow(["track_id", *("" for _ in titles)])
    for values in rows:
        keys = {
            (group, name): f"{group}_{name}" if (group, name) in (("artist", "id"), ("artist", "name")) else name for group, name in titles
        }
        own = {"artist_id", "artist_name", "split", "subset", "genre_top", "license"}
        cells = [values[keys[title]] if keys[title] in own else BIOGRAPHY if title == ("artist", "bio") else "" for title in titles]
        writer.writerow([values["track_id"], *cells])
    return text.getvalue()


def archive(name: str, members: Mapping[str, bytes | str], compression: int = zipfile.ZIP_BZIP2) -> bytes:
    """An archive as the authors' creation.py writes it: bzip2, README.txt and checksums first."""
    contents = {member: content.encode() if isinstance(content, str) else content for member, content in members.items()}
    sums = "".join(f"{hashlib.sha1(content).hexdigest()}  {member}\n" for member, content in contents.items())  # noqa: S324
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        for member, content in {"README.txt": b"This .zip archive is part of the FMA\n", "checksums": sums.encode(), **contents}.items():
            opened.writestr(f"{name}/{member}", content)
    return buffer.getvalue()


def metadata_zip(rows: Iterable[Mapping[str, object]]) -> bytes:
    return archive("fma_metadata", {"raw_tracks.csv": "x", "tracks.csv": tracks_csv(rows), "genres.csv": "x"})


def audio_zip(tracks: Mapping[int, bytes], subset: str = "small", compression: int = zipfile.ZIP_BZIP2) -> bytes:
    return archive(f"fma_{subset}", {clip_path(track): content for track, content in tracks.items()}, compression)


def clip_path(track: int) -> str:
    return f"{track:06d}"[:3] + f"/{track:06d}.mp3"


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()  # noqa: S324
