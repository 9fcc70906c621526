"""The project's paths, relative to its folder."""

from __future__ import annotations

from pathlib import Path

RAW = Path("data/raw")
PRECOMPUTED = RAW / "features.json"  # there where the data set is features, no audio: how they were made
INDEX = Path("data/index")
ORIGINAL = Path("data/features/original.h5")
EMBEDDINGS = Path("data/features/embeddings.h5")
STORES = {"mel": ORIGINAL, "mfcc": ORIGINAL, "musicnn": EMBEDDINGS}
AUGMENTED = Path("data/features/augmented.h5")
COPIES = Path("data/features/copies.csv")
MODEL = Path("data/model/model.safetensors")
EXTERNAL = Path("data/external")
CHECKPOINTS = Path(".checkpoints")
DOWNLOADS = Path(".cache")  # outside of what DVC deletes before a run
METRICS = Path("metrics")
AUDIT = METRICS / "audit"
