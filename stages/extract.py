"""Extract stage: log-mel spectrograms and MFCC of every usable track."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from genre_core import config
from genre_core.features import extract
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec
from genre_core.features.store import features_from_log_mel, write_store
from genre_core.project import INDEX, ORIGINAL, PRECOMPUTED, RAW
from genre_core.util.files import read_csv, read_json
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    if PRECOMPUTED.is_file():
        return _store_precomputed(params)
    jobs = [extract.Job(row["track"], RAW / row["path"]) for row in read_csv(INDEX / "tracks.csv", ["track", "path"], strip=False)]
    spec = FeatureSpec.of(params.features)
    frames = extract.extract(jobs, spec, ORIGINAL, partial(extract.log_features, spec=spec), workers=params.parallel.chosen, cache=cache)
    return f"extract: {len(jobs)} tracks, {frames} frames in {ORIGINAL}"


def _store_precomputed(params: config.Params) -> str:
    """Store precomputed log-mel unchanged, and compute MFCC from it."""
    rows = read_csv(INDEX / "tracks.csv", ["track", "path"], strip=False)
    bins = np.load(RAW / rows[0]["path"], mmap_mode="r", allow_pickle=False).shape[1]
    spec = FeatureSpec(**read_json(PRECOMPUTED), n_mels=bins, n_mfcc=min(bins, params.features.n_mfcc))

    def tracks() -> Iterator[tuple[str, dict[Kind, np.ndarray]]]:
        for row in rows:
            yield row["track"], features_from_log_mel(np.load(RAW / row["path"], allow_pickle=False).astype(np.float32), spec)

    frames = write_store(ORIGINAL, spec, tracks())
    return f"extract: {len(rows)} tracks of precomputed features, {frames} frames in {ORIGINAL}"


if __name__ == "__main__":
    run(main)
