"""Which files of a folder are audio, and what is said about the rest."""

import os

import pytest
from helpers.folders import a_thousand_deep

from genre_core.apps.cli import audit as audit_command
from genre_core.apps.cli import common
from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.datasets import folder, listing
from genre_core.errors import as_text, one_line

TRASH = (".Trash-1000", "$RECYCLE.BIN", "#recycle", "@eaDir", "__MACOSX", "lost+found", "System Volume Information")


@pytest.fixture
def tree(tmp_path):
    """A folder with one of everything; its audio files."""
    root = tmp_path / "m"
    audio = ["jazz/MP3.MP3", "rock/a.wav", "rock/album/b.flac", "top.ogg"]
    others = ["rock/cover.jpg", "rock/._a.wav", "rock/.hidden.wav", ".git/x.wav", "README.md", "metadata.csv"]
    for name in [*audio, *others, *(f"rock/{trash}/t.wav" for trash in TRASH), "catalogue.csv/x.wav", "elsewhere.wav"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("path\n")
    (root / "elsewhere.wav").rename(tmp_path / "elsewhere.wav")
    (root / "rock/dangling.wav").symlink_to("nowhere.wav")
    (root / "rock/outside.wav").symlink_to(tmp_path / "elsewhere.wav")
    (root / "rock/inside.wav").symlink_to("a.wav")
    (root / "rock/circle").symlink_to(root)
    os.mkfifo(root / "rock/pipe.wav")
    return root, sorted([*audio, "rock/inside.wav"])


def test_every_reason_is_counted(tree):
    root, audio = tree
    found = listing.audio_files(root)
    assert found.audio == audio
    assert {reason: sorted(paths) for reason, paths in found.skipped.items()} == {
        listing.NOT_AUDIO: ["rock/cover.jpg"],
        listing.HIDDEN: [".git", "rock/.Trash-1000", "rock/._a.wav", "rock/.hidden.wav"],
        listing.TRASH: sorted(f"rock/{name}" for name in TRASH if not name.startswith(".")),
        listing.DANGLING: ["rock/dangling.wav"],
        listing.LEAVES: ["rock/outside.wav"],
        listing.SPECIAL: ["rock/pipe.wav"],
        listing.RESERVED: ["catalogue.csv"],
    }


def test_commands_and_data_set_see_the_same_files(tree, capsys):
    root, audio = tree
    assert common.expand([str(root)]) == ([str(root / name) for name in audio], [])
    said = capsys.readouterr().err
    assert [track.path for track in folder.scan(root).tracks] == audio
    assert [track.path for track in audit_command._tracks(root)] == audio
    first, second = capsys.readouterr().err.splitlines(keepends=True)
    assert first == said
    assert "`dvc repro` would stop at rock/dangling.wav, rock/pipe.wav: remove or rename it first" in second
    assert said.startswith(f"{root}: skipped 15 files: 6 trash (rock/")
    assert "1 link that leads nowhere (rock/dangling.wav)" in said
    assert len(said.splitlines()) == 1


def test_every_suffix_counts_in_any_case(tmp_path):
    for suffix in AUDIO_SUFFIXES:
        (tmp_path / f"a{suffix.upper()}").touch()
    assert len(listing.audio_files(tmp_path).audio) == len(AUDIO_SUFFIXES)


def test_folders_a_thousand_deep_are_listed_to_a_bound(tmp_path):
    (tmp_path / "a.wav").touch()
    with a_thousand_deep(tmp_path):
        found = listing.audio_files(tmp_path)
    assert found.audio == ["a.wav"]
    assert found.skipped == {listing.TOO_DEEP: ["/".join("d" * (listing.MAX_DEPTH + 1))]}


def test_a_summary_is_one_line():
    assert listing.summary({}) == ""
    assert listing.summary({listing.DANGLING: ["a\nb", "c"]}) == "skipped 2 files: 2 links that lead nowhere (a\\nb, ...)"


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"caf\xe9.mp3", "caf%E9.mp3"), ("é音".encode(), "é音"), (b"100%.mp3", "100%.mp3"), (b"\xff\xc3\xa9\xc3", "%FFé%C3")],
)
def test_bytes_that_are_not_utf_8_are_escaped(raw, text):
    assert as_text(raw.decode("utf-8", "surrogateescape")) == text
    assert as_text(raw.decode("ascii", "surrogateescape")) == text  # as Python reads names under an ASCII locale
    assert one_line(raw.decode("utf-8", "surrogateescape")) == text
