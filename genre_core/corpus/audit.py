"""Audit of a data set: duplicates, artists on two sides, damaged audio.

B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use", 2013, found such
faults in a tenth of the tracks of GTZAN, which a hundred papers had used. F. Rodriguez-Algarra, B. L. Sturm and S. Dixon, TISMIR
2019, found that content below 20 Hz reveals the labels of GTZAN.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genre_core.audio import fingerprint
from genre_core.audio.formats import wrong_suffix
from genre_core.audio.io import Audio, decode, decode_channels
from genre_core.audio.level import SILENCE_DBFS, centre, offset
from genre_core.audio.quality import (
    CLIPPED_SHARE,
    NARROW_HZ,
    OFFSET,
    SUBSONIC_DB,
    clipped_share,
    level_and_bandwidth,
    power_below,
)
from genre_core.corpus import splits
from genre_core.corpus.catalogue import Track
from genre_core.errors import AudioError
from genre_core.util.cached_map import Recipe, audio_file, map_cached
from genre_core.util.parallel import Workers
from genre_core.util.result_cache import Kept, ResultCache

_MAX_CHANNEL_SAMPLES = 30 * 60 * 48_000  # only this much is searched for clipping in single channels: half an hour of mono at 48 kHz
_MIN_LENGTH_SHARE = 0.9  # share of the median length; a shorter track counts as truncated


@dataclass(frozen=True)
class AuditedTrack:
    """Row of tracks.csv: the measurements of a file.

    Numbers are None if the file could not be decoded.

    Attributes
    ----------
    file, genre, artist, split : str
        Path, genre, artist and split in the catalogue.
    seconds : float
        Length of the decoded audio.
    sample_rate : int
        Sample rate of the file, in Hz.
    peak_dbfs, level_dbfs : float
        Peak and root mean square of the samples, in dBFS.
    bandwidth_hz : float
        Frequency above which the spectrum has no content, in Hz.
    clipped_share : float
        Share of clipped samples, in [0, 1].
    silent_share : float
        Share of frames below -60 dBFS, in [0, 1].
    subsonic_db : float
        Power below 20 Hz relative to the total power, in dB.
    problems : str
        Problems of the file, joined by "; ".
    """

    file: str
    genre: str
    artist: str
    split: str
    seconds: float | None = None
    sample_rate: int | None = None
    peak_dbfs: float | None = None
    level_dbfs: float | None = None
    bandwidth_hz: float | None = None
    clipped_share: float | None = None
    silent_share: float | None = None
    subsonic_db: float | None = None
    problems: str = ""


@dataclass(frozen=True)
class Copies:
    """Row of pairs.csv: two files that hold the same recording.

    Attributes
    ----------
    a, b : str
        Paths of the two files.
    score : float
        Similarity of their fingerprints, in [0, 1].
    offset_s : float
        Time in `a` at which `b` starts, in seconds.
    kind : {"exact", "near"}
        Exact: the samples are equal. Near: the level, coding, sample rate or excerpt differs.
    """

    a: str
    b: str
    score: float
    offset_s: float
    kind: str


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes
    ----------
    tracks : list of AuditedTrack
        Measurements of each file, in the order of the catalogue.
    pairs : list of Copies
        Duplicates: pairs found by fingerprint, the highest score first, then pairs found only by digest.
    crossing_artists : tuple of str
        Known artists on more than one side of the data set's own split.
    crossing_pairs : list of Copies
        Duplicates whose two files are on different sides of that split.
    """

    tracks: list[AuditedTrack]
    pairs: list[Copies]
    crossing_artists: tuple[str, ...]
    crossing_pairs: list[Copies]

    @property
    def clean(self) -> bool:
        """Whether the audit found no duplicates, crossing artists or problems."""
        return not (self.pairs or self.crossing_artists or any(t.problems for t in self.tracks))

    @property
    def not_looked_at(self) -> int:
        """Number of tracks of precomputed features, whose audio is unknown."""
        return sum(t.file.endswith(".npy") for t in self.tracks)

    def summary(self) -> dict[str, Any]:
        """Count tracks, duplicates, crossings and problems, for the metrics file."""
        problems = Counter(problem.split(":")[0] for t in self.tracks for problem in t.problems.split("; ") if problem)
        seconds = [t.seconds for t in self.tracks if t.seconds is not None]
        return {
            "tracks": len(self.tracks),
            "genres": dict(sorted(Counter(t.genre for t in self.tracks).items())),
            "hours": round(sum(seconds) / 3600, 3),
            "seconds_median": round(float(np.median(seconds)), 3) if seconds else None,
            "pairs": len(self.pairs),
            "pairs_exact": sum(p.kind == "exact" for p in self.pairs),
            "pairs_crossing_split": len(self.crossing_pairs),
            "artists_crossing_split": len(self.crossing_artists),
            "artists_unknown": sum(not t.artist for t in self.tracks),
            "problems": dict(sorted(problems.items())),
            "not_looked_at": self.not_looked_at,
        }


