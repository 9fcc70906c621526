"""External audio: clips from a list of URLs and files.

The manifest lists all clips; a clip that is not available has the reason there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from genre_core.audio.io import decode, write
from genre_core.datasets.ytdlp import Limits, UnavailableError, cookies_exist, download
from genre_core.errors import AudioError, BeyondEndError, GenreError, one_line
from genre_core.util.files import read_csv, write_csv

MANIFEST = "manifest.csv"
_MAX_FAILURES = 3  # a host's other clips are not tried after so many successive clips that got no answer or were refused


@dataclass(frozen=True)
class Clip:
    """Row of the list and of the manifest: a clip.

    Attributes
    ----------
    clip : str
        Unique name: the number and the title.
    url, file : str
        Source: a web address or a path relative to the list's folder. One of them is empty.
    genre, title : str
        Genre and title of the clip.
    start_seconds, seconds : float
        Start and length of the clip in the source. If `seconds` is 0, the clip ends with the source.
    status : {"", "ok", "failed", "skipped"}
        Result of `fetch`; empty in the list.
    reason : str
        Reason if the status is failed or skipped.
    path : str
        Path of the clip, relative to the manifest's folder; empty if the status is not ok.
    """

    clip: str
    url: str
    file: str
    genre: str
    title: str
    start_seconds: float
    seconds: float
    status: str = ""
    reason: str = ""
    path: str = ""


def read_list(path: str | Path) -> list[Clip]:
    """Read a list of clips.

    The columns are url, file, genre, title, start and seconds. Lines that begin with ``#`` are comments.

    Parameters
    ----------
    path : str or Path
        CSV file of the list.

    Returns
    -------
    list of Clip
        Clips in the order of the list, with an empty status.

    Raises
    ------
    GenreError
        A row has no source, two sources, no genre, a URL that is not http or https, or a time that is not a number of seconds from 0
        to 1e6.
    """
    clips = []
    for number, row in enumerate(read_csv(path, ["genre"], comments=True), start=1):
        where = f"{path}, clip {number} ({row.get('title') or row.get('url') or row.get('file') or 'untitled'})"
        url, file = row.get("url", ""), row.get("file", "")
        if bool(url) == bool(file):
            raise GenreError(f"{where}: give either url or file")
        if url and not _is_web_address(url):
            raise GenreError(f"{where}: {url!r} is not an http or https address; give local audio in the column file")
        if not row["genre"]:
            raise GenreError(f"{where}: no genre")
        times = []
        for column in ("start", "seconds"):
            try:
                times.append(float(row.get(column) or 0))
            except ValueError:
                raise GenreError(f"{where}: {column} {row[column]!r} is not a number of seconds") from None
            if not 0 <= times[-1] < 1e6:
                raise GenreError(f"{where}: {column} {row[column]!r} is not allowed: 0 or more seconds")
        title = row.get("title") or Path(file or urlsplit(url).path).name
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40]
        clips.append(Clip(f"{number:03d}-{name}", url, file, row["genre"], title, times[0], times[1]))
    return clips


def _is_web_address(url: str) -> bool:
    """Check whether `url` is a valid http or https address."""
    try:
        parts = urlsplit(url)
        usable = parts.port is None or parts.port > 0
        return usable and parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)
    except ValueError:
        return False


def fetch(listed: str | Path, out: str | Path, *, online: bool, limits: Limits, downloads: str | Path) -> list[Clip]:
    """Download and cut the clips of a list, and write the manifest.

    Each available clip is ``<out>/clips/<clip>.flac``. A clip that is not available does not stop the function: its row in the
    manifest has the reason.

    Parameters
    ----------
    listed : str or Path
        CSV file of the list; see `read_list`.
    out : str or Path
        Folder for the clips and the manifest.
    online : bool
        Whether to download URLs; if false, their clips are skipped.
    limits : Limits
        Limits of each download.
    downloads : str or Path
        Folder that keeps downloaded files, named by the digest of their URL. A second run downloads only missing files.

    Returns
    -------
    list of Clip
        Rows of the manifest.

    Raises
    ------
    GenreError
        The list or the cookies file is invalid.
    """
    out, listed = Path(out), Path(listed)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    done: list[Clip] = []
    failures: Counter[str | None] = Counter()  # successive failures of each host
    cookies_exist(limits)
    for clip in tqdm(read_list(listed), desc="fetch_external", unit="clip", disable=None):
        host = urlsplit(clip.url).hostname
        try:
            if clip.file:
                source = listed.parent / clip.file
            elif not online:
                done.append(replace(clip, status="skipped", reason="external.online is false"))
                continue
            elif failures[host] >= _MAX_FAILURES:
                raise UnavailableError(
                    f"not tried: {failures[host]} clips of {host} before this one got no answer, or were refused", stop=True
                )
            else:
                source = download(clip.url, Path(downloads), limits)
            target = f"clips/{clip.clip}.flac"
            try:
                audio = decode(source, start_seconds=clip.start_seconds, seconds=clip.seconds or None, max_seconds=limits.minutes * 60)
            except AudioError as error:
                if not clip.url:
                    raise
                if isinstance(error, BeyondEndError):
                    raise AudioError(f"start {clip.start_seconds:g} s lies beyond the end of {clip.url}; correct the row") from None
                source.unlink(missing_ok=True)  # so that the next run downloads it again: the site may have corrected it
                raise AudioError(f"{clip.url}: {str(error).removeprefix(f'{source}: ')}") from None
            write(out / target, audio.y, audio.sample_rate)
            done.append(replace(clip, status="ok", path=target))
            failures[host] = 0
        except (UnavailableError, AudioError) as error:
            failures[host] = failures[host] + 1 if isinstance(error, UnavailableError) and error.stop else 0
            done.append(replace(clip, status="failed", reason=one_line(" ".join(str(error).split()))))
    write_csv(out / MANIFEST, [f.name for f in fields(Clip)], map(asdict, done))
    return done


def read_manifest(folder: str | Path) -> list[Clip]:
    """Read the manifest that `fetch` wrote to `folder`.

    Raises
    ------
    GenreError
        The file is missing, or lacks a column.
    """
    names = [f.name for f in fields(Clip)]
    rows: Iterable[dict[str, Any]] = read_csv(Path(folder) / MANIFEST, names, strip=False)
    return [Clip(**{**row, "start_seconds": float(row["start_seconds"]), "seconds": float(row["seconds"])}) for row in rows]
