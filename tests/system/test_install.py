"""`pip install .` brings what `genre predict` needs; other commands name the extra that they need."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.audio import encode
from helpers.base_only import PROJECT, OnlyBase
from helpers.closure import ROOT
from packaging.requirements import Requirement

from genre_core.apps.cli.common import missing_extra
from genre_core.audio.io import write

EXTRAS = PROJECT["optional-dependencies"]
MODULES = {"scikit-learn": "sklearn", "yt-dlp": "yt_dlp"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    y = (0.2 * rng.normal(size=6 * 22050) * np.linspace(0.1, 1, 6 * 22050)).astype(np.float32)
    write(folder / "a.wav", y, 22050)
    encode(folder / "b.m4a", y, 22050, "aac")
    return folder


def genre(folder, *arguments):
    """Run a command with the base dependencies alone, in a folder outside of the clone."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    command = [sys.executable, "-m", "helpers.base_only", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_predict_needs_the_base_dependencies_alone(folder):
    assert {"librosa", "h5py", "scipy", "sklearn", "matplotlib", "requests", "dvc", "yt_dlp", "pytest"} <= OnlyBase.hidden
    done = genre(folder, "predict", "--json", "a.wav", "b.m4a")  # one file for libsndfile, one for PyAV
    assert (done.returncode, done.stderr) == (0, "")
    assert [answer["file"] for answer in json.loads(done.stdout)] == ["a.wav", "b.m4a"]


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["predict", "--timeline", "t.png", "a.wav"], ("matplotlib", "pipeline")),
        (["features", "--format", "csv", "a.wav"], ("librosa", "pipeline")),
        (["completion", "bash"], ("shtab", "pipeline")),
        (["serve"], ("starlette", "app")),
        (["export", "g.onnx"], ("onnx", "export")),
        (["listen"], ("sounddevice", "listen")),
        (["tag", "song.wav"], ("mutagen", "tags")),
    ],
)
def test_a_command_without_its_extra_names_the_remedy(folder, arguments, missing):
    done = genre(folder, *arguments)
    package, extra = missing
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: genre {arguments[0]} needs {package}; pip install '.[{extra}]'"
    assert "Traceback" not in done.stderr


def test_audit_names_the_extra_that_has_all_it_needs(folder):
    done = genre(folder, "audit", ".")
    assert done.returncode == 2
    assert "mutagen" in done.stderr and done.stderr.rstrip().endswith("pip install '.[pipeline]'")
    assert "Traceback" not in done.stderr


def test_similar_needs_the_base_dependencies_alone(folder, tmp_path):
    done = genre(folder, "similar", "a.wav", ".", "--store", tmp_path / "store.sqlite")
    assert done.returncode == 0, done.stderr
    assert "b.m4a" in done.stdout
    assert "artists are not known" in done.stderr and "pip install '.[tags]'" in done.stderr


@pytest.mark.parametrize("extra", ["pipeline", "app", "export", "listen", "parquet", "tags"])
def test_every_package_of_an_extra_has_a_remedy(extra):
    for requirement in EXTRAS[extra]:
        name = Requirement(requirement).name
        assert missing_extra(f"{MODULES.get(name, name)}.part") in [
            f"{name}; pip install '.[{known}]'" for known in (extra, "pipeline", "tags")
        ]
    assert missing_extra("torch") is None
    assert missing_extra(None) is None
