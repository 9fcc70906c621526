"""An exported model says what torch says, and runs without this package."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.project import ROOT, run

from genre_core import networks
from genre_core.errors import GenreError
from genre_core.features.spectrogram import FeatureSpec
from genre_core.inference import onnx as onnx_export
from genre_core.inference import onnx_check
from genre_core.inference.predictor import Predictor
from genre_core.models import normalisation
from genre_core.models.ensemble import Ensemble
from genre_core.models.file import load
from genre_core.models.model import GenreModel

SPEC = FeatureSpec(22050, 2048, 512, 128, 20, 20.0, 11025.0)


GENRES = ["a", "b", "c"]


def model_of(kind, normalise, rng, range_db=0.0):
    torch.manual_seed(1)
    own = {"cnn": {"width": 8, "blocks": 5, "dropout": 0.3}, "fnn": {"hidden_1": 32, "hidden_2": 16, "dropout": 0.4}}[kind]
    bins = {"cnn": SPEC.n_mels, "fnn": SPEC.n_mfcc}[kind]
    network = networks.build(kind, own, n_bins=bins, n_genres=3)
    for module in network.modules():  # as after training: no running statistic is 0 or 1
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    fitted = normalisation.fit(normalise, [rng.normal(-30, 15, (600, bins)).astype(np.float32)], SPEC.frames(3), range_db=range_db)
    return GenreModel(kind, own, network, GENRES, SPEC, 3.0, 1.5, fitted, temperature=0.7)


@pytest.mark.parametrize(
    ("kind", "normalise", "range_db"),
    [("cnn", "track", 0.0), ("cnn", "track", 20.0), ("cnn", "dataset", 60.0), ("cnn", "window", 0.0), ("fnn", "dataset", 0.0)],
)
def test_samples_in_probabilities_out_as_torch(tmp_path, rng, kind, normalise, range_db):
    model = model_of(kind, normalise, rng, range_db)
    onnx_export.export(model, tmp_path / "m.onnx")
    session = onnx_check.session(tmp_path / "m.onnx")
    for seconds in (3.0, 3.7, 4.5, 11.3, 30.01):
        y = (0.2 * rng.normal(size=round(seconds * 22050)) * np.linspace(0, 1, round(seconds * 22050))).astype(np.float32)
        said = Predictor(model).predict(y, 22050).probabilities
        given = session.run(None, {"samples": y})[0]
        np.testing.assert_allclose(given, [said[g] for g in GENRES], atol=1e-4)


def test_windows_in_logits_out_as_torch(tmp_path, rng):
    model = model_of("cnn", "track", rng)
    onnx_export.export(model, tmp_path / "m.onnx", features=False)
    windows = rng.normal(size=(5, SPEC.frames(3), 128)).astype(np.float32)
    given = onnx_check.session(tmp_path / "m.onnx").run(None, {"windows": windows})[0]
    with torch.inference_mode():
        np.testing.assert_allclose(given, model.network(torch.from_numpy(windows)).numpy(), atol=1e-4)


def test_eight_bits_are_a_quarter_of_the_weights_and_little_else(tmp_path, rng):
    model = model_of("cnn", "track", rng)
    onnx_export.export(model, tmp_path / "f.onnx", features=False)
    onnx_export.export(model, tmp_path / "i.onnx", features=False, int8=True)
    assert (tmp_path / "i.onnx").stat().st_size < 0.45 * (tmp_path / "f.onnx").stat().st_size
    windows = rng.normal(size=(5, SPEC.frames(3), 128)).astype(np.float32)
    full, small = (onnx_check.session(tmp_path / f"{n}.onnx").run(None, {"windows": windows})[0] for n in "fi")
    assert 0 < np.abs(full - small).max() < 0.05 * np.abs(full).max()


def test_the_command_checks_on_the_test_split_and_the_example_runs_alone(own, tmp_path, rng):
    done = json.loads(run("genre", "export", "m.onnx", "--json", cwd=own).stdout)
    tracks = json.loads((own / "metrics/test/metrics.json").read_text())["tracks"]
    assert (done["on"], done["tracks"], done["changed_answers"]) == ("the test split", tracks, 0)
    assert done["largest_difference"] < 1e-4
    assert done["bytes"] < 2e6
    small = json.loads(run("genre", "export", "i.onnx", "--int8", "--without-features", "--json", cwd=own).stdout)
    assert small["bytes"] < 0.6e6
    assert small["largest_difference"] < 0.2
    song = own / "data/raw/pop/pop.00000.wav"
    wanted = Predictor(load(own / "data/model/model.safetensors")).predict_file(song).probabilities
    alone = [sys.executable, "-P", str(ROOT / "examples/onnx_predict.py"), str(own / "m.onnx"), str(song)]
    said = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in said] == list(wanted)[:3]
    assert float(said[0].split()[1]) == pytest.approx(next(iter(wanted.values())), abs=2e-3)
    assert "genre_core" not in "".join(line for line in (ROOT / "examples/onnx_predict.py").read_text().splitlines() if "import" in line)


def test_what_cannot_be_exported_is_told(tmp_path, rng):
    members = [model_of("cnn", "track", rng), model_of("cnn", "track", rng)]
    with pytest.raises(GenreError, match="an ensemble cannot be exported"):
        onnx_export.exportable(Ensemble(members, 3.0, 1.5))
    done = run("genre", "export", "m.txt", "--model", "pretrained", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert not (tmp_path / "m.txt").exists()
