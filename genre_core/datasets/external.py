"""Audio from outside the data set: a list of URLs and files becomes clips, whatever can not be had is named with its reason."""

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
from genre_core.errors import AudioError, GenreError, one_line
from genre_core.util.files import read_csv, write_csv

MANIFEST = "manifest.csv"
_OFFLINE_AFTER = 3  # clips in a row without network, or sent away, after which the rest is not tried


@dataclass(frozen=True)
class Clip:
    """A row of the list, and of the manifest.

    Attributes
    ----------
    clip : str
        Number and name; unique.
    url, file : str
        One of them; `file` is relative to the list's folder.
    genre, title : str
    start_seconds, seconds : float
        The part to use; all that there is where `seconds` is 0.
    status : {"", "ok", "failed", "skipped"}
    reason : str
        Why it is not ok.
    path : str
        Of the clip, relative to the manifest's folder.
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
    """Read a list: columns url, file, genre, title, start, seconds; lines that begin with ``#`` are comments.

    Raises
    ------
    GenreError
        A row names no source or two, no genre, a URL that is not http(s), or a time that is no number.
    """
    clips = []
    for number, row in enumerate(read_csv(path, ["genre"], comments=True), start=1):
        where = f"{path}, clip {number} ({row.get('title') or row.get('url') or row.get('file') or 'untitled'})"
        url, file = row.get("url", ""), row.get("file", "")
        if bool(url) == bool(file):
            raise GenreError(f"{where}: give either url or file")
        if url and not _is_web_address(url):
            raise GenreError(f"{where}: {url!r} is no http or https address; local audio goes in the column file")
        if not row["genre"]:
            raise GenreError(f"{where}: no genre")
        times = []
        for column in ("start", "seconds"):
            try:
                times.append(float(row.get(column) or 0))
            except ValueError:
                raise GenreError(f"{where}: {column} {row[column]!r} is no number of seconds") from None
            if not 0 <= times[-1] < 1e6:
                raise GenreError(f"{where}: {column} {row[column]!r} is not allowed: 0 or more seconds")
        title = row.get("title") or Path(file or urlsplit(url).path).name
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40]
        clips.append(Clip(f"{number:03d}-{name}", url, file, row["genre"], title, times[0], times[1]))
    return clips


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.port is None or parts.port > 0
        return usable and parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)
    except ValueError:
        return False


def fetch(listed: str | Path, out: str | Path, *, online: bool, limits: Limits, downloads: str | Path) -> list[Clip]:
    """Cut every clip of a list that can be had to ``<out>/clips/<clip>.flac``, and write the manifest.

    Nothing here is fatal but a wrong list: a clip that can not be had is named with its reason.

    Parameters
    ----------
    listed : str or Path
        See `read_list`.
    out : str or Path
    online : bool
        Fetch URLs; otherwise they are skipped.
    limits : Limits
    downloads : str or Path
        Folder that keeps what was downloaded, by the digest of its URL: a second run asks only for what is missing.

    Returns
    -------
    list of Clip
        As in the manifest.
    """
    out, listed = Path(out), Path(listed)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    done: list[Clip] = []
    failures: Counter[str | None] = Counter()  # in a row, of each host
    cookies_exist(limits)
    for clip in tqdm(read_list(listed), desc="fetch_external", unit="clip", disable=None):
        host = urlsplit(clip.url).hostname
        try:
            if clip.file:
                source = listed.parent / clip.file
            elif not online:
                done.append(replace(clip, status="skipped", reason="external.online is false"))
                continue
            elif failures[host] >= _OFFLINE_AFTER:
                raise UnavailableError(
                    f"not tried: {failures[host]} clips of {host} before it met no network, or were sent away", stop=True
                )
            else:
                source = download(clip.url, Path(downloads), limits)
            target = f"clips/{clip.clip}.flac"
            try:
                audio = decode(source, start_seconds=clip.start_seconds, seconds=clip.seconds or None, max_seconds=limits.minutes * 60)
            except AudioError as error:
                if not clip.url:
                    raise
                if clip.start_seconds and "holds no audio there" in str(error):
                    raise AudioError(f"start {clip.start_seconds:g} s lies beyond the end of {clip.url}; correct the row") from None
                source.unlink(missing_ok=True)  # it may be mended where it came from
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
    """Read the manifest that `fetch` wrote."""
    names = [f.name for f in fields(Clip)]
    rows: Iterable[dict[str, Any]] = read_csv(Path(folder) / MANIFEST, names, strip=False)
    return [Clip(**{**row, "start_seconds": float(row["start_seconds"]), "seconds": float(row["seconds"])}) for row in rows]
