"""Folders that no user makes."""

import contextlib
import os
import subprocess


@contextlib.contextmanager
def a_thousand_deep(folder):
    """Nest 1,200 folders `d` below a folder: deeper than a path's name may be; remove them in the end."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", str(folder / "d")], check=False)
