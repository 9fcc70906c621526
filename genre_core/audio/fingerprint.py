"""Which recordings are the same: acoustic fingerprints, and the search for pairs among them.

J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system", ISMIR 2002: 32 bits a frame, each the sign of a difference
of a band's level to the next band's, and to the frame before. Levels are logarithms here, so a static equaliser changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from genre_core.audio.io import resample

SAMPLE_RATE = 5512  # Hz: the bands end at 2 kHz
HOP_SAMPLES = 64
HOP_SECONDS = HOP_SAMPLES / SAMPLE_RATE
_N_FFT = 2048  # 0.37 s: long windows, so that two grids that are half a hop apart see nearly the same
_BANDS_HZ = np.geomspace(300, 2000, 34)
_QUIET_DB = 50.0  # frames that far below the loudest are not looked up: their bits are noise
_LARGEST_BUCKET = 24  # frames of one code; a code that is commoner tells nothing
_NEEDED_HITS = 2  # equal codes on one diagonal, before two tracks are compared bit by bit
_TRIED_DIAGONALS = 4
_EVERY = 2  # codes looked up of one side: neighbours are nearly equal


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of one recording.

    Attributes
    ----------
    codes : np.ndarray [shape=(frames,), dtype=uint32]
        One each `HOP_SECONDS`.
    loud : np.ndarray [shape=(frames,), dtype=bool]
        Where the codes mean something.
    """

    codes: np.ndarray
    loud: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two recordings, numbered as they were given, with the same music.

    Attributes
    ----------
    a, b : int
    score : float
        Share of equal bits where they overlap: 0.5 for strangers, 1 for copies.
    offset_seconds : float
        What is at 0 in `b` is at `offset_seconds` in `a`.
    """

    a: int
    b: int
    score: float
    offset_seconds: float


def fingerprint(y: np.ndarray, sample_rate: int) -> Fingerprint:
    """Fingerprint of mono samples [shape=(n,), dtype=float32] at `sample_rate` Hz; no frame for less than 0.37 s."""
    samples = torch.from_numpy(np.ascontiguousarray(resample(y, sample_rate, SAMPLE_RATE)))
    if len(samples) < _N_FFT + HOP_SAMPLES:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    frames = samples.unfold(0, _N_FFT, HOP_SAMPLES)  # (frames, n_fft), a view
    window = torch.hann_window(_N_FFT)
    edges = np.round(_BANDS_HZ * _N_FFT / SAMPLE_RATE).astype(int)
    parts = []
    for some in frames.split(512):  # bounded memory, whatever the length
        power = torch.fft.rfft(some * window).abs().square()
        parts.append(torch.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)]))
    bands = torch.cat(parts, 1)  # (33, frames)
    level = 10 * torch.log10(bands + 1e-10)
    slope = level[:-1] - level[1:]  # (32, frames)
    bits = (slope[:, 1:] > slope[:, :-1]).numpy()
    codes = (bits.T.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
    total = 10 * torch.log10(bands.sum(0)[1:] + 1e-10)
    return Fingerprint(codes, (total > max(float(total.max()) - _QUIET_DB, -60.0)).numpy())


def find_pairs(prints: Sequence[Fingerprint], *, similarity: float = 0.85, overlap_seconds: float = 4.0) -> list[Pair]:
    """Find the recordings that hold the same music, shifted or not.

    Codes that two recordings share vote for a shift; at the shifts with most votes all bits of the overlap are compared.

    Parameters
    ----------
    prints : sequence of Fingerprint
    similarity : float in (0.5, 1]
        Least share of equal bits: above what loops of one artist share (0.84 on the demo), below a 64 kb/s mp3 of an excerpt (0.86).
    overlap_seconds : float
        A shorter overlap is no evidence; of a shorter recording, 0.8 of its length.

    Returns
    -------
    list of Pair
        ``a < b``, best first.
    """
    best: dict[tuple[int, int], Pair] = {}
    for a, b, shift in _candidates(prints):
        found = _compare(prints[a], prints[b], shift, overlap_seconds)
        if found is not None and found[0] >= similarity and ((a, b) not in best or found[0] > best[a, b].score):
            best[a, b] = Pair(a, b, round(found[0], 4), round(found[1] * HOP_SECONDS, 2))
    return sorted(best.values(), key=lambda pair: (-pair.score, pair.a, pair.b))


def _candidates(prints: Sequence[Fingerprint]) -> list[tuple[int, int, int]]:
    """Pairs with the shifts (frames of b behind a) on which codes agree."""
    where = [np.flatnonzero(p.loud) for p in prints]
    track = np.repeat(np.arange(len(prints)), [len(w) for w in where])
    position = np.concatenate([*where, np.zeros(0, int)])
    code = np.concatenate([*(p.codes[w] for p, w in zip(prints, where, strict=True)), np.zeros(0, np.uint32)])
    order = np.argsort(code, kind="stable")  # by track within a code
    code, track, position = code[order], track[order], position[order]
    starts = np.flatnonzero(np.r_[True, code[1:] != code[:-1]]) if len(code) else np.zeros(0, int)
    size = np.diff(np.r_[starts, len(code)])
    kept = np.repeat(size <= _LARGEST_BUCKET, size) & np.repeat(size > 1, size)
    code, track, position = code[kept], track[kept], position[kept]
    votes = []
    for step in range(1, _LARGEST_BUCKET):
        a, b = slice(None, -step), slice(step, None)
        hit = (code[a] == code[b]) & (track[a] != track[b]) & (position[a] % _EVERY == 0)
        # The key packs (a, b, shift / 2): shifts of neighbouring frames vote together.
        shift = (position[a][hit] - position[b][hit]) // 2 + (1 << 23)
        votes.append((track[a][hit].astype(np.int64) * len(prints) + track[b][hit]) << 24 | shift)
    keys, counts = np.unique(np.concatenate([*votes, np.zeros(0, np.int64)]), return_counts=True)
    strong = counts >= _NEEDED_HITS
    keys, counts = keys[strong], counts[strong]
    order = np.lexsort((-counts, keys >> 24))  # the strongest shifts of each pair first
    pair = keys[order] >> 24
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    keys = keys[order][rank < _TRIED_DIAGONALS]
    both, shift = keys >> 24, ((keys & ((1 << 24) - 1)) - (1 << 23)) * 2
    return list(zip((both // len(prints)).tolist(), (both % len(prints)).tolist(), shift.tolist(), strict=True)) if len(prints) else []


def _compare(a: Fingerprint, b: Fingerprint, shift: int, overlap_seconds: float) -> tuple[float, int] | None:
    """Largest share of equal bits at a shift near `shift`, and that shift; None where too little overlaps."""
    shortest = min(len(a.codes), len(b.codes))
    needed = min(overlap_seconds / HOP_SECONDS, 0.8 * shortest)
    best = None
    for near in range(shift - 2, shift + 4):
        first, last = max(0, near), min(len(a.codes), len(b.codes) + near)
        if last - first < needed:
            continue
        loud = a.loud[first:last] & b.loud[first - near : last - near]
        if loud.sum() < needed / 2:
            continue
        different = np.bitwise_count(a.codes[first:last][loud] ^ b.codes[first - near : last - near][loud])
        share = 1 - float(different.mean()) / 32
        if best is None or share > best[0]:
            best = (share, near)
    return best
