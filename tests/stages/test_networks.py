"""Every network through the stages that train and judge it."""

import csv
import shutil

import numpy as np
import pytest
from helpers.pipeline import metrics
from helpers.stages import run_stages

from genre_core.apps.cli import main as cli
from genre_core.audio.io import decode
from genre_core.errors import GenreError
from genre_core.features import musicnn
from genre_core.inference.predictor import Predictor
from genre_core.models import file as model_file
from genre_core.models.ensemble import Ensemble


@pytest.mark.parametrize("name", ["svm", "logistic", "mfcc_cnn", "vgg", "crnn", "attention", "resnet", "transfer"])
def test_every_network_through_train_and_evaluate(own, name, capsys):
    values = {"model__transfer__weights": "none", "model__transfer__network": "mobilenet_v2", "train__epochs": 1}
    run_stages(own, "train", "evaluate", model__type=name, **values)
    assert metrics(own, "test")["model"]["type"] == name
    assert cli.main(["predict", "--model", str(own / "data/model/model.safetensors"), str(own / "data/raw/pop/pop.00000.wav")]) == 0
    assert f": {name} trained on demo" in capsys.readouterr().out
    model = model_file.load(own / "data/model/model.safetensors")
    assert model.normalisation.range_db == (60.0 if model.kind == "mel" else 0.0)


def test_musicnn_through_the_stages_and_its_file_scores_as_evaluate_did(own):
    done = run_stages(own, "embed", "train", "evaluate", model__type="musicnn")
    assert "embed: 30 tracks" in done["embed"]
    assert metrics(own, "test")["model"]["type"] == "musicnn"
    with (own / "metrics/test/predictions.csv").open() as file:
        wanted = next(csv.DictReader(file))
    prediction = Predictor(own / "data/model/model.safetensors").predict_file(own / f"data/raw/{wanted['true']}/{wanted['track']}.wav")
    for genre, p in prediction.probabilities.items():
        assert p == pytest.approx(float(wanted[f"p_{genre}"]), abs=2e-5)


def test_convolving_once_a_track_is_convolving_each_patch_but_for_its_edges(project):
    import torch

    y = decode(project / "data/raw/rock/rock.00000.wav", sample_rate=16000).y
    whole = musicnn.embeddings(y)
    mel = musicnn.log_mel(musicnn.decibel(y))
    starts = range(0, len(mel) - musicnn.PATCH_FRAMES + 1, musicnn.PATCH_HOP_FRAMES)
    network = musicnn.load()
    with torch.no_grad():
        maps = network.convolve(torch.stack([mel[s : s + musicnn.PATCH_FRAMES] for s in starts]))
        alone = network.embed(maps.amax(2), maps.mean(2)).numpy()
    assert whole.shape == alone.shape == (len(starts), 1756)
    assert np.corrcoef(whole[:, musicnn.TAGS].ravel(), alone[:, musicnn.TAGS].ravel())[0, 1] > 0.97


def test_an_ensemble_is_the_mean_of_its_members(own):
    members, trained = own / "data/members", own / "data/model/model.safetensors"
    shutil.copy(trained, members / "cnn.safetensors")
    with pytest.raises(GenreError, match="data/members holds 1 single models, two are needed"):
        run_stages(own, "embed", "train", model__type="ensemble")
    run_stages(own, "train", model__type="fnn")
    shutil.copy(trained, members / "fnn.safetensors")
    done = run_stages(own, "train", "evaluate", model__type="ensemble")
    assert "of 2 models: cnn (cnn), fnn (fnn)" in done["train"]
    assert metrics(own, "test")["prediction_sets"]["threshold"] == model_file.load(trained).info["conformal"]["threshold"]
    ensemble = Predictor(trained)
    assert isinstance(ensemble.model, Ensemble)
    ensemble.model.temperature = 1.0
    file = own / "data/raw/jazz/jazz.00000.wav"
    single = [model_file.load(members / f"{name}.safetensors") for name in ("cnn", "fnn")]
    for member in (*single, *ensemble.model.members):
        member.temperature = 1.0 if member in single else 0.05  # calibration before the mean would turn it into a vote
    each = [Predictor(member).predict_file(file).timeline for member in single]
    prediction = ensemble.predict_file(file)
    np.testing.assert_allclose(prediction.timeline, np.mean(each, axis=0), atol=1e-6)
    wanted = dict(zip(ensemble.model.genres, np.mean(each, axis=(0, 1)), strict=True))
    assert prediction.probabilities == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(GenreError, match="trained on another split"):
        run_stages(own, "segment", "train", segment__fold=1)
