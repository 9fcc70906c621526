from collections import Counter

import numpy as np
import pytest
import soundfile

from genre_core.corpus import index
from genre_core.corpus import segment as corpus_segment
from genre_core.corpus.catalogue import Track, write_catalogue
from genre_core.corpus.splits import assign_folds, crossings, split
from genre_core.errors import GenreError


def library(genres=3, artists=5, tracks=4):
    return [
        Track(f"g{g}a{a}t{t}", "x.wav", f"g{g}", f"artist {g}.{a}") for g in range(genres) for a in range(artists) for t in range(tracks)
    ]


def sides_of(tracks, protocol, windows=10, **more):
    options = {"folds": 5, "fold": 0, "seed": 0} | more
    return split(tracks, protocol=protocol, windows=[windows] * len(tracks), **options)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_every_genre_is_in_every_fold(seed):
    rng = np.random.default_rng(seed)
    groups = [f"a{i}" for i in rng.integers(0, 60, 400)]
    genre_of = {f"a{i}": f"g{i % 6}" for i in range(60)}
    genres = [genre_of[g] for g in groups]
    folds = assign_folds(groups, genres, 5, seed)
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == name}) == 1 for name in set(groups))
    for genre in set(genres):
        counts = Counter(f for f, g in zip(folds, genres, strict=True) if g == genre)
        assert set(counts) == set(range(5))
        assert max(counts.values()) <= 2 * min(counts.values()) + 6


def test_an_artist_of_two_genres_stays_whole():
    groups = ["solo", "solo", "a", "b", "c", "d", "e", "f"]
    folds = assign_folds(groups, ["x", "y", "x", "x", "x", "y", "y", "y"], 3, 0)
    assert folds[0] == folds[1]


def test_the_folds_are_a_partition_and_rotate():
    tracks = library()
    tested = []
    for fold in range(5):
        sides = sides_of(tracks, "artist", fold=fold)
        assert Counter(s[0] for s in sides) == {"train": 36, "valid": 12, "test": 12}
        tested += [t.track for t, s in zip(tracks, sides, strict=True) if s[0] == "test"]
    assert sorted(tested) == sorted(t.track for t in tracks)


def test_the_same_seed_gives_the_same_split_and_another_another():
    tracks = library()
    assert sides_of(tracks, "artist") == sides_of(tracks, "artist")
    assert sides_of(tracks, "artist") != sides_of(tracks, "artist", seed=1)


def test_no_artist_crosses_under_artist_and_some_do_under_track():
    tracks = library()
    assert crossings(tracks, sides_of(tracks, "artist")).artists == ()
    by_track = crossings(tracks, sides_of(tracks, "track"))
    assert by_track.tracks == 0
    assert len(by_track.artists) > 0
    assert by_track.leaky


def test_unknown_artists_count_as_one_a_track():
    tracks = [Track(f"t{g}{i}", "x.wav", f"g{g}") for g in range(2) for i in range(5)]
    sides = sides_of(tracks, "artist")
    assert Counter(s[0] for s in sides) == {"train": 6, "valid": 2, "test": 2}
    assert not crossings(tracks, sides).leaky


def test_segments_cross_under_segment():
    tracks = library()
    sides = sides_of(tracks, "segment")
    assert crossings(tracks, sides).tracks > 50
    assert Counter(side for s in sides for side in s) == {"train": 360, "valid": 120, "test": 120}


def test_the_official_split_is_taken_as_it_is_and_checked():
    tracks = [Track(f"t{g}{s}", "x.wav", f"g{g}", f"a{g}{s}", s) for g in range(2) for s in ("train", "valid", "test")]
    tracks.append(Track("left out", "x.wav", "g0"))
    assert [s[0] for s in sides_of(tracks, "official")] == ["train", "valid", "test"] * 2 + [""]
    crossing = [*tracks, Track("again", "x.wav", "g0", "a0train", "test")]
    with pytest.raises(GenreError, match=r"0 tracks and 1 known artists .*\(a0train\)"):
        sides_of(crossing, "official")


def test_impossible_splits_are_refused_by_name():
    few = [*library(), Track("alone", "x.wav", "polka", "one man")]
    with pytest.raises(GenreError, match=r"artist: genre 'polka' \(1 tracks, 1 artists\) has none in .*lower segment\.folds"):
        sides_of(few, "artist")
    with pytest.raises(GenreError, match=r"track: genre 'polka' .*needs 5 tracks"):
        sides_of(few, "track")
    with pytest.raises(GenreError, match=r"official: genre .* has none in train, valid, test; give the data set a split"):
        sides_of(library(), "official")


@pytest.mark.parametrize(
    ("track_seconds", "expected"), [(2.99, []), (3, [0]), (5.9, [0, 1.5]), (6, [0, 1.5, 3]), (30, [1.5 * i for i in range(19)])]
)
def test_windows(track_seconds, expected):
    assert index.window_starts(track_seconds, 3, 1.5) == expected


def test_tracks_csv_does_not_depend_on_the_split(tmp_path, rng):
    raw = tmp_path / "raw"
    raw.mkdir()
    tracks = [Track(f"{g}{i}.wav", f"{g}{i}.wav", g, f"{g}{i // 2}") for g in ("a", "b") for i in range(8)]
    for track in tracks:
        soundfile.write(raw / track.path, rng.normal(0, 0.1, 8000), 8000)
    write_catalogue(raw, tracks)
    contents = set()
    for protocol in ("artist", "track", "segment"):
        made = corpus_segment.build(
            raw,
            tmp_path / protocol,
            protocol=protocol,
            folds=3,
            fold=1,
            seed=0,
            seconds=0.5,
            hop_seconds=0.1,
            silence_dbfs=-60.0,
            workers=1,
        )
        assert made["leaky"] == (protocol != "artist")
        contents.add((tmp_path / protocol / "tracks.csv").read_text())
    assert len(contents) == 1


def test_two_excerpts_of_a_song_that_is_not_used_stay_together():
    tracks = [Track(f"{genre}{i}", "", genre) for genre in "ab" for i in range(12)]
    for seed in range(20):
        sides = split(tracks, protocol="track", folds=3, fold=0, seed=seed, windows=[1] * 24, together=[("a0", "song"), ("song", "a1")])
        assert sides[0] == sides[1]
