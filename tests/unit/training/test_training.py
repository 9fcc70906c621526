import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.project import SPEC
from helpers.training import SMALL, data, features, fit, new_model

from genre_core import networks
from genre_core.errors import GenreError
from genre_core.evaluation import calibration
from genre_core.evaluation.calibration import pooled
from genre_core.models import file as model_file
from genre_core.models import normalisation
from genre_core.training import device as training_device
from genre_core.training import sampler as training_sampler
from genre_core.training import windows


def test_a_model_of_features_far_apart_loads(tmp_path, rng):
    """Features made elsewhere may skip samples; params.yaml refuses that for our own."""
    model = replace(new_model(data(rng)[0]), spec=replace(SPEC, hop_length=4410, fmin_hz=0.0))
    model_file.save(model, tmp_path / "m.safetensors")
    assert model_file.load(tmp_path / "m.safetensors").spec == model.spec


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize("normalise", ["dataset", "track", "window"])
def test_a_network_learns_what_can_be_learned(tmp_path, rng, params, normalise, schedule):
    # Only taking the track's mean away copes with a strong equalisation of each track.
    train, valid = data(rng, equalisation_db=15 if normalise == "track" else 2)
    model = new_model(train, normalise=normalise)
    result = fit(model, train, valid, params, tmp_path, schedule=schedule, epochs=20, patience=20, keep="best")
    assert result["valid_accuracy"] >= 0.9
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == list(range(1, result["epochs"] + 1))
    assert float(rows[result["best_epoch"] - 1]["valid_macro_f1"]) == max(float(r["valid_macro_f1"]) for r in rows)


def test_labels_that_say_nothing_are_not_learned(tmp_path, rng, params):
    train, valid = data(rng)
    shuffled = [
        training_sampler.TrainingTrack(int(g), t.versions, t.starts_seconds)
        for g, t in zip(rng.integers(3, size=len(train)), train, strict=True)
    ]
    assert fit(new_model(train), shuffled, valid, params, tmp_path)["valid_accuracy"] < 0.8


def test_early_stop_and_best_weights(tmp_path, rng, params):
    train, valid = data(rng)
    model = new_model(train)
    result = fit(model, train, valid, params, tmp_path, epochs=60, patience=4, schedule="cosine", keep="best")
    assert result["valid_accuracy"] > 0.5
    assert result["epochs"] == result["best_epoch"] + 4 < 60
    tracks = [model.logits(t.features, t.starts_seconds).softmax(1).mean(0).argmax() for t in valid]
    right = np.mean([int(p) == t.genre for p, t in zip(tracks, valid, strict=True)])
    assert right == pytest.approx(result["valid_accuracy"], abs=1e-5)  # the best weights are those that were kept


def test_the_last_weights_are_kept_whatever_the_validation_tracks_say(tmp_path, rng, params):
    train, valid = data(rng)
    shuffled = [
        training_sampler.ValidTrack(int(g), t.features, t.starts_seconds)
        for g, t in zip(rng.integers(3, size=len(valid)), valid, strict=True)
    ]
    learned = [new_model(train), new_model(train)]
    results = [
        fit(m, train, v, params, tmp_path / n, epochs=6, patience=1) for m, v, n in zip(learned, (valid, shuffled), "ab", strict=True)
    ]
    assert [r["best_epoch"] for r in results] == [r["epochs"] for r in results] == [6, 6]
    first, second = (m.network.state_dict() for m in learned)
    assert all(first[name].equal(second[name]) for name in first)


def test_a_damaged_checkpoint_is_named_with_the_remedy(tmp_path, rng, params):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    train, valid = data(rng)
    with pytest.raises(GenreError, match=r"checkpoint .*checkpoint\.pt is not readable .*remove it to train from the start"):
        fit(new_model(train), train, valid, params, tmp_path, epochs=1)


def test_a_loss_that_is_no_number_is_an_error(tmp_path, rng, params):
    train, valid = data(rng)
    train[0].versions[0][:] = np.inf
    with pytest.raises(GenreError, match=r"train\.lr: 0\.01 made the loss nan in epoch 1"):
        fit(new_model(train), train, valid, params, tmp_path)


