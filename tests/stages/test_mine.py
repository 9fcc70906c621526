"""A model of one's own genres, fitted on all tracks: what `make mine` runs."""

import csv
import json
import re

import numpy as np
import pytest
from helpers.pipeline import metrics
from helpers.stages import run_stages

from genre_core.apps.cli import main as cli
from genre_core.corpus import index
from genre_core.corpus.cross_validation import SCORED_ON
from genre_core.errors import GenreError
from genre_core.evaluation.calibration import pooled
from genre_core.inference.predictor import Predictor
from genre_core.models import file as model_file
from genre_core.training import fit_all, nested
from genre_core.util.files import read_csv

MINE = {
    "segment__protocol": "all",
    "segment__seconds": 30.0,
    "segment__hop_seconds": 15.0,
    "segment__folds": 5,
    "model__type": "musicnn",
    "model__musicnn__embedding": "auto",
    "augment__copies__pitch": 0,
    "augment__copies__tempo": 0,
}
AGAIN = ("segment", "extract", "embed", "augment", "train", "evaluate")


@pytest.fixture
def library(own, tmp_path):
    """Four genres of the small demo as a folder: an artist with two genres, a genre of one artist, and a duplicate."""
    rows = ["path,artist"]
    for genre in ("jazz", "metal", "pop", "rock"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for i, file in enumerate(sorted((own / "data/raw" / genre).glob("*.wav"))):
            (tmp_path / "music" / genre / file.name).write_bytes(file.read_bytes())
            rows.append(f"{genre}/{file.name},{'Solo' if genre == 'rock' else f'{genre} {i}'}")
    (tmp_path / "music/jazz/copy.wav").write_bytes((tmp_path / "music/jazz/jazz.00000.wav").read_bytes())
    rows.append("jazz/copy.wav,someone else")
    (tmp_path / "music/metadata.csv").write_text("\n".join(rows) + "\n")
    return own, {"dataset__name": "folder", "dataset__folder__path": str(tmp_path / "music"), **MINE}


def test_a_folder_is_fitted_as_a_whole_and_scored_on_unheard_artists(library, capsys, monkeypatch):
    project, values = library
    with pytest.warns(UserWarning, match="left out of the score on unseen artists: genre rock, which has only one artist"):
        done = run_stages(project, "download", "audit", *AGAIN, **values)
    assert "13 train, 0 valid, 0 test tracks" in done["segment"]
    folds = {row["track"]: row for row in read_csv(project / "data/index/folds.csv", strip=False)}
    assert folds["jazz/copy.wav"]["group"] == folds["jazz/jazz.00000.wav"]["group"]
    test = metrics(project, "test")
    assert (test["data_set"], test["protocol"], test["scored_on"], test["leaky"]) == ("folder", "all", SCORED_ON, False)
    assert (test["tracks"], test["fitted_on_all"]["tracks"], test["fitted_on_all"]["unscored_genres"]) == (10, 13, ["rock"])
    with (project / "metrics/test/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["true"] for row in rows} == {"jazz", "metal", "pop"}
    assert np.mean([row["true"] == row["predicted"] for row in rows]) == pytest.approx(test["track"]["accuracy"], abs=1e-4)

    model = model_file.load(project / "data/model/model.safetensors")
    assert (model.info["train_tracks"], model.genres) == (13, ["jazz", "metal", "pop", "rock"])
    assert model.info["score"]["accuracy"] == test["track"]["accuracy"]
    assert model.info["score"]["plain_accuracy"] == test["fitted_on_all"]["plain_accuracy"]
    assert model.out_of_distribution is not None
    predictor = Predictor(model)
    right = [predictor.predict_file(path).genre == path.parent.name for path in (project / "data/raw").rglob("*.wav")]
    assert np.mean(right) > 0.9  # it has heard them all, the genre that is not scored too

    monkeypatch.chdir(project)
    assert cli.main(["predict", "data/raw/rock"]) == 0  # without --model: real music, so this model
    introduction = capsys.readouterr().out.splitlines()[0]
    assert f"accuracy {test['track']['accuracy']:.3f} [" in introduction
    assert re.search(rf"10 tracks of \d unheard artists .* optimistic: {test['fitted_on_all']['plain_accuracy']:.3f}", introduction)


def test_the_rest_of_the_pipeline_takes_a_model_without_test_tracks(own, capsys):
    keys = set(metrics(own, "test"))
    done = run_stages(own, *AGAIN, **MINE, dataset__demo__seconds=6.0)
    assert keys < set(metrics(own, "test"))
    assert metrics(own, "test")["tracks"] == 30
    assert {row["start_seconds"] for row in read_csv(own / "data/index/segments.csv")} == {"0.0"}  # 6 s: one window, shorter than 30 s
    before = (own / "data/model/model.safetensors").read_bytes()
    run_stages(own, "train")
    assert (own / "data/model/model.safetensors").read_bytes() == before
    # What DVC would run after `make mine`, and the card of a run in which it did not.
    run_stages(own, "card")
    card = (own / "MODEL_CARD.md").read_text()
    fitted = metrics(own, "test")["fitted_on_all"]
    assert "fitted on all 30 tracks; 30 of them are scored" in card
    assert f"in plain cross-validation, {fitted['plain_accuracy']:.3f}, is optimistic" in card
    assert "there is no test track to change" in card
    assert "With each artist left out of the calibration in turn, their coverage is" in card and "validation artists" not in card
    assert "None" not in card
    done = run_stages(own, "explore", "interventions", "validate_external", "card", "summary")
    assert done["interventions"] == "interventions: skipped: there are no test tracks: the model is fitted on all tracks"
    assert json.loads((own / "metrics/interventions/metrics.json").read_text()) == {"tracks": 0, "falls": [], "interventions": {}}
    assert f"optimistic {fitted['plain_accuracy']:.3f}" in done["summary"]


def test_a_long_track_is_judged_in_the_windows_that_fitted_the_head(own, monkeypatch):
    run_stages(own, *AGAIN, **{**MINE, "segment__seconds": 3.0, "segment__hop_seconds": 1.5, "model__musicnn__embedding": "tags"})
    assert metrics(own, "test")["segments"] == 90
    assert {row["embedding"] for row in read_csv(own / "metrics/train/candidates.csv")} == {"tags"}
    model = model_file.load(own / "data/model/model.safetensors")
    monkeypatch.chdir(own)
    split = index.read("data/index")
    groups = {track: row.group for track, row in index.read_folds("data/index").items()}
    examples, _ = fit_all.read_examples(model, split, groups)
    assert {windows.stop - windows.start for windows in examples.windows_of} == {3}
    choice = nested.Candidate("tags", model.info["choice"]["c"])
    head = nested.Head(examples, choice, np.arange(30))
    for number, track in enumerate(split.starts("train")):
        wanted = pooled(head.logits(examples.windows_of[number]), model.temperature)
        said = Predictor(model).predict_file(f"data/raw/{split.tracks[track].path}")
        np.testing.assert_allclose([said.probabilities[genre] for genre in model.genres], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"segment__protocol": "all"}, "segment.protocol all fits a head on all tracks, which only model.type musicnn allows, not cnn"),
        (
            {"model__type": "musicnn", "model__musicnn__embedding": "auto"},
            "embedding auto is chosen by .* segment.protocol all, not of artist",
        ),
    ],
)
def test_what_cannot_be_fitted_on_all_tracks_is_refused_before_any_work(own, values, words):
    with pytest.raises(GenreError, match=words):
        run_stages(own, "download", **values)


def test_a_library_of_one_artist_per_genre_cannot_be_scored(library):
    project, values = library
    table = project.parent / "music/metadata.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(f"{line.split(',')[0]},{line.split('/')[0]}" for line in lines[1:])]) + "\n")
    with pytest.raises(GenreError, match="jazz, metal, pop, rock has tracks of one artist only"):
        run_stages(project, "download", "audit", "segment", **values)
