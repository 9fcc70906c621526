"""Every architecture: what it must be, learns, keeps and refuses."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.pipeline import metrics
from helpers.project import run, set_params

from genre_core.audio.io import decode
from genre_core.features import musicnn
from genre_core.inference.predictor import Predictor
from genre_core.models import file as model_file
from genre_core.models.model import Ensemble


def test_convolving_once_a_track_is_convolving_each_patch_but_for_its_edges(project):
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


def test_musicnn_through_the_pipeline_and_its_file_scores_as_evaluate_did(own):
    done = run("dvc", "exp", "run", "-S", "model.type=musicnn", cwd=own)
    assert "embed: 30 tracks" in done.stdout
    assert metrics(own, "test")["model"]["type"] == "musicnn"
    import csv

    with (own / "metrics/test/predictions.csv").open() as file:
        wanted = next(csv.DictReader(file))
    said = Predictor(own / "data/model/model.safetensors").predict_file(own / f"data/raw/{wanted['true']}/{wanted['track']}.wav")
    for genre, p in said.probabilities.items():
        assert p == pytest.approx(float(wanted[f"p_{genre}"]), abs=2e-5)


@pytest.mark.parametrize("name", ["svm", "logistic", "mfcc_cnn", "vgg", "crnn", "attention", "resnet", "transfer"])
def test_every_network_through_train_and_evaluate(own, name):
    set_params(own, model__type=name, model__transfer__weights="none", model__transfer__network="mobilenet_v2", train__epochs=1)
    for stage in ("train", "evaluate"):
        run(sys.executable, "-m", f"stages.{stage}", cwd=own)
    assert metrics(own, "test")["model"]["type"] == name
    said = run("genre", "predict", "--model", "data/model/model.safetensors", "data/raw/pop/pop.00000.wav", cwd=own).stdout
    assert f": {name} trained on demo" in said
    model = model_file.load(own / "data/model/model.safetensors")
    assert model.normalisation.range_db == (60.0 if model.kind == "mel" else 0.0)


def test_an_ensemble_is_the_mean_of_its_members(own):
    members = own / "data/members"
    subprocess.run(["cp", own / "data/model/model.safetensors", members / "cnn.safetensors"], check=True)
    done = run("dvc", "exp", "run", "-S", "model.type=ensemble", cwd=own, check=False)
    assert "data/members holds 1 single models, two are needed" in done.stderr + done.stdout
    run("dvc", "exp", "run", "-S", "model.type=fnn", cwd=own)
    subprocess.run(["cp", own / "data/model/model.safetensors", members / "fnn.safetensors"], check=True)
    done = run("dvc", "exp", "run", "-S", "model.type=ensemble", cwd=own)
    assert "of 2 models: cnn (cnn), fnn (fnn)" in done.stdout
    made = Predictor(own / "data/model/model.safetensors")
    assert isinstance(made.model, Ensemble)
    made.model.temperature = 1.0
    file = own / "data/raw/jazz/jazz.00000.wav"
    single = [model_file.load(members / f"{name}.safetensors") for name in ("cnn", "fnn")]
    for member in (*single, *made.model.members):
        member.temperature = 1.0 if member in single else 0.05  # calibration before the mean would turn it into a vote
    each = [Predictor(member).predict_file(file).timeline for member in single]
    said = made.predict_file(file)
    np.testing.assert_allclose(said.timeline, np.mean(each, axis=0), atol=1e-6)
    wanted = dict(zip(made.model.genres, np.mean(each, axis=(0, 1)), strict=True))
    assert said.probabilities == pytest.approx(wanted, abs=1e-6)
    set_params(own, segment__fold=1)
    done = run("dvc", "repro", cwd=own, check=False)
    assert "trained on another split" in done.stderr + done.stdout


def test_the_network_of_the_readme_is_trained_as_it_says(own):
    text = (own / "README.md").read_text()
    section = text[text.index("### Add one of your own") :]
    (own / "genre_core/networks/tiny.py").write_text(section.split("```python\n")[1].split("```")[0])
    params = (own / "params.yaml").read_text()
    line = section.split("below `model:` (`")[1].split("`")[0]
    (own / "params.yaml").write_text(params.replace("model:\n", f"model:\n  {line}\n"))
    run("git", "add", "-A", cwd=own)
    run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "tiny", cwd=own)
    run("dvc", "exp", "run", "-S", "model.type=tiny", cwd=own)
    assert metrics(own, "test")["model"]["type"] == "tiny"
    song = next((own / "data/raw/jazz").glob("*.wav"))
    run("genre", "predict", str(song), "--model", "data/model/model.safetensors", cwd=own)
