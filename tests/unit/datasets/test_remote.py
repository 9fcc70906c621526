"""Music in a bucket and on the web: real servers on loopback."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile

import pytest
from helpers import buckets
from helpers.closure import ROOT
from helpers.servers import serve, serve_folder, status, whole

from genre_core.datasets import remote
from genre_core.errors import GenreError
from genre_core.util import mirror


@pytest.fixture(scope="module")
def server():
    with buckets.s3() as bucket:
        yield bucket


@pytest.fixture
def s3(server, monkeypatch, request):
    """A folder of its own in the bucket."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    folder = request.node.name.partition("[")[0]
    server.asked.clear()

    class Here:
        url = f"{server.url}/{folder}"

        def put(self, **files):
            for name, content in files.items():
                server.put(f"{folder}/{name}", content)
            server.asked.clear()

        def remove(self, name):
            server.remove(f"{folder}/{name}")

        def got(self):
            return sorted(path.removeprefix(f"{folder}/") for path in server.got())

    return Here()


def local(url, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        root = remote.local_music(url, tmp_path / "copies")
    local.warnings = [str(warning.message) for warning in caught if warning.category is UserWarning]
    return root


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_audio_and_metadata_are_copied_and_nothing_else(s3, tmp_path):
    s3.put(**{"rock/a.wav": b"a", "jazz/b.MP3": b"bb", "metadata.csv": b"path\n", "rock/": b"", "empty/c.ogg": b""})
    s3.put(**{"rock/cover.jpg": b"x", ".git/a.wav": b"x", "@eaDir/a.wav": b"x", "catalogue.csv": b"x", "jazz/metadata.csv": b"x"})
    root = local(s3.url, tmp_path)
    assert contents(root) == {"rock/a.wav": b"a", "jazz/b.MP3": b"bb", "metadata.csv": b"path\n", "empty/c.ogg": b""}
    assert s3.got() == ["jazz/b.MP3", "metadata.csv", "rock/a.wav"]  # an empty object needs no request
    assert local.warnings == [
        f"{s3.url}: skipped 5 files: 2 not audio (jazz/metadata.csv, ...), 1 hidden (.git/a.wav), 1 trash (@eaDir/a.wav), "
        "1 named like a file of this project (catalogue.csv)"
    ]


def test_only_what_is_new_or_changed_is_copied_and_what_is_gone_is_removed(s3, tmp_path):
    s3.put(**{"rock/a.wav": b"a", "rock/b.wav": b"b", "jazz/c.wav": b"c"})
    root = local(s3.url, tmp_path)
    assert len(s3.got()) == 3
    assert (local(s3.url, tmp_path), s3.got()) == (root, [])
    s3.put(**{"rock/b.wav": b"B", "rock/d.wav": b"d"})  # as many bytes as before: the ETag tells
    s3.remove("jazz/c.wav")
    local(s3.url, tmp_path)
    assert s3.got() == ["rock/b.wav", "rock/d.wav"]
    assert contents(root) == {"rock/a.wav": b"a", "rock/b.wav": b"B", "rock/d.wav": b"d"}
    assert not (root / "jazz").exists()
    (root / "rock/a.wav").write_bytes(b"X")  # changed here
    (root / "rock/d.wav").unlink()
    local(s3.url, tmp_path)
    assert s3.got() == ["rock/a.wav", "rock/d.wav"]
    assert contents(root) == {"rock/a.wav": b"a", "rock/b.wav": b"B", "rock/d.wav": b"d"}


def test_a_file_may_become_a_folder_and_back(s3, tmp_path):
    s3.put(**{"rock/a.wav": b"a", "rock/b.wav": b"b"})
    local(s3.url, tmp_path)
    s3.remove("rock/a.wav")
    s3.put(**{"rock/a.wav/c.wav": b"c"})
    assert contents(local(s3.url, tmp_path)) == {"rock/a.wav/c.wav": b"c", "rock/b.wav": b"b"}
    s3.put(**{"rock/a.wav": b"a"})  # a bucket can hold both, a disk cannot
    assert contents(local(s3.url, tmp_path)) == {"rock/a.wav/c.wav": b"c", "rock/b.wav": b"b"}
    assert "1 both a file and a folder (rock/a.wav)" in local.warnings[0]
    s3.remove("rock/a.wav/c.wav")
    assert contents(local(s3.url, tmp_path)) == {"rock/a.wav": b"a", "rock/b.wav": b"b"}


@pytest.mark.parametrize(
    "name", ["../up.wav", "rock/../../up.wav", "/abs.wav", "rock//x.wav", "rock/\x1b[2J.wav", "a\\b.wav", "x" * 300 + ".wav"]
)
def test_a_hostile_name_is_skipped_with_one_line(s3, tmp_path, name):
    s3.put(**{"rock/a.wav": b"a", name: b"evil"})
    assert list(contents(local(s3.url, tmp_path))) == ["rock/a.wav"]
    assert "1 with a name that is not safe for a file" in local.warnings[0]
    assert "\x1b" not in local.warnings[0]
    assert b"evil" not in contents(tmp_path).values()
    s3.remove(name)


def test_any_letters_are_kept(s3, tmp_path):
    names = ["rock/Título: 100% “ça” #1?.wav", "rock/日本 a+b&c.flac", "rock/a\u00a0b.wav"]
    s3.put(**dict.fromkeys(names, b"1"))
    assert sorted(contents(local(s3.url, tmp_path))) == sorted(names)
    assert (local.warnings, len(s3.got())) == ([], 3)


def test_a_neighbour_with_the_same_beginning_is_not_copied(s3, server, tmp_path):
    s3.put(**{"rock/a.wav": b"a"})
    server.put(f"{s3.url.rsplit('/', 1)[1]}-old/rock/b.wav", b"b")
    assert list(contents(local(f"{s3.url}/", tmp_path))) == ["rock/a.wav"]


def test_a_damaged_journal_costs_a_copy_and_no_more(s3, tmp_path):
    s3.put(**{"rock/a.wav": b"a"})
    root = local(s3.url, tmp_path)
    for damage in ("[]\nx", '{"path": "rock/a.wav"}\n{}\n', "\0\0\n\n"):
        s3.got()
        (root.parent / "objects.jsonl").write_text(damage)
        assert contents(local(s3.url, tmp_path)) == {"rock/a.wav": b"a"}
        assert s3.got() == ["rock/a.wav"]


COPY = "import sys; from genre_core.datasets import remote; remote.local_music(sys.argv[1], sys.argv[2])"


def copying(url, tmp_path, **options):
    command = [sys.executable, "-W", "ignore", "-c", COPY, url, str(tmp_path / "copies")]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def test_a_killed_copy_is_continued(s3, tmp_path):
    s3.put(**{f"rock/{number}.wav": b"%d" % number for number in range(300)})
    process = copying(s3.url, tmp_path)
    journal = None
    while process.poll() is None:
        journal = next((tmp_path / "copies").glob("*/objects.jsonl"), None) if (tmp_path / "copies").exists() else None
        if journal and journal.read_bytes().count(b"\n") >= 20:
            process.kill()
            break
        time.sleep(0.005)
    process.communicate()
    assert process.returncode == -9
    complete = journal.read_bytes().count(b"\n")
    assert 20 <= complete < 300
    s3.got()
    root = local(s3.url, tmp_path)
    assert contents(root) == {f"rock/{number}.wav": b"%d" % number for number in range(300)}
    # Each thread of the killed copy may have had a file that was read and not noted, or a request under way.
    assert abs(len(s3.got()) - (300 - complete)) <= mirror._THREADS
    assert sorted(path.name for path in root.parent.iterdir()) == ["files", "objects.jsonl"]


def test_a_part_of_a_large_file_is_continued_unless_the_object_has_changed(s3, tmp_path):
    body = bytes(range(256)) * 80_000  # three blocks
    s3.put(**{"rock/a.wav": body, "rock/b.wav": b"b"})
    limit = 2 * mirror._BLOCK_BYTES + 5  # the system refuses longer files, as a full disk does

    def break_off():
        process = copying(s3.url, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert "File too large" in process.communicate()[1]
        (part,) = (path for path in (tmp_path / "copies").glob("*/parts/*") if path.stat().st_size > 1)
        assert mirror._BLOCK_BYTES <= part.stat().st_size <= limit
        return part

    with break_off().open("r+b") as part:
        part.write(b"MARK")  # shows that these bytes are not read again
    assert contents(local(s3.url, tmp_path))["rock/a.wav"] == b"MARK" + body[4:]

    s3.put(**{"rock/a.wav": body[::-1]})
    with break_off().open("r+b") as part:
        part.write(b"MARK")
    s3.put(**{"rock/a.wav": body[1:] + body[:1]})  # as many bytes
    assert contents(local(s3.url, tmp_path))["rock/a.wav"] == body[1:] + body[:1]


def test_a_disk_without_space_is_seen_before_the_copy(s3, tmp_path, monkeypatch):
    s3.put(**{"rock/a.wav": b"abc"})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2))
    with pytest.raises(GenreError, match=r"s3://\S+: 3 bytes are to be copied to .*, which has 2 free; make room"):
        local(s3.url, tmp_path)
    assert s3.got() == []


def test_an_object_that_cannot_be_read_fails_the_copy_and_keeps_the_others(s3, tmp_path, server):
    """As in a bucket with archived objects (Glacier): they are listed, and their content is refused."""
    s3.put(**{"rock/a.wav": b"a", "rock/b.wav": b"b"})
    server.put(f"{s3.url.removeprefix('s3://bucket/')}/rock/cold.wav", b"c", StorageClass="GLACIER")
    with pytest.raises(GenreError, match=r"1 of 3 files could not be copied, first 'rock/cold.wav': .*then run again") as caught:
        local(s3.url, tmp_path)
    assert "\n" not in str(caught.value)
    s3.remove("rock/cold.wav")
    s3.got()
    assert contents(local(s3.url, tmp_path)) == {"rock/a.wav": b"a", "rock/b.wav": b"b"}
    assert s3.got() == []


@pytest.mark.parametrize(
    ("url", "environment", "message"),
    [
        ("s3://nowhere/music", {}, "s3://nowhere/music: no such bucket or folder .*; check its name"),
        ("s3://bucket/nothing", {}, "s3://bucket/nothing: nothing is there; is the bucket and the folder spelled right"),
        ("s3://bucket/there/a.jpg", {}, "s3://bucket/there/a.jpg is a file; name a folder, or an archive"),
        ("s3://bucket/there", {}, "s3://bucket/there holds no audio; name a folder that holds <genre>/<file>"),
        (
            "s3://bucket/there",
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "no usable credentials .*; set AWS_ACCESS_KEY_ID",
        ),
        ("s3://bucket/there", {"AWS_PROFILE": "none-such"}, "no usable credentials .*none-such.*; set AWS_ACCESS_KEY_ID"),
        ("s3://bucket/there", {"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense.*; check the network, and AWS_ENDPOINT_URL"),
        ("s3://bucket/there", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "no connection .*; check the network, and AWS_ENDPOINT_URL"),
        ("s3://", {}, "'s3://' is no usable address; write s3://bucket/folder"),
        ("az://there/music", {}, "'az://there/music' is no usable address; write s3://bucket/folder"),
        ("https://[::1/x", {}, "is no usable address"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_remedy(server, s3, tmp_path, monkeypatch, url, environment, message):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server.put("there/a.jpg", b"x")
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(GenreError, match=message) as caught:
        local(url, tmp_path)
    assert str(caught.value).startswith("dataset.folder.path: ")


def test_a_password_and_a_signature_are_not_shown(tmp_path):
    with (
        serve(status(403)) as server,
        pytest.raises(GenreError, match=r"http://127\.0\.0\.1:\d+/genres.tar.gz: the server answered 403") as caught,
    ):
        local(f"{server.url.replace('//', '//user:secret@')}?sign=secret", tmp_path)
    assert "secret" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if "secret" in path.name]


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_named_with_its_extra(tmp_path, scheme, package):
    """A process in which the package cannot be imported."""
    program = f"import sys; sys.modules[{package!r}] = None\n{COPY}"
    done = subprocess.run(
        [sys.executable, "-c", program, f"{scheme}://x/y", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"{scheme}://x/y: {scheme}:// needs more packages; pip install '.[{scheme}]'" in done.stderr


def test_google_cloud_storage_is_read_as_s3_is(tmp_path, monkeypatch):
    with buckets.gs() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        body = bytes(range(256)) * 40_000  # two blocks
        for name, content in {"rock/a.wav": body, "rock/b.wav": b"b", "rock/c.jpg": b"c"}.items():
            bucket.put(f"music/{name}", content)
        root = local("gs://bucket/music", tmp_path)
        assert contents(root) == {"rock/a.wav": body, "rock/b.wav": b"b"}
        kept = (root / "rock/a.wav").stat().st_mtime_ns
        bucket.put("music/rock/b.wav", b"B")
        assert contents(local("gs://bucket/music", tmp_path)) == {"rock/a.wav": body, "rock/b.wav": b"B"}
        assert (root / "rock/a.wav").stat().st_mtime_ns == kept
        with pytest.raises(GenreError, match="gs://nowhere/music: no such bucket or folder"):
            local("gs://nowhere/music", tmp_path)


def archive(kind, files):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as opened:
            for name, content in files.items():
                opened.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                opened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_on_the_web_is_unpacked_once_and_again_when_it_changes(tmp_path, kind):
    (tmp_path / "www").mkdir()
    files = {"My Music/rock/a.wav": b"a", "My Music/jazz/b.wav": b"b", "My Music/metadata.csv": b"path\n", "My Music/cover.jpg": b"x"}
    (tmp_path / f"www/music.{kind}").write_bytes(archive(kind, {**files, "__MACOSX/rock/._a.wav": b"x"}))
    with serve_folder(tmp_path / "www") as server:
        root = local(f"{server.url}/music.{kind}", tmp_path)
        assert contents(root) == {"rock/a.wav": b"a", "jazz/b.wav": b"b", "metadata.csv": b"path\n"}
        inode = (root / "rock/a.wav").stat().st_ino
        server.asked.clear()
        assert local(f"{server.url}/music.{kind}", tmp_path) == root
        assert (len(server.asked), (root / "rock/a.wav").stat().st_ino) == (1, inode)  # the headers, not the body
        changed = archive(kind, {"rock/a.wav": b"A", "jazz/longer.wav": b"c"})
        (tmp_path / f"www/music.{kind}").write_bytes(changed)
        os.utime(tmp_path / f"www/music.{kind}", (1, 2_000_000_000))
        assert contents(local(f"{server.url}/music.{kind}", tmp_path)) == {"rock/a.wav": b"A", "jazz/longer.wav": b"c"}


def test_an_archive_in_a_bucket_is_unpacked_too(s3, tmp_path):
    s3.put(**{"music.tar.gz": archive("tar.gz", {"rock/a.wav": b"a", "jazz/b.wav": b"b"})})
    assert contents(local(f"{s3.url}/music.tar.gz", tmp_path)) == {"rock/a.wav": b"a", "jazz/b.wav": b"b"}


def test_a_broken_or_hostile_archive_is_refused_and_downloaded_again(tmp_path):
    (tmp_path / "www").mkdir()
    path = tmp_path / "www/music.zip"
    with serve_folder(tmp_path / "www") as server:
        for content, message in (
            (b"no archive", "broken or not readable"),
            (archive("zip", {"../rock/a.wav": b"a"}), "outside the target folder"),
            (archive("zip", {"readme.txt": b"a"}), "holds no audio"),
        ):
            path.write_bytes(content)
            with pytest.raises(GenreError, match=rf"dataset\.folder\.path: {server.url}/music.zip.*{message}"):
                local(f"{server.url}/music.zip", tmp_path)
        with pytest.raises(GenreError, match=rf"{server.url}/: the server answered with a web page, not with the file"):
            local(f"{server.url}/", tmp_path)
        path.write_bytes(archive("zip", {"rock/a.wav": b"a", "jazz/b.wav": b"b"}))
        assert contents(local(f"{server.url}/music.zip", tmp_path)) == {"rock/a.wav": b"a", "jazz/b.wav": b"b"}


def test_features_come_from_a_bucket_and_from_the_web(s3, tmp_path):
    s3.put(**{"features.npz": b"npz"})
    for _ in range(2):
        assert remote.local_features(f"{s3.url}/features.npz", tmp_path).read_bytes() == b"npz"
    assert s3.got() == ["features.npz"]
    with serve(whole(b"other")) as server:
        assert remote.local_features(server.url, tmp_path).read_bytes() == b"other"
    with pytest.raises(GenreError, match=r"dataset\.features\.path: s3://\S+ is a folder; name one file"):
        remote.local_features(s3.url, tmp_path)


@pytest.mark.parametrize("path", ["data/my_music", "/abs/x", "../x", "c:/music", "C:\\music", "music:old/x", "a//b"])
def test_a_path_of_this_disk_stays_as_it_is(path, tmp_path):
    assert str(remote.local_music(path, tmp_path)) == str(remote.local_features(path, tmp_path)) == os.path.normpath(path)


def test_the_journal_has_one_line_per_file(s3, tmp_path):
    s3.put(**{"rock/a.wav": b"a"})
    for number in range(3):
        s3.put(**{"rock/b.wav": b"%d" % number})
        root = local(s3.url, tmp_path)
    lines = (root.parent / "objects.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["rock/a.wav", "rock/b.wav"]
