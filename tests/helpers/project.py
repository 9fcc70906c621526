"""A small real project, and commands in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from helpers.closure import ROOT

from genre_core.features.spectrogram import FeatureSpec

SPEC = FeatureSpec(sample_rate=22050, n_fft=2048, hop_length=512, n_mels=128, n_mfcc=20, fmin_hz=20.0, fmax_hz=11025.0)


def environment(project: Path, **more: str) -> dict[str, str]:
    """Environment variables for a command in `project`: this interpreter's programs first on PATH, the project's own modules."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(project), **more}


def run(*command: str, cwd: Path, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project, with more environment variables; its output is in the failure."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(cwd, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def set_params(project: Path, **values: object) -> None:
    """Change keys of a project's params.yaml, ``__`` for a dot."""
    path = project / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    for key, value in values.items():
        *sections, last = key.split("__")
        node = tree
        for section in sections:
            node = node[section]
        node[last] = value
    path.write_text(yaml.safe_dump(tree))


SMALL = {
    "parallel__workers": 1,  # a pool takes longer to start than these few tracks to compute
    "cache__folder": ".cache/tracks",  # not the user's
    "dataset__demo__artists_per_genre": 3,
    "dataset__demo__tracks_per_artist": 1,
    "dataset__demo__seconds": 6.0,
    "segment__folds": 3,
    "segment__seconds": 3.0,
    "segment__hop_seconds": 1.5,
    "train__epochs": 2,
    "train__windows_per_epoch": 64,
    "train__batch_size": 16,
    "train__threads": 1,  # tests run side by side
    "model__cnn__width": 4,
    "evaluate__bootstrap_samples": 100,
}


def copy_project(target: Path) -> Path:
    """The working tree as a git repository of its own: what git tracks, with the small demo in params.yaml."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name not in ("dvc.lock",):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    set_params(target, **SMALL)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=target, check=True)
    return target


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of the session that `make` fills: in one process, while the others wait."""
    beside = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if beside else tmp_path_factory.getbasetemp()
    with FileLock(shared / f"{name}.lock"):
        if not (shared / f"{name}.done").exists():
            make(shared / name)
            (shared / f"{name}.done").touch()
    return shared / name
