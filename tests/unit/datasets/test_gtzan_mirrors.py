"""Mirrors of GTZAN on loopback: Kaggle's redirect to a ZIP, the hub's parquet files, and what is tried first."""

import contextlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import servers
from helpers.closure import ROOT

from genre_core.datasets import copies, gtzan, parquet
from genre_core.datasets.copies import Mirror
from genre_core.errors import GenreError
from genre_core.util import archives

OPTIONS = {"timeout_s": 0.5, "tries": 2, "sleep": lambda s: None, "private_addresses": True}


@pytest.fixture(scope="module")
def sound():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).normal(0, 0.1, 2205), 22050, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def kaggle_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("Data/features_30_sec.csv", "filename,length\n")
        for track, content in members.items():
            opened.writestr(f"Data/genres_original/{track.split('.')[0]}/{track}.wav", content)
            opened.writestr(f"Data/images_original/{track.split('.')[0]}/{track.replace('.', '')}.png", b"x")
    return buffer.getvalue()


def parquet_file(rows, column="audio"):
    """A file as the hub's `datasets` library writes it: 100 rows a group, structs of bytes and name."""
    pyarrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    audio = pyarrow.array(
        [{"bytes": content, "path": name} for name, content in rows], pyarrow.struct({"bytes": "binary", "path": "string"})
    )
    genres = [str(name).split(".", maxsplit=1)[0] for name, _ in rows]
    table = pyarrow.table({column: audio, "genre": genres, "label": pyarrow.array([0] * len(rows), pyarrow.int64())})
    buffer = io.BytesIO()
    writer.write_table(table, buffer, row_group_size=100)
    return buffer.getvalue()


def bring(tmp_path, *mirrors, partial=True, out="raw", path="", **more):
    return gtzan.download(
        tmp_path / out, path=str(path), partial=partial, downloads=tmp_path / "cache", mirrors=mirrors, **{**OPTIONS, **more}
    )


def names(tracks):
    return [track.track for track in tracks]


def test_the_mirrors_are_tried_in_the_order_of_their_completeness():
    assert [mirror.url.split("/")[2] for mirror in gtzan.MIRRORS] == [
        "huggingface.co",
        "www.kaggle.com",
        "huggingface.co",
        "opihi.cs.uvic.ca",
    ]
    assert len(gtzan.MIRRORS[2].parts) == 4


def test_kaggle_redirects_to_a_store_that_resumes(tmp_path, sound, capsys):
    body = kaggle_zip({"blues.00000": sound, "jazz.00054": b"\0" * 900})
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(servers.serve(servers.cut(body, 2000), servers.whole(body, Content_Type="application/zip")))
        front = stack.enter_context(servers.serve(servers.redirect(f"{store.url}?X-Goog-Signature=1")))
        assert names(bring(tmp_path, Mirror(front.url))) == ["blues.00000", "jazz.00054"]
        assert store.asked == ["", "bytes=2000-"]
        assert len(front.asked) == 2  # each try asks for a new signed address
    assert "1 unreadable" in (said := capsys.readouterr().out)
    assert "(jazz.00054)" in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (servers.page, "a web page"),
        (servers.status(403), "answered 403"),
        (servers.whole(b"PK\x05\x06" + bytes(18)), "lacks 1000 of GTZAN's 1,000 tracks"),
        (servers.redirect("ftp://127.0.0.1/x"), "not a usable address or redirect"),
    ],
)
def test_a_mirror_that_fails_costs_one_line_and_the_next_is_tried(tmp_path, sound, capsys, answer, words):
    body = kaggle_zip({"blues.00000": sound})
    with servers.serve(answer) as bad, servers.serve(servers.whole(body)) as good:
        assert names(bring(tmp_path, Mirror(bad.url), Mirror(good.url))) == ["blues.00000"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "mirror failed" in line]
    assert words in line


def hub(rows_of_part):
    """Answer as the hub does: every file of a data set from one server, after a redirect."""
    return servers.by_name({name: servers.whole(parquet_file(rows)) for name, rows in rows_of_part.items()})


def as_hub(server, parts):
    return Mirror(f"http://127.0.0.1:{server.server_port}/datasets/confit/gtzan-parquet/resolve/main/data", parts=tuple(parts))


