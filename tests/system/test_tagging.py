"""`genre tag` that is killed at any moment, on a full or a read-only disk: each file is whole, and undo restores it."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers.closure import ROOT
from helpers.project import environment
from helpers.tagged import make_all, samples

from genre_core.library.tag_formats.reading import read_fields


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("library"))[0].parent


@pytest.fixture
def music(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "music")


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal.jsonl"


def genre(*arguments, wrapper=(), **options):
    command = [*wrapper, sys.executable, "-m", "genre_core.apps.cli.main", "tag", *map(str, arguments)]
    return subprocess.run(command, env=environment(ROOT), capture_output=True, text=True, check=False, **options)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if not path.name.startswith(".")}


def killed(journal, wait_s, *arguments):
    """Start a command, wait until it writes its journal, and kill it a moment later; tell whether it was still running."""
    size = journal.stat().st_size if journal.exists() else 0
    process = subprocess.Popen(
        [sys.executable, "-m", "genre_core.apps.cli.main", "tag", *map(str, arguments)],
        env=environment(ROOT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and (not journal.exists() or journal.stat().st_size <= size):
        time.sleep(0.001)
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_kill_9_at_any_moment_leaves_each_file_whole(music, journal):
    rng = random.Random(0)
    before, audio = digests(music), {path.name: samples(path) for path in music.iterdir()}
    kills = 0
    for _ in range(5):
        kills += killed(journal, rng.uniform(0, 0.3), music, "--journal", journal)
        written = {}
        for line in journal.read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last line may be incomplete
                record = json.loads(line)
                written.setdefault(os.path.basename(record["path"]), set()).add(record["after_sha256"])  # noqa: PTH119
        for name, digest in digests(music).items():
            assert digest == before[name] or digest in written[name], name
        assert {path.name: samples(path) for path in music.iterdir() if not path.name.startswith(".")} == audio
    assert kills >= 2
    done = genre(music, "--journal", journal)
    assert done.returncode == 0, done.stderr
    assert all(read_fields(path).genres == ("classical",) for path in music.iterdir())
    tagged = digests(music)
    kills = 0
    for _ in range(4):
        kills += killed(journal, rng.uniform(0, 0.05), "--undo", "--journal", journal)
        for name, digest in digests(music).items():
            assert digest in (before[name], tagged[name]), name
    assert kills >= 1
    done = genre("--undo", "--journal", journal)
    assert done.returncode == 0, done.stderr
    assert digests(music) == before
    assert sorted(path.name for path in music.iterdir()) == sorted(before)  # no copy of a killed run is left


def test_an_undo_right_after_a_kill(music, journal):
    before = digests(music)
    for wait_s in (0.0, 0.05):
        killed(journal, wait_s, music, "--journal", journal)
        done = genre("--undo", "--journal", journal)
        assert done.returncode == 0, done.stderr
        assert digests(music) == before
    assert sorted(path.name for path in music.iterdir()) == sorted(before)


def test_ctrl_c_leaves_each_file_whole(music, journal):
    before = digests(music)
    process = subprocess.Popen(
        [sys.executable, "-m", "genre_core.apps.cli.main", "tag", str(music), "--journal", str(journal)],
        env=environment(ROOT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    while process.poll() is None and (not journal.exists() or not journal.stat().st_size):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr.read().strip().splitlines() == ["interrupted"]
    assert genre("--undo", "--journal", journal).returncode == 0
    assert digests(music) == before
    assert sorted(path.name for path in music.iterdir()) == sorted(before)


def mount(*arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """Folder with a disk of its own, of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder, left_bytes):
    """Leave so many bytes on the disk of a folder."""
    status = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - left_bytes)))


def test_a_full_disk_is_one_line_a_file_and_room_helps(originals, disk, journal):
    music = shutil.copytree(originals, disk / "music")
    before = digests(music)
    fill(disk, 150_000)  # room for a copy of the smallest files alone
    done = genre(music, "--journal", journal)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert 3 < len(lines) < len(before), done.stderr
    assert all("No space left on device" in line and line.startswith("error: /") for line in lines), done.stderr
    assert len(journal.read_text().splitlines()) == len(before) - len(lines)
    assert len([name for name, digest in digests(music).items() if digest == before[name]]) == len(lines)
    assert sorted(path.name for path in music.iterdir()) == sorted(before)
    (disk / "filler").unlink()
    assert genre(music, "--journal", journal).returncode == 0
    assert all(read_fields(path).genres for path in music.iterdir())
    fill(disk, 0)
    done = genre("--undo", "--journal", journal)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == len(before), done.stderr
    (disk / "filler").unlink()
    assert genre("--undo", "--journal", journal).returncode == 0
    assert digests(music) == before


def test_without_room_for_the_journal_no_file_is_changed(music, disk):
    before = digests(music)
    journal = disk / "journal.jsonl"
    journal.touch()
    fill(disk, 0)
    done = genre(music, "--journal", journal)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [f"error: {journal}: cannot be written: No space left on device"]
    assert digests(music) == before
    assert sorted(path.name for path in music.iterdir()) == sorted(before)


def test_a_read_only_folder_is_one_line_a_file(originals, disk, tmp_path, journal):
    (tmp_path / "both").mkdir()
    shutil.copytree(originals, disk / "music")
    shutil.copy(originals / "bare.flac", tmp_path / "both" / "free.flac")
    mount("-o", "remount,ro", str(disk))
    done = genre(disk / "music", tmp_path / "both", "--journal", journal)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == len(list(originals.iterdir()))
    assert all("is read-only; make it writable first" in line for line in lines), done.stderr
    assert read_fields(tmp_path / "both" / "free.flac").genres == ("classical",)
    done = genre(tmp_path / "both", "--overwrite", "--journal", disk / "journal.jsonl")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [f"error: {disk / 'journal.jsonl'}: cannot be written: Read-only file system"]
