"""The files that DVC and people read agree with the code."""

import re
import subprocess

from helpers.closure import ROOT


def test_the_lock_file_pins_every_direct_requirement():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[<>=]", r)[0].lower() for r in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert [name for name in wanted if name.replace("_", "-") not in pinned] == ["torch"]
    assert "torch==2.13.0" in (ROOT / "requirements-torch.txt").read_text()


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
