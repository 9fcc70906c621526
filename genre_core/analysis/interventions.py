"""Changes of the audio that keep the genre: a model that falls apart there listens to something else.

B. L. Sturm, "A simple method to determine if a music information retrieval system is a 'horse'", IEEE Transactions on Multimedia, 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.effects import MP3_KBPS, filtered, gained, mp3, transform, unchanged
from genre_core.audio.io import decode
from genre_core.evaluation.intervals import artist_interval
from genre_core.inference.predictor import Predictor
from genre_core.util.parallel import map_tracks

INTERVENTIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "none": unchanged,
    "high-pass 20 Hz": partial(filtered, hz=20.0, kind="highpass"),
    "low-pass 8 kHz": partial(filtered, hz=8000.0, kind="lowpass"),
    f"mp3 {MP3_KBPS} kb/s": mp3,
    "gain -12 dB": partial(gained, db=-12.0),
    "pitch -0.5 semitones": partial(transform, pitch_semitones=-0.5),
    "pitch +0.5 semitones": partial(transform, pitch_semitones=0.5),
    "tempo x 0.95": partial(transform, tempo_rate=0.95),
    "tempo x 1.05": partial(transform, tempo_rate=1.05),
}


@dataclass(frozen=True)
class Outcome:
    """A row of interventions.csv.

    Attributes
    ----------
    intervention : str
    accuracy : float
    change, change_low, change_high : float
        Against "none" on the same tracks; 95 %, drawn over artists.
    changed_answers : float
        Share of the tracks that get another genre.
    tracks : int
    verdict : str
        "falls" where the interval lies below zero.
    """

    intervention: str
    accuracy: float
    change: float
    change_low: float
    change_high: float
    changed_answers: float
    tracks: int
    verdict: str


def measure(
    model: Path, files: Sequence[Path], genres: Sequence[str], artists: Sequence[str], *, samples: int, seed: int, workers: int = 0
) -> list[Outcome]:
    """Judge each file after each intervention.

    Parameters
    ----------
    model : Path
    files : sequence of Path
        At least as long as a segment, also 5 % faster; others are left out.
    genres, artists : sequences of str
        Of each file.
    samples, seed : int
        Of the bootstrap.
    workers : int >= 0

    Returns
    -------
    list of Outcome
        One an intervention; none where every file is too short.
    """
    work = partial(_judge, model=model)
    results = map_tracks(work, files, workers=workers, preload=(__name__,))
    said = list(tqdm(results, total=len(files), desc="interventions", unit="track", disable=None))
    kept = [i for i, answers in enumerate(said) if answers]
    if not kept:
        return []
    _, artist_of = np.unique([artists[i] for i in kept], return_inverse=True)
    answers = np.array([said[i] for i in kept])  # (tracks, interventions)
    right = answers == np.array([genres[i] for i in kept])[:, None]
    found = []
    for number, name in enumerate(INTERVENTIONS):
        gain = right[:, number].astype(float) - right[:, 0]
        low, high = artist_interval(gain, artist_of, samples, seed)
        found.append(
            Outcome(
                name,
                round(float(right[:, number].mean()), 4),
                round(float(gain.mean()), 4),
                round(low, 4),
                round(high, 4),
                round(float((answers[:, number] != answers[:, 0]).mean()), 4),
                len(kept),
                "falls" if high < 0 else "holds" if number else "",
            )
        )
    return found


@lru_cache(maxsize=1)
def _predictor(model: Path) -> Predictor:
    return Predictor(model)


def _judge(file: Path, model: Path) -> list[str]:
    """Judge a track after each intervention; a track too short when faster has no answer."""
    predictor = _predictor(model)
    audio = decode(file, sample_rate=predictor.sample_rate)
    if audio.seconds / 1.05 < predictor.model.segment_seconds + 0.1:
        return []
    answers = []
    for change in INTERVENTIONS.values():
        y = change(audio.y, audio.sample_rate)
        answers.append(predictor.predict(y, audio.sample_rate).genre)
    return answers
