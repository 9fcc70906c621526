"""FMA data set: clips of 30 s from the Free Music Archive, with the split and the top genres of its authors.

M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, "FMA: a dataset for music analysis", ISMIR 2017. Each artist chose the licence of
the audio, mostly Creative Commons; the metadata is CC BY 4.0. Addresses, SHA-1 and layout: README.md, creation.py and creation.ipynb of
https://github.com/mdeff/fma.

========== ======== ======== ==============
subset     clips    genres   archive
========== ======== ======== ==============
``small``  8,000    8        7.2 GiB
``medium`` 25,000   16       22 GiB
``large``  106,574  16       93 GiB
========== ======== ======== ==============

The genre is the top genre. Tracks without one are left out: ``large`` keeps 49,598. The split keeps each artist (by number,
`artist.id`) on one side. In the archives, every member is compressed by bzip2.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from genre_core.corpus.catalogue import LICENCES, Track, write_catalogue
from genre_core.datasets import copies, fma_table
from genre_core.datasets.copies import Mirror
from genre_core.datasets.fma_table import SUBSETS, Clip
from genre_core.errors import GenreError
from genre_core.util.archives import unpack
from genre_core.util.files import MAX_TABLE_BYTES, write_csv

REPORT = "report.csv"
_HOME = "https://os.unil.cloud.switch.ch/fma"
_DEADLINE_S = 7 * 24 * 3600.0  # 93 GiB take a day at 1.2 MB/s
# Clips that were cut at the wrong place, because the stated length of the recording is wrong: they hold 0 to 7 s (108924: 27.4 s), most
# of them nothing. Source: M. Defferrard in issue 8 of github.com/mdeff/fma, and the errata in its wiki. They cover `medium`, and so
# `small`. For the rest of `large` the authors list none; `segment` rejects unreadable and short clips by name.
FAULTY = frozenset(
    f"{number:06d}"
    for number in (
        *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98565, 98566, 98567, 98568, 98569, 98571, 99134),
        *(105247, 108924, 108925, 126981, 127336, 133297, 143992),
    )
)
_PLACE = re.compile(r"(\d{3})/((\1)\d{3})\.mp3", re.IGNORECASE)


@dataclass(frozen=True)
class Sources:
    """Mirrors of the metadata, and of the audio of each subset."""

    metadata: tuple[Mirror, ...] = (Mirror(f"{_HOME}/fma_metadata.zip", sha1="f0df49ffe5f2a6008d7dc83c6915b31835dfe733"),)
    audio: Mapping[str, tuple[Mirror, ...]] = field(
        default_factory=lambda: {
            "small": (Mirror(f"{_HOME}/fma_small.zip", sha1="ade154f733639d52e35e32f5593efe5be76c6d70"),),
            "medium": (Mirror(f"{_HOME}/fma_medium.zip", sha1="c67b69ea232021025fca9231fc1c7c1a063ab50b"),),
            "large": (Mirror(f"{_HOME}/fma_large.zip", sha1="497109f4dd721066b5ce5e5f250ec604dc78939e"),),
        }
    )


_MAX_METADATA_BYTES = 500_000_000
_MAX_AUDIO_BYTES = {"small": 9_000_000_000, "medium": 27_000_000_000, "large": 110_000_000_000}
_LIMITS = {"max_file_bytes": 20_000_000, "max_total_bytes": 120_000_000_000, "max_members": 120_000}


def download(
    out: str | Path, *, subset: str, path: str, partial: bool, downloads: str | Path, sources: Sources | None = None, **options: Any
) -> list[Track]:
    """Copy or download the clips of a subset, and write their catalogue.

    The function also writes the licence of each track, ``<out>/licences.csv``, and the clips that are left out, ``<out>/report.csv``.

    Parameters
    ----------
    out : str or Path
        Folder for the clips and the tables.
    subset : {"small", "medium", "large"}
        Subset of the data set.
    path : str
        Local copy: a folder with the archives or the unpacked folders, ``fma_metadata`` among them. Empty: they are downloaded.
    partial : bool
        Whether to accept a copy with missing clips.
    downloads : str or Path
        Folder that keeps the downloaded archives. DVC must not delete it.
    sources : Sources, optional
        Web addresses; the default is the authors' server.
    **options
        Options of `util.download.fetch`.

    Returns
    -------
    list of Track
        Tracks by number. Unreadable and short clips are included unless they are known; ``segment`` rejects them by name.

    Raises
    ------
    GenreError
        No source works, the metadata is not as published, or clips are missing and `partial` is false.

    Warns
    -----
    UserWarning
        Tracks have no top genre, known faulty clips are left out, or names are not usable.
    """
    out, downloads, sources = Path(out), Path(downloads), sources or Sources()
    options = {"deadline_s": _DEADLINE_S, **options}
    root = _local_root(path) if path else None
    clips = _read_clips(root, subset, downloads, sources.metadata, options)
    usable = {clip.track: clip for clip in clips if clip.genre and clip.track not in FAULTY}
    _warn_about_clips(clips, subset)

    def place(member: PurePosixPath) -> str | None:
        match = _PLACE.fullmatch("/".join(member.parts[-2:]))
        return f"{match[1]}/{match[2]}.mp3" if match and match[2] in usable and "__MACOSX" not in member.parts else None

    if root is not None:
        source = _local_audio(root, path, subset)
        paths = copies.from_local(source, place, out, **_LIMITS)
        where = str(source)
    else:
        paths, where = _from_mirrors(subset, sources.audio[subset], place, out, downloads, options)
    missing = sorted(usable.keys() - paths.keys())
    if len(missing) == len(usable):
        raise GenreError(
            f"{where}: holds no clip of FMA's subset {subset}; expected fma_{subset}.zip, or a folder fma_{subset} with files as "
            f"000/000002.mp3 ({_HOME}/fma_{subset}.zip)"
        )
    if missing and not partial:
        raise GenreError(
            f"{where}: {len(missing):,} of {len(usable):,} clips of FMA's subset {subset} are missing ({', '.join(missing[:3])}, ...); "
            "name a complete copy with dataset.fma.path, or accept this one with dataset.fma.partial: true"
        )
    if missing:
        warnings.warn(f"{where}: {len(missing):,} clips are missing ({', '.join(missing[:3])}, ...); see {out / REPORT}", stacklevel=2)
    kept = [clip for clip in usable.values() if clip.track in paths]
    tracks = [Track(clip.track, paths[clip.track], clip.genre, clip.artist, clip.split) for clip in kept]
    write_csv(out / REPORT, ["track", "problem"], _report(clips, missing))
    write_csv(out / LICENCES, ["track", "licence"], ({"track": clip.track, "licence": clip.licence} for clip in kept))
    write_catalogue(out, tracks)
    return tracks


def _local_root(path: str) -> Path:
    """Return the folder that holds the archives or folders of a local copy."""
    given = Path(path)
    if not given.exists():
        raise GenreError(f"dataset.fma.path: {path!r} is missing; correct it, or leave it empty to download the archives")
    # Users also name fma_small itself, or its archive.
    for folder in (given, given.parent):
        if any((folder / name).exists() for name in ("tracks.csv", "fma_metadata", "fma_metadata.zip")):
            return folder
    raise GenreError(
        f"dataset.fma.path: {path!r} holds neither fma_metadata.zip nor fma_metadata/tracks.csv, also not beside it; put it there "
        f"({_HOME}/fma_metadata.zip)"
    )


def _local_audio(root: Path, path: str, subset: str) -> Path:
    """Find the audio of a subset, or of a larger one, in a local copy."""
    if Path(path) != root:
        return Path(path)
    for name in SUBSETS[SUBSETS.index(subset) :]:
        for candidate in (root / f"fma_{name}", root / f"fma_{name}.zip"):
            if candidate.exists():
                return candidate
    return root


def _read_clips(root: Path | None, subset: str, downloads: Path, mirrors: tuple[Mirror, ...], options: dict[str, Any]) -> list[Clip]:
    """Read the clips of a subset from the local or downloaded metadata."""
    if root is not None:
        for table in (root / "fma_metadata" / "tracks.csv", root / "tracks.csv"):
            if table.exists():
                return fma_table.read(table, subset)
        return _read_archive(root / "fma_metadata.zip", subset, downloads)
    clips, _ = copies.first_alive(
        "fma",
        mirrors,
        downloads,
        lambda mirror, files: _read_archive(files[0], subset, downloads),
        max_bytes=_MAX_METADATA_BYTES,
        remedy=_remedy("fma_metadata.zip"),
        **options,
    )
    return clips


def _place_table(member: PurePosixPath) -> str | None:
    return "tracks.csv" if member.name == "tracks.csv" else None


def _read_archive(archive: Path, subset: str, downloads: Path) -> list[Clip]:
    """Read the clips of a subset from fma_metadata.zip."""
    folder = downloads / "tracks"  # a fixed name: the next run removes what a killed one left
    try:
        if not unpack(archive, _place_table, folder, max_file_bytes=MAX_TABLE_BYTES):
            raise GenreError(f"{archive}: holds no tracks.csv; is it fma_metadata.zip?")
        return fma_table.read(folder / "tracks.csv", subset, name=f"{archive}, tracks.csv")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _from_mirrors(
    subset: str, mirrors: tuple[Mirror, ...], place: copies.Place, out: Path, downloads: Path, options: dict[str, Any]
) -> tuple[dict[str, str], str]:
    """Download the archive of a subset, and unpack it.

    Return the path of each track, and the address of the mirror.
    """

    def use(mirror: Mirror, files: list[Path]) -> dict[str, str]:
        try:
            return copies.from_mirror(mirror, files, place, out, **_LIMITS)
        except GenreError:
            shutil.rmtree(out, ignore_errors=True)
            raise

    maximum = _MAX_AUDIO_BYTES[subset]
    return copies.first_alive("fma", mirrors, downloads, use, max_bytes=maximum, remedy=_remedy(f"fma_{subset}.zip"), **options)


def _remedy(name: str) -> str:
    return (
        f"What was received is kept: run it again later. Or name a folder that holds {name} with dataset.fma.path: "
        "dvc exp run -S dataset.name=fma -S dataset.fma.path=/path/to/folder"
    )


def _report(clips: Iterable[Clip], missing: Iterable[str]) -> list[dict[str, str]]:
    """List the clips that are left out, by track."""
    problems = {clip.track: "no top genre" for clip in clips if not clip.genre}
    problems |= {clip.track: "known faulty clip: cut at the wrong place" for clip in clips if clip.track in FAULTY}
    problems |= dict.fromkeys(missing, "missing")
    return [{"track": track, "problem": problem} for track, problem in sorted(problems.items())]


def _warn_about_clips(clips: list[Clip], subset: str) -> None:
    counts = Counter(bool(clip.genre) for clip in clips)
    if counts[False]:
        warnings.warn(f"fma {subset}: {counts[False]:,} of {len(clips):,} tracks have no top genre and are left out", stacklevel=3)
    if faulty := sorted(clip.track for clip in clips if clip.track in FAULTY):
        warnings.warn(
            f"fma {subset}: {len(faulty)} known faulty clips, which were cut at the wrong place, are left out: {', '.join(faulty)}",
            stacklevel=3,
        )
    if renamed := sorted({clip.artist for clip in clips if clip.renamed}):
        warnings.warn(
            f"fma {subset}: the names of {len(renamed)} artists have control characters, HTML or more than {fma_table.MAX_NAME} letters; "
            f"they are called {renamed[0]!r}{' and so on' if len(renamed) > 1 else ''}",
            stacklevel=3,
        )
