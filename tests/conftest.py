"""Signals with known answers, and a small real project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.audit import music  # noqa: F401 (a fixture)
from helpers.closure import ROOT
from helpers.hostile import zoo  # noqa: F401 (a fixture)
from helpers.project import copy_project, made_once, run

from genre_core import config


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before tests run side by side, one process compiles what they share."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, "-c", "from genre_core.features.kaggle import compile_numba; compile_numba()"], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: the last test to end would else run alone, minutes after the others."""
    items.sort(key=lambda item: item.path.name not in ("test_sudden_ends.py", "test_commands.py"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def params() -> config.Params:
    committed = config.load(ROOT / "params.yaml")
    return committed.model_copy(update={"train": committed.train.model_copy(update={"threads": 1})})  # tests run side by side


@pytest.fixture
def write_tone(tmp_path: Path) -> Callable[..., Path]:
    """Write a sine to a file: ``write_tone("a.wav", hz=440, seconds=3, sample_rate=22050, channels=1)``."""

    def write(
        name: str, *, hz: float = 440.0, seconds: float = 3.0, sample_rate: int = 22050, channels: int = 1, gain: float = 0.5
    ) -> Path:
        t = np.arange(round(seconds * sample_rate)) / sample_rate
        y = gain * np.sin(2 * np.pi * hz * t)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([y] * channels, axis=1), sample_rate)
        return path

    return write


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `dvc repro` has run on the small demo; tests that change it copy it first."""
    return made_once(tmp_path_factory, "project", lambda target: run("dvc", "repro", cwd=copy_project(target)))


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of the finished project that a test may change."""
    return shutil.copytree(project, tmp_path / "own", symlinks=True)
