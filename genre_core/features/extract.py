"""Extraction of features from audio files to a store, parallel over tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.audio.level import to_level
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec, log_mel
from genre_core.features.store import features_from_log_mel, write_store
from genre_core.util.cached_map import Recipe, map_cached
from genre_core.util.parallel import Workers
from genre_core.util.result_cache import Kept, ResultCache


@dataclass(frozen=True)
class Job:
    """Extraction of one track of the store from an audio file.

    Attributes
    ----------
    id : str
        Name of the track in the store.
    path : Path
        Audio file.
    transform : partial of a function, or None
        Change of the waveform: mono samples and their sample rate (Hz) to samples.
    """

    id: str
    path: Path
    transform: partial[np.ndarray] | None = None


Compute = Callable[[np.ndarray], dict[Kind, np.ndarray]]


def extract(
    jobs: Sequence[Job],
    spec: FeatureSpec,
    out: str | Path,
    compute: Compute,
    *,
    workers: Workers = 0,
    cache: ResultCache | None = None,
    label: str = "extract",
) -> int:
    """Write the features of `jobs` to the store `out`, in order.

    Parameters
    ----------
    jobs : sequence of Job
    spec : FeatureSpec
        Parameters that the store records. Audio is decoded at ``spec.sample_rate`` and brought to ``spec.level_dbfs``.
    out : str or Path
    compute : picklable callable
        Function from mono samples to features, for example a partial of `log_features`.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler. The bytes of the store do not depend on it.
    cache : ResultCache, optional
        Features that were kept by earlier runs; the bytes of the store do not depend on it.
    label : str
        Text beside the progress bar.

    Returns
    -------
    int
        Number of frames written.

    Raises
    ------
    AudioError
        A file cannot be decoded. The store is then not written.
    GenreError
        The system killed a worker, or a worker had too little memory.
    """
    work = partial(_compute_features, spec=spec, compute=compute)
    preload = ("torch", __name__, getattr(compute, "func", compute).__module__)
    results = map_cached(work, jobs, _recipe(spec, compute), cache, workers=workers, preload=preload)
    bar = tqdm(zip(jobs, results, strict=True), total=len(jobs), desc=label, unit="track", disable=None)
    return write_store(out, spec, ((job.id, features) for job, features in bar))


def _recipe(spec: FeatureSpec, compute: Compute) -> Recipe:
    """Say by what the features of a job are known, and how they are kept."""
    function = getattr(compute, "func", compute)
    return Recipe(
        ("audio", "features", "pretrained/msd_musicnn.safetensors"),
        f"{function.__module__}.{function.__qualname__} {spec}",
        file=lambda job: (job.path, _described(job.transform)),
        to_kept=lambda features: Kept(features, {}),
        from_kept=lambda job, kept: dict(kept.arrays),
    )


def _described(transform: partial[np.ndarray] | None) -> str:
    """Describe a change of the waveform by its function and arguments."""
    return repr((transform.func.__qualname__, transform.args, transform.keywords)) if transform else ""


def log_features(y: np.ndarray, spec: FeatureSpec) -> dict[Kind, np.ndarray]:
    """Compute log-mel and MFCC in the store's dtypes.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32], n > 0
        Mono samples at ``spec.sample_rate``.
    spec : FeatureSpec

    Returns
    -------
    dict
        ``mel`` [shape=(frames, n_mels), dtype=float16], dB, and ``mfcc`` [shape=(frames, n_mfcc), dtype=float32]: see `mel_and_mfcc`.
    """
    return features_from_log_mel(log_mel(y, spec), spec)


def _compute_features(job: Job, spec: FeatureSpec, compute: Compute) -> dict[Kind, np.ndarray]:
    y = decode(job.path, sample_rate=spec.sample_rate).y
    if job.transform is not None:
        y = job.transform(y, spec.sample_rate)
    return compute(to_level(y, spec.sample_rate, spec.level_dbfs))
