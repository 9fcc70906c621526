"""GTZAN data set: 1,000 tracks of 30 s in ten genres.

G. Tzanetakis and P. Cook, "Musical genre classification of audio signals", IEEE Transactions on Speech and Audio Processing
10(5), 2002. The audio has no copyright clearance and no licence: use it for research only, and never redistribute it.

The protocol ``official`` uses the fault-filtered split of C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music
adversaries", IEEE Transactions on Multimedia 17(11), 2015: 443 train, 197 valid and 290 test tracks; 70 tracks with faults are left
out. The names of identified artists are from B. L. Sturm, "An analysis of the GTZAN music genre dataset", MIRUM 2012. No known
artist crosses that split, except members of three collaborations, which count as separate artists: see `COLLABORATIONS`.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.corpus.catalogue import Track, write_catalogue
from genre_core.datasets import listing
from genre_core.datasets.folder import link
from genre_core.errors import AudioError, GenreError
from genre_core.terminal import say
from genre_core.util.archives import unpack
from genre_core.util.download import fetch
from genre_core.util.files import atomic, digest, read_csv, write_csv

SAMPLE_RATE = 22050  # Hz
REPORT = "report.csv"
COLLABORATIONS = {  # collaboration -> its member whose own tracks are on another side of the official split
    "Lauryn Hill and Bob Marley": "Bob Marley",
    "Barbra Streisand and Donna Summer": "Donna Summer",
    "Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan": "Shania Twain",
}
_TABLE = Path(__file__).with_name("gtzan.csv")
_NAME = re.compile(r"([a-z]+)\.(\d{5})\.(wav|au|flac|mp3|ogg|aiff?)", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """Web address of the archive, with its checksum if fixed.

    Attributes
    ----------
    url : str
        Web address.
    size : int or None
        Size of the archive in bytes; None if it may change.
    sha256 : str or None
        SHA-256 of the archive in hexadecimal; None if it may change.
    """

    url: str
    size: int | None = None
    sha256: str | None = None


MIRRORS = (
    # had 1,226,192,050 bytes in August 2026; the archive may change there, so its content is checked, not its size
    Mirror("https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"),
    Mirror(
        "http://opihi.cs.uvic.ca/sound/genres.tar.gz",  # the canonical home, dead since 2022
        1_225_571_541,
        "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
    ),
)
_MAX_ARCHIVE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Known:
    """Row of the packaged table: a track of GTZAN.

    Attributes
    ----------
    track, genre : str
        Name and genre of the track.
    split : {"train", "valid", "test", ""}
        Side in the fault-filtered split; empty if that split leaves the track out.
    artist : str
        Name of the artist; empty if unknown.
    n_samples : int
        Length in samples at 22,050 Hz.
    """

    track: str
    genre: str
    split: str
    artist: str
    n_samples: int


def table() -> dict[str, Known]:
    """Read the packaged table of all 1,000 tracks.

    Returns
    -------
    dict of str to Known
        Rows by the name of the track, such as "blues.00000".
    """
    rows = read_csv(_TABLE, ["track", "genre", "split", "artist", "n_samples"], comments=True)
    return {r["track"]: Known(r["track"], r["genre"], r["split"], r["artist"], int(r["n_samples"])) for r in rows}


def download(
    out: str | Path, *, path: str, partial: bool, downloads: str | Path, mirrors: tuple[Mirror, ...] = MIRRORS, **options: object
) -> list[Track]:
    """Copy or download the tracks, check them, and write their catalogue.

    The function also writes a report of all faults, ``<out>/report.csv``.

    Parameters
    ----------
    out : str or Path
        Folder for the tracks, the catalogue and the report.
    path : str
        Local copy: a ``.tar.gz``, a ``.zip`` or a folder in any layout. If it is empty, the mirrors are tried.
    partial : bool
        Whether to accept a copy with missing tracks.
    downloads : str or Path
        Folder that keeps the downloaded archive. DVC must not delete it.
    mirrors : tuple of Mirror
        Web addresses of the archive, tried in this order.
    **options
        Options of `util.download.fetch`.

    Returns
    -------
    list of Track
        Tracks that the copy contains. Unreadable tracks are included; ``segment`` rejects them by name.

    Raises
    ------
    GenreError
        No source works, or tracks are missing and `partial` is false.
    """
    out = Path(out)
    known = table()
    if path:
        paths = _from_local(Path(path), out)
        source = path
    else:
        paths, source = _from_mirrors(out, Path(downloads), mirrors, partial, options)
    problems = _find_problems(out, paths, known)
    write_csv(out / REPORT, ["track", "problem", "detail"], problems)
    counts = Counter(row["problem"] for row in problems)
    if problems:
        unreadable = ", ".join(row["track"] for row in problems if row["problem"] == "unreadable")
        summary = ", ".join(f"{count} {problem}" for problem, count in sorted(counts.items()))
        say(f"gtzan: {summary}{f' ({unreadable})' if unreadable else ''}; see {out / REPORT}")
    missing = [row["track"] for row in problems if row["problem"] == "missing"]
    if missing and not partial:
        raise GenreError(
            f"{source}: {len(missing)} of GTZAN's 1,000 tracks are missing ({', '.join(missing[:3])}, ...); name a complete copy with "
            "dataset.gtzan.path, or accept this one with dataset.gtzan.partial: true"
        )
    tracks = [Track(k.track, paths[k.track], k.genre, k.artist, k.split) for k in known.values() if k.track in paths]
    if not tracks:
        raise GenreError(f"{source}: holds no track of GTZAN; GTZAN's files are named <genre>.<five digits>.wav or .au")
    write_catalogue(out, tracks)
    return tracks


def place(member: PurePosixPath) -> str | None:
    """Convert a copy's file path to the data set's path.

    Parameters
    ----------
    member : PurePosixPath
        Path of the file in an archive or folder.

    Returns
    -------
    str or None
        ``<genre>/<track>.<suffix>``, or None if the file is not a track of GTZAN.
    """
    match = _NAME.fullmatch(member.name)
    if match is None or "__MACOSX" in member.parts:  # skips ._*, .DS_Store, *.mf and others
        return None
    genre, number, suffix = (part.lower() for part in match.groups())
    return f"{genre}/{genre}.{number}.{suffix}"


def _from_local(path: Path, out: Path) -> dict[str, str]:
    """Link or unpack a local copy; return each track's path."""
    if path.is_dir():
        placed = [(file, place(PurePosixPath(file.relative_to(path).as_posix()))) for file in _files(path)]
        sources = [(file, target) for file, target in placed if target is not None]
        paths = _path_of_each_track((target for _, target in sources), path)
        for file, target in sources:
            link(file, out / target)
        return paths
    if not path.is_file():
        raise GenreError(
            f"dataset.gtzan.path: {str(path)!r} is neither an archive nor a folder; correct it, or leave it empty to try the mirrors"
        )
    return _path_of_each_track(unpack(path, place, out), path)


