"""Windows from memory and from the store, and batches that several processes share."""

import threading

import numpy as np
import pytest
import torch
from helpers.project import SPEC
from helpers.training import data, fit, new_model

from genre_core.errors import GenreError
from genre_core.features.store import FeatureStore, write_store
from genre_core.features.stored import StoredFeatures
from genre_core.models import file as model_file
from genre_core.training import plan, windows
from genre_core.training.device import compiles
from genre_core.training.sampler import Sampler, TrainingTrack, ValidTrack
from genre_core.util.files import digest

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path, rng):
    """Training and validation tracks in memory, and the same in a store; one is a frame shorter than a window."""
    train, valid = data(rng)
    train[0].versions[1] = train[0].versions[1][: SPEC.frames(3) - 1]
    arrays = {f"t{i}.{j}": v for i, t in enumerate(train) for j, v in enumerate(t.versions)} | {
        f"v{i}": t.features for i, t in enumerate(valid)
    }
    write_store(tmp_path / "store.h5", SPEC, ((name, {"mel": values}) for name, values in arrays.items()))
    with FeatureStore(tmp_path / "store.h5") as store:
        lazy_train = [
            TrainingTrack(t.genre, [StoredFeatures(store, "mel", f"t{i}.{j}") for j in range(len(t.versions))], t.starts_seconds)
            for i, t in enumerate(train)
        ]
        lazy_valid = [ValidTrack(t.genre, StoredFeatures(store, "mel", f"v{i}"), t.starts_seconds) for i, t in enumerate(valid)]
        yield train, valid, lazy_train, lazy_valid


def kinds(train, most_windows, memory_bytes=1e9, kind="track"):
    """A sampler, and its windows from memory and from the store."""
    sampler = Sampler(train, SPEC.frames(3), SPEC.first_frame, True)
    versions = [v for t in train for v in t.versions]
    normalisation = new_model([TrainingTrack(0, [np.asarray(versions[0])], [])], normalise=kind).normalisation
    memory = windows.WindowsInMemory(versions, sampler, normalisation, CPU, CPU)
    return sampler, memory, windows.WindowsInStore(versions, sampler, normalisation, CPU, memory_bytes, most_windows)


@pytest.mark.parametrize("kind", ["track", "dataset", "window"])
def test_a_window_from_the_store_has_the_bits_of_one_from_memory(stored, kind):
    sampler, memory, store = kinds(stored[2], 64, kind=kind)
    _, rows = sampler.draw(500, torch.Generator().manual_seed(0))
    assert torch.equal(memory.take(rows), store.take(rows))


def batches(sampler, params, mixup=0.4, **share):
    settings = params.augment.batches.model_copy(update={"mixup_alpha": mixup})
    return plan.epoch(sampler, 7, steps=6, batch_size=8, n_bins=128, batches=settings, masks=True, **share)


@pytest.mark.parametrize("block", [1, 20, 10_000])  # windows: less than a batch, some batches, all
def test_blocks_come_in_the_order_that_was_drawn(stored, params, block):
    sampler, memory, store = kinds(stored[2], block)
    expected, found = (list(source.read(batches(sampler, params))) for source in (memory, store))
    assert len(found) == len(expected) == 6
    for (batch, x), (same, y) in zip(expected, found, strict=True):
        assert torch.equal(batch.rows, same.rows)
        assert torch.equal(x, y)


def test_two_blocks_are_all_that_is_in_memory(stored, params):
    window_bytes = SPEC.frames(3) * 128 * 2
    sampler, _, store = kinds(stored[2], 10_000, memory_bytes=2 * 16 * window_bytes)
    taken = []

    def counted():
        for batch in batches(sampler, params):
            taken.append(len(batch.rows))
            yield batch

    for used, _ in enumerate(store.read(counted()), start=1):
        assert sum(taken) <= 8 * used + 2 * 16 + 8  # the block in use, the one being read, and the batch that no longer fitted
    assert max(len(block) for block in store.blocks) == 16


