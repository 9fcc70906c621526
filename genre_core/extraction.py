"""From audio files to a feature store, in parallel over tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio import decode
from genre_core.features import FeatureSpec, mel_and_mfcc
from genre_core.parallel import map_tracks
from genre_core.store import rounded, write_store


@dataclass(frozen=True)
class Job:
    """A row of the store to be: its id, its audio file, and what is done to the waveform first."""

    id: str
    path: Path
    transform: Callable[[np.ndarray, int], np.ndarray] | None = None


def extract(jobs: Sequence[Job], spec: FeatureSpec, out: str | Path, *, workers: int = 0, label: str = "extract") -> int:
    """Write the features of `jobs`, in their order, to the store `out`.

    Parameters
    ----------
    jobs : sequence of Job
    spec : FeatureSpec
    out : str or Path
    workers : int >= 0
        Processes; 0 is one a core. The bytes do not depend on it.
    label : str
        Of the progress bar.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    AudioError
        A file cannot be decoded. Nothing is written then.
    """
    results = map_tracks(partial(features_of, spec=spec), jobs, workers=workers, preload=("genre_core.extraction",))
    bar = tqdm(zip(jobs, results, strict=True), total=len(jobs), desc=label, unit="track", disable=None)
    return write_store(out, spec, ((job.id, mel, mfcc) for job, (mel, mfcc) in bar))


def features_of(job: Job, spec: FeatureSpec) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel (in the store's float16) and MFCC of a job's audio: see `mel_and_mfcc`."""
    y = decode(job.path, sample_rate=spec.sample_rate).y
    if job.transform is not None:
        y = job.transform(y, spec.sample_rate)
    mel, mfcc = mel_and_mfcc(y, spec)
    return rounded(mel), mfcc