def audit(
    root: str | Path,
    tracks: Sequence[Track],
    *,
    similarity: float = 0.85,
    overlap_seconds: float = 4.0,
    workers: Workers = 0,
    cache: ResultCache | None = None,
) -> Audit:
    """Measure every file of a data set, and find duplicates and crossings.

    Parameters
    ----------
    root : str or Path
        Folder that contains the tracks' paths.
    tracks : sequence of Track
        Tracks of the catalogue. Precomputed features (``.npy``) get a row without measurements.
    similarity, overlap_seconds : float
        Thresholds for duplicates; see `fingerprint.find_pairs`.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler.
    cache : ResultCache, optional
        Measurements and fingerprints that were kept by earlier runs.

    Returns
    -------
    Audit
        Measurements, duplicates and crossings.
    """
    work = partial(_measure, root=Path(root))
    results = map_cached(work, tracks, _recipe(Path(root)), cache, workers=workers, preload=("torch", __name__))
    measured = list(tqdm(results, total=len(tracks), desc="audit", unit="track", disable=None))
    rows = _flag_short_tracks([row for row, _, _ in measured])
    prints, digests = [p for _, p, _ in measured], [d for _, _, d in measured]
    pairs = [
        Copies(rows[p.a].file, rows[p.b].file, p.score, p.offset_seconds, "exact" if digests[p.a] == digests[p.b] else "near")
        for p in fingerprint.find_pairs(prints, similarity=similarity, overlap_seconds=overlap_seconds)
    ]
    fingerprint_pairs = {(p.a, p.b) for p in pairs}
    files_of = defaultdict(list)
    for row, digest in zip(rows, digests, strict=True):
        files_of[digest].append(row.file)
    # files that are too short or too quiet for a fingerprint
    for first, *others in (files for digest, files in files_of.items() if digest and len(files) > 1):
        pairs += [Copies(first, other, 1.0, 0.0, "exact") for other in others if (first, other) not in fingerprint_pairs]
    side = {t.path: t.split for t in tracks}
    crossing = [p for p in pairs if side[p.a] and side[p.b] and side[p.a] != side[p.b]]
    return Audit(rows, pairs, splits.crossings(tracks, [[t.split] for t in tracks]).artists, crossing)


def _recipe(root: Path) -> Recipe:
    """Say by what the measurements of a track are known, and how they are kept."""
    of_catalogue = ("file", "genre", "artist", "split")

    def to_kept(measured: tuple[AuditedTrack, fingerprint.Fingerprint, str]) -> Kept | None:
        row, printed, digest = measured
        if not digest:  # the file could not be decoded: the next version may read it
            return None
        facts = {name: value for name, value in asdict(row).items() if name not in of_catalogue}
        return Kept({"codes": printed.codes, "loud": printed.loud}, {"row": facts, "digest": digest})

    def from_kept(track: Track, kept: Kept) -> tuple[AuditedTrack, fingerprint.Fingerprint, str]:
        row = AuditedTrack(track.path, track.genre, track.artist, track.split, **kept.facts["row"])
        return row, fingerprint.Fingerprint(kept.arrays["codes"], kept.arrays["loud"]), kept.facts["digest"]

    return Recipe(
        ("audio", "corpus/audit.py"),
        "audit",
        file=lambda track: audio_file(root / track.path),
        to_kept=to_kept,
        from_kept=from_kept,
    )


