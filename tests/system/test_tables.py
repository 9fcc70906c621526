"""Features for other programs: Kaggle's table, arrays, and the store as a torch data set."""

import csv
import json

import numpy as np
import pytest
import torch
from helpers.project import run

import genre_core
from genre_core.features.spectrogram import mel_and_mfcc
from genre_core.features.store import FeatureStore
from genre_core.features.tables import SPEC
from genre_core.features.torch_dataset import WindowDataset


def test_a_table_of_a_folder(tmp_path, write_tone):
    write_tone("m/rock/a.wav", seconds=7)
    write_tone("m/pop/b.flac", seconds=6.5, hz=300, sample_rate=44100, channels=2)
    (tmp_path / "m/pop/c.mp3").write_text("no audio")
    done = run("genre", "features", "m", "--format", "csv", "--seconds", "3", "--json", cwd=tmp_path, check=False)
    said = json.loads(done.stdout)
    assert (done.returncode, said["files"], said["rows"], len(said["failed"])) == (2, 2, 4, 1)
    with (tmp_path / "features.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["filename"], r["length"], r["label"]) for r in rows] == [
        *(("b.0.flac", "66150", "pop"), ("b.1.flac", "66150", "pop")),
        *(("a.0.wav", "66150", "rock"), ("a.1.wav", "66150", "rock")),
    ]
    assert float(rows[2]["rms_mean"]) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    whole = run("genre", "features", "m/rock", "--format", "csv", "--out", "whole.csv", cwd=tmp_path)
    assert "1 rows of 60 columns" in whole.stdout


def test_arrays_of_a_folder(tmp_path, write_tone):
    write_tone("m/rock/a.wav", seconds=3)
    write_tone("m/pop/b.wav", seconds=4, hz=300)
    run("genre", "features", "m", cwd=tmp_path)
    with np.load(tmp_path / "features.npz", allow_pickle=False) as file:
        found = dict(file)
    assert found["genre"].tolist() == ["pop", "rock"]
    mel, mfcc = mel_and_mfcc(__import__("soundfile").read(tmp_path / "m/rock/a.wav", dtype="float32")[0], SPEC)
    rows = slice(found["start"][1], found["start"][1] + found["frames"][1])
    np.testing.assert_allclose(found["mel"][rows], mel, atol=1e-4)
    np.testing.assert_allclose(found["mfcc"][rows], mfcc, atol=1e-3)
    wrong = run("genre", "features", "none", cwd=tmp_path, check=False)
    assert wrong.returncode == 2


def test_the_store_as_a_torch_data_set(project):
    train = genre_core.load_features(project)
    assert isinstance(train, WindowDataset)
    assert isinstance(train, torch.utils.data.Dataset)
    window, genre = train[len(train) - 1]
    assert (window.shape, window.dtype) == ((train.frames, 128), torch.float32)
    assert train.genres[genre] == train.tracks[-1].split(".")[0]
    with FeatureStore(project / "data/features/original.h5") as store:
        whole = store.read("mel", train.tracks[0]).astype(np.float32)
    np.testing.assert_array_equal(train[0][0], whole[: train.frames])
    np.testing.assert_allclose(train.track_mean(0), whole.mean(0), rtol=1e-5)
    test = genre_core.load_features(project, split="test", kind="mfcc")
    assert not set(train.artists) & set(test.artists)
    assert test[0][0].shape[1] == 20
    with pytest.raises(genre_core.GenreError, match="no window in split 'none'"):
        genre_core.load_features(project, split="none")
    with pytest.raises(genre_core.GenreError, match=r"model\.type=musicnn"):
        genre_core.load_features(project, kind="musicnn")


@pytest.mark.parametrize("method", [None, "spawn", "fork"])
def test_a_loader_with_workers_gives_the_same_windows(project, method):
    train = genre_core.load_features(project)
    assert len(train[0]) == 2  # the file is open here before any worker begins
    loader = torch.utils.data.DataLoader(train, batch_size=8, num_workers=2 if method else 0, multiprocessing_context=method)
    windows, genres = zip(*loader, strict=True)
    assert torch.equal(torch.cat(genres), torch.from_numpy(train.labels))
    assert torch.equal(torch.cat(windows)[5], train[5][0])
