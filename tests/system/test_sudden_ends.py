"""What ends a run in its midst: kill -9, Ctrl-C, a full or read-only disk, another run; `dvc repro` then gives the unbroken lock."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from helpers.closure import ROOT
from helpers.pipeline import STAGES, metrics
from helpers.project import copy_project, environment, run, set_params

from genre_core.errors import GenreError

WRITTEN = ("data", "metrics", ".checkpoints")


def start(project, *command):
    """A command in a process group of its own, as a terminal would have it."""
    log = (project.parent / "log.txt").open("a")
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a child would inherit that nohup ignores it
    try:
        return subprocess.Popen(
            command,
            cwd=project,
            env=environment(project),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGHUP, before)


def running(process, stage, patience_s=300):
    """Wait for the stage's process; False when the run ends without it."""
    needle = f"stages.{stage}\0".encode()
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if needle in Path(f"/proc/{entry.name}/cmdline").read_bytes() and os.getpgid(int(entry.name)) == process.pid:
                        return True
        time.sleep(0.005)
    raise AssertionError(f"{stage} did not start")


def files(project):
    return {path: path.stat().st_mtime_ns for name in WRITTEN for path in (project / name).rglob("*") if path.is_file()}


def wait_for_writing(process, project):
    """Wait until something is written, or the run ends."""
    before = None
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            now = files(project)
            if before is not None and now.items() - before.items():
                return
            before = now if before is None else {k: v for k, v in before.items() if k in now}
        time.sleep(0.001)


def end(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    return process.wait(60)


def locked(project):
    return yaml.safe_load((project / "dvc.lock").read_text())["stages"]


@pytest.fixture
def fresh(tmp_path):
    target = copy_project(tmp_path / "fresh")
    set_params(target, parallel__workers=2)
    return target


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="finds the stage's process in /proc")
def test_kill_9_in_every_stage_at_several_moments(project, own):
    killed = []
    for stage in reversed(STAGES):  # a killed stage leaves no outs, which a later one would miss
        for moment in ("writing", "start", "later")[: 3 if stage in ("extract", "train") else 1]:
            process = start(own, "dvc", "repro", "-f", "-s", stage)
            if not running(process, stage):
                break  # the stage was done before the kill came
            if moment != "start":
                wait_for_writing(process, own)
            if moment == "later":
                time.sleep(0.05)
            if end(process, signal.SIGKILL) == -signal.SIGKILL:
                killed.append(stage)
    assert killed.count("train") >= 2
    assert set(STAGES) == set(killed)
    done = run("dvc", "repro", cwd=own)
    # Also where the run-cache gave a stage's outs back, so that nobody removed what the killed one had begun.
    assert (own / "dvc.lock").read_text() == (project / "dvc.lock").read_text(), done.stdout
    run("dvc", "repro", "-f", "-s", "extract", cwd=own)  # the next writer in that folder does
    assert not [path for folder in ("data", "metrics") for path in (own / folder).rglob("*.part*")]