def _measure(track: Track, root: Path) -> tuple[AuditedTrack, fingerprint.Fingerprint, str]:
    """Measure a file; return its row, fingerprint and digest of samples."""
    names = (track.path, track.genre, track.artist, track.split)
    no_fingerprint = fingerprint.Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    if track.path.endswith(".npy"):
        return AuditedTrack(*names), no_fingerprint, ""
    path = root / track.path
    try:
        audio = decode(path)
    except AudioError as error:
        return AuditedTrack(*names, problems=f"unreadable: {str(error).removeprefix(f'{path}: ')}".replace("; ", ", ")), no_fingerprint, ""
    y, problems = audio.y, _of_file(path, audio)
    # One channel can be clipped although the mean of the channels is not.
    loud = audio.peak_dbfs > -20
    channels = decode_channels(path, max_samples=_MAX_CHANNEL_SAMPLES) if loud and audio.source.channels > 1 else [y]
    clipped = max(map(clipped_share, channels or [y])) if loud else 0.0
    level, bandwidth, silent = level_and_bandwidth(y, audio.sample_rate)
    constant = offset(y)
    if abs(constant) > OFFSET:
        problems.append(f"constant offset: {constant:+.3f} of full scale")
        y = centre(y)
    subsonic = 10 * math.log10(max(float(power_below(y, audio.sample_rate, 20.0)), 1e-12))
    if audio.peak_dbfs < SILENCE_DBFS:
        problems.append(f"silent: peak {audio.peak_dbfs:.0f} dBFS")
    else:
        if silent > 0.25:
            problems.append(f"silent: {silent:.0%} of its frames below {SILENCE_DBFS:g} dBFS")
        if clipped > CLIPPED_SHARE:
            problems.append(f"clipped: {clipped:.2%} of the samples are at the peak, in runs")
        if bandwidth < NARROW_HZ:
            problems.append(f"band-limited: no content above {bandwidth:.0f} Hz")
        if subsonic > SUBSONIC_DB:
            problems.append(f"subsonic: power below 20 Hz is {subsonic:.0f} dB relative to the total")
    row = AuditedTrack(
        *names,
        round(audio.seconds, 4),
        audio.source.sample_rate,
        round(audio.peak_dbfs, 2),
        round(level, 2),
        round(bandwidth, 1),
        round(clipped, 6),
        round(silent, 4),
        round(subsonic, 2),
        "; ".join(problems),
    )
    return row, fingerprint.fingerprint(audio.y, audio.sample_rate), hashlib.sha256(audio.y.tobytes()).hexdigest()


def _of_file(path: Path, audio: Audio) -> list[str]:
    """List what a file is, as against what its name and its header say."""
    source = audio.source
    problems = []
    if source.damage:
        problems.append(source.damage)
    if audio.shortfall:
        problems.append(audio.shortfall)
    if source.stated_seconds is not None and audio.seconds + source.lost_seconds > 1.02 * source.stated_seconds + 0.2:
        problems.append(f"longer than its header: {audio.seconds:.1f} s, it states {source.stated_seconds:.1f} s")
    if source.unit != 1:
        problems.append(f"float samples of integer scale: full scale is {source.unit:.0f}, not 1")
    if suffix := wrong_suffix(path, source.format):
        problems.append(f"wrong suffix: {suffix}")
    return problems


def _flag_short_tracks(rows: list[AuditedTrack]) -> list[AuditedTrack]:
    """Mark short tracks as truncated if nearly all tracks have one length."""
    seconds = np.array([r.seconds for r in rows if r.seconds is not None])
    if len(seconds) < 10 or np.mean(np.abs(seconds / (median_seconds := float(np.median(seconds))) - 1) < 0.05) < 0.9:
        return rows

    def flagged(row: AuditedTrack) -> AuditedTrack:
        if row.seconds is None or row.seconds >= _MIN_LENGTH_SHARE * median_seconds or "truncated" in row.problems:
            return row
        problem = f"truncated: {row.seconds:.1f} s, nearly all tracks have {median_seconds:.1f} s"
        return replace(row, problems="; ".join(filter(None, [row.problems, problem])))

    return [flagged(row) for row in rows]
