from functools import partial

import h5py
import numpy as np
import pytest
from helpers.project import SPEC

from genre_core.errors import GenreError
from genre_core.features.extract import Job, extract, log_features
from genre_core.features.spectrogram import mel_band_hz
from genre_core.features.store import FeatureStore, write_store
from genre_core.util.files import digest


def tracks(rng, lengths=(700, 3, 512)):
    return [
        (f"t{i} ä", {"mel": rng.normal(-40, 10, (n, 128)).astype(np.float16), "mfcc": rng.normal(0, 9, (n, 20)).astype("f4")})
        for i, n in enumerate(lengths)
    ]


def test_what_is_written_is_read_back(tmp_path, rng):
    written = tracks(rng)
    assert write_store(tmp_path / "s.h5", SPEC, written) == 1215
    with FeatureStore(tmp_path / "s.h5") as store:
        assert store.spec == SPEC
        assert list(store.tracks) == ["t0 ä", "t1 ä", "t2 ä"]
        for track, kinds in written:
            for kind, rows in kinds.items():
                np.testing.assert_array_equal(store.read(kind, track), rows)
        with pytest.raises(GenreError, match="no track 'x'"):
            store.read("mel", "x")


def test_the_documented_layout(tmp_path, rng):
    write_store(tmp_path / "s.h5", SPEC, tracks(rng))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["mel"].dtype == np.float16
        assert file["mel"].shape == (1215, 128)
        assert file["mfcc"].shape == (1215, 20)
        assert file["mel"].chunks[1] == 128
        assert file["track/start"][:].tolist() == [0, 700, 703]
        assert file["track/frames"][:].tolist() == [700, 3, 512]
        assert file["track/id"].asstr()[0] == "t0 ä"
        assert {"schema", "window", "sample_rate", "n_fft", "hop_length", "n_mels", "n_mfcc", "fmin_hz", "fmax_hz", "level_dbfs"} == set(
            file.attrs
        )


def test_an_empty_store(tmp_path):
    assert write_store(tmp_path / "s.h5", SPEC, []) == 0
    with FeatureStore(tmp_path / "s.h5") as store:
        assert store.tracks == {}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, rng):
    path = tmp_path / "s.h5"
    write_store(path, SPEC, tracks(rng))
    before = digest(path)

    def failing():
        yield tracks(rng)[0]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_store(path, SPEC, failing())
    assert digest(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_store_is_named(tmp_path, rng):
    with pytest.raises(GenreError, match="no such file"):
        FeatureStore(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(GenreError, match=r"text\.h5: not readable"):
        FeatureStore(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(GenreError, match="no attribute schema"):
        FeatureStore(tmp_path / "other.h5")
    write_store(tmp_path / "old.h5", SPEC, tracks(rng))
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file.attrs["schema"] = 99
    with pytest.raises(GenreError, match="schema 99"):
        FeatureStore(tmp_path / "old.h5")


def test_a_file_of_another_rate_is_resampled_not_misread(write_tone):
    for sample_rate in (22050, 44100, 16000):
        path = write_tone(f"{sample_rate}.wav", hz=1000, seconds=2, sample_rate=sample_rate)
        extract([Job("t", path)], SPEC, path.with_suffix(".h5"), partial(log_features, spec=SPEC), workers=1)
        with FeatureStore(path.with_suffix(".h5")) as store:
            mel = store.read("mel", "t")
        assert mel[20:-20].astype(float).mean(0).argmax() == np.abs(mel_band_hz(SPEC) - 1000).argmin()
        assert len(mel) == SPEC.frames(2)
