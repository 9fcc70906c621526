"""Prediction of genre probabilities for the last seconds of a live stream."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import soxr

from genre_core.audio.io import SILENCE_DBFS, peak
from genre_core.corpus.index import window_starts
from genre_core.features.spectrogram import FeatureSpec, log_mel_uncentred
from genre_core.inference.predictor import is_sure
from genre_core.models.ensemble import Model
from genre_core.models.frontend import features, spectrograms

CONTEXT_SECONDS = 15.0  # a shorter context follows changes faster, but "not sure" becomes more frequent


class MelStream:
    """Log-mel frames of a stream, equal to the frames of a whole file.

    Parameters
    ----------
    spec : FeatureSpec
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._waiting = np.zeros(spec.n_fft // 2, np.float32)  # the padding before the first frame's centre
        self._pushed_samples = 0
        self._emitted_frames = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add samples, and return the frames that they complete.

        Parameters
        ----------
        samples : np.ndarray [shape=(n,), dtype=float32]
            Mono samples at the sample rate of the spectrogram.

        Returns
        -------
        np.ndarray [shape=(frames, n_mels), dtype=float32]
            Log-mel in dB; it may have no frames.
        """
        self._pushed_samples += len(samples)
        return self._frames(np.concatenate([self._waiting, np.asarray(samples, np.float32)]))

    def finish(self) -> np.ndarray:
        """Return the last frames, which reach into the padding after the end.

        Returns
        -------
        np.ndarray [shape=(frames, n_mels), dtype=float32]
            Log-mel in dB.
        """
        emitted_before = self._emitted_frames
        tail = self._frames(np.concatenate([self._waiting, np.zeros(self.spec.n_fft // 2, np.float32)]))
        return tail[: 1 + self._pushed_samples // self.spec.hop_length - emitted_before]

    def _frames(self, waiting: np.ndarray) -> np.ndarray:
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        if len(waiting) < n_fft:
            self._waiting = waiting
            return np.zeros((0, self.spec.n_mels), np.float32)
        frames = log_mel_uncentred(waiting, self.spec)
        self._emitted_frames += len(frames)
        self._waiting = waiting[len(frames) * hop :]
        return frames


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
    """Predictor for the last seconds of a stream.

    Parameters
    ----------
    model : GenreModel or Ensemble
    sample_rate : int
        Sample rate of the pushed samples in Hz.
    context_seconds : float
        Length of the audio before the present that a prediction uses, in seconds. Normalisation treats this context as the track:
        ``features.normalise: track`` subtracts its mean, and ``features.range_db`` counts from its maximum.

    Attributes
    ----------
    seconds : float
        Length of the audio received so far, in seconds.
    """

    def __init__(self, model: Model, sample_rate: int, *, context_seconds: float = CONTEXT_SECONDS) -> None:
        self.model = model.timeline_model()
        self.sample_rate = sample_rate
        self.context_seconds = max(context_seconds, self.model.segment_seconds + 0.1)
        self._specs = spectrograms(model)
        self._streams = {name: MelStream(spec) for name, spec in self._specs.items()}
        self._resamplers = {
            name: soxr.ResampleStream(sample_rate, spec.sample_rate, 1, dtype="float32", quality="HQ")
            for name, spec in self._specs.items()
            if spec.sample_rate != sample_rate
        }
        self._mel = {name: np.zeros((0, spec.n_mels), np.float32) for name, spec in self._specs.items()}
        self._peaks: list[tuple[float, float]] = []  # (seconds received, peak) after each push
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
        self._peaks = [(at, level) for at, level in self._peaks if at > self.seconds - self.context_seconds]
        self._peaks.append((self.seconds, peak(samples)))
        for name, spec in self._specs.items():
            resampled = self._resamplers[name].resample_chunk(samples) if name in self._resamplers else samples
            context_frames = int(self.context_seconds * spec.sample_rate / spec.hop_length)
            self._mel[name] = np.concatenate([self._mel[name], self._streams[name].push(resampled)])[-context_frames:]
        self._computing_seconds += time.monotonic() - start

    def now(self) -> LiveAnswer | None:
        """Predict from the last seconds of the stream.

        Returns
        -------
        LiveAnswer or None
            None before a whole segment was received.
        """
        start = time.monotonic()
        spec = next(iter(self._specs.values()))
        available_seconds = len(next(iter(self._mel.values()))) * spec.hop_length / spec.sample_rate
        starts = window_starts(available_seconds, self.model.segment_seconds, self.model.hop_seconds)
        if not starts:
            return None
        rows = features(self.model, self._mel)
        track_probabilities = self.model.track_probabilities(self.model.score(rows, starts))
        order = np.argsort(-track_probabilities, kind="stable")
        loud = max(level for _, level in self._peaks) > 10 ** (SILENCE_DBFS / 20)
        end = time.monotonic()
        self._computing_seconds += end - start
        return LiveAnswer(
            {self.model.genres[i]: float(track_probabilities[i]) for i in order},
            loud and is_sure(self.model, track_probabilities, rows.get("musicnn"), self._mel.get("musicnn")),
            self.seconds,
            1000 * (end - self._pushed_at),
            self._computing_seconds / self.seconds,
        )
