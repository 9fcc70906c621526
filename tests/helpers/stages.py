"""Stages in this process: their `main` in a project's folder."""

import contextlib
import importlib
import warnings

import torch
from helpers.project import set_params


def run_stages(project, *names, **values):
    """Change params.yaml, run stages in their order; return what each says at its end."""
    if values:
        set_params(project, **values)
    threads = torch.get_num_threads()
    try:
        with contextlib.chdir(project), warnings.catch_warnings():
            warnings.simplefilter("default")  # a line on the screen, as in a process of its own
            return {name: importlib.import_module(f"stages.{name}").main() for name in names}
    finally:
        torch.set_num_threads(threads)
