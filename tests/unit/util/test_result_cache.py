"""Results of tracks that are kept: by content, whole or not at all, within a size."""

import os
from pathlib import Path

import numpy as np
import pytest

from genre_core.util.cached_map import Recipe, code_digest, map_cached
from genre_core.util.result_cache import Kept, ResultCache, open_cache

ARRAYS = {
    "mel": np.arange(6, dtype=np.float16).reshape(3, 2),
    "mfcc": np.ones((3, 2), np.float32),
    "codes": np.arange(3, dtype=np.uint32),
    "loud": np.array([True, False]),
    "none": np.zeros((0, 2), np.float32),
}


@pytest.fixture
def cache(tmp_path):
    return ResultCache(tmp_path / "kept", 10**9)


def keep(cache, key, size=0):
    cache.put(key, Kept({"x": np.zeros(size, np.float32)}, {}))


def test_what_is_kept_comes_back_with_its_dtypes(cache):
    assert cache.get("ab1") is None
    cache.put("ab1", Kept(ARRAYS, {"seconds": 1.25, "problems": "a \u00e9"}))
    kept = cache.get("ab1")
    assert kept.facts == {"seconds": 1.25, "problems": "a \u00e9"}
    assert list(kept.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert kept.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(kept.arrays[name], array)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_result_is_as_good_as_none(cache, damage):
    cache.put("ab1", Kept(ARRAYS, {}))
    (path,) = cache.folder.rglob("*.track")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-9]), "empty": b"", "text": b"no tensors at all" * 9}[damage])
    assert cache.get("ab1") is None


def test_the_least_recently_used_results_go_first(cache):
    for number, key in enumerate(("aa1", "bb2", "cc3")):
        keep(cache, key, 1000)
        os.utime(cache.folder / key[:2] / f"{key[2:]}.track", (number, number))
    assert cache.has("aa1")  # now the last used
    one = cache.usage().bytes // 3
    ResultCache(cache.folder, 2 * one).prune()
    assert [cache.get(key) is not None for key in ("aa1", "bb2", "cc3")] == [True, False, True]
    removed = cache.clear()
    assert (removed.results, removed.bytes) == (2, 2 * one)
    assert cache.usage().results == 0


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    (tmp_path / "kept").write_text("a file in place of the folder")
    cache = ResultCache(tmp_path / "kept", 10**9)
    with pytest.warns(UserWarning, match="cannot be kept for the next run") as warned:
        keep(cache, "aa1")
        keep(cache, "bb2")
    assert len(warned) == 1


def test_no_size_is_no_cache(tmp_path):
    assert open_cache(str(tmp_path), 0.0) is None
    assert open_cache(str(tmp_path), 0.5).max_bytes == 500_000_000


def test_the_code_that_computes_is_part_of_the_name():
    assert code_digest("audio") == code_digest("audio")
    assert len({code_digest("audio"), code_digest("audio", "features"), code_digest("audio/io.py")}) == 3


def text_length(path):
    text_length.calls.append(path.name)
    return len(path.read_text())


def lengths(files, cache, name="v1"):
    recipe = Recipe(
        (),
        name,
        file=lambda path: (path, ""),
        to_kept=lambda result: Kept({}, {"length": result}) if result else None,
        from_kept=lambda path, kept: kept.facts["length"],
    )
    text_length.calls = []
    return list(map_cached(text_length, files, recipe, cache, workers=1)), text_length.calls


def test_only_what_is_new_is_computed_in_any_order(tmp_path, cache):
    files = [tmp_path / f"{i}.txt" for i in range(9)]
    for i, path in enumerate(files):
        path.write_text(f"{i}" * (i + 1))
    everything = list(range(1, 10))
    assert lengths(files[2:4] + files[6:7], cache) == ([3, 4, 7], ["2.txt", "3.txt", "6.txt"])
    assert lengths(files, cache) == (everything, ["0.txt", "1.txt", "4.txt", "5.txt", "7.txt", "8.txt"])
    assert lengths(files, cache) == (everything, [])
    assert lengths(files[::-1], cache) == (everything[::-1], [])
    assert lengths(files, None) == (everything, [path.name for path in files])
    files[4].write_text("another text")
    assert lengths(files, cache) == ([1, 2, 3, 4, 12, 6, 7, 8, 9], ["4.txt"])
    assert lengths(files[:1], cache, name="v2") == ([1], ["0.txt"])


def test_a_result_that_is_gone_or_damaged_since_is_computed_again(tmp_path, cache, monkeypatch):
    (tmp_path / "a.txt").write_text("abc")
    lengths([tmp_path / "a.txt"], cache)
    monkeypatch.setattr(cache, "has", lambda key: True)
    (path,) = cache.folder.rglob("*.track")
    path.unlink()
    assert lengths([tmp_path / "a.txt"], cache) == ([3], ["a.txt"])


def test_what_has_no_result_is_tried_again(tmp_path, cache):
    (tmp_path / "a.txt").write_text("")
    for _ in range(2):
        assert lengths([tmp_path / "a.txt"], cache) == ([0], ["a.txt"])
    with pytest.raises(FileNotFoundError):
        lengths([tmp_path / "missing.txt"], cache)


def test_a_relative_folder_is_below_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep(open_cache("kept", 1.0), "aa1")
    assert [path.name for path in Path("kept").rglob("*.track")] == ["1.track"]
