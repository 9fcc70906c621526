"""Model card of the last run, written by ``make card`` (not a stage)."""

from pathlib import Path

from genre_core.errors import GenreError
from genre_core.models import file as model_file
from genre_core.project import METRICS, MODEL
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
    text = card(model, test, interventions, external, genres, predictions)
    with atomic(OUT) as part:
        part.write_text(text, encoding="utf-8")
    return f"card: {OUT} of {MODEL}"


if __name__ == "__main__":
    run(main)
