"""What the stages leave, and what it does not depend on."""

import json
import re

import numpy as np
import pytest
from helpers.made_features import write as write_features
from helpers.pipeline import STAGES, metrics
from helpers.project import copy_project
from helpers.stages import run_stages
from librosa import effects

from genre_core import config
from genre_core.analysis.interventions import INTERVENTIONS
from genre_core.apps.cli import main as cli
from genre_core.audio.io import decode, write
from genre_core.audio.level import to_level
from genre_core.corpus import index
from genre_core.corpus.splits import NO_TEST
from genre_core.errors import GenreError
from genre_core.features.spectrogram import FeatureSpec, log_mel
from genre_core.features.store import FeatureStore
from genre_core.models import file as model_file
from genre_core.util.files import digest, read_csv


def outputs(project):
    return {str(path.relative_to(project)): digest(path) for name in ("data", "metrics") for path in (project / name).rglob("*.*")}


def test_1_and_2_workers_leave_the_same_bytes(project, tmp_path):
    other = copy_project(tmp_path / "other")
    run_stages(other, *STAGES, parallel__workers=2)
    assert len(outputs(other)) > 60
    assert outputs(other) == outputs(project)


def test_the_leaky_protocol_says_so_in_every_metric(own, capsys):
    again = ("segment", "explore", "augment", "train", "evaluate", "interventions", "validate_external")
    done = run_stages(own, *again, segment__protocol="segment")
    assert all("LEAKY" in done[name] for name in ("segment", "train", "evaluate"))
    sets = metrics(own, "test")["prediction_sets"]
    assert (sets["threshold"], sets["coverage"]) == (None, None)
    assert "leaky" in sets["reason"]
    assert metrics(own, "train")["leaky"]
    assert metrics(own, "test")["leaky"]
    assert metrics(own, "external")["trained_on"]["leaky"]
    assert cli.main(["predict", "--model", str(own / "data/model/model.safetensors"), str(own / "data/raw/pop")]) == 0
    assert "LEAKY" in capsys.readouterr().out


def test_prediction_sets_are_calibrated_on_valid_and_scored_on_test(project):
    model = model_file.load(project / "data/model/model.safetensors")
    promise, sets = model.info["conformal"], metrics(project, "test")["prediction_sets"]
    assert (promise["coverage"], promise["tracks"], promise["artists"]) == (0.9, 10, 10)
    split = index.read(project / "data/index")
    limit = promise["threshold"]
    assert (sets["promised"], sets["threshold"], sets["calibrated_on_artists"]) == (0.9, limit, 10)
    scores, covered, sizes = [], [], []
    with FeatureStore(project / "data/features/original.h5") as store:
        for side in ("valid", "test"):
            for track, starts in split.starts(side).items():
                p = model.track_probabilities(model.logits(store.read("mel", track), starts))
                true = model.genres.index(split.tracks[track].genre)
                if side == "valid":
                    scores.append(1 - p[true])
                else:
                    members = (1 - p <= limit) | (p == p.max())
                    covered.append(members[true])
                    sizes.append(members.sum())
    assert limit == pytest.approx(max(scores), abs=2e-6)  # 0.9 needs all ten of 11 weights
    assert model.temperature != 1
    assert (sets["coverage"], sets["mean_size"]) == pytest.approx((np.mean(covered), np.mean(sizes)))
    assert sets["coverage_low"] <= sets["coverage"] <= sets["coverage_high"]


def test_too_few_validation_artists_promise_nothing(own):
    run_stages(own, "train", "evaluate", train__coverage=0.95, train__epochs=1)
    sets = metrics(own, "test")["prediction_sets"]
    assert (sets["threshold"], sets["mean_size"]) == (None, None)
    assert sets["reason"] == "10 artists are too few: a coverage of 0.95 needs 19"
    run_stages(own, "summary")
    card = run_stages(own, "card")
    assert card
    assert "Prediction sets: none, 10 artists are too few" in (own / "MODEL_CARD.md").read_text()


def test_the_map_of_the_tracks_says_their_artists_and_needs_no_other_file(project):
    page = (project / "metrics/explore/report.html").read_text()
    rows = read_csv(project / "metrics/explore/map.csv")
    assert len(rows) == 30
    assert page.count("<title>") == 1 + len(rows)
    for row in rows:
        assert f"{row['track']}: {row['genre']}, {row['artist']} ({row['split']})" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    mean = {axis: sum(float(row[axis]) for row in rows) / len(rows) for axis in "xy"}
    assert mean == pytest.approx({"x": 0, "y": 0}, abs=1e-3)  # principal components