def test_the_parquet_copy_of_the_fault_filtered_split_is_complete_enough(tmp_path, sound):
    kept = [known for known in gtzan.table().values() if known.split]
    parts = {
        f"{part}.parquet": [(f"{k.track}.wav", sound + k.track.encode()) for k in kept if k.split == split]
        for part, split in (("train", "train"), ("validation", "valid"), ("test", "test"))
    }
    with (
        servers.serve(hub(parts)) as store,
        servers.serve(servers.by_name({n: servers.redirect(f"{store.url}/{n}") for n in parts})) as front,
    ):
        mirror = as_hub(front, parts)
        with pytest.warns(UserWarning, match="holds only the 930 tracks of the fault-filtered split, which segment.protocol official"):
            tracks = bring(tmp_path, mirror, partial=False)
        assert len(front.asked) == 3
        with pytest.warns(UserWarning):
            bring(tmp_path, mirror, partial=False, out="raw2")
        assert len(front.asked) == 3
    assert len(tracks) == 930
    assert {t.track: (t.split, t.artist) for t in tracks} == {k.track: (k.split, k.artist) for k in kept}
    assert all((tmp_path / "raw" / t.path).read_bytes() == sound + t.track.encode() for t in tracks)
    (tmp_path / "copy").mkdir()
    for file in (tmp_path / "cache").glob("*.parquet"):
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    with pytest.warns(UserWarning):
        assert names(bring(tmp_path, path=tmp_path / "copy", out="raw3", partial=False)) == names(tracks)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda sound: b"PAR1" + bytes(200) + b"PAR1", "broken or not readable as parquet"),
        (lambda sound: parquet_file([("blues.00000.wav", sound)])[:-20], "broken or not readable as parquet"),
        (lambda sound: parquet_file([("blues.00000.wav", sound)], column="sound"), "no column audio .* the columns are: sound, genre"),
        (lambda sound: parquet_file([("../../blues.00000.wav\0", sound), (None, sound)]), "lacks 1000"),
        (lambda sound: parquet_file([("blues.00000.wav", None)]), "'blues.00000.wav' holds no audio"),
        (lambda sound: parquet_file([("blues.00000.wav", sound), ("x/blues.00000.WAV", sound)]), "two files of track blues.00000"),
    ],
)
def test_parquet_files_that_are_not_gtzan_are_refused_and_removed(tmp_path, sound, body, words):
    pytest.importorskip("pyarrow")
    with servers.serve(servers.whole(body(sound))) as server, pytest.raises(GenreError, match=words):
        bring(tmp_path, as_hub(server, ["train.parquet"]))
    assert not (tmp_path / "raw").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_too_many_rows_or_too_large_groups_are_refused(tmp_path, sound, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_file([("blues.00000.wav", sound)] * 3))
    for name in ("_MAX_ROWS", "_MAX_ROW_GROUP_BYTES"):
        with monkeypatch.context() as changed:
            changed.setattr(parquet, name, 2)
            with pytest.raises(GenreError, match="3 rows, groups of up to"):
                parquet.unpack([path], gtzan.place, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_pyarrow_the_parquet_copy_costs_one_line_and_no_download(tmp_path):
    """A process whose finder hides pyarrow."""
    program = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'pyarrow': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from pathlib import Path\n"
        "from genre_core.datasets import gtzan\n"
        "gtzan.download('raw', path='', partial=True, downloads='cache', mirrors=gtzan.MIRRORS[2:3])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert "gtzan-parquet/resolve/main/data: parquet files need pyarrow; pip install '.[parquet]'" in done.stdout
    assert "gtzan could not be fetched" in done.stderr
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_the_mirror_that_worked_last_is_tried_first(tmp_path, sound):
    body = kaggle_zip({"blues.00000": sound})
    with servers.serve(servers.status(404), servers.whole(body)) as first, servers.serve(servers.whole(body)) as second:
        mirrors = (Mirror(first.url), Mirror(second.url))
        bring(tmp_path, *mirrors)
        assert (len(first.asked), len(second.asked)) == (1, 1)
        assert json.loads((tmp_path / "cache" / copies.LAST_ALIVE).read_text()) == [second.url]
        for file in (tmp_path / "cache").glob("*genres*"):
            file.unlink()
        bring(tmp_path, *mirrors, out="raw2")
        assert (len(first.asked), len(second.asked)) == (1, 2)
        for file in (tmp_path / "cache").glob("*genres*"):
            file.unlink()
        second.answers[:] = [servers.status(404)]
        bring(tmp_path, *mirrors, out="raw3")
        assert json.loads((tmp_path / "cache" / copies.LAST_ALIVE).read_text()) == [first.url, second.url]


@pytest.mark.parametrize("state", ["not json", '{"a": 1}', "[1, null]", "[" * 200_000])
def test_a_damaged_list_of_mirrors_is_ignored(tmp_path, sound, state):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / copies.LAST_ALIVE).write_text(state)
    with servers.serve(servers.whole(kaggle_zip({"blues.00000": sound}))) as server:
        assert names(bring(tmp_path, Mirror(server.url))) == ["blues.00000"]
        assert json.loads((tmp_path / "cache" / copies.LAST_ALIVE).read_text()) == [server.url]


def test_a_full_disk_keeps_the_download(tmp_path, sound, monkeypatch):
    """A write to /dev/full fails as on a full disk."""

    @contextlib.contextmanager
    def full(path):
        yield Path("/dev/full")

    body = kaggle_zip({"blues.00000": sound})
    with servers.serve(servers.whole(body)) as server:
        with monkeypatch.context() as changed, pytest.raises(OSError, match="No space left on device"):
            changed.setattr(archives, "atomic", full)
            bring(tmp_path, Mirror(server.url))
        assert names(bring(tmp_path, Mirror(server.url), out="raw2")) == ["blues.00000"]
        assert len(server.asked) == 1
