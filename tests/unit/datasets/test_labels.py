"""Genres and artists from the tags of files."""

import numpy as np
import pytest
from helpers.library import write_audio, write_tags

from genre_core.audio.tags import read_tags
from genre_core.corpus.catalogue import read_catalogue
from genre_core.datasets import folder, labels
from genre_core.errors import AudioError, GenreError

FORMATS = [".mp3", ".flac", ".m4a", ".opus", ".ogg", ".wav", ".aiff"]


def song(path, **tags):
    tone = 0.1 * np.sin(np.arange(11025, dtype="f4") / 5)
    write_audio(path, tone, 22050)
    return write_tags(path, **tags) if tags else path


def table(tmp_path, text):
    path = tmp_path / "aliases.csv"
    path.write_text("genre,alias\n" + text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_tags_of_every_format(tmp_path, suffix):
    path = song(tmp_path / f"a{suffix}", genres=["Hip Hop", "Soul"], artist="Someone", album_artist="The Band")
    assert read_tags(path).genres == ("Hip Hop", "Soul")
    assert read_tags(path).artist == "The Band"
    assert read_tags(song(tmp_path / f"none{suffix}")).genres == ()


def test_numbers_of_id3v1_compilations_and_control_characters(tmp_path):
    tags = read_tags(song(tmp_path / "a.mp3", genres=["(17)"], artist="Who\n\tever", album_artist="Various Artists"))
    assert tags.genres == ("Rock",)
    assert tags.artist == "Who ever"


def test_damaged_tags_are_said(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + b"TCON" * 100)
    with pytest.raises(AudioError, match=r"a\.mp3: its tags cannot be read"):
        read_tags(path)


@pytest.fixture
def library(tmp_path):
    """Artist/Album/song, with three spellings of one genre."""
    root = tmp_path / "music"
    for i, (genre, suffix) in enumerate([("Hip Hop", ".mp3"), ("hip-hop", ".flac"), ("Rap", ".m4a"), ("ROCK", ".ogg"), ("Rock", ".wav")]):
        song(root / f"Band {i}" / "Album" / f"{i}{suffix}", genres=[genre], artist=f"Band {i}")
    return root


def read(tmp_path, root, **options):
    folder.download(root, tmp_path / "raw", **options)
    return {track.path.split("/")[-1]: (track.genre, track.artist) for track in read_catalogue(tmp_path / "raw")}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spellings_are_one_genre_and_artists_are_known(tmp_path, library):
    rows = read(tmp_path, library, source="tags", aliases=table(tmp_path, "Hip-Hop,Rap\n"))
    assert [rows[name][0] for name in ("0.mp3", "1.flac", "2.m4a")] == ["Hip-Hop"] * 3
    assert rows["3.ogg"][0] == rows["4.wav"][0]
    assert rows["2.m4a"][1] == "Band 2"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_metadata_goes_before_tags(tmp_path, library):
    (library / "metadata.csv").write_text("path,genre,artist\nBand 0/Album/0.mp3,Jazz,Me\nBand 1/Album/1.flac,,\n")
    rows = read(tmp_path, library, source="tags", aliases=table(tmp_path, "Hip-Hop,Rap\n"))
    assert rows["0.mp3"] == ("Jazz", "Me")
    assert rows["1.flac"][1] == "Band 1"


def test_a_small_genre_is_left_out_with_a_warning(tmp_path, library):
    song(library / "Solo" / "x.mp3", genres=["Polka"], artist="Solo")
    with pytest.warns(UserWarning, match=r"1 genres with fewer than 2 tracks .* are left out: Polka \(1\)"):
        rows = read(tmp_path, library, source="tags", aliases=table(tmp_path, "Hip-Hop,Rap\n"), min_tracks=2)
    assert "x.mp3" not in rows and len(rows) == 5


def test_a_file_without_a_genre_is_left_out_and_named(tmp_path, library):
    song(library / "Solo" / "x.flac", artist="Solo")

    with pytest.warns(UserWarning, match=r"x\.flac"):
        rows = read(tmp_path, library, source="tags")
    assert "x.flac" not in rows


def test_html_in_one_tag_does_not_stop_the_others(tmp_path, library):
    song(library / "Evil" / "x.flac", genres=["<script>alert(1)</script>"], artist="</b>")
    with pytest.warns(UserWarning, match=r"x\.flac"):
        rows = read(tmp_path, library, source="tags")
    assert len(rows) == 5


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_artists_come_from_tags_for_folders_of_genres_too(tmp_path):
    root = tmp_path / "music"
    for genre in ("Jazz", "Rock"):
        song(root / genre / "a.mp3", genres=["Other"], artist=f"Player of {genre}")
    assert read(tmp_path, root) == {"a.mp3": ("Rock", "Player of Rock")}
    assert {(t.genre, t.artist) for t in read_catalogue(tmp_path / "raw")} == {("Jazz", "Player of Jazz"), ("Rock", "Player of Rock")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hip-Hop,Rap\nPop,rap\n", "belongs to Hip-Hop too"),
        ("Hip-Hop,Rap\nhip hop,Trap\n", "also spelled Hip-Hop"),
        ("Pop,\n", "the alias is empty"),
        ("<script>,a\n", "holds HTML"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path, text, words):
    with pytest.raises(GenreError, match=words):
        labels.read_aliases(table(tmp_path, text))


def test_a_missing_table_names_the_parameter(tmp_path):
    with pytest.raises(GenreError, match=r"dataset\.folder\.aliases"):
        labels.read_aliases(tmp_path / "none.csv")


def test_several_genres_in_one_text(tmp_path):
    aliases = labels.read_aliases(table(tmp_path, "Hip-Hop,Rap\n,Other\nDrum & Bass,Drum/Bass\n"))
    for text, genres in {"Blues / Rock": ("Blues", "Rock"), "rap; Other": ("Hip-Hop",), "drum/bass": ("Drum & Bass",), "Other": ()}.items():
        path = song(tmp_path / "a.flac", genres=[text])
        assert labels.tag_genres(read_tags(path), aliases) == genres


def test_the_committed_table_is_valid():
    aliases = labels.read_aliases("data/genre_aliases.csv")
    assert aliases.genre_of[labels.comparable("Rap")] == aliases.genre_of[labels.comparable("hip hop")]
