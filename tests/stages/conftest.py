"""One small project a session, made by stages in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.pipeline import STAGES
from helpers.project import copy_project, made_once
from helpers.stages import run_stages


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which every stage has run on the small demo; tests that change it copy it first (`own`)."""
    return made_once(tmp_path_factory, "staged", lambda target: run_stages(copy_project(target), *STAGES))
