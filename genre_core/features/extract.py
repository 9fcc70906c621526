"""From audio files to a feature store, in parallel over tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec, log_mel
from genre_core.features.store import row_of_mel, write_store
from genre_core.util.parallel import map_tracks


@dataclass(frozen=True)
class Job:
    """A row to be extracted: its id, its audio file, and a change of the waveform."""

    id: str
    path: Path
    transform: Callable[[np.ndarray, int], np.ndarray] | None = None


Compute = Callable[[np.ndarray], dict[Kind, np.ndarray]]


def extract(
    jobs: Sequence[Job],
    spec: FeatureSpec,
    out: str | Path,
    compute: Compute,
    *,
    workers: int = 0,
    label: str = "extract",
) -> int:
    """Write the features of `jobs`, in their order, to the store `out`.

    Parameters
    ----------
    jobs : sequence of Job
    spec : FeatureSpec
        Its sample rate is that of the samples which `compute` gets.
    out : str or Path
    compute : picklable callable
        Mono samples to features, such as a partial of `log_features`.
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
    work = partial(_of_job, sample_rate=spec.sample_rate, compute=compute)
    results = map_tracks(work, jobs, workers=workers, preload=(__name__, getattr(compute, "func", compute).__module__))
    bar = tqdm(zip(jobs, results, strict=True), total=len(jobs), desc=label, unit="track", disable=None)
    return write_store(out, spec, ((job.id, features) for job, features in bar))


def log_features(y: np.ndarray, spec: FeatureSpec) -> dict[Kind, np.ndarray]:
    """Log-mel (in the store's float16) and MFCC: see `mel_and_mfcc`."""
    return row_of_mel(log_mel(y, spec), spec)


def _of_job(job: Job, sample_rate: int, compute: Compute) -> dict[Kind, np.ndarray]:
    y = decode(job.path, sample_rate=sample_rate).y
    if job.transform is not None:
        y = job.transform(y, sample_rate)
    return compute(y)
