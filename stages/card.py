"""Model card of the last run, written by ``make card`` (not a stage)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genre_core.corpus import index
from genre_core.corpus.catalogue import LICENCES, count_licences
from genre_core.errors import GenreError
from genre_core.models import file as model_file
from genre_core.project import INDEX, METRICS, MODEL, RAW
from genre_core.reports.model_card import card
from genre_core.util.files import atomic, digest, read_csv, read_json
from stages.run import DATA_SET_KEYS, run

OUT = Path("MODEL_CARD.md")
NO_INTERVENTIONS = {"tracks": 0, "falls": [], "interventions": {}}
NO_CLIPS = {"clips": 0, "clips_failed": 0, "clips_skipped": 0}


def main() -> str:
    test, interventions, external = (read_json(METRICS / name / "metrics.json") for name in ("test", "interventions", "external"))
    if digest(MODEL) != test["model"]["sha256"]:
        raise GenreError(f"{METRICS / 'test'} does not belong to {MODEL}; run `dvc repro` or `dvc checkout`")
    genres = read_csv(METRICS / "external" / "genres.csv", strip=False)
    predictions = read_csv(METRICS / "test" / "predictions.csv", strip=False)
    model = model_file.load(MODEL)
    # `make mine` ends with `evaluate`, so these two metrics may belong to the model of an earlier run.
    if test["protocol"] == "all":
        interventions = NO_INTERVENTIONS
    if external["trained_on"] != {key: model.info[key] for key in DATA_SET_KEYS}:
        external, genres = NO_CLIPS, []
    text = card(model, test, interventions, external, genres, predictions, _licences(model.info))
    with atomic(OUT) as part:
        part.write_text(text, encoding="utf-8")
    return f"card: {OUT} of {MODEL}"


def _licences(info: Mapping[str, Any]) -> dict[str, int] | None:
    """Count the licences of the model's tracks; None if the data here are not the model's."""
    if not (RAW / LICENCES).is_file() or not (INDEX / "segments.csv").is_file():
        return None
    split = index.read(INDEX)
    if split.split_digest != info.get("split_digest"):
        return None
    return count_licences(RAW, {window.track for window in split.windows})


if __name__ == "__main__":
    run(main)
