"""One small project a session, made by stages in this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.project import copy_project
from helpers.stages import ALL, run_stages


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which every stage has run on the small demo; tests that change it copy it first (`own`)."""
    beside = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if beside else tmp_path_factory.getbasetemp()
    target = shared / "staged"
    with FileLock(shared / "staged.lock"):  # one process makes it, the others wait
        if not (shared / "staged.done").exists():
            run_stages(copy_project(target), *ALL)
            (shared / "staged.done").touch()
    return target