def test_a_device_that_is_not_there(params):
    if torch.cuda.is_available():
        pytest.skip("has CUDA")
    with pytest.raises(GenreError, match=r"train\.device: 'cuda'"):
        training_device.hardware("cuda", "auto")
    assert training_device.hardware("cpu", "fp32").name == "cpu fp32"
    assert training_device.hardware("cpu", "bf16").bf16


def sampler(rng, crops, lengths=(300, 200)):
    tracks = [
        training_sampler.TrainingTrack(0, [np.full((n, 4), 100 * t + v, np.float16) for v, n in enumerate(lengths)], [0.0, 1.5])
        for t in range(3)
    ]
    drawn = training_sampler.Sampler(tracks, 130, SPEC.first_frame, crops)
    plain = normalisation.Normalisation("dataset", torch.zeros(4), torch.ones(4))
    versions = [version for track in tracks for version in track.versions]
    memory = windows.WindowsInMemory(versions, drawn, plain, torch.device("cpu"), torch.device("cpu"))
    return drawn, memory, lengths


def test_every_window_lies_within_one_version(rng):
    for crops in (True, False):
        drawn, memory, lengths = sampler(rng, crops)
        tracks, rows = drawn.draw(3000, torch.Generator().manual_seed(0))
        x = memory.take(rows)
        assert x.shape == (3000, 130, 4)
        versions = torch.searchsorted(drawn.begin, rows, right=True) - 1
        assert (versions // 2 == tracks).all()
        expected = (100 * tracks + versions % 2).float()
        assert (x == expected[:, None, None]).all()
        assert torch.bincount(tracks).tolist() == [1000] * 3
        starts = rows - drawn.begin[versions]
        if crops:
            assert starts.min() == 0
            assert starts[versions % 2 == 0].max() == lengths[0] - 130
            assert len(starts.unique()) > 100
        else:
            assert set(starts[versions % 2 == 0].tolist()) == {0, 64}


def test_normalisations(rng):
    tracks = [features(0, rng) for _ in range(4)]
    for kind in ("dataset", "track", "window"):
        fitted = normalisation.fit(kind, tracks, 130, range_db=40.0)
        y, louder = (
            fitted.apply(torch.stack([fitted.of_track(torch.from_numpy(t).float() + gain)[:130] for t in tracks])) for gain in (0, 20)
        )
        assert y.shape == (4, 130, 128)
        assert torch.allclose(y, louder, atol=1e-3) == (kind != "dataset")  # a gain moves only the data set's
    everything = normalisation.fit("dataset", tracks, 130)
    stacked = np.concatenate(tracks).astype(np.float64)
    np.testing.assert_allclose(everything.mean, stacked.mean(0), atol=1e-3)
    np.testing.assert_allclose(everything.deviation, stacked.std(0), rtol=1e-3)
    a_frame_short = normalisation.fit("window", [t[:129] for t in tracks], 130)
    assert torch.isfinite(a_frame_short.mean).all()


def test_track_normalisation_takes_the_equalisation_away(rng):
    track = features(0, rng).astype(np.float32)
    fitted = normalisation.fit("track", [track], 130)
    equalised = track + rng.normal(0, 20, 128).astype(np.float32)
    before, after = (fitted.apply(fitted.of_track(torch.from_numpy(t))[None]) for t in (track, equalised))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_the_range_takes_the_noise_floor_away(rng):
    """Two recordings that differ only more than the range below their loudest level are the same; with a wider range they are not."""
    track = features(0, rng).astype(np.float32)
    floor = track.max() - 60
    noisy = np.maximum(track, floor - rng.uniform(0, 30, track.shape).astype(np.float32))
    quiet = np.where(track < floor, track - 20, track).astype(np.float32)
    assert (quiet != noisy).any()
    for range_db, equal in ((60.0, True), (110.0, False), (0.0, False)):
        fitted = normalisation.fit("track", [track], 130, range_db=range_db)
        a, b = (fitted.of_track(torch.from_numpy(t)) for t in (noisy, quiet))
        assert torch.equal(a, b) == equal


@pytest.mark.parametrize("kind", ["cnn", "fnn"])
@pytest.mark.parametrize("seconds", [0.5, 3, 10])
def test_every_network_takes_every_window(kind, seconds):
    hyper = {"cnn": {"width": 4, "blocks": 7, "dropout": 0.0}, "fnn": SMALL["fnn"]}[kind]
    network = networks.build(kind, hyper, n_bins=20, n_genres=7).eval()
    assert network(torch.randn(3, SPEC.frames(seconds), 20)).shape == (3, 7)


def test_the_default_cnn_is_small(params):
    network = networks.build("cnn", params.model.chosen(), n_bins=128, n_genres=10)
    assert sum(p.numel() for p in network.parameters()) <= 1_000_000


def test_a_model_file_is_the_model(tmp_path, rng):
    train, valid = data(rng, tracks=2)
    model = new_model(train)
    model.temperature, model.info = 1.7, {"data_set": "x"}
    model.normalisation = replace(model.normalisation, range_db=30.0)
    model_file.save(model, tmp_path / "m.safetensors")
    loaded = model_file.load(tmp_path / "m.safetensors")
    assert (loaded.genres, loaded.spec, loaded.temperature, loaded.info) == (["a", "b", "c"], SPEC, 1.7, {"data_set": "x"})
    a, b = (m.logits(valid[0].features, [0.0, 3.0]) for m in (model, loaded))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert b"pickle" not in (tmp_path / "m.safetensors").read_bytes()


def test_files_that_are_no_model(tmp_path, rng):
    with pytest.raises(GenreError, match=r"no such model; `make demo` or `dvc repro`"):
        model_file.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("x" * 100)
    with pytest.raises(GenreError, match="not readable as a safetensors model"):
        model_file.load(tmp_path / "text.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(GenreError, match="not a model of this project"):
        model_file.load(tmp_path / "other.safetensors")
    model = new_model(data(rng, tracks=2)[0])
    model_file.save(model, tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(GenreError):
        model_file.load(tmp_path / "cut.safetensors")
    swapped = raw.replace(json.dumps("cnn").encode()[1:-1], b"xnn", 1) if raw.count(b"cnn") else raw
    (tmp_path / "swapped.safetensors").write_bytes(swapped)
    with pytest.raises(GenreError):
        model_file.load(tmp_path / "swapped.safetensors")


def test_the_temperature_is_found_among_many_tracks_and_kept_from_the_least_by_few(rng):
    true = rng.integers(0, 4, 3000)
    logits = torch.from_numpy(rng.normal(0, 2, (3000, 1, 4)))
    told = logits.softmax(2)[:, 0].numpy()
    drawn = [int(rng.choice(4, p=p)) for p in told]  # the logits are true: their triple is three times too sure
    assert calibration.fit_temperature(list(3 * logits), drawn) == pytest.approx(3, rel=0.1)
    right = [torch.nn.functional.one_hot(torch.tensor([g]), 4).float() for g in true[:20]]
    assert 0.3 < calibration.fit_temperature(right, true[:20].tolist()) < 0.8


def test_the_temperature_never_changes_the_answer(rng):
    for _ in range(200):
        logits = torch.from_numpy(rng.normal(0, 3, (5, 4)))
        answers = {int(pooled(logits, temperature).argmax()) for temperature in (0.1, 0.5, 1.0, 4.0)}
        assert len(answers) == 1
        assert float(pooled(logits, 0.3).sum()) == pytest.approx(1)


def test_a_run_that_ended_after_its_last_epoch_writes_its_history_again(tmp_path, rng, params):
    train, valid = data(rng)
    fit(new_model(train), train, valid, params, tmp_path, epochs=2)
    before = (tmp_path / "history.csv").read_bytes()
    (tmp_path / "history.csv").unlink()  # as DVC does before it starts a killed stage again
    assert fit(new_model(train), train, valid, params, tmp_path, epochs=2)["resumed_from"] == 2
    assert (tmp_path / "history.csv").read_bytes() == before
