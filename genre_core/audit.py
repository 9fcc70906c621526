"""What is wrong with a data set: copies of one recording, artists on two sides, damaged audio.

B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use", 2013, found such
faults in a tenth of a data set that a hundred papers had used; F. Rodriguez-Algarra, B. L. Sturm and S. Dixon, TISMIR 2019,
that content below 20 Hz gives its labels away.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from genre_core import fingerprint, splits
from genre_core.audio import SILENCE_DBFS, decode
from genre_core.datasets import Track
from genre_core.errors import AudioError
from genre_core.files import atomic, read_csv, write_csv, write_json
from genre_core.parallel import map_tracks

NARROW_HZ = 7000.0  # content that ends below: telephone, AM, a low sampling rate made higher
_FLOOR_DB = -110.0  # of a spectral line, dB re full scale: below is the noise of 16 bits
_N_FFT = 2048
_CLIPPED_RUN = 3  # successive samples at the peak: one may well be there by chance
_CLIPPED_SHARE = 1e-4
_MOST_SAMPLES = 30 * 60 * 48_000  # beyond half an hour, channels are not looked at one by one
_SUBSONIC_DB = -20.0  # power below 20 Hz, re all power
_STREAMED = 0xFFFFFF00  # bytes: what a header says that was written before the length was known
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
    """What was found in a data set.

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
        """Nothing was found."""
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
    """A file's row, fingerprint and digest of samples."""
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


def _promised_seconds(path: Path) -> float | None:
    """Length by the header: libsndfile says "should be" in its log where the file is shorter than that, and else counts frames."""
    try:
        with soundfile.SoundFile(path) as file:
            for line in file.extra_info.splitlines():
                name, _, rest = line.partition(":")
                if name.strip().lower() in ("data", "data size") and "should be" in rest:
                    said, real = rest.split("(", 1)[0].strip(), rest.split("should be", 1)[1].strip(" )")
                    frame_bytes = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(file.subtype, 1) * file.channels
                    promised = max(int(said), int(real))
                    return None if promised >= _STREAMED else promised / frame_bytes / file.samplerate
            return file.frames / file.samplerate if file.format in ("FLAC", "MP3") else None
    except (soundfile.SoundFileError, OSError, ValueError, TypeError):
        return None


