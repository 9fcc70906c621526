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
from genre_core.datasets import copies
from genre_core.datasets.copies import Mirror
from genre_core.errors import AudioError, GenreError
from genre_core.terminal import say
from genre_core.util.files import read_csv, write_csv

SAMPLE_RATE = 22050  # Hz
REPORT = "report.csv"
COLLABORATIONS = {  # collaboration -> its member whose own tracks are on another side of the official split
    "Lauryn Hill and Bob Marley": "Bob Marley",
    "Barbra Streisand and Donna Summer": "Donna Summer",
    "Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan": "Shania Twain",
}
_TABLE = Path(__file__).with_name("gtzan.csv")
_NAME = re.compile(r"([a-z]+)\.(\d{5})\.(wav|au|flac|mp3|ogg|aiff?)", re.IGNORECASE)

MIRRORS = (
    # had 1,226,192,050 bytes in August 2026; the archive may change there, so its content is checked, not its size
    Mirror("https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"),
    # 1.2 GB; redirects to a signed address. Public data sets need no account, as in kagglehub. Its jazz.00054.wav is damaged
    Mirror("https://www.kaggle.com/api/v1/datasets/download/andradaolteanu/gtzan-dataset-music-genre-classification"),
    # 1,230,811,404 bytes; only the 930 tracks of the fault-filtered split
    Mirror(
        "https://huggingface.co/datasets/confit/gtzan-parquet/resolve/main/data",
        parts=(
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
            "validation-00000-of-00001.parquet",
            "test-00000-of-00001.parquet",
        ),
    ),
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
        Local copy: a ``.tar.gz``, a ``.zip``, a folder in any layout, or a folder of parquet files. If it is empty, the mirrors are
        tried.
    partial : bool
        Whether to accept a copy with missing tracks. A copy of exactly the fault-filtered tracks is always accepted.
    downloads : str or Path
        Folder that keeps the downloaded archive. DVC must not delete it.
    mirrors : tuple of Mirror
        Web addresses of the archive. The one that worked last is tried first, then the others in this order.
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

    Warns
    -----
    UserWarning
        The copy holds only the fault-filtered tracks, or links of a local copy leave its folder.
    """
    out = Path(out)
    known = table()
    if path:
        if not Path(path).exists():
            raise GenreError(
                f"dataset.gtzan.path: {path!r} is neither an archive nor a folder; correct it, or leave it empty to try the mirrors"
            )
        paths, source = copies.from_local(Path(path), place, out), path
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
    if _is_fault_filtered(missing):
        warnings.warn(
            f"{source} holds only the {len(known) - len(missing)} tracks of the fault-filtered split, which segment.protocol official "
            "uses; other protocols have fewer tracks than with a complete copy",
            stacklevel=2,
        )
    elif missing and not partial:
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


def _from_mirrors(
    out: Path, downloads: Path, mirrors: tuple[Mirror, ...], partial: bool, options: dict[str, object]
) -> tuple[dict[str, str], str]:
    """Download the first mirror's copy that works, and unpack it.

    Return the path of each track, and the address of the mirror.
    """

    def use(mirror: Mirror, files: list[Path]) -> dict[str, str]:
        try:
            paths = copies.from_mirror(mirror, files, place, out)
            missing = table().keys() - paths.keys()
            if len(missing) == len(table()) or (missing and not partial and not _is_fault_filtered(missing)):
                raise GenreError(f"its archive lacks {len(missing)} of GTZAN's 1,000 tracks")
            return paths
        except GenreError:
            shutil.rmtree(out, ignore_errors=True)
            raise

    return copies.first_alive(
        "gtzan",
        mirrors,
        downloads,
        use,
        max_bytes=_MAX_ARCHIVE_BYTES,
        remedy="Name a local copy (.tar.gz, Kaggle's .zip or a folder) with dataset.gtzan.path: "
        "dvc exp run -S dataset.name=gtzan -S dataset.gtzan.path=/path/to/copy",
        **options,
    )


def _is_fault_filtered(missing: Iterable[str]) -> bool:
    """Tell whether a copy lacks exactly the tracks that the fault-filtered split leaves out."""
    return set(missing) == {known.track for known in table().values() if not known.split}


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
