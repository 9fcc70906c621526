"""Measurements that take longer than a test; each module's docstring has its command."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable


def experiment(name: str, settings: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run one `dvc exp run` from the committed params.yaml, which `-S` of the one before has changed."""
    subprocess.run(["git", "restore", "--staged", "--worktree", "params.yaml"], check=True)
    command = ["dvc", "exp", "run", "-f", "-n", name]
    for setting in settings:
        command += ["-S", setting]
    return subprocess.run(command, capture_output=True, text=True, check=False)
