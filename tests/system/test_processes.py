"""Training by two real processes that torch's launcher starts, with gloo."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from helpers.closure import ROOT
from helpers.project import environment, run, set_params
from safetensors.torch import load_file

from genre_core.util.files import digest

EPOCHS = 5
TRAIN = (sys.executable, "-m", "stages.train")
LAYERS = """
import os
import torch
from torch import distributed, nn
from genre_core.training.processes import joined
from genre_core.training.whole_batch import share_batches

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 8), nn.BatchNorm1d(8),
                         nn.Dropout(0.5), nn.Linear(8, 3)).double()

x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 5 + 100
with joined(torch.device("cpu")) as processes:
    whole, shared = network(), network()
    share_batches(shared, torch.device("cpu"))
    shared = nn.parallel.DistributedDataParallel(shared)
    for seed in range(3):
        for part, values in ((whole, x), (shared, x.chunk(2)[processes.number])):
            torch.manual_seed(seed)
            part.zero_grad()
            part(values).square().mean().backward()
    for (name, a), b in zip(whole.named_parameters(), shared.module.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-12, msg=lambda text: name + text)
    for (name, a), b in zip(whole.named_buffers(), shared.module.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=lambda text: name + text)
    torch.testing.assert_close(whole.eval()(x), shared.module.eval()(x), rtol=1e-9, atol=1e-12)
    print("equal", processes.number, flush=True)
os._exit(0)
"""


@pytest.fixture
def small(project, tmp_path):
    """Features, index and parameters of the finished small project, without its model."""
    target = tmp_path / "small"
    for name in ("data/index", "data/features"):
        shutil.copytree(project / name, target / name)
    shutil.copy2(project / "params.yaml", target)
    set_params(target, train__epochs=EPOCHS, train__device="cpu", train__precision="fp32")
    return target


def train(project, *command, check=True):
    return run(*(command or TRAIN), cwd=project, check=check, PYTHONPATH=str(ROOT))


def outcome(project):
    return digest(project / "data/model/model.safetensors") + digest(project / "metrics/train/history.csv")


def test_layers_over_two_processes_compute_what_one_computes_on_the_whole_batch(tmp_path):
    (tmp_path / "layers.py").write_text(LAYERS)
    command = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "layers.py")
    done = run(*command, cwd=tmp_path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    assert done.stdout.count("equal") == 2  # the lines of two processes can mix


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_two_processes_train_the_network_of_one(small, mixup):
    """The tolerance is that of the docstring of `loop.fit`; a change of train.threads differs as much."""
    set_params(small, augment__batches__mixup_alpha=mixup)
    train(small)
    one = load_file(small / "data/model/model.safetensors"), list(csv.DictReader((small / "metrics/train/history.csv").open()))
    set_params(small, train__processes=2)
    done = train(small)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1  # the first process prints, and no other
    by_parameter = outcome(small)
    two = load_file(small / "data/model/model.safetensors"), list(csv.DictReader((small / "metrics/train/history.csv").open()))
    for a, b in zip(one[1], two[1], strict=True):
        assert a["lr"] == b["lr"]
        assert float(a["train_loss"]) == pytest.approx(float(b["train_loss"]), rel=0.01)
        assert float(a["valid_loss"]) == pytest.approx(float(b["valid_loss"]), rel=0.01)
    weights = [torch.cat([values.double().flatten() for name, values in sorted(model.items())]) for model, _ in (one, two)]
    assert (weights[0] - weights[1]).norm() / weights[0].norm() < 0.01
    assert not torch.equal(*weights)  # the processes did share the work
    train(small, sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "stages.train")
    assert outcome(small) == by_parameter


def start(project, **more):
    return subprocess.Popen(
        TRAIN,
        cwd=project,
        env=environment(project, **more) | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epoch(project):
    history = project / "metrics/train/history.csv"
    deadline = time.monotonic() + 120
    while not history.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_end_of_one_process_ends_all_with_one_error_and_the_run_resumes_to_the_same_bytes(small):
    set_params(small, train__processes=2, train__windows_per_epoch=512)
    train(small)
    expected = outcome(small)
    for victims in ("second", "launcher", "all"):
        shutil.rmtree(small / "metrics")  # a run writes its history after its first epoch, or when it resumes
        (small / "data/model/model.safetensors").unlink(missing_ok=True)
        launcher = start(small)
        wait_for_epoch(small)
        workers = psutil.Process(launcher.pid).children()
        assert len(workers) == 2
        killed = time.monotonic()
        by_rank = sorted(workers, key=lambda process: process.environ()["RANK"])
        for pid in {"second": [by_rank[1].pid], "launcher": [launcher.pid], "all": [launcher.pid, *(w.pid for w in workers)]}[victims]:
            os.kill(pid, signal.SIGKILL)
        _, error = launcher.communicate(timeout=60)
        psutil.wait_procs(workers, timeout=10)
        assert not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers), victims
        assert time.monotonic() - killed < 30
        assert not (small / "data/model/model.safetensors").exists()
        if victims == "second":
            assert launcher.returncode == 1
            assert error.startswith("error: train.processes: process 1 of 2 was ended by signal SIGKILL (is the memory full?)")
            assert len(error.splitlines()) == 1
    assert "resumed after epoch" in train(small).stdout
    assert outcome(small) == expected


def test_ctrl_c_ends_all_processes_with_one_line(small):
    set_params(small, train__processes=2, train__epochs=200)
    launcher = start(small)
    wait_for_epoch(small)
    workers = psutil.Process(launcher.pid).children()
    launcher.send_signal(signal.SIGINT)
    _, error = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signal.SIGINT
    assert error == "interrupted; no incomplete output is left, run `dvc repro` to continue\n"
    assert not any(w.is_running() for w in workers)


def test_what_two_processes_cannot_do_is_one_error(small):
    set_params(small, train__processes=3)  # and a batch of 16
    assert train(small, check=False).stderr == (
        "error: params.yaml: train: batch_size 16 must be a multiple of processes 3: each takes an equal share\n"
    )
    set_params(small, train__processes=2, train__lr=1.0, train__weight_decay=10.0, train__epochs=30)
    error = train(small, check=False).stderr
    assert error == "" or (error.startswith("error: train.lr: 1 made the loss nan") and len(error.splitlines()) == 1)
    store = small / "data/features/original.h5"
    store.write_bytes(store.read_bytes()[:-100])
    done = train(small, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/features/original.h5")
    assert len(done.stderr.splitlines()) == 1


def test_a_model_that_one_process_fits_is_fitted_by_one(small):
    set_params(small, model__type="svm", train__processes=2)
    train(small)
    expected = outcome(small)
    done = train(small, sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "stages.train")
    assert len(done.stdout.splitlines()) == 1
    assert outcome(small) == expected
