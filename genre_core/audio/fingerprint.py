"""Acoustic fingerprints, and the search for recordings of the same music.

The method follows J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system", ISMIR 2002. Each frame has a code of
32 bits. A bit is 1 if the level difference between two neighbouring bands is larger than in the previous frame. Unlike in the
paper, levels are logarithmic, so a constant equaliser does not change the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genre_core.audio.io import resample

SAMPLE_RATE = 5512  # Hz: the bands end at 2 kHz
HOP_SAMPLES = 64
HOP_SECONDS = HOP_SAMPLES / SAMPLE_RATE
_N_FFT = 2048  # 0.37 s: frames are long, so that two grids that differ by half a hop have nearly the same codes
_BANDS_HZ = np.geomspace(300, 2000, 34)
_QUIET_DB = 50.0  # frames more than this below the loudest frame are not compared, because their bits are noise
_LARGEST_BUCKET = 24  # largest number of frames that share a code; a more frequent code is not informative
_NEEDED_HITS = 2  # number of equal codes at one shift that starts a comparison bit by bit
_TRIED_SHIFTS = 4  # largest number of shifts that are compared bit by bit for each pair
_PART_FRAMES = 1 << 22  # codes that are sorted at once: about 150 MB
_CODE_STEP = 2  # only every second code of one track is looked up, because neighbouring codes are nearly equal


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of one recording.

    Attributes
    ----------
    codes : np.ndarray [shape=(frames,), dtype=uint32]
        Code of each frame; successive frames are `HOP_SECONDS` apart.
    loud : np.ndarray [shape=(frames,), dtype=bool]
        Whether each frame is loud enough for a meaningful code.
    """

    codes: np.ndarray
    loud: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Pair of recordings with the same music.

    Attributes
    ----------
    a, b : int
        Indices of the two recordings.
    score : float
        Share of equal bits in the overlap: about 0.5 for different music, and 1 for identical audio.
    offset_seconds : float
        Position in `a` that matches the start of `b`, in seconds.
    """

    a: int
    b: int
    score: float
    offset_seconds: float


def fingerprint(y: np.ndarray, sample_rate: int) -> Fingerprint:
    """Compute the fingerprint of a recording.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    Fingerprint
        Fingerprint of all frames; empty if the recording is shorter than 0.38 s.
    """
    import torch  # here, because a run whose results are all kept computes nothing

    samples = torch.from_numpy(np.ascontiguousarray(resample(y, sample_rate, SAMPLE_RATE)))
    if len(samples) < _N_FFT + HOP_SAMPLES:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    frames = samples.unfold(0, _N_FFT, HOP_SAMPLES)  # (frames, n_fft), a view
    window = torch.hann_window(_N_FFT)
    edges = np.round(_BANDS_HZ * _N_FFT / SAMPLE_RATE).astype(int)
    parts = []
    for block in frames.split(512):  # blocks limit the memory for a long recording
        power = torch.fft.rfft(block * window).abs().square()
        parts.append(torch.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)]))
    bands = torch.cat(parts, 1)  # (33, frames)
    level = 10 * torch.log10(bands + 1e-10)
    slope = level[:-1] - level[1:]  # (32, frames)
    bits = (slope[:, 1:] > slope[:, :-1]).numpy()
    codes = (bits.T.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
    total = 10 * torch.log10(bands.sum(0)[1:] + 1e-10)
    return Fingerprint(codes, (total > max(float(total.max()) - _QUIET_DB, -60.0)).numpy())


def find_pairs(prints: Sequence[Fingerprint], *, similarity: float = 0.85, overlap_seconds: float = 4.0) -> list[Pair]:
    """Find the pairs of recordings with the same music.

    The music may be shifted in time. Each code that two recordings share is a vote for one shift. At the shifts with the most votes,
    all bits of the overlap are compared.

    Parameters
    ----------
    prints : sequence of Fingerprint
        Fingerprint of each recording.
    similarity : float in (0.5, 1]
        Smallest share of equal bits in a pair. The default is between two measured shares: 0.84 for loops of one artist (demo data
        set), and 0.86 for an excerpt and its mp3 at 64 kb/s.
    overlap_seconds : float
        Smallest overlap in seconds. For a short recording, 0.8 of its length is enough.

    Returns
    -------
    list of Pair
        Pairs with ``a < b``, sorted by falling score; at most one shift for each pair.
    """
    best: dict[tuple[int, int], Pair] = {}
    for a, b, shift in _candidates(prints):
        match = _compare(prints[a], prints[b], shift, overlap_seconds)
        if match is not None and match[0] >= similarity and ((a, b) not in best or match[0] > best[a, b].score):
            best[a, b] = Pair(a, b, round(match[0], 4), round(match[1] * HOP_SECONDS, 2))
    return sorted(best.values(), key=lambda pair: (-pair.score, pair.a, pair.b))


def _candidates(prints: Sequence[Fingerprint]) -> list[tuple[int, int, int]]:
    """List tuples (a, b, shift) with equal codes at that shift.

    The shift is the position in `a` minus the position in `b`, in frames. The codes are looked up in parts, so the memory does not grow
    with their number, but for the votes.
    """
    parts = sum(len(p.codes) for p in prints) // _PART_FRAMES + 1
    votes = [_votes(prints, part, parts) for part in range(parts)]
    keys, inverse = np.unique(np.concatenate([keys for keys, _ in votes]), return_inverse=True)
    counts = np.bincount(inverse, np.concatenate([counts for _, counts in votes]), len(keys))
    enough = counts >= _NEEDED_HITS
    keys, counts = keys[enough], counts[enough]
    order = np.lexsort((-counts, keys >> 24))  # the shifts of each pair, most votes first
    pair = keys[order] >> 24
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    keys = keys[order][rank < _TRIED_SHIFTS]
    pair, shift = keys >> 24, ((keys & ((1 << 24) - 1)) - (1 << 23)) * 2
    return list(zip((pair // len(prints)).tolist(), (pair % len(prints)).tolist(), shift.tolist(), strict=True)) if len(prints) else []


def _votes(prints: Sequence[Fingerprint], part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the votes of one part of the codes: those with the remainder `part` when divided by `parts`.

    Returns
    -------
    keys, counts : np.ndarray [shape=(n,), dtype=int64]
        A key packs (a, b, shift // 2). The division lets neighbouring shifts vote together.
    """
    chosen = [np.flatnonzero(p.loud & (p.codes % np.uint32(parts) == part)).astype(np.int32) for p in prints]
    track = np.repeat(np.arange(len(prints), dtype=np.int32), [len(positions) for positions in chosen])
    position = np.concatenate([*chosen, np.zeros(0, np.int32)])
    code = np.concatenate([*(p.codes[positions] for p, positions in zip(prints, chosen, strict=True)), np.zeros(0, np.uint32)])
    order = np.argsort(code, kind="stable")  # a stable sort keeps the frames of one code in track order, so a < b
    code, track, position = code[order], track[order], position[order]
    starts = np.flatnonzero(np.r_[True, code[1:] != code[:-1]]) if len(code) else np.zeros(0, int)
    size = np.diff(np.r_[starts, len(code)])
    kept = np.repeat((size <= _LARGEST_BUCKET) & (size > 1), size)
    code, track, position = code[kept], track[kept], position[kept]
    keys = [np.zeros(0, np.int64)]
    for step in range(1, _LARGEST_BUCKET):
        a, b = slice(None, -step), slice(step, None)
        equal = (code[a] == code[b]) & (track[a] != track[b]) & (position[a] % _CODE_STEP == 0)
        shift = (position[a][equal] - position[b][equal]) // 2 + (1 << 23)
        keys.append((track[a][equal].astype(np.int64) * len(prints) + track[b][equal]) << 24 | shift)
    return np.unique(np.concatenate(keys), return_counts=True)


def _compare(a: Fingerprint, b: Fingerprint, shift: int, overlap_seconds: float) -> tuple[float, int] | None:
    """Find the largest share of equal bits at a shift near `shift`.

    Return the share and its shift in frames, or None if the overlap is too short or too quiet.
    """
    shortest = min(len(a.codes), len(b.codes))
    needed_frames = min(overlap_seconds / HOP_SECONDS, 0.8 * shortest)
    best = None
    for tried_shift in range(shift - 2, shift + 4):
        first, last = max(0, tried_shift), min(len(a.codes), len(b.codes) + tried_shift)
        if last - first < needed_frames:
            continue
        loud = a.loud[first:last] & b.loud[first - tried_shift : last - tried_shift]
        if loud.sum() < needed_frames / 2:
            continue
        different = np.bitwise_count(a.codes[first:last][loud] ^ b.codes[first - tried_shift : last - tried_shift][loud])
        share = 1 - float(different.mean()) / 32
        if best is None or share > best[0]:
            best = (share, tried_shift)
    return best
