"""A trained model in one file, and its use: audio in, genre probabilities and their timeline out.

The file is safetensors: weights, and everything else that inference needs as JSON in its metadata. No pickle. A
predictor needs no params.yaml, and audio at another rate is resampled, never misread.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from genre_core.audio.io import MAX_SECONDS, SILENCE_DBFS, Audio, decode, peak
from genre_core.corpus.index import window_starts
from genre_core.errors import AudioError, SilenceWarning, one_line
from genre_core.features import musicnn
from genre_core.models.file import load
from genre_core.models.frontend import features, heard, heard_by
from genre_core.models.model import NOT_SURE_BELOW, GenreModel, Model

STEADY_DB = 1.5  # less change of level than this is a tone or a hum, no music


@dataclass(frozen=True)
class Prediction:
    """The prediction for a file.

    Attributes
    ----------
    genre : str
        The most probable one.
    probabilities : dict of str to float
        Calibrated, most probable first.
    seconds : float
        Length of the audio.
    sure : bool
        False where the probability is low, the music unlike any that was learned from, or there is none.
    starts_seconds : np.ndarray [shape=(windows,)]
    window_seconds : float
    timeline : np.ndarray [shape=(windows, genres)]
        Probabilities of each window, genres in the model's order; the file's are pooled before the temperature, so not their mean.
    """

    genre: str
    probabilities: dict[str, float]
    seconds: float
    sure: bool
    starts_seconds: np.ndarray
    window_seconds: float
    timeline: np.ndarray


def is_sure(model: Model, probabilities: np.ndarray, embeddings: np.ndarray | None, mel_db: np.ndarray | None) -> bool:
    """Decide whether to answer or to say "not sure".

    Parameters
    ----------
    model : GenreModel or Ensemble
    probabilities : np.ndarray [shape=(genres,)]
        Of the track.
    embeddings, mel_db : np.ndarray, of models that read embeddings
        Shape ``(patches, 1756)``, and what `backbone.decibel` gave for the same audio.
    """
    if probabilities.max() < model.info.get("not_sure_below", NOT_SURE_BELOW):
        return False
    if isinstance(model, GenreModel) and model.familiarity and embeddings is not None and mel_db is not None:
        return musicnn.level_changes_db(mel_db) >= STEADY_DB and model.familiarity.distance(embeddings) <= model.familiarity.limit
    return True


class Predictor:
    """Genre probabilities of files and arrays.

    Parameters
    ----------
    model : str, Path or GenreModel
    """

    def __init__(self, model: str | Path | Model) -> None:
        self.model = load(model) if isinstance(model, str | Path) else model
        self.sample_rate = heard_by(self.model).sample_rate  # Hz, of what is decoded

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict from an audio file of any format and rate; raises as `decode_and_predict`."""
        return self.decode_and_predict(path)[0]

    def decode_and_predict(
        self, path: str | Path, *, file: IO[bytes] | None = None, max_seconds: float = MAX_SECONDS, deadline_s: float = math.inf
    ) -> tuple[Prediction, Audio]:
        """Predict from an audio file, and keep its samples.

        Parameters
        ----------
        path : str or Path
        file : binary file, optional
            What is read; `path` is then its name in messages alone.
        max_seconds, deadline_s : float
            As of `audio.decode`.

        Raises
        ------
        AudioError
            The file cannot be decoded, is too long, or is shorter than one segment.
        """
        audio = decode(path, file=file, sample_rate=self.sample_rate, max_seconds=max_seconds, deadline_s=deadline_s)
        name = one_line(str(path))
        try:
            return self.predict(audio.y, audio.sample_rate, name=name), audio
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None

    def predict(self, y: np.ndarray, sample_rate: int, *, name: str = "") -> Prediction:
        """Predict from samples.

        Parameters
        ----------
        y : np.ndarray [shape=(n,), dtype=float32]
            Mono, full scale +-1.0.
        sample_rate : int
            Hz; audio at another rate than the model's is resampled.
        name : str
            For the warning.

        Raises
        ------
        AudioError
            The audio is shorter than one segment (3 s for a model of embeddings, whose windows may be shorter), or no finite mono signal.

        Warns
        -----
        SilenceWarning
            The answer means nothing.
        """
        if y.ndim != 1 or (len(y) and not math.isfinite(peak(y))):
            raise AudioError(f"audio of shape {y.shape} must be one-dimensional and finite; mix it to mono")
        seconds = len(y) / sample_rate
        starts = window_starts(seconds, self.model.segment_seconds, self.model.hop_seconds)
        any_length = self.model.kinds == ("musicnn",)
        if not starts and not (any_length and seconds >= musicnn.PATCH_SECONDS):
            needs = min(self.model.segment_seconds, musicnn.PATCH_SECONDS) if any_length else self.model.segment_seconds
            raise AudioError(f"too short: {seconds:.2f} s, the model needs {needs:g} s")
        starts = starts or [0.0]
        silent = peak(y) < 10 ** (SILENCE_DBFS / 20)
        if silent:
            what = f"{name}: silent" if name else "silent audio"
            warnings.warn(f"{what} (peak below {SILENCE_DBFS:g} dBFS): the answer means nothing", SilenceWarning, stacklevel=2)
        mels = heard(self.model, y, sample_rate)
        made = features(self.model, mels)
        logits = self.model.score(made, starts)
        windows, whole = self.model.probabilities(logits), self.model.track_probabilities(logits)
        order = np.argsort(-whole, kind="stable")
        probabilities = {self.model.genres[i]: float(whole[i]) for i in order}
        sure = not silent and is_sure(self.model, whole, made.get("musicnn"), mels.get("musicnn"))
        finer = self.model.finer()
        if finer is not self.model:
            starts = window_starts(seconds, finer.segment_seconds, finer.hop_seconds) or [0.0]
            windows = finer.probabilities(finer.score(made, starts))
        return Prediction(self.model.genres[order[0]], probabilities, seconds, sure, np.array(starts), finer.segment_seconds, windows)
