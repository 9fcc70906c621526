"""Files that are whole or absent, and follow no link; tables that no spreadsheet computes."""

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_core.errors import GenreError
from genre_core.util import files


def test_a_link_under_any_temporary_name_is_not_followed(tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.write_text("mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)  # even a name that was guessed
    (tmp_path / f".{files._short(tmp_path / 'a.txt')}.{files._HOST}-{os.getpid()}-{'0' * 16}.part.txt").symlink_to(private)
    monkeypatch.setattr(files, "remove_leftovers", lambda path: None)
    with pytest.raises(FileExistsError), files.atomic(tmp_path / "a.txt") as part:
        part.write_text("theirs")
    assert private.read_text() == "mine"


def test_a_target_that_is_a_link_is_replaced_not_followed(tmp_path):
    private = tmp_path / "private"
    private.write_text("mine")
    (tmp_path / "a.json").symlink_to(private)
    files.write_json(tmp_path / "a.json", {})
    assert private.read_text() == "mine"
    assert not (tmp_path / "a.json").is_symlink()


def test_files_have_the_rights_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


@given(st.text(max_size=12), st.sampled_from(["", "=", "+", "-", "@", "'", "''=", "\t", "\r", "-1", "+1e5"]))
def test_any_text_comes_back_from_a_table(tmp_path_factory, text, start):
    path = tmp_path_factory.mktemp("t") / "a.csv"
    value = start + "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000).replace("\0", "")
    files.write_csv(path, ["a", "b"], [{"a": value, "b": 1}])
    (row,) = files.read_csv(path, strip=False)
    assert row["a"].replace("\r\n", "\n").replace("\r", "\n") == value.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_begins_like_a_formula(tmp_path, text):
    files.write_csv(tmp_path / "a.csv", ["a"], [{"a": text}, {"a": -1.5}, {"a": "-1.500000"}])
    with (tmp_path / "a.csv").open(newline="") as file:
        first, *numbers = (row[0] for row in list(csv.reader(file))[1:])
    assert first == "'" + text
    assert numbers == ["-1.5", "-1.500000"]


def test_pipes_devices_and_huge_tables_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(GenreError, match="is a pipe or device, not a file"):
        files.read_csv(tmp_path / "pipe.csv")
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(6_000_000_000)  # sparse
    with pytest.raises(GenreError, match="6,000,000,000 bytes, at most"):
        files.read_csv(tmp_path / "huge.csv")
    with pytest.raises(GenreError, match="6,000,000,000 bytes, at most"):
        files.read_json(tmp_path / "huge.csv")


@pytest.mark.parametrize("name", ["音" * 75 + ".json", "a" * 200 + ".json", ".json", "no ending", "\udcff.json"])
def test_any_name_that_the_system_takes_is_written(tmp_path, name):
    files.write_json(tmp_path / name, {})
    assert [p.name for p in tmp_path.iterdir()] == [name]