def _files(path: Path) -> list[Path]:
    """List the audio files below a folder; warn about links that leave it."""
    found = listing.audio_files(path)
    if links := found.skipped.get(listing.LEAVES):
        warnings.warn(f"{path}: {listing.summary({listing.LEAVES: links})}; name the real folder", stacklevel=2)
    return [path / file for file in found.audio]


def _from_mirrors(
    out: Path, downloads: Path, mirrors: tuple[Mirror, ...], partial: bool, options: dict[str, object]
) -> tuple[dict[str, str], str]:
    """Download the archive from the first mirror that works, and unpack it.

    Return the path of each track, and the address of the mirror.
    """
    failures = []
    for mirror in mirrors:
        target = downloads / f"{re.sub(r'[^a-z0-9]+', '-', mirror.url.lower()).strip('-')}.tar.gz"
        # written after the content is checked: a cached archive that changed later is downloaded again
        digest_file = target.with_name(target.name + ".sha256")
        sha256 = mirror.sha256 or (digest_file.read_text().strip() if target.exists() and digest_file.exists() else None)
        try:
            archive = fetch(mirror.url, target, max_bytes=_MAX_ARCHIVE_BYTES, size=mirror.size, sha256=sha256, **options)  # type: ignore[arg-type]
            try:
                paths = _path_of_each_track(unpack(archive, place, out), archive)
                missing = table().keys() - paths.keys()
                if len(missing) == len(table()) or (missing and not partial):
                    raise GenreError(f"its archive lacks {len(missing)} of GTZAN's 1,000 tracks")
                with atomic(digest_file) as part:
                    part.write_text(digest(archive) + "\n")
                return paths, mirror.url
            except GenreError:
                archive.unlink(missing_ok=True)  # a later run must not use the broken archive
                shutil.rmtree(out, ignore_errors=True)
                raise
        except GenreError as error:
            failures.append(f"{mirror.url}: {error}")
            say(f"gtzan: mirror failed: {failures[-1]}")
    raise GenreError(
        "GTZAN could not be fetched: " + "; ".join(failures) + ". Name a local copy (.tar.gz, Kaggle's .zip or a folder) with "
        "dataset.gtzan.path: dvc exp run -S dataset.name=gtzan -S dataset.gtzan.path=/path/to/copy"
    )


def _path_of_each_track(targets: Iterable[str], source: Path) -> dict[str, str]:
    """Map each track to its path; refuse two files of a track."""
    paths: dict[str, str] = {}
    for target in targets:
        track = target.rsplit("/", 1)[1].rsplit(".", 1)[0]
        if track in paths:
            raise GenreError(f"{source}: two files of track {track} ({paths[track]}, {target}); keep one")
        paths[track] = target
    return paths


def _find_problems(out: Path, paths: dict[str, str], known: dict[str, Known]) -> list[dict[str, str]]:
    """List tracks that are missing, unknown, unreadable or of another length."""
    problems = []

    def report(track: str, problem: str, detail: str = "") -> None:
        problems.append({"track": track, "problem": problem, "detail": detail})

    for track in tqdm(sorted(known.keys() | paths.keys()), desc="check", unit="track", disable=None):
        if track not in known:
            report(track, "unknown", paths[track])
        elif track not in paths:
            report(track, "missing")
        else:
            try:
                audio = decode(out / paths[track])  # the whole file, because a header may state more than the file contains
            except AudioError as error:
                report(track, "unreadable", str(error).removeprefix(f"{out / paths[track]}: "))
                continue
            expected = known[track].n_samples * audio.sample_rate / SAMPLE_RATE
            if abs(len(audio.y) - expected) > 0.01 * SAMPLE_RATE:
                report(track, "other length", f"{len(audio.y)} samples at {audio.sample_rate} Hz, expected {expected:.0f}")
    return problems
