"""Which files are tagged with what, and what the journal undoes."""

import json
import os
import shutil
import stat
from pathlib import Path

import mutagen
import pytest
from helpers import training
from helpers.tagged import PICTURE, make_all, other_fields, samples, song
from mutagen import flac

from genre_core.apps.cli.main import main
from genre_core.audio.io import write
from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor
from genre_core.library import rewriting
from genre_core.library.journal import Journal, default_path, pending
from genre_core.library.tag_formats.reading import read_fields
from genre_core.library.tagging import Tagger, read_names
from genre_core.models.file import path_of, save
from genre_core.util.files import digest


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("library"))[0].parent


@pytest.fixture
def music(originals, tmp_path, monkeypatch):
    """A library; the journal is in the home of this test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(originals, tmp_path / "music")
    return tmp_path / "music"


@pytest.fixture
def small(music):
    """Two files alone."""
    for path in music.iterdir():
        if path.name not in ("v24.mp3", "tagged.flac"):
            path.unlink()
    return music


def tag(*arguments):
    return main(["tag", *map(str, arguments)])


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_library_of_all_formats_is_tagged_and_undone(music, tmp_path, capsys):
    names = tmp_path / "genres.csv"
    names.write_text("genre,tag\nclassical,Classical\nclassical,Baroque Ähnliches\nrock,Rock\n")
    before, times = contents(music), {path: path.stat().st_mtime_ns for path in music.iterdir()}
    audio = {path: samples(path) for path in music.iterdir()}
    others = {path: other_fields(path) for path in music.iterdir()}
    assert tag(music, "--dry-run", "--moods", "--map", names) == 0
    assert contents(music) == before
    assert not (tmp_path / "state").exists()
    assert f"would tag {len(before)} of {len(before)} files" in capsys.readouterr().out
    assert tag(music, "--moods", "--map", names) == 0
    for path in music.iterdir():
        fields = read_fields(path)
        assert fields.genres == ("Classical", "Baroque Ähnliches"), path
        assert fields.moods[0] == "instrumental", path
        assert fields.note.startswith("genre=classical; probability=0.9"), path
        assert fields.note.endswith(f"model={digest(path_of('pretrained'))[:12]}; moods=0.2"), path
        assert samples(path) == audio[path]
        assert other_fields(path) == others[path]
        assert path.stat().st_mtime_ns > times[path]
    tagged = contents(music)
    for again in ([music, "--moods", "--map", names], [music, "--moods", "--map", names, "--overwrite"]):
        assert tag(*again) == 0
        assert contents(music) == tagged
    assert len(default_path().read_text().splitlines()) == len(before)
    assert tag("--undo", "--dry-run") == 0
    assert contents(music) == tagged
    assert tag("--undo") == 0
    assert contents(music) == before
    assert {path: path.stat().st_mtime_ns for path in music.iterdir()} == times
    capsys.readouterr()
    assert tag("--undo") == 0
    assert "restored 0 files" in capsys.readouterr().out
    assert tag(music / "bare.flac") == 0  # after an undo it is tagged again
    assert read_fields(music / "bare.flac").genres == ("classical",)


def test_only_empty_fields_unless_they_are_to_be_overwritten(small, capsys):
    file = flac.FLAC(small / "tagged.flac")
    file["genre"], file["mood"] = ["Mine", "Own"], "calm"
    file.save()
    before = contents(small)
    assert tag(small, "--moods") == 0
    assert "tagged.flac: kept: has Mine, Own" in capsys.readouterr().out
    assert contents(small)[Path("tagged.flac")] == before[Path("tagged.flac")]
    assert tag(small, "--moods", "--overwrite") == 0
    assert read_fields(small / "tagged.flac").genres == ("classical",)
    assert "calm" not in read_fields(small / "tagged.flac").moods
    assert tag("--undo") == 0  # of two changes of one file, the last one first
    assert contents(small) == before


def test_moods_alone_where_the_genre_is_there(small):
    file = flac.FLAC(small / "tagged.flac")
    file["genre"] = "Mine"
    file.save()
    assert tag(small / "tagged.flac", "--mood-threshold", 0.1) == 0
    fields = read_fields(small / "tagged.flac")
    assert fields.genres == ("Mine",)
    assert len(fields.moods) > 1
    assert "moods=0.1" in fields.note


def test_a_file_of_which_the_model_is_not_sure_is_left(small, rng, capsys):
    write(small / "noise.flac", rng.normal(size=5 * 22050).astype("f4") * 0.1, 22050)
    before = (small / "noise.flac").read_bytes()
    assert tag(small / "noise.flac", "--overwrite", "--moods") == 0
    assert "not sure" in capsys.readouterr().out
    assert (small / "noise.flac").read_bytes() == before


def test_a_changed_file_is_not_undone_and_the_rest_is(small, capsys):
    before = contents(small)
    assert tag(small) == 0
    file = flac.FLAC(small / "tagged.flac")
    file["title"] = "new"
    file.save()
    changed = (small / "tagged.flac").read_bytes()
    assert tag("--undo") == 2
    said = capsys.readouterr()
    assert said.err.strip().splitlines() == [f"error: {small / 'tagged.flac'}: was changed since it was tagged; not undone"]
    assert (small / "tagged.flac").read_bytes() == changed
    assert (small / "v24.mp3").read_bytes() == before[Path("v24.mp3")]


def test_undo_of_named_files_alone(small):
    assert tag(small) == 0
    assert tag("--undo", small / "v24.mp3") == 0
    assert read_fields(small / "v24.mp3").genres == ()
    assert read_fields(small / "tagged.flac").genres == ("classical",)


def test_files_that_cannot_be_changed_are_one_line_each(small, capsys):
    (small / "v24.mp3").chmod(0o444)
    (small / "cut.flac").write_bytes((small / "tagged.flac").read_bytes()[:100])
    (small / "text.mp3").write_text("no audio")
    (small / "x.wma").write_bytes(b"\x30\x26\xb2\x75" + bytes(1000))
    (small / "empty.ogg").touch()
    before = contents(small)
    assert tag(small) == 2
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 5, said.err
    assert "v24.mp3: is read-only" in said.err
    assert "WMA are not supported" in said.err
    assert "tagged 1 of 6 files" in said.out
    assert "5 errors" in said.out
    after = contents(small)
    assert [path.name for path in before if after[path] != before[path]] == ["tagged.flac"]


def test_mode_links_and_attributes(small, tmp_path):
    file = small / "tagged.flac"
    before = file.read_bytes()
    file.chmod(0o640)
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    os.link(file, tmp_path / "cache.flac")  # as DVC's cache has
    assert tag(file) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.getxattr(file, "user.note") == b"kept"
    assert (tmp_path / "cache.flac").read_bytes() == before
    assert read_fields(file).genres


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser has files of others")
def test_a_private_file_of_another_user_stays_so_while_it_is_copied(small, monkeypatch):
    file, modes = small / "tagged.flac", []
    real = rewriting.splice

    def splice(source, target, edits):
        modes.append(stat.S_IMODE(os.fstat(target.fileno()).st_mode))
        return real(source, target, edits)

    monkeypatch.setattr(rewriting, "splice", splice)
    os.chown(file, 1234, 1235)
    file.chmod(0o600)
    assert tag(file) == 0
    now = file.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (1234, 1235, 0o600)
    assert modes == [0o600]


def test_a_link_is_followed_only_within_the_folder(small, tmp_path, capsys):
    outside = tmp_path / "outside.flac"
    shutil.copy(small / "tagged.flac", outside)
    before = outside.read_bytes()
    (small / "leaves.flac").symlink_to(outside)
    (small / "stays.flac").symlink_to("tagged.flac")
    assert tag(small) == 0  # the listing leaves the link out, and counts it
    assert "1 link that leaves the folder" in capsys.readouterr().err
    assert tag(small / "leaves.flac") == 2
    assert "is a link that leaves" in capsys.readouterr().err
    assert outside.read_bytes() == before
    assert (small / "stays.flac").is_symlink()
    assert read_fields(small / "stays.flac").genres == ("classical",)
    assert sum(1 for _ in pending(default_path(), lambda path: True)) == 2  # the file behind the link once
    (small / "tagged.flac").rename(tmp_path / "moved.flac")
    (small / "tagged.flac").symlink_to(tmp_path / "moved.flac")
    assert tag("--undo") == 2
    assert "is behind a link now" in capsys.readouterr().err


def test_a_name_that_is_not_utf_8(small):
    name = small / os.fsdecode(b"caf\xe9\n.flac")
    (small / "tagged.flac").rename(name)
    before = name.read_bytes()
    assert tag(small) == 0
    assert name.read_bytes() != before
    assert tag("--undo") == 0
    assert name.read_bytes() == before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("genre,label\nrock,Rock\n", "no column tag"),
        ("genre,tag\nROCK,Rock\n", "line 2: the model does not know the genre 'ROCK'; it knows blues"),
        ("genre,tag\nrock,Rock\nmetal,\n", "line 3: the tag '' is empty"),
        ("genre,tag\nrock,17\n", "would be read as a number of ID3v1"),
        ("genre,tag\nrock,(17)\n", "would be read as a number of ID3v1"),
        ("genre,tag\nrock,a\x00b\n", "control character"),
        (f"genre,tag\nrock,{'x' * 201}\n", "more than 200 letters"),
        ("genre,tag\n", "no row"),
        ("", "no column genre, tag"),
    ],
)
def test_a_wrong_map_is_one_error_before_any_file(small, tmp_path, capsys, table, message):
    (tmp_path / "genres.csv").write_text(table)
    before = contents(small)
    assert tag(small, "--map", tmp_path / "genres.csv") == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) == 1
    assert contents(small) == before


def test_names_of_a_map(tmp_path):
    (tmp_path / "genres.csv").write_text("tag,genre\nHip-Hop,hiphop\nRap,hiphop\nRap,hiphop\n")
    assert read_names(tmp_path / "genres.csv", ["hiphop", "rock"]) == {"hiphop": ("Hip-Hop", "Rap")}


def test_moods_need_a_model_that_reads_musicnn(small, tmp_path, rng, capsys):
    save(training.new_model(training.data(rng, tracks=1)[0]), tmp_path / "m.safetensors")
    assert tag(small, "--moods", "--model", tmp_path / "m.safetensors") == 2
    assert "does not read musicnn's tags; use --model pretrained" in capsys.readouterr().err


def test_json(small, capsys):
    assert tag(small, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["outcome"] for row in rows} == {"tagged"}
    assert rows[0]["genres"] == ["classical"]
    assert tag("--undo", "--json") == 0
    assert {row["outcome"] for row in json.loads(capsys.readouterr().out)} == {"restored"}


def test_two_runs_on_one_journal_exclude_each_other(small, tmp_path, capsys):
    journal = Journal(tmp_path / "j.jsonl")
    assert tag(small, "--journal", tmp_path / "j.jsonl") == 2
    assert "another process is writing" in capsys.readouterr().err
    journal.close()
    assert tag(small, "--journal", tmp_path / "j.jsonl") == 0
    assert tag("--undo") == 2  # the default journal does not exist
    assert "no journal" in capsys.readouterr().err
    assert not default_path().exists()
    assert tag("--undo", "--journal", tmp_path / "j.jsonl") == 0


def test_a_damaged_record_does_not_stop_the_undo_of_other_files(small, tmp_path, capsys):
    shutil.copytree(small, tmp_path / "two" / "a")
    shutil.copytree(small, tmp_path / "two" / "b")
    journal, before = tmp_path / "j.jsonl", contents(tmp_path / "two/b")
    assert tag(tmp_path / "two", "--journal", journal) == 0
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    for row in rows:
        if "/two/a/" in row["path"]:
            row["replaced"] = [{"start": 0, "length": 0, "base64": "%%"}]
    journal.write_text("".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: row["path"])))
    assert tag("--undo", "--journal", journal) == 2
    assert "its record in the journal is damaged" in capsys.readouterr().err
    assert contents(tmp_path / "two/b") == before


def test_no_home_is_one_error(small, capsys, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert tag(small) == 2
    assert "no home folder; name a file for the journal with --journal PATH" in capsys.readouterr().err


def test_a_foreign_or_damaged_journal_changes_nothing(small, tmp_path, capsys):
    journal = tmp_path / "j.jsonl"
    assert tag(small, "--journal", journal) == 0
    tagged, good = contents(small), journal.read_text()
    record = json.loads(good.splitlines()[0])
    for wrong in (
        {"path": "x"},
        {**record, "path_base64": "%"},
        {**record, "path": "a\0b"},
        {**record, "replaced": [{"start": -1, "length": 0, "base64": ""}]},
        {**record, "after_sha256": "0"},
        {**record, "more": 1},
    ):
        journal.write_text(json.dumps(wrong) + "\n")
        assert tag("--undo", "--journal", journal) == 2
        assert "line 1: not a record of `genre tag`" in capsys.readouterr().err, wrong
    for wrong in ([], [{"start": 1 << 50, "length": 0, "base64": "AAAA"}], [{"start": 0, "length": 0, "base64": "%%"}]):
        journal.write_text(json.dumps({**record, "replaced": wrong}) + "\n")
        assert tag("--undo", "--journal", journal) == 2
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 1, said
    assert contents(small) == tagged
    journal.write_text(good)
    assert tag("--undo", "--journal", journal) == 0


@pytest.mark.parametrize("content", [b"ID3\4 a song, not a journal", b'{"file": "a.mp3"}\n{"incomplete', b"a\nb"])
def test_another_file_in_place_of_the_journal_stays_whole(small, tmp_path, capsys, content):
    (tmp_path / "other").write_bytes(content)
    before = contents(small)
    for arguments in ([small], ["--undo"]):
        assert tag(*arguments, "--journal", tmp_path / "other") == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
        assert (tmp_path / "other").read_bytes() == content
    assert contents(small) == before


def test_a_journal_whose_first_line_was_cut_goes_on(small, tmp_path):
    assert tag(small, "--journal", tmp_path / "j") == 0
    for path in small.iterdir():
        path.unlink()
    whole = (tmp_path / "j").read_bytes()
    for end in (0, 5, 100):
        (tmp_path / "j").write_bytes(whole[:end])
        journal = Journal(tmp_path / "j")
        journal.close()
        assert (tmp_path / "j").read_bytes() == b""


def test_a_file_that_changes_meanwhile_is_left(small, monkeypatch, capsys):
    from genre_core.library import tagging

    real = tagging.check_copy

    def change_it(path, copy, fields):
        with path.open("ab") as file:
            file.write(b"more")
        return real(path, copy, fields) if path.suffix == ".mp3" else (0, "0" * 64)

    before = (small / "tagged.flac").read_bytes()
    monkeypatch.setattr(tagging, "check_copy", change_it)
    assert tag(small / "tagged.flac") == 2
    assert "was changed by another program meanwhile" in capsys.readouterr().err
    assert (small / "tagged.flac").read_bytes() == before + b"more"
    assert not list(small.glob(".*"))


def test_wrong_use_is_one_line(small, capsys):
    for arguments, message in (
        ([], "name the files or folders to tag"),
        (["--undo", "--overwrite"], "--undo: cannot be combined"),
        ([small / "no such folder"], "cannot be opened"),
    ):
        assert tag(*arguments) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.strip().splitlines()) == 1


def test_a_genre_of_the_model_that_tags_cannot_hold(small):
    with pytest.raises(GenreError, match="--map"):
        Tagger(Predictor("pretrained"), names={"rock": ("17",)})


def test_the_picture_of_the_fixture_is_there(originals):
    assert mutagen.File(originals / "v24.mp3")["APIC:front"].data == PICTURE
    assert len(song(1.0)) == 22050
