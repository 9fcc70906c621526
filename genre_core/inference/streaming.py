"""Live: samples in as they come, genre probabilities of the last seconds out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import soxr

from genre_core.audio.io import SILENCE_DBFS, peak
from genre_core.corpus.index import window_starts
from genre_core.features.spectrogram import FeatureSpec, whole_frames
from genre_core.inference.predictor import is_sure
from genre_core.models.frontend import features, spectrograms
from genre_core.models.model import Model

CONTEXT_SECONDS = 15.0  # what an answer is of; a shorter one follows changes faster, and is surer of less


class MelStream:
    """Log-mel frames of a stream: equal, frame by frame, to those of the whole file at once.

    Parameters
    ----------
    spec : FeatureSpec
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._waiting = np.zeros(spec.n_fft // 2, np.float32)  # the padding before the first frame's centre
        self._heard = 0
        self._made = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take `samples` [shape=(n,), dtype=float32, at the spec's rate]; return completed frames ``(any, n_mels)``, dB."""
        self._heard += len(samples)
        return self._frames(np.concatenate([self._waiting, np.asarray(samples, np.float32)]))

    def finish(self) -> np.ndarray:
        """Return the last frames, which reach into the padding behind the end."""
        before = self._made
        tail = self._frames(np.concatenate([self._waiting, np.zeros(self.spec.n_fft // 2, np.float32)]))
        return tail[: 1 + self._heard // self.spec.hop_length - before]

    def _frames(self, waiting: np.ndarray) -> np.ndarray:
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        if len(waiting) < n_fft:
            self._waiting = waiting
            return np.zeros((0, self.spec.n_mels), np.float32)
        made = whole_frames(waiting, self.spec)
        self._made += len(made)
        self._waiting = waiting[len(made) * hop :]
        return made


@dataclass(frozen=True)
class Heard:
    """The prediction for the last seconds of a stream.

    Attributes
    ----------
    probabilities : dict of str to float
        Calibrated, most probable first.
    sure : bool
    seconds : float
        Of audio, that were heard so far.
    latency_ms : float
        From the last sample to this answer.
    real_time_factor : float
        Time spent computing, as a share of the audio heard so far.
    """

    probabilities: dict[str, float]
    sure: bool
    seconds: float
    latency_ms: float
    real_time_factor: float


class Listener:
    """Genre probabilities of the last seconds of a stream.

    Parameters
    ----------
    model : GenreModel or Ensemble
    sample_rate : int
        Hz, of what is pushed.
    context_seconds : float
        How far back an answer reaches; what ``features.normalise: track`` takes away is the mean of that context,
        and what ``features.range_db`` counts from is the loudest in it.
    """

    def __init__(self, model: Model, sample_rate: int, *, context_seconds: float = CONTEXT_SECONDS) -> None:
        self.model = model.finer()
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
        self._peaks: list[tuple[float, float]] = []  # (seconds heard, peak) of each push
        self.seconds = 0.0
        self._spent = 0.0
        self._pushed_at = time.monotonic()

    def push(self, samples: np.ndarray) -> None:
        """Hear `samples` [shape=(n,), dtype=float32, mono, full scale +-1.0]."""
        self._pushed_at = began = time.monotonic()
        if not len(samples):
            return
        self.seconds += len(samples) / self.sample_rate
        self._peaks = [(at, level) for at, level in self._peaks if at > self.seconds - self.context_seconds]
        self._peaks.append((self.seconds, peak(samples)))
        for name, spec in self._specs.items():
            heard = self._resamplers[name].resample_chunk(samples) if name in self._resamplers else samples
            keep = int(self.context_seconds * spec.sample_rate / spec.hop_length)
            self._mel[name] = np.concatenate([self._mel[name], self._streams[name].push(heard)])[-keep:]
        self._spent += time.monotonic() - began

    def now(self) -> Heard | None:
        """Predict from the last seconds; None while less than a segment was heard."""
        began = time.monotonic()
        spec = next(iter(self._specs.values()))
        there = len(next(iter(self._mel.values()))) * spec.hop_length / spec.sample_rate
        starts = window_starts(there, self.model.segment_seconds, self.model.hop_seconds)
        if not starts:
            return None
        made = features(self.model, self._mel)
        whole = self.model.track_probabilities(self.model.score(made, starts))
        order = np.argsort(-whole, kind="stable")
        loud = max(level for _, level in self._peaks) > 10 ** (SILENCE_DBFS / 20)
        done = time.monotonic()
        self._spent += done - began
        return Heard(
            {self.model.genres[i]: float(whole[i]) for i in order},
            loud and is_sure(self.model, whole, made.get("musicnn"), self._mel.get("musicnn")),
            self.seconds,
            1000 * (done - self._pushed_at),
            self._spent / self.seconds,
        )
