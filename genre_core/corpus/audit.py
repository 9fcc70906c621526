"""What is wrong with a data set: copies of one recording, artists on two sides, damaged audio.

B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use", 2013, found such
faults in a tenth of a data set that a hundred papers had used; F. Rodriguez-Algarra, B. L. Sturm and S. Dixon, TISMIR 2019,
that content below 20 Hz gives its labels away.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genre_core.audio import fingerprint
from genre_core.audio.io import SILENCE_DBFS, decode
from genre_core.audio.quality import (
    _CLIPPED_SHARE,
    _SUBSONIC_DB,
    NARROW_HZ,
    _below,
    _channels,
    _clipped_share,
    _promised_seconds,
    level_and_bandwidth,
)
from genre_core.corpus import splits
from genre_core.corpus.catalogue import Track
from genre_core.errors import AudioError
from genre_core.util.parallel import map_tracks

_SHORT = 0.9  # of the usual length, where nearly all tracks have it


@dataclass(frozen=True)
class AuditedTrack:
    """A row of tracks.csv; numbers are None where the file could not be decoded.

    Attributes
    ----------
    file, genre, artist, split : str
    seconds : float
    sample_rate : int
        Of the file, in Hz.
    peak_dbfs, level_dbfs : float
        Highest sample, and root mean square.
    bandwidth_hz : float
        Where the spectrum ends.
    clipped_share, silent_share : float
        Of the samples, and of the frames below -60 dBFS.
    subsonic_db : float
        Power below 20 Hz, relative to all.
    problems : str
        Joined by "; ".
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
    """A row of pairs.csv: two files with the same music; what is at 0 in `b` is at `offset_s` seconds in `a`."""

    a: str
    b: str
    score: float
    offset_s: float
    kind: str  # exact: the same samples; near: another level, coding, rate or excerpt


@dataclass(frozen=True)
class Audit:
    """The findings of an audit.

    Attributes
    ----------
    tracks : list of AuditedTrack
        In the order of the catalogue.
    pairs : list of Copies
        Best first.
    crossing_artists : tuple of str
        Known artists on more than one side of the data set's own split.
    crossing_pairs : list of Copies
        Pairs on two sides of it.
    """

    tracks: list[AuditedTrack]
    pairs: list[Copies]
    crossing_artists: tuple[str, ...]
    crossing_pairs: list[Copies]

    @property
    def clean(self) -> bool:
        """Whether the audit found nothing."""
        return not (self.pairs or self.crossing_artists or any(t.problems for t in self.tracks))

    @property
    def not_looked_at(self) -> int:
        """Tracks that are features made elsewhere: nothing is known of their audio."""
        return sum(t.file.endswith(".npy") for t in self.tracks)

    def summary(self) -> dict[str, Any]:
        """Counts, for metrics."""
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


def audit(root: str | Path, tracks: Sequence[Track], *, similarity: float = 0.85, overlap_seconds: float = 4.0, workers: int = 0) -> Audit:
    """Look at every file of a data set, and at every pair.

    Parameters
    ----------
    root : str or Path
        What the tracks' paths are relative to.
    tracks : sequence of Track
        Features made elsewhere (``.npy``) are listed, and not looked at.
    similarity, overlap_seconds : float
        See `fingerprint.find_pairs`.
    workers : int >= 0
        Processes; 0 is one a core.
    """
    found = map_tracks(partial(_look, root=Path(root)), tracks, workers=workers, preload=(__name__,))
    looked = list(tqdm(found, total=len(tracks), desc="audit", unit="track", disable=None))
    rows = _flag_lengths([row for row, _, _ in looked])
    prints, digests = [p for _, p, _ in looked], [d for _, _, d in looked]
    pairs = [
        Copies(rows[p.a].file, rows[p.b].file, p.score, p.offset_seconds, "exact" if digests[p.a] == digests[p.b] else "near")
        for p in fingerprint.find_pairs(prints, similarity=similarity, overlap_seconds=overlap_seconds)
    ]
    known = {(p.a, p.b) for p in pairs}
    by_digest = defaultdict(list)
    for row, value in zip(rows, digests, strict=True):
        by_digest[value].append(row.file)
    for same in (files for value, files in by_digest.items() if value and len(files) > 1):  # too short or quiet for a fingerprint
        pairs += [Copies(same[0], other, 1.0, 0.0, "exact") for other in same[1:] if (same[0], other) not in known]
    side = {t.path: t.split for t in tracks}
    crossing = [p for p in pairs if side[p.a] and side[p.b] and side[p.a] != side[p.b]]
    return Audit(rows, pairs, splits.crossings(tracks, [[t.split] for t in tracks]).artists, crossing)


