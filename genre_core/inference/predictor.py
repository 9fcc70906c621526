"""Prediction of genre probabilities, and their timeline, from audio.

A predictor needs only the model file, not params.yaml. The file has the safetensors format, which cannot run code: it holds the
weights and, as JSON in its metadata, everything else that inference needs. Audio at another sample rate is resampled.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from genre_core.audio.io import MAX_SECONDS, Audio, decode
from genre_core.audio.level import SILENCE_DBFS, is_silent, peak
from genre_core.corpus.index import window_starts
from genre_core.errors import AudioError, GenreError, SilenceWarning, one_line
from genre_core.features import musicnn
from genre_core.inference.tags import mean_tags
from genre_core.models.ensemble import Model
from genre_core.models.file import load, path_of
from genre_core.models.frontend import compute_spectrograms, features, first_spectrogram
from genre_core.models.model import NOT_SURE_BELOW
from genre_core.util.files import digest

PIECES = 8  # of a part: with eight, the answer is nearer to that of the whole than with the best single stretch
STEADY_DB = 1.5  # audio with a smaller change of level is a tone or a hum, not music


@dataclass(frozen=True)
class Prediction:
    """Prediction for a file.

    Attributes
    ----------
    genre : str
        Most probable genre.
    probabilities : dict of str to float
        Calibrated probability of each genre, highest first.
    seconds : float
        Length of the audio in seconds.
    sure : bool
        False if the highest probability is low, the audio is out-of-distribution, or it is silent or a steady tone.
    starts_seconds : np.ndarray [shape=(windows,), dtype=float64]
        Start of each window of the timeline, in seconds.
    window_seconds : float
        Length of a window of the timeline, in seconds.
    timeline : np.ndarray [shape=(windows, genres), dtype=float64]
        Calibrated probabilities of each window, with genres in the model's order. Their mean is not `probabilities`, because those
        are pooled before the temperature is applied.
    damage : str
        Damage of the file in words; empty if there is none.
    tags : dict of str to float
        Mean activation of each of musicnn's 50 tags, highest first, uncalibrated; empty if the model reads no embeddings.
    prediction_set : tuple of str
        Genres of which one is right with the probability `coverage`, most probable first. Empty if nothing is promised: the model
        was not calibrated for it, or the audio is silent, a steady tone, out-of-distribution or shorter than half a segment.
    coverage : float
        Promised probability that one genre of `prediction_set` is right; 0 if nothing is promised.
    """

    genre: str
    probabilities: dict[str, float]
    seconds: float
    sure: bool
    starts_seconds: np.ndarray
    window_seconds: float
    timeline: np.ndarray
    damage: str = ""
    tags: dict[str, float] = field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    coverage: float = 0.0


def is_sure(model: Model, probabilities: np.ndarray, embeddings: np.ndarray | None, mel_db: np.ndarray | None) -> bool:
    """Decide whether to answer or to say "not sure".

    Parameters
    ----------
    model : GenreModel or Ensemble
    probabilities : np.ndarray [shape=(genres,)]
        Calibrated probabilities of the track.
    embeddings : np.ndarray [shape=(patches, 1756)], optional
        Embeddings of the track, for models that read them.
    mel_db : np.ndarray [shape=(frames, 96)], optional
        Log-mel of `musicnn.decibel` for the same audio, for models that read embeddings.

    Returns
    -------
    bool
        False if the highest probability is low, or the audio is out-of-distribution or a steady tone.
    """
    return is_probable(model, probabilities) and is_known(model, embeddings, mel_db)


def is_probable(model: Model, probabilities: np.ndarray) -> bool:
    """Decide whether the highest of the probabilities [shape=(genres,)] is enough for an answer."""
    return bool(probabilities.max() >= model.info.get("not_sure_below", NOT_SURE_BELOW))


def is_known(model: Model, embeddings: np.ndarray | None, mel_db: np.ndarray | None) -> bool:
    """Decide whether audio is music of the kind that the model knows; the parameters are as for `is_sure`.

    Returns
    -------
    bool
        False if the audio is out-of-distribution or a steady tone. True for models that do not read embeddings.
    """
    out_of_distribution = model.out_of_distribution
    if out_of_distribution is not None and embeddings is not None and mel_db is not None:
        level_varies = musicnn.level_deviation_db(mel_db) >= STEADY_DB
        return level_varies and out_of_distribution.distance(embeddings) <= out_of_distribution.limit
    return True


def spread_pieces(samples: int, part_samples: int) -> list[slice]:
    """Return the eight pieces of a track that together make a part, spread evenly over the track.

    Parameters
    ----------
    samples, part_samples : int
        Length of the track and of the part, in samples; the part is shorter.

    Returns
    -------
    list of slice
        Pieces in order, without overlap.
    """
    length = part_samples // PIECES
    starts = np.linspace(0, samples - length, PIECES).astype(int)
    return [slice(int(start), int(start) + length) for start in starts]


def _times_in_track(starts_seconds: np.ndarray, pieces: list[slice], sample_rate: int) -> np.ndarray:
    """Convert times in joined pieces of equal length to times in the track, in seconds."""
    length_seconds = (pieces[0].stop - pieces[0].start) / sample_rate
    piece_of = np.minimum((starts_seconds / length_seconds).astype(int), len(pieces) - 1)
    return starts_seconds + np.array([piece.start for piece in pieces])[piece_of] / sample_rate - piece_of * length_seconds


class Predictor:
    """Predictor of genre probabilities for files and arrays.

    Parameters
    ----------
    model : str, Path, GenreModel or Ensemble
        Model, or the file to load it from.
    fast : bool
        Compute embeddings with 8-bit integers: 2.5 times as fast, and probabilities change by about 0.01.
    part_seconds : float, optional
        Hear only this much of longer audio: eight pieces, spread evenly.

    Attributes
    ----------
    sample_rate : int
        Sample rate in Hz at which files are decoded.
    digest : str
        SHA-256 of the model file; empty if the model does not come from a file.
    """

    def __init__(self, model: str | Path | Model, *, fast: bool = False, part_seconds: float | None = None) -> None:
        self.model = load(model) if isinstance(model, str | Path) else model
        self.digest = digest(path_of(model)) if isinstance(model, str | Path) else ""
        self.sample_rate = first_spectrogram(self.model).sample_rate
        self.fast = fast
        self.part_seconds = part_seconds
        if part_seconds is not None and part_seconds < self.model.segment_seconds:
            raise GenreError(f"a part of {part_seconds:g} s is shorter than a segment of the model ({self.model.segment_seconds:g} s)")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change predictions; empty if all of the audio is heard in full precision."""
        part = {} if self.part_seconds is None else {"part_seconds": self.part_seconds}
        return part | ({"fast": True} if self.fast else {})

    @property
    def has_tags(self) -> bool:
        """True if the model reads embeddings, so that predictions have tags."""
        return "musicnn" in self.model.kinds

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict from an audio file of any format and sample rate.

        Raises
        ------
        AudioError
            See `decode_and_predict`.
        """
        return self.decode_and_predict(path)[0]

    def decode_and_predict(
        self, path: str | Path, *, file: IO[bytes] | None = None, max_seconds: float = MAX_SECONDS, deadline_s: float = math.inf
    ) -> tuple[Prediction, Audio]:
        """Predict from an audio file, and return its samples too.

        Parameters
        ----------
        path : str or Path
        file : binary file, optional
            Open file to read; `path` then only names it in messages.
        max_seconds : float > 0
            Longest accepted file, in seconds.
        deadline_s : float > 0
            Time limit of the decoding, in seconds.

        Returns
        -------
        prediction : Prediction
        audio : Audio
            Decoded mono samples.

        Raises
        ------
        AudioError
            The file cannot be decoded, is too long, or is shorter than one segment.
        """
        audio = decode(path, file=file, sample_rate=self.sample_rate, max_seconds=max_seconds, deadline_s=deadline_s)
        name = one_line(str(path))
        try:
            return replace(self.predict(audio.y, audio.sample_rate, name=name), damage=audio.damage), audio
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None

    def predict(self, y: np.ndarray, sample_rate: int, *, name: str = "") -> Prediction:
        """Predict from samples.

        Parameters
        ----------
        y : np.ndarray [shape=(n,), dtype=float32]
            Mono samples. Their level does not matter, but below -60 dBFS re full scale +-1.0 they count as silence.
        sample_rate : int
            Sample rate of `y` in Hz; the samples are resampled if the model has another rate.
        name : str
            Name of the audio in the warning.

        Returns
        -------
        Prediction

        Raises
        ------
        AudioError
            The audio is not one-dimensional, contains samples that are not finite, or is shorter than one segment. A model that
            reads only embeddings accepts 3 s, because its windows may be shorter than a segment.

        Warns
        -----
        SilenceWarning
            The audio is silent, so the prediction is meaningless.
        """
        if y.ndim != 1 or (len(y) and not math.isfinite(peak(y))):
            raise AudioError(f"audio of shape {y.shape} must be one-dimensional and finite; mix it to mono")
        whole_seconds, pieces = len(y) / sample_rate, [slice(0, len(y))]
        if self.part_seconds is not None and whole_seconds > self.part_seconds:
            pieces = spread_pieces(len(y), round(self.part_seconds * sample_rate))
            y = np.concatenate([y[piece] for piece in pieces])
        seconds = len(y) / sample_rate
        starts = window_starts(seconds, self.model.segment_seconds, self.model.hop_seconds)
        any_length = self.model.any_length
        if not starts and not (any_length and seconds >= musicnn.PATCH_SECONDS):
            needed_seconds = min(self.model.segment_seconds, musicnn.PATCH_SECONDS) if any_length else self.model.segment_seconds
            raise AudioError(f"too short: {seconds:.2f} s, the model needs {needed_seconds:g} s")
        starts = starts or [0.0]
        silent = is_silent(y)
        if silent:
            subject = f"{name}: silent" if name else "silent audio"
            warnings.warn(f"{subject} (peak below {SILENCE_DBFS:g} dBFS): the answer means nothing", SilenceWarning, stacklevel=2)
        mels = compute_spectrograms(self.model, y, sample_rate)
        rows = features(self.model, mels, fast=self.fast)
        logits = self.model.score(rows, starts)
        timeline, track_probabilities = self.model.probabilities(logits), self.model.track_probabilities(logits)
        order = np.argsort(-track_probabilities, kind="stable")
        probabilities = {self.model.genres[i]: float(track_probabilities[i]) for i in order}
        known = not silent and is_known(self.model, rows.get("musicnn"), mels.get("musicnn"))
        sure = known and is_probable(self.model, track_probabilities)
        # The promise is for whole tracks: a few seconds are not like the tracks that it was calibrated on.
        promised = known and 2 * seconds >= self.model.segment_seconds
        prediction_set, coverage = self.model.prediction_set(probabilities) if promised else ((), 0.0)
        timeline_model = self.model.timeline_model()
        if timeline_model is not self.model:
            starts = window_starts(seconds, timeline_model.segment_seconds, timeline_model.hop_seconds) or [0.0]
            timeline = timeline_model.probabilities(timeline_model.score(rows, starts))
        return Prediction(
            self.model.genres[order[0]],
            probabilities,
            whole_seconds,
            sure,
            _times_in_track(np.array(starts), pieces, sample_rate),
            timeline_model.segment_seconds,
            timeline,
            tags=mean_tags(rows["musicnn"]) if self.has_tags else {},
            prediction_set=prediction_set,
            coverage=coverage,
        )


@lru_cache(maxsize=2)
def predictor_once(model: str | Path, model_digest: str) -> Predictor:
    """Load a model once in this process, for work on many tracks.

    Parameters
    ----------
    model : str or Path
        See `Predictor`.
    model_digest : str
        Digest of the file, because a worker of a cluster outlives a model of the same path.
    """
    return Predictor(model)
