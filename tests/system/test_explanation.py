"""A classifier whose answer rests on one band only is seen through; interventions find the same."""

import json

import soundfile
from helpers.explanation import pulsing
from helpers.project import run

from genre_core.inference.predictor import Predictor
from genre_core.models.frontend import spectrograms


def test_a_file_is_explained_by_the_packaged_model(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", pulsing(rng, 8), 22050)
    done = run("genre", "explain", "a.wav", "--model", "pretrained", "--json", "--out", "a.png", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert len(said["bands"]) == 8
    assert [b["high_hz"] for b in said["bands"]][:-1] == [b["low_hz"] for b in said["bands"]][1:]
    assert [m["start_s"] for m in said["moments"]] == [0, 1, 2, 3]
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert said["genre"] in done.stdout
    wrong = run("genre", "explain", "a.wav", "--model", "pretrained", "--genre", "polka", cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert "polka" in wrong.stderr
    assert {spec.sample_rate for spec in spectrograms(Predictor("pretrained").model).values()} == {16000}
