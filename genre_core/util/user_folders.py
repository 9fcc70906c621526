"""Folders of the user for what this program keeps: caches, and the state of programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from genre_core.errors import GenreError

# Environment variable and folder below the home, by the base directory specification of XDG.
_XDG = {"cache": ("XDG_CACHE_HOME", ".cache"), "state": ("XDG_STATE_HOME", ".local/state")}


def user_folder(kind: Literal["cache", "state"], remedy: str) -> Path:
    """Return this program's folder for caches or for its state.

    Parameters
    ----------
    kind : {"cache", "state"}
    remedy : str
        What to do without a home folder, for the error.

    Raises
    ------
    GenreError
        The user has no home folder.
    """
    variable, below_home = _XDG[kind]
    try:
        if sys.platform == "win32":
            root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin" and kind == "cache":
            root = Path.home() / "Library" / "Caches"
        else:
            root = Path(os.environ.get(variable) or Path.home() / below_home)
    except RuntimeError:
        raise GenreError(f"this user has no home folder; {remedy}") from None
    return root / "genre-pipeline"