def _channels(path: Path, mono: np.ndarray, channels: int) -> list[np.ndarray]:
    """The channels of a file one by one, as one may be clipped and their mean not; the mean alone where libsndfile cannot read it."""
    if channels == 1 or len(mono) > _MOST_SAMPLES:
        return [mono]
    try:
        return list(soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    except (soundfile.SoundFileError, OSError, TypeError):
        return [mono]


def _clipped_share(y: np.ndarray) -> float:
    """Share of samples in runs of three or more, equal to within a step of 16 bits, at the positive or the negative peak."""
    total = 0
    for side in (y, -y):
        top = float(side.max())
        at = np.flatnonzero(side >= top * 0.9995) if top > 0 else np.zeros(0, int)
        runs = np.split(at, np.flatnonzero((np.diff(at) != 1) | (np.abs(np.diff(side[at])) > 1 / 32768)) + 1)
        total += sum(len(run) for run in runs if len(run) >= _CLIPPED_RUN)
    return total / len(y)


def level_and_bandwidth(y: np.ndarray, sample_rate: int) -> tuple[float, float, float]:
    """Level (root mean square, dBFS), the frequency (Hz) where the spectrum ends, and the share of frames below -60 dBFS.

    The spectrum ends with the last line above -110 dBFS and above 90 dB under its highest.
    """
    x = torch.from_numpy(np.pad(y, (0, max(0, _N_FFT - len(y)))))
    window = torch.hann_window(_N_FFT)
    power = torch.stft(x, _N_FFT, _N_FFT, window=window, center=False, return_complex=True).abs().square() / window.sum().square() * 4
    of_frames = x[: len(x) // _N_FFT * _N_FFT].reshape(-1, _N_FFT).square().mean(1)
    lines = 10 * torch.log10(power.mean(1) + 1e-14).numpy()
    above = np.flatnonzero(lines > max(_FLOOR_DB, float(lines.max()) - 90))
    level = 10 * math.log10(max(float(np.mean(np.square(y, dtype=np.float64))), 1e-12))
    silent = float((of_frames < 10 ** (SILENCE_DBFS / 10)).float().mean())
    return level, float(above[-1]) * sample_rate / _N_FFT if len(above) else 0.0, silent


def _below(y: np.ndarray, sample_rate: int, hz: float) -> float:
    """Share of the power below `hz`, direct current included, from the spectrum of the first minute."""
    from scipy import fft

    y = y[: 60 * sample_rate]
    size = fft.next_fast_len(len(y), real=True)
    power = np.abs(fft.rfft(y, size)) ** 2
    return float(power[: int(hz * size / sample_rate) + 1].sum() / max(power.sum(), 1e-30))


def _flag_lengths(rows: list[AuditedTrack]) -> list[AuditedTrack]:
    """Where nearly all tracks are of one length, shorter ones were cut off."""
    seconds = np.array([r.seconds for r in rows if r.seconds is not None])
    if len(seconds) < 10 or np.mean(np.abs(seconds / (usual := float(np.median(seconds))) - 1) < 0.05) < 0.9:
        return rows

    def flagged(row: AuditedTrack) -> AuditedTrack:
        if row.seconds is None or row.seconds >= _SHORT * usual or "truncated" in row.problems:
            return row
        said = f"truncated: {row.seconds:.1f} s, nearly all have {usual:.1f} s"
        return replace(row, problems="; ".join(filter(None, [row.problems, said])))

    return [flagged(row) for row in rows]


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """The pairs of files in a pairs.csv."""
    return [(row["a"], row["b"]) for row in read_csv(path, ["a", "b"], strip=False)]


def write(found: Audit, out: str | Path, *, title: str) -> None:
    """Write tracks.csv, pairs.csv, metrics.json, report.md and report.png to the folder `out`."""
    from genre_core import plots

    out = Path(out)
    write_csv(out / "tracks.csv", [f.name for f in fields(AuditedTrack)], map(asdict, found.tracks))
    write_csv(out / "pairs.csv", [f.name for f in fields(Copies)], map(asdict, found.pairs))
    write_json(out / "metrics.json", found.summary())
    plots.audit(out / "report.png", [asdict(t) for t in found.tracks], title=title)
    with atomic(out / "report.md") as part:
        part.write_text(report(found, title), encoding="utf-8")


def report(found: Audit, title: str) -> str:
    """The findings as Markdown."""
    said = found.summary()
    lines = [
        f"# Audit of {title}",
        "",
        f"{said['tracks']} files, {said['hours']:.2f} hours, {said['artists_unknown']} of unknown artist.",
        "",
    ]
    lines += ["![Genres, lengths, levels and bandwidths](report.png)", "", "## The same recording twice", ""]
    if found.not_looked_at:
        lines += [f"{found.not_looked_at} tracks are features made elsewhere: nothing was looked for in them, here and below.", ""]
    lines += _table(("a", "b", "score", "offset_s", "kind"), [asdict(p) for p in found.pairs], "No pair was found.")
    lines += ["", "## Across the data set's own split", ""]
    crossing = [f"- artist {artist}" for artist in found.crossing_artists]
    crossing += [f"- one recording: {p.a} and {p.b}" for p in found.crossing_pairs]
    lines += crossing or [
        "Nothing crosses" + (", as the data set has no split of its own." if not any(t.split for t in found.tracks) else ".")
    ]
    lines += ["", "## Files", ""]
    lines += _table(("file", "problems"), [asdict(t) for t in found.tracks if t.problems], "No file has a problem.")
    return "\n".join([*lines, ""])


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], none: str) -> list[str]:
    if not rows:
        return [none]
    head = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return head + ["| " + " | ".join(str(row[c]).replace("|", "\\|") for c in columns) + " |" for row in rows]
