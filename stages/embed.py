"""Embeddings of every usable track by the audio backbone, where the chosen model reads them."""

from genre_core import backbone, config, extraction
from genre_core.errors import GenreError
from genre_core.files import read_csv
from genre_core.store import write_store
from stages import EMBEDDINGS, INDEX, MADE, RAW, run


def main() -> str:
    params = config.load()
    if params.model.type not in ("musicnn", "ensemble"):  # an ensemble may hold a model of them
        write_store(EMBEDDINGS, backbone.SPEC, ())
        return f"embed: {params.model.type} reads no embeddings; {EMBEDDINGS} is empty"
    if MADE.exists():
        raise GenreError(
            f"model.type: {params.model.type} reads embeddings of audio, and this data set holds features alone; choose another"
        )
    jobs = [extraction.Job(row["track"], RAW / row["path"]) for row in read_csv(INDEX / "tracks.csv", ["track", "path"], strip=False)]
    patches = extraction.extract(jobs, backbone.SPEC, EMBEDDINGS, backbone.features, workers=params.workers, label="embed")
    return f"embed: {len(jobs)} tracks, {patches} patches in {EMBEDDINGS}"


if __name__ == "__main__":
    run(main)
