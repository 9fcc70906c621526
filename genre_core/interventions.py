"""Changes of the audio that keep the genre: a model that falls apart there listens to something else.

B. L. Sturm, "A simple method to determine if a music information retrieval system is a 'horse'", IEEE Transactions on Multimedia, 2014.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal
from tqdm import tqdm

from genre_core.audio import decode, resample
from genre_core.augmentation import Copy, transform
from genre_core.comparison import artist_interval
from genre_core.inference import Predictor
from genre_core.parallel import map_tracks

MP3_KBPS = 64
MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz, of MPEG-1 and MPEG-2


def filtered(y: np.ndarray, sample_rate: int, *, hz: float, kind: str) -> np.ndarray:
    """High- or low-pass (`kind`) at `hz`, Butterworth of order 6, forwards and backwards; what cannot be filtered stays as it is."""
    if hz >= sample_rate / 2:
        return y
    return np.asarray(signal.sosfiltfilt(signal.butter(6, hz, kind, fs=sample_rate, output="sos"), y), np.float32)


def mp3(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """There and back through an mp3 of a constant 64 kb/s, by libsndfile (LAME)."""
    if sample_rate not in MP3_RATES:
        return resample(mp3(resample(y, sample_rate, 44_100), 44_100), 44_100, sample_rate)
    return soundfile.read(as_mp3(y, sample_rate), dtype="float32")[0]


def as_mp3(y: np.ndarray, sample_rate: int) -> io.BytesIO:
    """An mp3 of a constant 64 kb/s; `sample_rate` is one of `MP3_RATES`."""
    slowest, fastest = (32, 320) if sample_rate >= 32000 else (8, 160)  # kb/s of the format, on which libsndfile's scale from 0 to 1 lies
    level = (fastest - MP3_KBPS) / (fastest - slowest)
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(y, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=level
    )
    file.seek(0)
    return file


def gained(y: np.ndarray, sample_rate: int, *, db: float) -> np.ndarray:
    """Louder or softer by `db`."""
    return y * np.float32(10 ** (db / 20))


def unchanged(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """As it is."""
    return y


INTERVENTIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "none": unchanged,
    "high-pass 20 Hz": partial(filtered, hz=20.0, kind="highpass"),
    "low-pass 8 kHz": partial(filtered, hz=8000.0, kind="lowpass"),
    f"mp3 {MP3_KBPS} kb/s": mp3,
    "gain -12 dB": partial(gained, db=-12.0),
    "pitch -0.5 semitones": partial(transform, copy=Copy("", "", pitch_semitones=-0.5)),
    "pitch +0.5 semitones": partial(transform, copy=Copy("", "", pitch_semitones=0.5)),
    "tempo x 0.95": partial(transform, copy=Copy("", "", tempo_rate=0.95)),
    "tempo x 1.05": partial(transform, copy=Copy("", "", tempo_rate=1.05)),
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
    """The answer after each intervention; none for a track that is too short when faster."""
    predictor = _predictor(model)
    audio = decode(file, sample_rate=predictor.sample_rate)
    if audio.seconds / 1.05 < predictor.model.segment_seconds + 0.1:
        return []
    answers = []
    for change in INTERVENTIONS.values():
        y = change(audio.y, audio.sample_rate)
        answers.append(predictor.predict(y, audio.sample_rate).genre)
    return answers