def test_a_killed_training_goes_on_where_it_was(own):
    set_params(own, train__epochs=30, train__patience=30)
    process = start(own, "dvc", "repro", "train")
    while not list((own / ".checkpoints").glob("[!.]*")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    assert end(process, signal.SIGKILL) == -signal.SIGKILL
    assert "resumed after epoch" in run("dvc", "repro", "train", cwd=own).stdout
    resumed = locked(own)
    run("dvc", "repro", "-f", "-s", "train", cwd=own)
    assert locked(own) == resumed


def test_ctrl_c_says_one_line_and_leaves_nothing_half_written(project, own):
    set_params(own, parallel__workers=2)
    for stage in ("train", "extract", "download"):  # one that ended leaves no outs, which a later one would miss
        process = start(own, "dvc", "repro", "-f", "-s", stage)
        assert running(process, stage)
        wait_for_writing(process, own)
        assert end(process, signal.SIGINT) != 0
    said = (own.parent / "log.txt").read_text()
    assert "Traceback" not in said
    assert said.count("interrupted; no incomplete output is left") == 3
    assert not [path for folder in ("data", "metrics") for path in (own / folder).rglob("*.part*")]
    run("dvc", "repro", cwd=own)
    assert (own / "dvc.lock").read_text() == (project / "dvc.lock").read_text()


def test_ctrl_c_while_a_stage_imports(fresh):
    for _ in range(3):
        process = start(fresh, "dvc", "repro", "download")
        assert running(process, "download")
        time.sleep(0.4)
        end(process, signal.SIGINT)
    assert "Traceback" not in (fresh.parent / "log.txt").read_text()


def family(process):
    """A run's processes, by their working directory."""
    root = process.args_root
    found = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if candidate.cwd() == str(root) and candidate.status() != psutil.STATUS_ZOMBIE:
                found.append(candidate)
    return found


def gone(processes, seconds=15):
    return psutil.wait_procs(processes, timeout=seconds)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("stage", ["download", "train"])
def test_a_signal_to_a_stage_alone_ends_it_and_its_workers_in_one_line(own, number, stage):
    set_params(own, parallel__workers=2)
    process = start(own, "dvc", "repro", "-f", "-s", stage)
    process.args_root = own
    assert running(process, stage)
    wait_for_writing(process, own)
    all_of_it = family(process)
    (main,) = [p for p in all_of_it if f"stages.{stage}" in p.cmdline() and "-m" in p.cmdline()]
    main.send_signal(number)
    assert process.wait(60) != 0
    assert gone(all_of_it)
    said = (own.parent / "log.txt").read_text()
    assert "Traceback" not in said
    assert said.count("interrupted; no incomplete output is left") == 1
    assert not [path for folder in ("data", "metrics") for path in (own / folder).rglob("*.part*")]


@pytest.mark.parametrize("stage", ["download", "train"])
def test_a_killed_dvc_takes_its_stage_along_and_the_next_run_is_as_unbroken(project, own, stage):
    """DVC deletes a stage's outs before it runs it again: the one before must not be writing them then."""
    set_params(own, parallel__workers=2)
    process = start(own, "dvc", "repro", "-f", "-s", stage)
    process.args_root = own
    assert running(process, stage)
    wait_for_writing(process, own)
    all_of_it = family(process)
    assert len(all_of_it) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    run("dvc", "repro", stage, cwd=own)  # at once, while the first may still be there
    assert gone(all_of_it)
    assert "Traceback" not in (own.parent / "log.txt").read_text()
    assert locked(own) == locked(project)


def test_a_dvc_that_is_killed_while_its_stage_imports_takes_it_along(fresh):
    for wait_s in (0.0, 0.3, 1.0):
        process = start(fresh, "dvc", "repro", "download")
        process.args_root = fresh
        assert running(process, "download")
        time.sleep(wait_s)
        all_of_it = family(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert gone(all_of_it, 5), wait_s
    assert "Traceback" not in (fresh.parent / "log.txt").read_text()


def test_a_stage_whose_dvc_ended_before_it_looked_ends_too(fresh):
    """The shell between them is left: its parent is the system's first process then."""
    command = f"sleep 0.5; {sys.executable} -m stages.download; true"
    starter = f"import os, subprocess; subprocess.Popen(['sh', '-c', {command!r}]); os._exit(0)"
    log = (fresh.parent / "log.txt").open("w+")
    run_in = {**environment(fresh), "DVC_STAGE": "download"}
    subprocess.run([sys.executable, "-c", starter], cwd=fresh, env=run_in, stdout=log, stderr=subprocess.STDOUT, check=True)
    until = time.monotonic() + 60
    while "has ended" not in (fresh.parent / "log.txt").read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not (fresh / "data" / "raw").exists()


def test_a_killed_stage_takes_its_workers_along(fresh):
    process = start(fresh, sys.executable, "-m", "stages.download")
    process.args_root = fresh
    wait_for_writing(process, fresh)
    until = time.monotonic() + 60
    while len(family(process)) < 4 and time.monotonic() < until:  # itself, the tracker, the fork server and a worker
        time.sleep(0.05)
    all_of_it = family(process)
    assert len(all_of_it) >= 4
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(all_of_it)


def test_two_processes_of_one_stage_do_not_work_at_once(fresh, monkeypatch):
    from stages import run as stage_runs

    monkeypatch.chdir(fresh)
    monkeypatch.setattr(stage_runs, "_LOCK_SECONDS", 0.5)
    holder = "import time, stages.run\nwith stages.run._alone('download'): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder], cwd=fresh, env=environment(fresh), stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with pytest.raises(GenreError, match=r"another process runs `python -m stages\.download` here"), stage_runs._alone("download"):
            pass
        first.kill()
    with stage_runs._alone("download"):  # what a killed process held is free
        pass


def test_a_worker_without_memory_is_one_line(fresh):
    code = (
        "import resource, stages.run, numpy\n"
        "from functools import partial\n"
        "from genre_core.util.parallel import map_tracks\n"
        "def main():\n"
        "    list(map_tracks(partial(numpy.zeros, dtype='f8'), [10, 10**14, 10], workers=WORKERS))\n"
        "    return 'done'\n"
        "if __name__ == '__main__': stages.run.run(main)\n"
    )
    for workers in ("1", "2"):
        (fresh / "try_it.py").write_text(code.replace("WORKERS", workers))
        done = run(sys.executable, "try_it.py", cwd=fresh, check=False)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "needs more memory than there is" in done.stderr


def mount(*arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def unmounted():
    """Folders to unmount in the end."""
    folders = []
    yield folders
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def used_kb(folder):
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024


def test_a_full_disk_and_then_room(project, tmp_path, unmounted):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk))
    unmounted.append(disk)
    target = copy_project(disk / "p")
    failures = []
    for room_kb in (40, 1000, 4000, 700, 700, 700, 64000):
        mount("-o", f"remount,size={used_kb(disk) + room_kb}k", str(disk))
        done = run("dvc", "repro", cwd=target, check=False, PYTHONDONTWRITEBYTECODE="1")
        if done.returncode == 0:
            break
        failures.append(done.stdout + done.stderr)
        assert re.search("[Nn]o space left on device|disk is full|disk I/O error|unable to open database", failures[-1]), failures[-1]
        assert "Traceback" not in failures[-1], failures[-1]
    assert len(failures) >= 3
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "dvc.lock").read_text() == (project / "dvc.lock").read_text()


