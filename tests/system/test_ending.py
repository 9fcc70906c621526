"""Ctrl-C, and a reader that ends: every command ends soon, in one line, and leaves nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from helpers.project import ROOT, environment

from genre_core.audio.io import write
from genre_core.util.files import write_csv

GENRE = [sys.executable, "-m", "genre_core.apps.cli.main"]
SOON_SECONDS = 4  # 1.2 on an idle machine
MODEL = ("--model", "pretrained")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with four files of five minutes, and predictions whose intervals take seconds."""
    folder = tmp_path_factory.mktemp("work")
    noise = 0.1 * np.random.default_rng(0).normal(size=300 * 44100)
    for name in ("rock/a.wav", "rock/b.wav", "jazz/a.wav", "jazz/b.wav"):
        (folder / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / "m" / name, np.roll(noise, len(name)), 44100)
    rows = [{"track": f"t{i}", "true": "a", "predicted": "ab"[i % 2], "artist": f"x{i}"} for i in range(30_000)]
    write_csv(folder / "p.csv", list(rows[0]), rows)
    return folder


def allow_ctrl_c():
    """A test that runs as a job in the background inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(work, *arguments, **more):
    """Start a command in a session of its own, as a terminal would have it."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options = {"cwd": work, "env": environment(ROOT), "start_new_session": True, "text": True, "preexec_fn": allow_ctrl_c, **pipes, **more}
    return subprocess.Popen([*GENRE, *arguments], **options)


def left(session):
    """Processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return psutil.wait_procs(found, timeout=2)[1]


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (("predict", "m", *MODEL), 0.5),
        (("predict", "m", *MODEL), 3),
        (("features", "m", "--format", "csv", "--out", "o.csv"), 3),
        (("audit", "m"), 2.5),
        (("explain", "m/rock/a.wav", *MODEL, "--out", "o.png"), 2.5),
        (("export", "o.onnx", *MODEL), 2.5),
        (("serve", *MODEL), 0.3),
        (("compare", "p.csv", "p.csv"), 1.5),
    ],
)
def test_ctrl_c_ends_a_command_in_one_line(work, arguments, seconds):
    process = start(work, *arguments)
    time.sleep(seconds)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    assert process.wait(30) == 130
    assert time.monotonic() - began < SOON_SECONDS
    assert process.stderr.read().splitlines()[-1:] == ["interrupted"]
    assert left(process.pid) == []
    assert sorted(path.name for path in work.iterdir()) == ["m", "p.csv"]


def test_ctrl_c_ends_listen_with_its_latency(work):
    process = start(work, "listen", "--stdin", *MODEL, text=False)
    assert process.stderr.readline().startswith(b"model pretrained")
    process.stdin.write(bytes(2 * 22050 * 6))
    process.stdin.flush()
    assert b" s " in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(SOON_SECONDS) == 130
    assert process.stderr.read().splitlines()[-1].startswith(b"latency ")


def test_ctrl_c_that_is_ignored_stays_ignored(work):
    """As for a job that a script starts in the background."""
    process = start(work, "compare", "p.csv", "p.csv", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_reader_that_ends_is_the_end_of_predict(work):
    process = start(work, "predict", "m", *MODEL)
    assert process.stdout.readline().startswith("model pretrained")
    process.stdout.close()
    began = time.monotonic()
    assert process.wait(30) == 141
    assert time.monotonic() - began < SOON_SECONDS
    assert process.stderr.read() == ""
    assert left(process.pid) == []


@pytest.mark.parametrize("arguments", [("audit", "m"), ("compare", "p.csv", "p.csv"), ("completion", "bash"), ("--help",)])
def test_a_reader_that_has_ended_is_no_traceback(work, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    began = time.monotonic()
    process = start(work, *arguments, stdout=writer)
    os.close(writer)
    assert process.wait(30) in (0, 141)  # argparse itself writes --help
    assert time.monotonic() - began < SOON_SECONDS
    assert process.stderr.read() == ""


def test_features_are_written_though_nobody_reads_the_summary(work, tmp_path):
    write(tmp_path / "a.wav", np.zeros(22050), 22050)
    reader, writer = os.pipe()
    os.close(reader)
    process = start(tmp_path, "features", "a.wav", "--out", "o.npz", stdout=writer)
    assert process.wait(60) == 141
    assert (tmp_path / "o.npz").stat().st_size > 1000


def test_ctrl_c_raises_nothing_in_an_import(tmp_path):
    """C++ code that starts up, such as torch's, aborts the process at an exception."""
    (tmp_path / "starts_up.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    x = [*range(9)]\nexcept KeyboardInterrupt:\n    os.abort()\n"
    )
    program = "from genre_core.apps.cli import ending\nending.end_on_ctrl_c()\nending.main_begins()\nimport starts_up\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment(ROOT), "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        preexec_fn=allow_ctrl_c,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