def test_a_store_that_breaks_during_the_training_is_named_and_leaves_no_thread(stored, params):
    sampler, _, store = kinds(stored[2], 8)
    stored[2][0].versions[0].store.close()
    with pytest.raises(GenreError, match=r"store\.h5: track .* cannot be read"):
        list(store.read(batches(sampler, params)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-windows")]


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_model_has_the_same_bytes_from_memory_and_from_the_store(stored, params, tmp_path, mixup):
    train, valid, lazy_train, lazy_valid = stored
    params = params.model_copy(
        update={"augment": params.augment.model_copy(update={"batches": params.augment.batches.model_copy(update={"mixup_alpha": mixup})})}
    )
    digests = set()
    for name, tracks, checks, memory_gb in (
        ("a", train, valid, 4.0),
        ("b", lazy_train, lazy_valid, 4.0),
        ("c", lazy_train, lazy_valid, 2e-3),
    ):
        model = new_model([TrainingTrack(t.genre, [np.asarray(t.versions[0])], []) for t in train])
        (tmp_path / name).mkdir()
        fit(model, tracks, checks, params, tmp_path / name, epochs=3, memory_gb=memory_gb)
        model_file.save(model, tmp_path / f"{name}.safetensors")
        digests.add(digest(tmp_path / f"{name}.safetensors") + digest(tmp_path / name / "history.csv"))
    assert len(digests) == 1


def test_features_lie_where_they_fit(stored):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert windows.place(10, gpu, 100, free_bytes=20) == "device"
    assert windows.place(11, gpu, 100, free_bytes=20) == "memory"
    assert windows.place(101, gpu, 100, free_bytes=20) == "store"
    assert windows.place(100, cpu, 100) == "memory"
    assert windows.place(101, cpu, 100) == "store"
    train, valid, lazy_train, lazy_valid = stored
    size = sum(v.nbytes for t in train for v in t.versions)
    assert windows.feature_bytes([v for t in lazy_train for v in t.versions]) == size
    sampler, _, _ = kinds(lazy_train, 8)
    valid_size = sum(t.features.nbytes for t in valid)
    for budget, source, kept in (
        (size + valid_size, windows.WindowsInMemory, np.ndarray),
        (size + valid_size - 1, windows.WindowsInStore, np.ndarray),
        (valid_size, windows.WindowsInStore, StoredFeatures),
    ):
        options = {"memory_bytes": budget, "most_windows": 8}
        chosen, checks = windows.read_windows(lazy_train, lazy_valid, sampler, new_model(train).normalisation, cpu, **options)
        assert isinstance(chosen, source)
        assert all(isinstance(track.features, kept) for track in checks)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_together_have_the_windows_masks_and_mixtures_of_one(stored, params, processes, mixup):
    sampler, _, _ = kinds(stored[2], 8)
    whole = list(batches(sampler, params, mixup))
    shares = [list(batches(sampler, params, mixup, process=i, processes=processes)) for i in range(processes)]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert [part.size for part in parts] == [8 // processes] * processes
        assert torch.equal(torch.cat([part.rows[: part.size] for part in parts]), batch.rows)
        assert torch.equal(torch.cat([part.genres[: part.size] for part in parts]), batch.genres)
        for i in range(2):
            assert torch.equal(torch.cat([part.masks[i] for part in parts]), batch.masks[i])
        if mixup:
            assert torch.equal(torch.cat([part.share for part in parts]), batch.share)
            assert torch.equal(torch.cat([part.rows[part.other] for part in parts]), batch.rows[batch.other])
    assert not torch.equal(whole[0].rows, whole[1].rows)


def test_only_long_trainings_on_a_gpu_are_compiled(monkeypatch):
    assert not compiles("auto", CPU, 10**6)
    assert not compiles("off", torch.device("cuda"), 10**6)
    assert compiles("on", CPU, 1)
    monkeypatch.setattr("genre_core.training.device.find_spec", lambda name: name)
    assert compiles("auto", torch.device("cuda"), 10**6)
    assert not compiles("auto", torch.device("cuda"), 100)