def test_a_read_only_data_folder_and_then_a_writable_one(project, fresh, unmounted):
    data = fresh / "data"
    mount("--bind", str(data), str(data))
    unmounted.append(data)
    mount("-o", "remount,bind,ro", str(data))
    done = run("dvc", "repro", cwd=fresh, check=False)
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    mount("-o", "remount,bind,rw", str(data))
    run("dvc", "repro", "segment", cwd=fresh)
    assert locked(fresh).items() <= locked(project).items()


def test_two_runs_at_once(project, fresh):
    first = start(fresh, "dvc", "repro", "extract")
    assert running(first, "download")
    second = run("dvc", "repro", "extract", cwd=fresh, check=False)
    assert second.returncode == 0 or re.search("is busy|Unable to acquire lock", second.stderr), second.stderr
    assert first.wait(300) == 0, (fresh.parent / "log.txt").read_text()
    run("dvc", "repro", "extract", cwd=fresh)
    assert locked(fresh).items() <= locked(project).items()


def test_a_queue_with_two_workers(own):
    subprocess.run(["git", "add", "-A"], cwd=own, check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "run"], cwd=own, check=True)
    for name, change in (("fnn", "model.type=fnn"), ("slow", "train.lr=0.0001"), ("plain", "augment.batches.mixup_alpha=0.3")):
        run("dvc", "exp", "run", "--queue", "-n", name, "-S", change, "evaluate", cwd=own)
    run("dvc", "queue", "start", "-j", "2", cwd=own)
    until = time.monotonic() + 400
    while time.monotonic() < until:
        status = run("dvc", "queue", "status", cwd=own).stdout
        if not re.search("Queued|Running", status):
            break
        time.sleep(1)
    assert status.count("Success") == 3, status + "".join(
        run("dvc", "queue", "logs", n, cwd=own, check=False).stdout for n in ("fnn", "slow")
    )
    run("dvc", "exp", "apply", "fnn", cwd=own)
    queued = metrics(own, "test")
    assert queued["model"]["type"] == "fnn"
    run("git", "checkout", "-q", "-f", "HEAD", cwd=own)
    run("dvc", "exp", "run", "-S", "model.type=fnn", "evaluate", cwd=own)
    assert metrics(own, "test") == queued


def test_a_signal_at_the_very_end_of_a_stage_leaves_no_traceback(tmp_path):
    (tmp_path / "last.py").write_text(
        "import atexit, os, signal\nfrom stages.run import hear_signals, run\n\n\ndef main():\n    return 'done'\n\n\n"
        "hear_signals()\natexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\nrun(main)\n"
    )
    done = run(sys.executable, "last.py", cwd=tmp_path, check=False, PYTHONPATH=str(ROOT))
    assert done.stdout.startswith("done (")
    assert done.stderr == ""
    assert done.returncode == -signal.SIGTERM
