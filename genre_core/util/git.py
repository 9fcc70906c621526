"""Files as they were in a git revision, or in a `dvc exp` experiment, which is a revision without a branch."""

from __future__ import annotations

import shutil
import subprocess

from genre_core.errors import GenreError


def show(name: str, path: str) -> bytes | None:
    """Return the file `path` of the revision or experiment `name`; None if absent.

    Raises
    ------
    GenreError
        Git is not installed.
    """
    if shutil.which("git") is None:
        raise GenreError(f"{name}: no git to look for a revision or an experiment")
    listed = subprocess.run(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], capture_output=True, text=True, check=False)
    experiments = [ref for ref in listed.stdout.split() if ref.rsplit("/", 1)[-1] == name]
    for revision in [name, *experiments]:
        shown = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, check=False)
        if shown.returncode == 0:
            return shown.stdout
    return None
