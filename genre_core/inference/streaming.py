"""Prediction of genre probabilities for the last seconds of a live stream."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from genre_core.audio.level import is_silent
from genre_core.corpus.index import window_starts
from genre_core.inference.predictor import is_sure
from genre_core.models.ensemble import Model
from genre_core.models.frontend import compute_spectrograms, features

CONTEXT_SECONDS = 15.0  # a shorter context follows changes faster, but "not sure" becomes more frequent


@dataclass(frozen=True)
class LiveAnswer:
    """Prediction for the last seconds of a stream.

    Attributes
    ----------
    probabilities : dict of str to float
        Calibrated probability of each genre, highest first.
    sure : bool
        False if the audio is silent or `is_sure` returns False.
    seconds : float
        Length of the audio received so far, in seconds.
    latency_ms : float
        Time from the last call of `Listener.push` to this prediction, in milliseconds.
    real_time_factor : float
        Computing time so far, divided by the length of the audio received so far.
    """

    probabilities: dict[str, float]
    sure: bool
    seconds: float
    latency_ms: float
    real_time_factor: float


class Listener:
    """Predictor for the last seconds of a stream, as for a file that holds these seconds.

    Parameters
    ----------
    model : GenreModel or Ensemble
    sample_rate : int
        Sample rate of the pushed samples in Hz.
    context_seconds : float
        Length of the audio before the present that a prediction uses, in seconds. This context counts as the track: its level,
        its mean spectrum (``features.normalise: track``) and its maximum (``features.range_db``).

    Attributes
    ----------
    seconds : float
        Length of the audio received so far, in seconds.
    """

    def __init__(self, model: Model, sample_rate: int, *, context_seconds: float = CONTEXT_SECONDS) -> None:
        self.model = model.timeline_model()
        self.sample_rate = sample_rate
        self.context_seconds = max(context_seconds, self.model.segment_seconds + 0.1)
        self._samples = np.zeros(0, np.float32)
        self.seconds = 0.0
        self._computing_seconds = 0.0
        self._pushed_at = time.monotonic()

    def push(self, samples: np.ndarray) -> None:
        """Add samples to the stream.

        Parameters
        ----------
        samples : np.ndarray [shape=(n,), dtype=float32]
            Mono samples, full scale +-1.0.
        """
        self._pushed_at = start = time.monotonic()
        if not len(samples):
            return
        self.seconds += len(samples) / self.sample_rate
        self._samples = np.concatenate([self._samples, samples])[-round(self.context_seconds * self.sample_rate) :]
        self._computing_seconds += time.monotonic() - start

    def now(self) -> LiveAnswer | None:
        """Predict from the last seconds of the stream.

        Returns
        -------
        LiveAnswer or None
            None before a whole segment was received.
        """
        start = time.monotonic()
        starts = window_starts(len(self._samples) / self.sample_rate, self.model.segment_seconds, self.model.hop_seconds)
        if not starts:
            return None
        mels = compute_spectrograms(self.model, self._samples, self.sample_rate)
        rows = features(self.model, mels)
        track_probabilities = self.model.track_probabilities(self.model.score(rows, starts))
        order = np.argsort(-track_probabilities, kind="stable")
        silent = is_silent(self._samples)
        end = time.monotonic()
        self._computing_seconds += end - start
        return LiveAnswer(
            {self.model.genres[i]: float(track_probabilities[i]) for i in order},
            not silent and is_sure(self.model, track_probabilities, rows.get("musicnn"), mels.get("musicnn")),
            self.seconds,
            1000 * (end - self._pushed_at),
            self._computing_seconds / self.seconds,
        )
