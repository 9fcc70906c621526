"""File contents of a git revision or a DVC experiment.

An experiment of ``dvc exp`` is a commit without a branch; its reference is in ``refs/exps``.
"""

from __future__ import annotations

import shutil
import subprocess

from genre_core.errors import GenreError


def show(name: str, path: str) -> bytes | None:
    """Read a file from a git revision or a DVC experiment.

    Parameters
    ----------
    name : str
        Git revision (commit, branch or tag) or name of the experiment.
    path : str
        Path of the file, relative to the root of the repository.

    Returns
    -------
    bytes or None
        Content of the file, or None if the revision or the file does not exist.

    Raises
    ------
    GenreError
        Git is not installed.
    """
    if shutil.which("git") is None:
        raise GenreError(f"{name}: git is not installed; it is needed to read a revision or an experiment")
    refs = subprocess.run(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], capture_output=True, text=True, check=False)
    experiments = [ref for ref in refs.stdout.split() if ref.rsplit("/", 1)[-1] == name]
    for revision in [name, *experiments]:
        content = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, check=False)
        if content.returncode == 0:
            return content.stdout
    return None
