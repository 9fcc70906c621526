"""Data set `features`: log-mel made elsewhere, and stores written by other code."""

import h5py
import numpy as np
import pytest
from helpers.made_features import HOW, write
from helpers.project import SPEC

from genre_core.corpus import index
from genre_core.corpus import segment as corpus_segment
from genre_core.corpus.catalogue import Track, read_catalogue
from genre_core.corpus.splits import split
from genre_core.datasets import gtzan, precomputed
from genre_core.errors import GenreError
from genre_core.features.store import FeatureStore


def test_what_is_read_is_decibel_frames_by_bins(tmp_path, rng):
    source = write(tmp_path / "x.npz", rng)
    tracks = precomputed.download(source, tmp_path / "raw", scale_db=0.5, offset_db=-90.0, **HOW)
    assert read_catalogue(tmp_path / "raw") == tracks
    assert tracks[0] == Track("a.0.0", "mel/00000.npy", "a", "a 0", "train")
    expected = 0.5 * np.load(source)["X"][3].T.astype(float) - 90
    np.testing.assert_allclose(np.load(tmp_path / "raw/mel/00003.npy"), expected, atol=0.05)


def test_gtzan_s_tracks_get_their_artists(tmp_path, rng):
    known = [k for k in gtzan.table().values() if k.artist][:4]
    source = tmp_path / "x.npz"
    np.savez(source, X=np.zeros((4, 16, 50), np.uint8), track=[k.track for k in known], genre=[k.genre for k in known])
    assert [t.artist for t in precomputed.download(source, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)] == [
        k.artist for k in known
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"genre": None}, "no array genre"),
        ({"X": None}, "needs X, track and genre"),
        ({"X": np.zeros((3, 16, 50))}, r"X is float64 \(3, 16, 50\)"),
        ({"X": np.full((24, 64, 100), np.nan)}, "not finite in dB"),
        ({"X": np.zeros((24, 300, 50))}, "X has 300 bins, 16 to 256 are possible"),
        ({"track": ["same"] * 24}, "'same' occurs twice"),
        ({"split": ["trian"] * 24}, "split 'trian' is not one of train, valid, test"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, rng, change, words):
    source = write(tmp_path / "x.npz", rng, **change)
    with pytest.raises(GenreError, match=words):
        precomputed.download(source, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)


def test_a_missing_file_and_a_pickle_are_refused(tmp_path):
    with pytest.raises(GenreError, match=r"none\.npz: no such file"):
        precomputed.download(tmp_path / "none.npz", tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)
    np.savez(tmp_path / "x.npz", X=np.array([{"a": 1}], dtype=object), track=["t"], genre=["g"])
    with (tmp_path / "bare.npz").open("wb") as file:
        np.save(file, np.zeros((3, 64, 100)))
    with pytest.raises(GenreError, match=r"bare\.npz: not readable as \.npz"):
        precomputed.download(tmp_path / "bare.npz", tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)
    with pytest.raises(GenreError, match=r"not readable as \.npz"):
        precomputed.download(tmp_path / "x.npz", tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)


def test_without_a_test_part_the_valid_part_judges_and_chooses_nothing():
    tracks = [Track(f"{g}{a}{i}", "x", g, f"{g}{a}", "valid" if a > 5 else "train") for g in "ab" for a in range(8) for i in range(2)]
    sides = [s[0] for s in split(tracks, protocol="official", folds=3, fold=0, seed=0, windows=[1] * len(tracks))]
    assert {t.split for t, s in zip(tracks, sides, strict=True) if s == "test"} == {"valid"}
    assert {t.split for t, s in zip(tracks, sides, strict=True) if s == "valid"} == {"train"}
    assert not {t.artist for t, s in zip(tracks, sides, strict=True) if s == "valid"} & {
        t.artist for t, s in zip(tracks, sides, strict=True) if s == "train"
    }


def test_a_store_written_by_other_code_is_read(tmp_path, rng):
    """By the schema in `genre_core.features.store`, with h5py alone."""
    mel = rng.normal(-40, 9, (300, 128)).astype("f2")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["mel"], file["mfcc"] = mel, rng.normal(0, 9, (300, 20)).astype("f4")
        file["track/id"] = ["one", "two"]
        file["track/start"], file["track/frames"] = [0, 100], [100, 200]
        for key, value in {"schema": 2, "window": "hann", **vars(SPEC)}.items():
            file.attrs[key] = value
    with FeatureStore(tmp_path / "s.h5") as store:
        assert store.spec == SPEC
        np.testing.assert_array_equal(store.read("mel", "two"), mel[100:])


def test_a_track_of_features_has_the_length_of_its_frames(tmp_path, rng):
    source = write(tmp_path / "x.npz", rng)
    precomputed.download(source, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)
    options = {"folds": 3, "fold": 0, "seed": 0, "seconds": 3.0, "hop_seconds": 1.5, "silence_dbfs": -60.0, "workers": 1}
    corpus_segment.build(tmp_path / "raw", tmp_path / "i", protocol="artist", **options)
    made = index.read(tmp_path / "i")
    assert next(iter(made.tracks.values())).seconds == pytest.approx(99 * 1709 / 22050, abs=1e-5)
