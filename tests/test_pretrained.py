"""The packaged model for real music."""

import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.signal
import soundfile
import yaml
from closure import ROOT
from conftest import run
from test_pipeline import ran

from genre_core import inference
from genre_core.files import digest, read_csv
from genre_core.inference import PRETRAINED, Predictor

RATE = 16000


@pytest.fixture(scope="module")
def predictor():
    return Predictor("pretrained")


def syllables(rng, seconds, whispered):
    """Speech-like: a pulse train or noise through two formants that change four times a second."""
    n = seconds * RATE
    pulses = np.diff(np.floor(np.cumsum(np.full(n, 130 / RATE))), prepend=0) > 0
    source = (1 - whispered) * 8 * pulses + whispered * rng.normal(0, 1, n)
    y = np.zeros(n)
    for start in range(0, n, RATE // 4):
        part = source[start : start + RATE // 4]
        for hz in (rng.uniform(300, 800), rng.uniform(900, 2300), 2600):
            part = scipy.signal.lfilter([0.03], [1, -1.94 * np.cos(2 * np.pi * hz / RATE), 0.97**2], part)
        y[start : start + RATE // 4] = part * np.hanning(len(part))
    return 0.3 * y / np.abs(y).max()


@pytest.mark.parametrize("seconds", [4, 12])
def test_what_is_no_music_gets_not_sure(predictor, rng, seconds):
    t = np.arange(seconds * RATE) / RATE
    noise = rng.normal(0, 1, len(t))
    sounds = {
        **{f"sine of {hz} Hz at {gain}": gain * np.sin(2 * np.pi * hz * t) for hz in (100, 300, 440, 1000) for gain in (0.5, 0.01)},
        "white noise": 0.1 * noise,
        "modulated noise": 0.1 * noise * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t)),
        "speech": syllables(rng, seconds, 0.0),
        "whisper": syllables(rng, seconds, 1.0),
    }
    assert [name for name, y in sounds.items() if predictor.predict(y.astype(np.float32), RATE).sure] == []
    with pytest.warns(inference.SilenceWarning):
        assert not predictor.predict(np.zeros(len(t), np.float32), RATE).sure


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
    model = inference.load(own / "data/model/model.safetensors")
    model.info["data_set"] = "folder"
    model.save(own / "data/model/model.safetensors")
    metrics = own / "metrics/test/metrics.json"
    first = run("genre", "predict", "data/raw/pop/pop.00000.wav", cwd=own).stdout.splitlines()[0]
    assert first.startswith("model data/model/model.safetensors: cnn trained on folder")
    assert first.endswith("no test score beside it")  # that in metrics/ is of another file
    values = json.loads(metrics.read_text())
    values["model"]["sha256"] = digest(own / "data/model/model.safetensors")
    metrics.write_text(json.dumps(values))
    first = run("genre", "predict", "data/raw/pop/pop.00000.wav", cwd=own).stdout.splitlines()[0]
    assert f"accuracy {values['track']['accuracy']:.3f} [" in first
    chosen = run("genre", "predict", "--model", "pretrained", "data/raw/pop/pop.00000.wav", cwd=own).stdout
    assert chosen.startswith("model pretrained")


def test_files_of_three_seconds_to_minutes(predictor, rng):
    y = rng.normal(0, 0.1, 65 * RATE).astype(np.float32)
    said = predictor.predict(y, RATE)
    assert (len(said.timeline), said.window_seconds, said.starts_seconds[-1]) == (61, 5, 60)  # moment by moment
    assert len(predictor.predict(y[: 3 * RATE], RATE).timeline) == 1
    with pytest.raises(inference.AudioError, match=r"too short: 2\.90 s, the model needs 3 s"):
        predictor.predict(y[: int(2.9 * RATE)], RATE)


def test_the_package_files_are_small_and_open_without_pickle():
    files = list(PRETRAINED.parent.glob("*.safetensors"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) <= 2_000_000
    for file in files:
        assert int.from_bytes(file.read_bytes()[:8], "little") < 100_000  # safetensors: the header's length
    assert "Permission to use, copy, modify" in (PRETRAINED.parent / "NOTICE").read_text()


def test_the_card_the_metrics_and_the_file_agree(predictor):
    metrics = json.loads((ROOT / "pretrained/metrics.json").read_text())
    card = (PRETRAINED.parent / "CARD.md").read_text()
    crossed = metrics["cross_validation"]
    assert f"{crossed['accuracy']:.3f} [{crossed['accuracy_low']:.3f}, {crossed['accuracy_high']:.3f}]" in card
    assert crossed["accuracy"] >= 0.74
    assert crossed["ece"] < 0.08
    assert (metrics["test"] is None) == bool(metrics["test_reason"])
    assert metrics["model"]["bytes"] == PRETRAINED.stat().st_size
    assert predictor.model.temperature == metrics["model"]["temperature"]
    shown = metrics["test"] or crossed
    assert predictor.model.info["score"]["accuracy"] == shown["accuracy"]


def test_the_choice_rests_on_training_tracks_and_no_artist_is_on_both_sides():
    from genre_core.datasets import gtzan

    known = gtzan.table()
    rows = read_csv(ROOT / "pretrained/cross_validation.csv", strip=False)
    assert {known[row["track"]].split for row in rows} == {"train"}
    assert len({row["track"] for row in rows}) == 443
    candidates = read_csv(ROOT / "pretrained/candidates.csv")
    assert [row["chosen"] for row in candidates].count("True") == 1


def test_plain_repro_never_touches_the_packaged_model(own):
    assert "pretrained" not in run("dvc", "repro", "--dry", "-f", cwd=own).stdout
    assert ran(run("dvc", "repro", cwd=own)) == []


def test_its_lock_and_metrics_are_of_what_is_committed():
    import hashlib

    lock = yaml.safe_load((ROOT / "pretrained/dvc.lock").read_text())["stages"]
    for stage in lock.values():
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            path = ROOT / entry["path"]
            if path.is_file():
                md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                assert md5 == entry["md5"], f"{path}: run `dvc repro pretrained/dvc.yaml`"
    metrics = json.loads((ROOT / "pretrained/metrics.json").read_text())
    assert metrics["model"]["sha256"] == digest(PRETRAINED)
    assert metrics["card_sha256"] == digest(PRETRAINED.with_name("CARD.md"))


def test_the_small_pipeline_runs_on_a_local_file_and_refuses_another(tmp_path, own):
    (tmp_path / "other.npz").write_bytes(b"x")
    params = own / "pretrained/params.yaml"
    params.write_text(params.read_text().replace('training_path: ""', f"training_path: {tmp_path / 'other.npz'}"))
    done = run("dvc", "repro", "pretrained/dvc.yaml", cwd=own, check=False)
    assert "the training part cannot be had: training_path: " in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_built_wheel_predicts_on_its_own(tmp_path):
    """Nothing of the checkout is on the path; the network is out of reach."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    soundfile.write(tmp_path / "x.wav", 0.1 * np.random.default_rng(0).normal(0, 1, 5 * 22050), 22050)
    code = "import genre_core, sys; from genre_core.cli import main; print(genre_core.__file__); sys.exit(main(['predict', 'x.wav']))"
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
