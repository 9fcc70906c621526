"""Accuracy of a model after genre-preserving changes of the audio.

If the accuracy falls, the model uses properties of the audio that do not belong to the genre.
Source: B. L. Sturm, "A simple method to determine if a music information retrieval system is a 'horse'",
IEEE Transactions on Multimedia, 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.effects import MP3_KBPS, amplify, filter_waveform, mp3, shift, transform, unchanged
from genre_core.audio.io import decode
from genre_core.evaluation.intervals import artist_interval
from genre_core.inference.predictor import predictor_once
from genre_core.util.files import digest
from genre_core.util.parallel import Workers, map_tracks

INTERVENTIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "none": unchanged,
    "high-pass 20 Hz": partial(filter_waveform, hz=20.0, kind="highpass"),
    "low-pass 8 kHz": partial(filter_waveform, hz=8000.0, kind="lowpass"),
    f"mp3 {MP3_KBPS} kb/s": mp3,
    "gain -12 dB": partial(amplify, db=-12.0),
    "gain -20 dB": partial(amplify, db=-20.0),
    "offset 0.1": partial(shift, offset=0.1),
    "pitch -0.5 semitones": partial(transform, pitch_semitones=-0.5),
    "pitch +0.5 semitones": partial(transform, pitch_semitones=0.5),
    "tempo x 0.95": partial(transform, tempo_rate=0.95),
    "tempo x 1.05": partial(transform, tempo_rate=1.05),
}


@dataclass(frozen=True)
class Outcome:
    """Row of interventions.csv.

    Attributes
    ----------
    intervention : str
        Key of `INTERVENTIONS`.
    accuracy : float
        Share of the tracks with the true genre.
    change, change_low, change_high : float
        Accuracy minus the accuracy of "none" on the same tracks, and its 95 % interval from a bootstrap over artists.
    changed_answers : float
        Share of the tracks that get another genre than without intervention.
    tracks : int
        Number of tracks.
    verdict : str
        "falls" if the whole interval is below zero, else "holds"; empty for "none".
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
    model: Path, files: Sequence[Path], genres: Sequence[str], artists: Sequence[str], *, samples: int, seed: int, workers: Workers = 0
) -> list[Outcome]:
    """Measure the accuracy of a model after each intervention.

    Parameters
    ----------
    model : Path
        Model file.
    files : sequence of Path
        Audio files. A file that is shorter than a segment when played 5 % faster is left out.
    genres, artists : sequences of str
        True genre and artist of each file.
    samples, seed : int
        Number of samples of the bootstrap, and its seed.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler.

    Returns
    -------
    list of Outcome
        One outcome for each intervention; empty if every file is too short.
    """
    work = partial(_predict_genres, model=model, model_digest=digest(model))
    results = map_tracks(work, files, workers=workers, preload=(__name__,))
    answers_of_file = list(tqdm(results, total=len(files), desc="interventions", unit="track", disable=None))
    kept = [i for i, answers in enumerate(answers_of_file) if answers]
    if not kept:
        return []
    _, artist_of = np.unique([artists[i] for i in kept], return_inverse=True)
    answers = np.array([answers_of_file[i] for i in kept])  # (tracks, interventions)
    right = answers == np.array([genres[i] for i in kept])[:, None]
    outcomes = []
    for number, name in enumerate(INTERVENTIONS):
        change = right[:, number].astype(float) - right[:, 0]
        low, high = artist_interval(change, artist_of, samples, seed)
        outcomes.append(
            Outcome(
                name,
                round(float(right[:, number].mean()), 4),
                round(float(change.mean()), 4),
                round(low, 4),
                round(high, 4),
                round(float((answers[:, number] != answers[:, 0]).mean()), 4),
                len(kept),
                "falls" if high < 0 else "holds" if number else "",
            )
        )
    return outcomes


def _predict_genres(file: Path, model: Path, model_digest: str) -> list[str]:
    """Predict the genre of a track after each intervention.

    The list is empty if the track is shorter than a segment when played 5 % faster.
    """
    predictor = predictor_once(model, model_digest)
    audio = decode(file, sample_rate=predictor.sample_rate)
    if audio.seconds / 1.05 < predictor.model.segment_seconds + 0.1:
        return []
    answers = []
    for intervention in INTERVENTIONS.values():
        y = intervention(audio.y, audio.sample_rate)
        answers.append(predictor.predict(y, audio.sample_rate).genre)
    return answers
