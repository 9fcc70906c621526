"""Similar tracks: known vectors, artists, copies, playlists."""

import os

import numpy as np
import pytest

from experiments import neighbours
from genre_core.corpus.catalogue import Track
from genre_core.errors import GenreError
from genre_core.library.embedding_store import Embedding
from genre_core.library.playlist import check_suffix, write_playlist
from genre_core.library.similar import Library, LibraryTrack


def embedding(degrees, key):
    """A vector at an angle in the plane: the cosine of two is that of their angles."""
    angle = np.radians(degrees)
    return Embedding(key, 1.0, np.array([np.cos(angle), np.sin(angle)] + [0.0] * 198, np.float16) * np.float16(1 + degrees / 10))


def library(rows):
    """Library of (name, artist, degrees); tracks of the same angle have the same samples."""
    tracks = [LibraryTrack(name, f"/m/{name}", artist, str(degrees).encode(), 1.0) for name, artist, degrees in rows]
    return Library(tracks, {track.audio: embedding(row[2], track.audio) for track, row in zip(tracks, rows, strict=True)})


ROWS = [("a", "Nina", 0), ("b", "Nina", 5), ("c", "Miles", 20), ("d", "", 40), ("e", "Ella", 180)]


def listed(found):
    return [(n.track.name, n.same_artist) for n in found]


def test_tracks_of_other_artists_come_first_then_by_cosine():
    found = library(ROWS).nearest(embedding(0, b"0"), 10, artist="Nina")
    assert listed(found) == [("c", False), ("d", False), ("e", False), ("b", True)]
    assert [n.similarity for n in found] == pytest.approx([np.cos(np.radians(x)) for x in (20, 40, 180, 5)], abs=1e-3)


def test_any_artist_is_by_similarity_alone():
    assert listed(library(ROWS).nearest(embedding(0, b"0"), 2, artist="Nina", any_artist=True)) == [("b", True), ("c", False)]


def test_a_song_from_outside_and_an_unknown_artist():
    tracks = library(ROWS)
    assert listed(tracks.nearest(embedding(38, b"new"), 2)) == [("d", False), ("c", False)]
    assert listed(tracks.nearest(embedding(38, b"new"), 1, artist="Nina")) == [("d", False)]
    assert listed(tracks.nearest(embedding(40, b"40"), 1)) == [("c", False)]  # two unknown artists are not one


@pytest.mark.parametrize("artist", ["NINA", " nina ", "Nin\u0061"])
def test_one_artist_in_other_spellings(artist):
    assert listed(library(ROWS).nearest(embedding(0, b"0"), 4, artist=artist))[-1] == ("b", True)
    composed, apart = "Beyonc\u00e9", "Beyonce\u0301"
    assert library([("x", composed, 1)]).nearest(embedding(0, b"0"), 1, artist=apart)[0].same_artist


def test_copies_of_a_recording_are_listed_once_and_the_song_not_at_all():
    tracks = library([*ROWS, ("0copy of c", "", 20), ("copy of a", "Nina", 0)])
    found = tracks.nearest(embedding(0, b"0"), 10)
    assert [n.track.name for n in found] == ["b", "c", "d", "e"]  # the copy with an artist is kept
    assert len(tracks.tracks) == 5
    assert tracks.find(b"20").artist == "Miles"
    assert tracks.find(b"21") is None


def test_a_library_of_one_track_or_none():
    assert library([("a", "", 0)]).nearest(embedding(0, b"0"), 5) == []
    assert Library([], {}).nearest(embedding(0, b"0"), 5) == []
    no_embedding = LibraryTrack("a", "/m/a", "", b"x", 1.0)
    assert Library([no_embedding], {}).tracks == []


def entries(path):
    """Files of a playlist, as a player finds them."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    return [os.path.normpath(path.parent / line) for line in lines[1:] if line and not line.startswith("#")]


def track(path, artist="", seconds=61.4):
    return LibraryTrack("", str(path), artist, b"", seconds)


def test_a_playlist_names_the_files(tmp_path):
    music = tmp_path / "music"
    paths = [music / name for name in ("a b.mp3", "x/ü#1.flac", "#1 hit.ogg", " space.mp3", "日本.m4a")] + [tmp_path / "other.wav"]
    assert write_playlist(music / "p.m3u8", [track(path, "Nina\nSimone") for path in paths]) == []
    assert entries(music / "p.m3u8") == [str(path) for path in paths]
    lines = (music / "p.m3u8").read_text(encoding="utf-8").splitlines()
    assert lines[1:3] == ["#EXTINF:61,Nina\\nSimone - a b", "a b.mp3"]
    assert {"./#1 hit.ogg", "./ space.mp3"} <= set(lines)
    assert lines[-1] == str(tmp_path / "other.wav")
    assert [path.name for path in music.iterdir()] == ["p.m3u8"]


def test_names_that_a_playlist_cannot_hold_are_left_out_and_told(tmp_path):
    bad = [tmp_path / name for name in ("a\nb.mp3", "a\rb.mp3", "a\u2028b.mp3", "caf\udce9.mp3", "a.mp3 ")]
    good = tmp_path / "good.mp3"
    assert write_playlist(tmp_path / "p.m3u", map(track, [*bad, good])) == [str(path) for path in bad]
    assert entries(tmp_path / "p.m3u") == [str(good)]


def test_a_playlist_has_its_ending(tmp_path):
    check_suffix(tmp_path / "a.M3U8")
    with pytest.raises(GenreError, match=r"--m3u .*a\.txt: write to a \.m3u8 or \.m3u file"):
        check_suffix(tmp_path / "a.txt")
    (tmp_path / "b.m3u").mkdir()
    with pytest.raises(GenreError, match="is a folder"):
        check_suffix(tmp_path / "b.m3u")


def test_agreement_counts_the_genres_of_the_nearest_of_other_artists():
    same_genre = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)
    same_artist = np.eye(4, dtype=bool) | np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4], bool)
    distance = np.array([[0, 1, 3, 2], [1, 0, 3, 4], [3, 3, 0, 9], [2, 4, 9, 0]], float)
    np.testing.assert_array_equal(neighbours.agreement(distance, same_genre, same_artist, 1), [0, 1, 1, 0])
    np.testing.assert_array_equal(neighbours.agreement(distance, same_genre, same_artist, 2), [0.5, 0.5, 1, 0])


def test_what_is_measured_is_what_is_listed(rng):
    means = rng.normal(size=(30, 200)).astype(np.float16)
    tracks = [Track(str(i), str(i), f"g{i % 3}", f"artist {i % 10}") for i in range(30)]
    genres, artists = (np.array([getattr(t, key) for t in tracks]) for key in ("genre", "artist"))
    distance = neighbours.distances(means.astype("f8"), "as it is", "cosine")
    wanted = neighbours.agreement(distance, genres[:, None] == genres, artists[:, None] == artists, 5)
    np.testing.assert_allclose(neighbours.library_agreement(tracks, list(means), 5), wanted)
