"""The files that DVC and people read agree with the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.base_only import PROJECT, canonical
from helpers.closure import ROOT
from helpers.pipeline import metrics, ran
from helpers.project import run
from packaging.requirements import Requirement

LOCK = ROOT / "requirements.lock"


def test_the_lock_file_pins_every_direct_requirement():
    """One version of each, which fits pyproject.toml, for all Pythons that the Makefile accepts."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = {canonical(r.name): r for group in groups for r in map(Requirement, group)}
    locked = [Requirement(line.rstrip(" \\")) for line in LOCK.read_text().splitlines() if "==" in line]
    pinned = {canonical(r.name): str(r.specifier).removeprefix("==") for r in locked if r.marker is None}
    assert len(locked) == len({r.name for r in locked})
    assert [name for name in wanted if name not in pinned] == ["torch", "genre-pipeline"]
    assert [name for name, version in pinned.items() if name in wanted and version not in wanted[name].specifier] == []
    torch = Requirement((ROOT / "requirements-torch.txt").read_text().splitlines()[-1])
    assert (torch.name, str(torch.specifier)) == ("torch", "==2.13.0")
    assert "2.13.0" in wanted["torch"].specifier


@pytest.mark.parametrize("found", ["none", "another"])
def test_make_refuses_another_python_in_one_line(tmp_path, found):
    python = tmp_path / found
    if found == "another":
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", f"VENV={tmp_path}/venv", f"PYTHON={python}", f"{tmp_path}/venv/.ready"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: Python 3.11 to 3.14 is needed, found: {python}; install one or name it")
    assert not (tmp_path / "venv").exists()


def test_every_package_of_the_lock_has_hashes_and_is_installed_by_them():
    """Packages, then their hashes: `pip install --require-hashes` refuses all else. No registry is named."""
    text = (ROOT / "requirements.lock").read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) > 100
    for package in packages:
        assert re.match(r"[a-z0-9._-]+==[^ ]+ ", package), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package
    assert not re.search(r"https?://|--index|--find-links|nvidia|^torch==", text, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert "pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock" in makefile


def test_make_help_names_every_target():
    text = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()
    for target in targets:
        assert re.search(rf"make {target}\b", shown), target


@pytest.mark.parametrize(("music", "words"), [((), "MUSIC is missing"), (("MUSIC=/nowhere it's",), "MUSIC=/nowhere it's is not a folder")])
def test_make_mine_refuses_what_is_no_folder_before_it_installs(tmp_path, music, words):
    done = subprocess.run(
        ["make", "--no-print-directory", f"VENV={tmp_path}/venv", "mine", *music], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {words}")
    assert not (tmp_path / "venv").exists()


def test_make_mine_trains_on_a_folder_of_any_name(own, tmp_path):
    music = tmp_path / "Björk's $HOME, {best} music"
    for genre in ("jazz", "metal"):
        shutil.copytree(own / "data/raw" / genre, music / genre)
    settings = ("SETTINGS=parallel.workers=1 evaluate.bootstrap_samples=200", f"MUSIC={str(music).replace('$', '$$')}")
    done = run("make", "--no-print-directory", f"VENV={Path(sys.executable).parents[1]}", "READY=", "mine", *settings, cwd=own)
    assert "fitted on all 6 tracks of the folder data set" in done.stdout
    test = metrics(own, "test")
    assert (test["protocol"], test["tracks"], test["fitted_on_all"]["tracks"]) == ("all", 6, 6)
    assert not {"explore", "interventions", "fetch_external", "validate_external"} & set(ran(done))
    said = run("genre", "predict", str(music / "jazz"), cwd=own).stdout.splitlines()
    assert said[0].startswith("model data/model/model.safetensors: musicnn trained on folder, 6 tracks, protocol all; accuracy ")
    assert len(said) == 4
