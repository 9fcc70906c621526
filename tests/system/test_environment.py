"""Systems that refuse what is usual: a read-only installation, no shared memory, locked files."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, SPEC, environment

from genre_core.audio.io import write
from genre_core.features.store import write_store
from genre_core.util import environment as libraries

GENRE = [sys.executable, "-m", "genre_core.apps.cli.main"]


def in_namespace(script, *command, cwd, **variables):
    """Run a command after a shell script that mounts, where no other process sees the mounts."""
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(cwd)], capture_output=True, check=False).returncode:
        pytest.skip("mounts are not permitted here")
    arguments = ["unshare", "-m", "sh", "-ec", f'{script}\nexec "$@"', "sh", *command]
    return subprocess.run(arguments, cwd=cwd, env=environment(ROOT, **variables), capture_output=True, text=True, check=False)


@pytest.fixture
def songs(tmp_path):
    for i in range(2):
        write(tmp_path / f"m/rock/{i}.wav", 0.1 * np.random.default_rng(i).normal(size=3 * 22050), 22050)
    return tmp_path


def test_without_shared_memory_one_process_does_the_work(songs):
    full = "mount -t tmpfs -o size=4k tmpfs /dev/shm; head -c 4096 /dev/zero > /dev/shm/x"
    (songs / "try.py").write_text(
        "import os\nos.sched_getaffinity = lambda _: {0, 1}\nfrom genre_core.apps.cli.main import main\n"
        "raise SystemExit(main(['features', 'm', '--out', 'o.npz']))\n"
    )
    done = in_namespace(full, sys.executable, "try.py", cwd=songs)
    assert (done.returncode, done.stdout) == (0, "o.npz: log-mel and MFCC of 2 files\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: /dev/shm cannot hold the locks of worker processes (")
    assert line.endswith("one process does all the work; make room there, or mount it")


def test_a_read_only_installation_compiles_into_a_private_folder(songs):
    site = Path(np.__file__).parents[1]
    script = f"mount --bind {site} {site}; mount -o remount,bind,ro {site}; mkdir home tmp; mount -t tmpfs -o ro tmpfs home"
    code = (
        "import sys; sys.argv[0] = 'genre'; import genre_core.apps.cli, os; print(os.environ['NUMBA_CACHE_DIR']);"
        "import librosa.core.notation"  # has functions that numba compiles
    )
    variables = {"HOME": str(songs / "home"), "XDG_CACHE_HOME": "", "TMPDIR": str(songs / "tmp")}
    done = in_namespace(script, sys.executable, "-c", code, cwd=songs, **variables)
    assert done.returncode == 0, done.stderr
    folder = songs / "tmp" / f"genre-numba-{os.getuid()}"
    assert done.stdout.strip() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = libraries._private_folder()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="belongs to another user"):
        libraries._private_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"belongs to another user|exists"):
        libraries._private_folder()


def test_a_store_opens_where_files_cannot_be_locked(tmp_path):
    """Another process holds the lock that HDF5 wants."""
    write_store(tmp_path / "s.h5", SPEC, [("a", {"mel": np.zeros((5, 128), np.float16)})])
    read = f"from genre_core.features.store import FeatureStore; print(*FeatureStore({str(tmp_path / 's.h5')!r}).tracks)"
    with (tmp_path / "s.h5").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = subprocess.run([sys.executable, "-c", read], env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.stdout == "a\n", done.stderr


def test_commands_and_stages_prepare_the_libraries(tmp_path):
    (tmp_path / "stages").mkdir()
    probe = "import os; print(os.environ['JOBLIB_MULTIPROCESSING'])"
    for orig in (["python", "-m", "genre_core.apps.cli.main"], ["python", "-m", "stages.train"]):
        code = f"import sys; sys.orig_argv = {orig}; import {'stages' if 'stages.train' in orig else 'genre_core.apps.cli'}; {probe}"
        variables = {key: value for key, value in environment(ROOT).items() if key != "JOBLIB_MULTIPROCESSING"}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.stdout == "0\n", done.stderr


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "utf-8"}, ASCII]
)
def test_terminals_that_are_not_utf_8_lose_nothing(tmp_path, variables):
    code = (
        "from genre_core.terminal import *; show_any_text()\n"
        "say('\\u97f3\\xe9\\U0001f600'); say_json({'a': '\\u97f3\\xe9\\U0001f600\\udce9'})"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(ROOT, **variables), capture_output=True, check=True)
    line, shown = done.stdout.split(b"\n", 1)
    encoding = variables.get("PYTHONIOENCODING", "ascii")
    assert line == "音é\U0001f600".encode(encoding, "backslashreplace")
    assert json.loads(shown.decode(encoding)) == {"a": "音é\U0001f600\udce9"}


def test_an_audit_of_any_names_on_a_terminal_without_letters(tmp_path):
    for name in ("Música/音楽 é.wav", os.fsdecode(b"Rock/caf\xe9.wav")):
        write(tmp_path / "m" / name, 0.1 * np.random.default_rng(0).normal(size=3 * 22050), 22050)
    command = [*GENRE, "audit", "m", "--out", "out", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(ROOT, **ASCII), capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"m: `dvc repro` would stop at Rock/caf%E9.wav: remove or rename it first, if this is a data set\n"
    (pair,) = json.loads(done.stdout.decode("ascii"))["pairs"]
    assert [pair["a"], pair["b"]] == ["Música/音楽 é.wav", "Rock/caf%E9.wav"]
    for name in ("report.md", "tracks.csv", "pairs.csv"):
        assert "caf%E9.wav" in (tmp_path / "out" / name).read_text(encoding="utf-8")
