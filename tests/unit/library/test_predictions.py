"""Predictions of a library in a file of JSON lines."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor
from genre_core.library.predictions import Ledger, predict_library

RATE = 16000


@pytest.fixture(scope="module")
def predictor():
    return Predictor("pretrained")


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", rng.normal(0, 0.1, 4 * RATE), RATE)
    return folder


def run(predictor, files, out):
    errors = []
    return predict_library(predictor, "pretrained", [str(file) for file in files], out, failed=errors.append), errors


def lines(out):
    return [json.loads(line) for line in Path(out).read_text(encoding="utf-8").splitlines()]


def test_each_file_has_one_line_with_the_answer_of_predict(predictor, music, tmp_path):
    out, files = tmp_path / "out.jsonl", sorted(music.iterdir())
    counts, errors = run(predictor, files, out)
    assert (counts.predicted, counts.there, errors) == (3, 0, [])
    rows = {row["file"]: row for row in lines(out)}
    assert set(rows) == set(map(str, files))
    alone = predictor.predict_file(files[1])
    assert rows[str(files[1])]["probabilities"] == pytest.approx(alone.probabilities, abs=1e-6)
    assert len(rows[str(files[1])]["tags"]) == 50
    before = out.read_bytes()
    counts, _ = run(predictor, files, out)
    assert (counts.predicted, counts.there) == (0, 3)
    assert out.read_bytes() == before


def test_a_copy_takes_the_answer_of_its_content(predictor, music, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    run(predictor, [music / "0.wav"], out)
    shutil.copy(music / "0.wav", music / "copy.wav")
    monkeypatch.setattr(Predictor, "predict_file", lambda *_: pytest.fail("computed again"))
    counts, _ = run(predictor, [music / "copy.wav"], out)
    first, second = lines(out)
    assert counts.copied == 1
    assert second == {**first, "file": str(music / "copy.wav")}


def test_changed_content_another_model_and_other_settings_are_predicted_again(predictor, music, tmp_path):
    out, file = tmp_path / "out.jsonl", music / "0.wav"
    run(predictor, [file], out)
    assert run(Predictor("pretrained", fast=True), [file], out)[0].predicted == 1
    other = Predictor("pretrained")
    other.digest = "0" * 64
    assert run(other, [file], out)[0].predicted == 1
    soundfile.write(file, np.random.default_rng(9).normal(0, 0.1, 4 * RATE), RATE)
    assert run(predictor, [file], out)[0].predicted == 1
    assert len(lines(out)) == 4


def test_an_unusable_file_has_a_line_and_a_missing_one_is_tried_again(predictor, music, tmp_path):
    out = tmp_path / "out.jsonl"
    (music / "bad.mp3").write_bytes(b"no audio" * 99)
    counts, errors = run(predictor, [music / "bad.mp3", music / "missing.wav"], out)
    assert (counts.unusable, counts.failed) == (1, 1)
    assert "no such file" in " ".join(errors)
    (row,) = lines(out)
    assert row["file"].endswith("bad.mp3") and "error" in row and "genre" not in row
    soundfile.write(music / "missing.wav", np.random.default_rng(2).normal(0, 0.1, 4 * RATE), RATE)
    counts, _ = run(predictor, [music / "bad.mp3", music / "missing.wav"], out)
    assert (counts.predicted, counts.there) == (1, 1)


def test_a_name_that_is_not_utf8_has_one_line(predictor, music, tmp_path):
    out, name = tmp_path / "out.jsonl", str(music / "caf\udce9.wav")
    shutil.copy(music / "0.wav", name)
    run(predictor, [name], out)
    assert run(predictor, [name], out)[0].there == 1
    assert [Path(row["file"]).name for row in lines(out)] == ["caf%E9.wav"]


def test_another_kind_of_file_is_left_alone(predictor, music, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes, without a line end")
    with pytest.raises(GenreError, match="not a file of JSON lines"):
        run(predictor, [music / "0.wav"], out)
    assert out.read_text() == "my notes, without a line end"


def test_the_ledger_of_100_000_files_is_small(tmp_path):
    out = tmp_path / "out.jsonl"
    row = {"model_sha256": "m", "settings": {}, "genre": "rock", "tags": {f"tag {i}": 0.1234 for i in range(50)}}
    with out.open("w") as file:
        for i in range(100_000):
            file.write(json.dumps({**row, "file": f"/music/artist/album/{i}.mp3", "content_sha256": f"{i:064d}"}) + "\n")
    tracemalloc.start()
    try:
        ledger = Ledger(out, "m", {})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ledger.has("/music/artist/album/77.mp3", f"{77:064d}") and not ledger.has("/music/other.mp3", f"{77:064d}")
    assert ledger.position(f"{0:064d}") == 0 and ledger.position("f" * 64) is None
    assert held < 40e6
