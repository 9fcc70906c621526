"""Predictions of a library in a file of JSON lines."""

import json
import os
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor
from genre_core.library.predictions import Ledger, Library

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
    with Library(Path(out), predictor, "pretrained") as library:
        outcomes = list(library.predict_files([str(file) for file in files]))
    return Counter(outcome.work for outcome in outcomes), [f"{outcome.file}: {outcome.error}" for outcome in outcomes if outcome.error]


def lines(out):
    return [json.loads(line) for line in Path(out).read_text(encoding="utf-8").splitlines()]


def test_each_file_has_one_line_with_the_answer_of_predict(predictor, music, tmp_path):
    out, files = tmp_path / "out.jsonl", sorted(music.iterdir())
    counts, errors = run(predictor, files, out)
    assert (counts, errors) == ({"computed": 3}, [])
    rows = {row["file"]: row for row in lines(out)}
    assert set(rows) == set(map(str, files))
    alone = predictor.predict_file(files[1])
    assert rows[str(files[1])]["probabilities"] == pytest.approx(alone.probabilities, abs=1e-6)
    assert len(rows[str(files[1])]["tags"]) == 50
    before = out.read_bytes()
    counts, _ = run(predictor, files, out)
    assert counts == {"known": 3}
    assert out.read_bytes() == before


def test_a_copy_takes_the_answer_of_its_content(predictor, music, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    run(predictor, [music / "0.wav"], out)
    shutil.copy(music / "0.wav", music / "copy.wav")
    monkeypatch.setattr(Predictor, "decode_and_predict", lambda *_, **__: pytest.fail("computed again"))
    counts, _ = run(predictor, [music / "copy.wav"], out)
    first, second = lines(out)
    assert counts == {"copied": 1}
    assert second == {**first, "file": str(music / "copy.wav"), "modified_ns": second["modified_ns"]}


def test_changed_content_another_model_and_other_settings_are_predicted_again(predictor, music, tmp_path):
    out, file = tmp_path / "out.jsonl", music / "0.wav"
    run(predictor, [file], out)
    assert run(Predictor("pretrained", fast=True), [file], out)[0] == {"computed": 1}
    other = Predictor("pretrained")
    other.digest = "0" * 64
    assert run(other, [file], out)[0] == {"computed": 1}
    soundfile.write(file, np.random.default_rng(9).normal(0, 0.1, 4 * RATE), RATE)
    assert run(predictor, [file], out)[0] == {"computed": 1}
    assert len(lines(out)) == 4


def test_an_unusable_file_has_a_line_and_a_missing_one_is_tried_again(predictor, music, tmp_path):
    out = tmp_path / "out.jsonl"
    (music / "bad.mp3").write_bytes(b"no audio" * 99)
    counts, errors = run(predictor, [music / "bad.mp3", music / "missing.wav"], out)
    assert counts == {"computed": 1, "passed": 1}
    assert "no such file" in " ".join(errors)
    (row,) = lines(out)
    assert row["file"].endswith("bad.mp3") and "error" in row and "genre" not in row
    soundfile.write(music / "missing.wav", np.random.default_rng(2).normal(0, 0.1, 4 * RATE), RATE)
    counts, _ = run(predictor, [music / "bad.mp3", music / "missing.wav"], out)
    assert counts == {"known": 1, "computed": 1}


def test_a_name_that_is_not_utf8_has_one_line(predictor, music, tmp_path):
    out, name = tmp_path / "out.jsonl", str(music / "caf\udce9.wav")
    shutil.copy(music / "0.wav", name)
    run(predictor, [name], out)
    assert run(predictor, [name], out)[0] == {"known": 1}
    assert [Path(row["file"]).name for row in lines(out)] == ["caf%E9.wav"]


def test_another_kind_of_file_is_left_alone(predictor, music, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes, without a line end")
    with pytest.raises(GenreError, match="not a file of JSON lines"):
        run(predictor, [music / "0.wav"], out)
    assert out.read_text() == "my notes, without a line end"


def test_the_ledger_of_100_000_files_is_small(tmp_path):
    out = tmp_path / "out.jsonl"
    row = {"model_sha256": "m", "settings": {}, "genre": "rock", "bytes": 5_000_000, "modified_ns": 1_700_000_000_000_000_000}
    row["tags"] = {f"tag {i}": 0.1234 for i in range(50)}
    with out.open("w") as file:
        for i in range(100_000):
            file.write(json.dumps({**row, "file": f"/music/artist/album/{i}.mp3", "content_sha256": f"{i:064d}"}) + "\n")
    tracemalloc.start()
    try:
        ledger = Ledger({"model_sha256": "m", "settings": {}})
        ledger.read(out)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    status = os.stat_result((0,) * 6 + (5_000_001,) + (0,) * 3)
    assert ledger.known("/music/artist/album/77.mp3", status, f"{77:064d}").work == "known"
    assert ledger.known("/music/other.mp3", status, f"{77:064d}") is None
    assert ledger.position(f"{0:064d}") == 0 and ledger.position("f" * 64) is None
    assert held < 60e6


def test_lines_of_another_kind_are_refused(predictor, music, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text('{"some": "record"}\n')
    with pytest.raises(GenreError, match="line 1: was not written by `genre predict --jsonl`"):
        run(predictor, [music / "0.wav"], out)
    with pytest.raises(GenreError, match="is the name of an audio file"):
        run(predictor, [music / "0.wav"], music / "0.wav")
    assert out.read_text() == '{"some": "record"}\n'


def test_a_file_that_changes_while_it_is_read_has_no_line(predictor, music, tmp_path, monkeypatch):
    out, file, whole = tmp_path / "out.jsonl", music / "0.wav", Predictor.decode_and_predict

    def decode_and_change(self, path, **options):
        done = whole(self, path, **options)
        os.utime(file, ns=(1, 1))
        return done

    monkeypatch.setattr(Predictor, "decode_and_predict", decode_and_change)
    counts, errors = run(predictor, [file], out)
    assert counts == {"passed": 1} and "changed while it was read" in errors[0]
    assert lines(out) == []


def test_a_record_of_another_program_without_a_line_end_is_kept(predictor, music, tmp_path):
    out = tmp_path / "data.json"
    for text in ('{"a": 1}', '{"a": 1}\n{"b": 2}'):
        out.write_text(text)
        with pytest.raises(GenreError, match="was not written by `genre predict --jsonl`"):
            run(predictor, [music / "0.wav"], out)
        assert out.read_text().rstrip("\n") == text
