"""Audio and model files that lie: right, or one line that says file, reason and remedy; bounded; the rest goes on."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch
from helpers.closure import ROOT
from helpers.hostile import BAD, GOOD, refusal, rewritten

from genre_core.audio.io import decode
from genre_core.errors import AudioError


def test_predict_takes_what_is_good_and_says_a_line_of_the_rest(zoo, project):
    command = [
        sys.executable,
        "-m",
        "genre_core.apps.cli.main",
        "predict",
        str(zoo / "low"),
        "--json",
        "--model",
        str(project / "data/model/model.safetensors"),
    ]
    began = time.monotonic()
    done = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 60
    assert done.returncode == 2
    heard = {entry["file"] for entry in json.loads(done.stdout)}
    silent = {"silence.wav", "opposite.wav"}  # answered, with a warning
    assert heard == {str(zoo / "low" / name) for name in [*GOOD, *silent]}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Note: ")]  # libmpg123's own words about text named .mp3
    assert len([line for line in lines if line.startswith("error: ")]) == len(BAD) - len(silent)
    assert sorted(line.split(": silent")[0].rsplit("/")[-1] for line in lines if line.startswith("warning: ")) == sorted(silent)
    assert [line for line in lines if not line.startswith(("error: ", "warning: "))] == []


def test_a_pipe_is_not_waited_for(tmp_path, project):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is a pipe or device"):
        decode(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is a pipe or device"):
        decode("/dev/zero")


def of_ensembles(description, state):
    """An ensemble whose members say that they are ensembles."""
    own = {key: description.pop(key) for key in ("hyperparameters", "features", "genres")}
    description.update(type="ensemble", members=[{**description, **own, "type": "ensemble"}] * 2)
    for name in list(state):
        value = state.pop(name)
        state.update({f"0.{name}": value, f"1.{name}": value.clone()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, s: {}, "not a model of this project"),
        (lambda d, s: {"genre_core": "{"}, "not a model of this project"),
        (lambda d, s: {"genre_core": "[" * 100_000}, "not a model of this project"),
        (lambda d, s: d.update(format="genre-core model 99"), "format 'genre-core model 99', this version reads"),
        (lambda d, s: d.update(type="../../evil"), "is unknown: allowed are attention, cnn, crnn"),
        (of_ensembles, "damaged"),
        (lambda d, s: d.update(hop_seconds=0), "hop_seconds"),
        (lambda d, s: d.update(temperature="hot"), "temperature"),
        (lambda d, s: d.update(temperature=float("nan")), "NaN is not a number"),
        (lambda d, s: d.update(genres=["x"] * 2_000_000), "its header claims more than"),
        (lambda d, s: d["features"].update(n_fft=10**9), "features.n_fft"),
        (lambda d, s: d["hyperparameters"].update(width=10**6), "width"),
        (lambda d, s: d["hyperparameters"].update(width=8), "damaged"),
        (lambda d, s: d["genres"].append("another"), "damaged"),
        (lambda d, s: s.update({"normalisation.mean": torch.zeros(3)}), "normalisation.mean is F32 (3,)"),
        (lambda d, s: [s.pop("normalisation.mean")].clear(), "normalisation.mean"),
        (lambda d, s: s.update({"more": torch.zeros(3)}), "damaged"),
        (lambda d, s: s["normalisation.deviation"].zero_(), "a deviation is not above 0"),
        (lambda d, s: s["head.1.bias"].fill_(float("nan")), "not finite numbers"),
        (lambda d, s: d["genres"].__setitem__(0, d["genres"][1]), "named twice"),
        (lambda d, s: d["genres"].__setitem__(0, "\x1b[2J"), "not printable"),
    ],
)
def test_hostile_model_files_are_refused_in_one_line(project, tmp_path, change, words):
    path = rewritten(project / "data/model/model.safetensors", tmp_path / "m.safetensors", change)
    said = refusal(path, words)
    assert str(path) in said or "is unknown" in said or "width" in words
