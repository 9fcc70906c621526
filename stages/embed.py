"""Embed stage: MusiCNN embeddings of every usable track.

The store stays empty if the chosen model does not read embeddings.
"""

from dataclasses import replace

from genre_core import config
from genre_core.errors import GenreError
from genre_core.features import extract
from genre_core.features.musicnn_spec import SPEC
from genre_core.features.store import write_store
from genre_core.project import EMBEDDINGS, INDEX, PRECOMPUTED, RAW
from genre_core.util.files import read_csv
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    spec = replace(SPEC, level_dbfs=params.features.level_dbfs)
    if params.model.type not in ("musicnn", "ensemble"):  # an ensemble may hold a musicnn model
        write_store(EMBEDDINGS, spec, ())
        return f"embed: {params.model.type} does not read embeddings; {EMBEDDINGS} is empty"
    if PRECOMPUTED.exists():
        raise GenreError(
            f"model.type: {params.model.type} reads embeddings of audio, but this data set holds only features; choose another model.type"
        )
    from genre_core.features import musicnn  # imports torch

    jobs = [extract.Job(row["track"], RAW / row["path"]) for row in read_csv(INDEX / "tracks.csv", ["track", "path"], strip=False)]
    patches = extract.extract(jobs, spec, EMBEDDINGS, musicnn.features, workers=params.parallel.chosen, cache=cache, label="embed")
    return f"embed: {len(jobs)} tracks, {patches} patches in {EMBEDDINGS}"


if __name__ == "__main__":
    run(main)
