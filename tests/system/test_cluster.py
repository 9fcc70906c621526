"""Work on a Dask cluster: real scheduler and workers over TCP, which die, are missing or are not ours."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest
from helpers.closure import ROOT
from helpers.cluster import ends_its_process, scheduler, slow_square, worker
from helpers.project import copy_project, environment
from helpers.stages import run_stages

from genre_core.errors import GenreError
from genre_core.util.files import digest
from genre_core.util.parallel import map_tracks


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler with two workers, one of them with two threads; the address of the scheduler."""
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        file, _ = stack.enter_context(scheduler(folder, ROOT))
        stack.enter_context(worker(file, folder / "a", ROOT))
        stack.enter_context(worker(file, folder / "b", ROOT, threads=2))
        yield file


def outputs(project):
    return {str(path.relative_to(project)): digest(path) for name in ("data", "metrics") for path in (project / name).rglob("*.*")}


def test_a_cluster_leaves_the_bytes_of_one_process(own, cluster, tmp_path):
    shared = copy_project(tmp_path / "shared")
    shutil.copytree(own / "data/model", shared / "data/model")
    for name in ("train", "test"):
        shutil.copytree(own / "metrics" / name, shared / "metrics" / name, dirs_exist_ok=True)
    dask = {"parallel__backend": "dask", "parallel__address": cluster, "cache__gigabytes": 0.0}
    run_stages(shared, "download", "audit", "segment", "extract", "augment", **dask)
    run_stages(shared, "explore", "interventions", "fetch_external", "validate_external")
    for project in (own, shared):
        run_stages(project, "embed", model__type="musicnn")
    assert len(outputs(shared)) > 60
    assert {name: shared for name, shared in outputs(shared).items() if outputs(own)[name] != shared} == {}


def test_a_worker_that_is_killed_costs_a_retry(cluster, tmp_path):
    with worker(cluster, tmp_path, ROOT) as third:
        results = []
        for square, process in map_tracks(slow_square, iter(range(200)), workers=cluster):
            results.append(square)
            if process == third.pid and third.poll() is None:
                os.kill(third.pid, signal.SIGKILL)
        assert third.wait(10) == -signal.SIGKILL
    assert results == [i * i for i in range(200)]


def test_a_track_that_kills_every_worker_is_one_error(tmp_path):
    full = pytest.raises(GenreError, match=r"workers of tcp://.* died at one track, probably because the memory was full")
    with scheduler(tmp_path, ROOT) as (file, _), worker(file, tmp_path / "a", ROOT, nanny=True), full:
        list(map_tracks(ends_its_process, range(6), workers=file))


def test_at_most_two_items_a_thread_are_in_work(cluster):
    taken = []

    def items():
        for i in range(60):
            taken.append(i)
            yield i

    for done, _ in enumerate(map_tracks(slow_square, items(), workers=cluster)):
        assert len(taken) <= done + 1 + 2 * 4
    assert len(taken) == 60


def test_two_projects_at_once_keep_their_folders(cluster, tmp_path):
    """A process has one folder, and these workers work for both, also with two threads."""
    found = {}

    def work(name):
        program = "import sys; from genre_core.util.parallel import map_tracks; from helpers.cluster import folder_of\n"
        program += "print({*map_tracks(folder_of, range(40), workers=sys.argv[1])})"
        (tmp_path / name).mkdir()
        found[name] = subprocess.run(
            [sys.executable, "-c", program, cluster],
            cwd=tmp_path / name,
            env=environment(ROOT, PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests'}"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: f"{{{str(tmp_path / name)!r}}}\n" for name in ("one", "two")}


def test_a_scheduler_that_is_not_there_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr("genre_core.util.cluster._CONNECT_SECONDS", 1)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    for address, message in {
        "tcp://127.0.0.1:9": r"tcp://127.0.0.1:9: no Dask scheduler answers .* set parallel.backend: local",
        str(tmp_path / "none.json"): r"none.json: no such scheduler file",
        "what is this": r"what is this: no Dask scheduler answers",
        "": r"dask needs parallel.address",
    }.items():
        with pytest.raises(GenreError, match=message):
            list(map_tracks(slow_square, range(3), workers=address))


def test_a_scheduler_that_ends_is_one_error(tmp_path):
    with scheduler(tmp_path, ROOT) as (file, process), worker(file, tmp_path / "a", ROOT):
        results = map_tracks(slow_square, range(1000), workers=file)
        next(results)
        process.kill()
        with pytest.raises(GenreError, match=r"the Dask scheduler at tcp://.* has ended"):
            list(results)


def test_a_worker_of_another_version_is_refused(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "genre_core", other / "genre_core", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "genre_core" / "audio" / "io.py").open("a") as file:
        file.write("# another version\n")
    refused = pytest.raises(GenreError, match=r"runs another version of genre_core, in .*other.genre_core: install the same version")
    with scheduler(tmp_path, ROOT) as (address, _), worker(address, tmp_path / "a", other), refused:
        list(map_tracks(slow_square, range(3), workers=address))


def test_a_cluster_without_workers_says_that_it_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("genre_core.util.cluster._WAIT_SECONDS", 0.5)
    with scheduler(tmp_path, ROOT) as (file, _), ExitStack() as stack:
        threading.Timer(2, lambda: stack.enter_context(worker(file, tmp_path / "late", ROOT))).start()
        with pytest.warns(UserWarning, match="has no worker yet: waiting for one"):
            assert [square for square, _ in map_tracks(slow_square, range(4), workers=file)] == [0, 1, 4, 9]
