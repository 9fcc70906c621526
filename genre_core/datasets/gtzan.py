"""GTZAN: 1,000 tracks of 30 s, ten genres.

G. Tzanetakis and P. Cook, "Musical genre classification of audio signals", IEEE Transactions on Speech and Audio Processing
10(5), 2002. Its audio has no copyright clearance and no licence: research use, never redistribute it.

The split for protocol ``official`` is the fault-filtered one (C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music
adversaries", IEEE Transactions on Multimedia 17(11), 2015): 443 train, 197 valid, 290 test tracks; 70 with faults are left
out. Artists, where identified, are from B. L. Sturm, "An analysis of the GTZAN music genre dataset", MIRUM 2012. No known
artist crosses that split, save within three collaborations, which count as artists of their own: see `COLLABORATIONS`.
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
from genre_core.datasets.folder import leaves, link
from genre_core.errors import AudioError, GenreError
from genre_core.terminal import say
from genre_core.util.archives import unpack
from genre_core.util.download import fetch
from genre_core.util.files import atomic, digest, read_csv, walk, write_csv

SAMPLE_RATE = 22050  # Hz
REPORT = "report.csv"
COLLABORATIONS = {  # on one side of the official split, beside their member on another
    "Lauryn Hill and Bob Marley": "Bob Marley",
    "Barbra Streisand and Donna Summer": "Donna Summer",
    "Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan": "Shania Twain",
}
_TABLE = Path(__file__).with_name("gtzan.csv")
_NAME = re.compile(r"([a-z]+)\.(\d{5})\.(wav|au|flac|mp3|ogg|aiff?)", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """An address of the archive."""

    url: str
    size: int | None = None
    sha256: str | None = None


MIRRORS = (
    # Seen with 1,226,192,050 bytes in August 2026, and may change there: its content is checked instead.
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
    """A row of the packaged table."""

    track: str
    genre: str
    split: str
    artist: str
    n_samples: int


def table() -> dict[str, Known]:
    """Read the packaged table of all 1,000 tracks, by name."""
    rows = read_csv(_TABLE, ["track", "genre", "split", "artist", "n_samples"], comments=True)
    return {r["track"]: Known(r["track"], r["genre"], r["split"], r["artist"], int(r["n_samples"])) for r in rows}


def download(
    out: str | Path, *, path: str, partial: bool, downloads: str | Path, mirrors: tuple[Mirror, ...] = MIRRORS, **options: object
) -> list[Track]:
    """Bring the tracks from a local copy or a mirror to `out`, check them, and write the catalogue and a report of all faults.

    Parameters
    ----------
    out : str or Path
    path : str
        A local ``.tar.gz``, ``.zip`` or folder in any of the layouts met in the wild; empty: the mirrors are tried.
    partial : bool
        Accept a copy that lacks tracks.
    downloads : str or Path
        Folder that keeps the archive, outside of what DVC deletes.
    mirrors : tuple of Mirror
    **options
        For `fetch`.

    Returns
    -------
    list of Track
        Those that are there. Unreadable ones among them: ``segment`` rejects them by name.

    Raises
    ------
    GenreError
        No source works, or tracks are missing and `partial` is false.
    """
    out = Path(out)
    known = table()
    if path:
        found = _from_local(Path(path), out)
        source = path
    else:
        found, source = _from_mirrors(out, Path(downloads), mirrors, partial, options)
    problems = _check(out, found, known)
    write_csv(out / REPORT, ["track", "problem", "detail"], problems)
    counts = Counter(row["problem"] for row in problems)
    if problems:
        named = ", ".join(row["track"] for row in problems if row["problem"] == "unreadable")
        summary = ", ".join(f"{count} {problem}" for problem, count in sorted(counts.items()))
        say(f"gtzan: {summary}{f' ({named})' if named else ''}; see {out / REPORT}")
    missing = [row["track"] for row in problems if row["problem"] == "missing"]
    if missing and not partial:
        raise GenreError(
            f"{source}: {len(missing)} of GTZAN's 1,000 tracks are missing ({', '.join(missing[:3])}, ...); name a whole copy with "
            "dataset.gtzan.path, or accept this one with dataset.gtzan.partial: true"
        )
    tracks = [Track(k.track, found[k.track], k.genre, k.artist, k.split) for k in known.values() if k.track in found]
    if not tracks:
        raise GenreError(f"{source}: holds no track of GTZAN; its files are named <genre>.<five digits>.wav or .au")
    write_catalogue(out, tracks)
    return tracks


def place(member: PurePosixPath) -> str | None:
    """Return the place of a file, ``<genre>/<track>.<suffix>``; None if it is no track."""
    match = _NAME.fullmatch(member.name)
    if match is None or "__MACOSX" in member.parts:  # that leaves ._*, .DS_Store, *.mf and everything else out
        return None
    genre, number, suffix = (part.lower() for part in match.groups())
    return f"{genre}/{genre}.{number}.{suffix}"


def _from_local(path: Path, out: Path) -> dict[str, str]:
    if path.is_dir():
        placed = [(file, place(PurePosixPath(file.relative_to(path).as_posix()))) for file in _files(path)]
        sources = [(file, target) for file, target in placed if target is not None]
        found = _by_track((target for _, target in sources), path)
        for file, target in sources:
            link(file, out / target)
        return found
    if not path.is_file():
        raise GenreError(f"dataset.gtzan.path: {str(path)!r} is no archive and no folder; correct it, or leave it empty to try the mirrors")
    return _by_track(unpack(path, place, out), path)


def _files(path: Path) -> list[Path]:
    """Files below a folder; links that leave it are not followed, and said."""
    files, links = [], []
    for folder, folders, names in walk(path):
        outside = {name for name in (*folders, *names) if (folder / name).is_symlink() and leaves(folder / name, path)}
        links += [folder / name for name in sorted(outside)]
        files += [folder / name for name in names if name not in outside]
    if links:
        warnings.warn(f"{path}: ignored {len(links)} links that leave the folder, such as {links[0]}; name the real folder", stacklevel=2)
    return sorted(file for file in files if file.is_file())


def _from_mirrors(
    out: Path, downloads: Path, mirrors: tuple[Mirror, ...], partial: bool, options: dict[str, object]
) -> tuple[dict[str, str], str]:
    failures = []
    for mirror in mirrors:
        target = downloads / f"{re.sub(r'[^a-z0-9]+', '-', mirror.url.lower()).strip('-')}.tar.gz"
        seal = target.with_name(target.name + ".sha256")  # of a copy that was whole: a cached one that changed since is fetched again
        sha256 = mirror.sha256 or (seal.read_text().strip() if target.exists() and seal.exists() else None)
        try:
            archive = fetch(mirror.url, target, max_bytes=_MAX_ARCHIVE_BYTES, size=mirror.size, sha256=sha256, **options)  # type: ignore[arg-type]
            try:
                found = _by_track(unpack(archive, place, out), archive)
                missing = table().keys() - found.keys()
                if len(missing) == len(table()) or (missing and not partial):
                    raise GenreError(f"its archive lacks {len(missing)} of GTZAN's 1,000 tracks")
                with atomic(seal) as part:
                    part.write_text(digest(archive) + "\n")
                return found, mirror.url
            except GenreError:
                archive.unlink(missing_ok=True)  # broken: a later run must not find it
                shutil.rmtree(out, ignore_errors=True)
                raise
        except GenreError as error:
            failures.append(f"{mirror.url}: {error}")
            say(f"gtzan: mirror failed: {failures[-1]}")
    raise GenreError(
        "GTZAN could not be fetched: " + "; ".join(failures) + ". Name a local copy (.tar.gz, Kaggle's .zip or a folder) with "
        "dataset.gtzan.path: dvc exp run -S dataset.name=gtzan -S dataset.gtzan.path=/path/to/copy"
    )


def _by_track(targets: Iterable[str], source: Path) -> dict[str, str]:
    """Target of each track; two files of one track are refused."""
    found: dict[str, str] = {}
    for target in targets:
        track = target.rsplit("/", 1)[1].rsplit(".", 1)[0]
        if track in found:
            raise GenreError(f"{source}: two files of track {track} ({found[track]}, {target}); keep one")
        found[track] = target
    return found


def _check(out: Path, found: dict[str, str], known: dict[str, Known]) -> list[dict[str, str]]:
    """Everything that is missing, unknown, unreadable or of another length."""
    problems = []

    def report(track: str, problem: str, detail: str = "") -> None:
        problems.append({"track": track, "problem": problem, "detail": detail})

    for track in tqdm(sorted(known.keys() | found.keys()), desc="check", unit="track", disable=None):
        if track not in known:
            report(track, "unknown", found[track])
        elif track not in found:
            report(track, "missing")
        else:
            try:
                audio = decode(out / found[track])  # all of it: a header may promise what is not there
            except AudioError as error:
                report(track, "unreadable", str(error).removeprefix(f"{out / found[track]}: "))
                continue
            expected = known[track].n_samples * audio.sample_rate / SAMPLE_RATE
            if abs(len(audio.y) - expected) > 0.01 * SAMPLE_RATE:
                report(track, "other length", f"{len(audio.y)} samples at {audio.sample_rate} Hz, expected {expected:.0f}")
    return problems