def test_interventions_begin_with_the_score_of_the_test(project):
    measured = metrics(project, "interventions")
    assert measured["tracks"] == metrics(project, "test")["tracks"]
    assert measured["interventions"]["none"]["accuracy"] == pytest.approx(metrics(project, "test")["track"]["accuracy"], abs=1e-4)
    assert len(measured["interventions"]) == len(INTERVENTIONS) == 11


def test_features_made_elsewhere(own, tmp_path, rng):
    source = write_features(tmp_path / "x.npz", rng)
    values = {"dataset__name": "features", "dataset__features__path": str(source), "segment__protocol": "official"}
    done = run_stages(own, *STAGES, **values, train__epochs=8, train__lr=0.01, train__weight_averaging=0.5)
    assert "no versions: the data set holds features" in done["augment"]
    test = metrics(own, "test")
    assert (test["data_set"], test["scored_on"], test["tracks"]) == ("features made elsewhere (24 tracks)", NO_TEST, 8)
    assert test["track"]["accuracy"] >= 0.75
    assert not test["leaky"]
    with FeatureStore(own / "data/features/original.h5") as store:
        assert (store.spec.hop_length, store.spec.n_mels) == (1709, 64)
        assert store.read("mfcc", "a.0.0").shape == (100, 20)
    with pytest.raises(GenreError, match="reads embeddings of audio, but this data set holds only features"):
        run_stages(own, "embed", model__type="musicnn")


def test_a_planted_leak_is_shown(own, tmp_path, rng):
    """Each artist has a sound of its own, and genres mean nothing: what an artist on two sides gives away is all there is."""
    rows = ["path,artist"]
    for genre in ("rock", "pop"):
        for artist in range(4):
            colour = rng.normal(size=12)
            for track in range(9):
                spectrum = np.fft.rfft(rng.normal(size=6 * 22050))
                spectrum *= 10 ** (np.interp(np.geomspace(1, 120, len(spectrum)), np.geomspace(1, 120, 12), 15 * colour) / 20)
                y = np.fft.irfft(spectrum)
                write(tmp_path / f"m/{genre}/{artist}-{track}.wav", 0.5 * y / np.abs(y).max(), 22050)
                rows.append(f"{genre}/{artist}-{track}.wav,{genre} {artist}")
    (tmp_path / "m/metadata.csv").write_text("\n".join(rows) + "\n")
    values = {"dataset__name": "folder", "dataset__folder__path": str(tmp_path / "m"), "model__type": "svm"}
    values |= {"features__normalise": "dataset", "augment__copies__pitch": 0, "augment__copies__tempo": 0}
    run_stages(own, "download", "audit", **values)
    accuracy = {}
    for protocol, leaky in (("track", True), ("artist", False)):
        run_stages(own, "segment", "extract", "augment", "embed", "train", "evaluate", segment__protocol=protocol)
        test = json.loads((own / "metrics/test/metrics.json").read_text())
        assert test["leaky"] is leaky
        accuracy[protocol] = test["track"]["accuracy"]
    assert accuracy["track"] >= 0.8
    assert accuracy["artist"] <= 0.7
    assert accuracy["track"] - accuracy["artist"] >= 0.2


def test_a_version_is_shifted_by_what_copies_csv_says_and_not_the_other_way(project):
    rows = [row for row in read_csv(project / "data/features/copies.csv") if float(row["pitch_semitones"])]
    assert len(rows) >= 10
    spec = FeatureSpec.of(config.load(project / "params.yaml").features)
    with FeatureStore(project / "data/features/augmented.h5") as store:
        for row in rows[:3]:
            genre = row["track"].split(".")[0]
            y = decode(project / f"data/raw/{genre}/{row['track']}.wav", sample_rate=spec.sample_rate).y
            stored, semitones = store.read("mel", row["copy"]).astype("f4"), float(row["pitch_semitones"])
            distance = {}
            for sign in (1, -1):
                shifted = effects.pitch_shift(y, sr=spec.sample_rate, n_steps=sign * semitones)
                mel = log_mel(to_level(shifted, spec.sample_rate, spec.level_dbfs), spec)
                distance[sign] = np.abs(stored - mel[: len(stored)]).mean()
            assert distance[1] < 1 < distance[-1]