def _look(track: Track, root: Path) -> tuple[AuditedTrack, fingerprint.Fingerprint, str]:
    """Measure a file: its row, its fingerprint, and a digest of its samples."""
    names = (track.path, track.genre, track.artist, track.split)
    nothing = fingerprint.Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    if track.path.endswith(".npy"):
        return AuditedTrack(*names), nothing, ""
    path = root / track.path
    try:
        audio = decode(path)
    except AudioError as error:
        return AuditedTrack(*names, problems=f"unreadable: {str(error).removeprefix(f'{path}: ')}".replace("; ", ", ")), nothing, ""
    y, problems = audio.y, []
    if (promised := _promised_seconds(path)) and audio.seconds < 0.98 * promised:
        problems.append(f"truncated: {audio.seconds:.1f} s of the {promised:.1f} s that its header promises")
    clipped = max(map(_clipped_share, _channels(path, y, audio.channels))) if audio.peak_dbfs > -20 else 0.0
    level, bandwidth, silent = level_and_bandwidth(y, audio.source_sample_rate)
    subsonic = 10 * math.log10(max(float(_below(y, audio.source_sample_rate, 20.0)), 1e-12))
    if audio.peak_dbfs < SILENCE_DBFS:
        problems.append(f"silent: peak {audio.peak_dbfs:.0f} dBFS")
    else:
        if silent > 0.25:
            problems.append(f"silent: {silent:.0%} of it below {SILENCE_DBFS:g} dBFS")
        if clipped > _CLIPPED_SHARE:
            problems.append(f"clipped: {clipped:.2%} of the samples stand at the peak, in runs")
        if bandwidth < NARROW_HZ:
            problems.append(f"band-limited: nothing above {bandwidth:.0f} Hz")
        if subsonic > _SUBSONIC_DB:
            problems.append(f"subsonic: {subsonic:.0f} dB of its power below 20 Hz")
    row = AuditedTrack(
        *names,
        round(audio.seconds, 4),
        audio.source_sample_rate,
        round(audio.peak_dbfs, 2),
        round(level, 2),
        round(bandwidth, 1),
        round(clipped, 6),
        round(silent, 4),
        round(subsonic, 2),
        "; ".join(problems),
    )
    return row, fingerprint.fingerprint(y, audio.source_sample_rate), hashlib.sha256(y.tobytes()).hexdigest()


def _flag_lengths(rows: list[AuditedTrack]) -> list[AuditedTrack]:
    """Mark shorter tracks as truncated, where nearly all tracks have one length."""
    seconds = np.array([r.seconds for r in rows if r.seconds is not None])
    if len(seconds) < 10 or np.mean(np.abs(seconds / (usual := float(np.median(seconds))) - 1) < 0.05) < 0.9:
        return rows

    def flagged(row: AuditedTrack) -> AuditedTrack:
        if row.seconds is None or row.seconds >= _SHORT * usual or "truncated" in row.problems:
            return row
        said = f"truncated: {row.seconds:.1f} s, nearly all have {usual:.1f} s"
        return replace(row, problems="; ".join(filter(None, [row.problems, said])))

    return [flagged(row) for row in rows]
