"""The packaged model for real music."""

import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import soundfile
from helpers.closure import ROOT
from helpers.pipeline import ran
from helpers.pretrained import RATE
from helpers.project import run

from genre_core.models import file as model_file
from genre_core.util.files import digest


def test_the_command_takes_the_packaged_model_where_none_knows_real_music(project, tmp_path):
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)
    soundfile.write(tmp_path / "sine.wav", y, RATE)
    for folder in (tmp_path, project):  # no model, and one of the demo
        done = run("genre", "predict", str(tmp_path / "sine.wav"), cwd=folder)
        first, second = done.stdout.splitlines()
        assert re.match(r"model pretrained: musicnn trained on gtzan .*443 tracks.*accuracy 0\.\d+ \[0\.\d+, 0\.\d+\] on ", first)
        assert re.search(r"sine\.wav: not sure \(\w+ [01]\.\d\d, ", second)
    (said,) = json.loads(run("genre", "predict", "--json", str(tmp_path / "sine.wav"), cwd=tmp_path).stdout)
    assert (said["sure"], said["model"]) == (False, "pretrained")


def test_a_model_trained_on_real_music_comes_first_with_its_score(own):
    model = model_file.load(own / "data/model/model.safetensors")
    model.info["data_set"] = "folder"
    model_file.save(model, own / "data/model/model.safetensors")
    metrics = own / "metrics/test/metrics.json"
    first = run("genre", "predict", "data/raw/pop/pop.00000.wav", cwd=own).stdout.splitlines()[0]
    assert first.startswith("model data/model/model.safetensors: cnn trained on folder")
    assert first.endswith("test score unknown")  # the score in metrics/ belongs to another file
    values = json.loads(metrics.read_text())
    values["model"]["sha256"] = digest(own / "data/model/model.safetensors")
    metrics.write_text(json.dumps(values))
    first = run("genre", "predict", "data/raw/pop/pop.00000.wav", cwd=own).stdout.splitlines()[0]
    assert f"accuracy {values['track']['accuracy']:.3f} [" in first
    chosen = run("genre", "predict", "--model", "pretrained", "data/raw/pop/pop.00000.wav", cwd=own).stdout
    assert chosen.startswith("model pretrained")


def test_plain_repro_never_touches_the_packaged_model(own):
    assert "pretrained" not in run("dvc", "repro", "--dry", "-f", cwd=own).stdout
    assert ran(run("dvc", "repro", cwd=own)) == []


def test_the_small_pipeline_runs_on_a_local_file_and_refuses_another(tmp_path, own):
    (tmp_path / "other.npz").write_bytes(b"x")
    params = own / "pretrained/params.yaml"
    params.write_text(params.read_text().replace('training_path: ""', f"training_path: {tmp_path / 'other.npz'}"))
    done = run("dvc", "repro", "pretrained/dvc.yaml", cwd=own, check=False)
    assert "cannot get the training part: training_path: " in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_built_wheel_predicts_on_its_own(tmp_path):
    """Nothing of the checkout is on the path; the network is out of reach."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    soundfile.write(tmp_path / "x.wav", 0.1 * np.random.default_rng(0).normal(0, 1, 5 * 22050), 22050)
    code = "import genre_core as g, sys; from genre_core.apps.cli.main import main; print(g.__file__); sys.exit(main(['predict', 'x.wav']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path / "site") in done.stdout.splitlines()[0]
    assert "model pretrained" in done.stdout
