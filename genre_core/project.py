"""Paths of the project, relative to the project's folder."""

from __future__ import annotations

from pathlib import Path

RAW = Path("data/raw")
# Settings of precomputed features; the file exists only if the data set contains features instead of audio.
PRECOMPUTED = RAW / "features.json"
INDEX = Path("data/index")
ORIGINAL = Path("data/features/original.h5")
EMBEDDINGS = Path("data/features/embeddings.h5")
STORES = {"mel": ORIGINAL, "mfcc": ORIGINAL, "musicnn": EMBEDDINGS}
AUGMENTED = Path("data/features/augmented.h5")
VERSIONS = Path("data/features/copies.csv")
MODEL = Path("data/model/model.safetensors")
EXTERNAL = Path("data/external")
CHECKPOINTS = Path(".checkpoints")
DOWNLOADS = Path(".cache")  # not in a stage output, because DVC deletes the outputs before a run
METRICS = Path("metrics")
AUDIT = METRICS / "audit"
LABELS = METRICS / "labels"
