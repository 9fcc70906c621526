"""Checkpoints of a training run."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from genre_core.errors import GenreError
from genre_core.util.files import atomic


class TrainingState:
    """Training state, saved after each epoch.

    Attributes
    ----------
    parts : dict of str to object
        Network, averaged network, optimiser and schedule: the objects with a ``state_dict``.
    epoch, best_epoch : int
        Last finished epoch and best epoch, counted from 1; 0 before the first epoch.
    best_score : tuple of (float, float)
        Macro-F1 and negative loss of the best epoch on the validation tracks.
    best : dict of str to torch.Tensor
        Weights of the best epoch.
    rows : list of dict
        Row of the history for each finished epoch.
    """

    def __init__(self, network: nn.Module, averaged: AveragedModel, optimiser: torch.optim.Optimizer, schedule: Any) -> None:
        self.parts = {"network": network, "averaged": averaged, "optimiser": optimiser, "schedule": schedule}
        self.epoch = 0
        self.best_epoch = 0
        self.best_score = (-1.0, -math.inf)
        self.best: dict[str, torch.Tensor] = {}
        self.rows: list[dict[str, float]] = []

    def finish(self, epoch: int, row: dict[str, float], judged: nn.Module, *, always: bool) -> None:
        """Record a finished epoch, and keep the best weights.

        Parameters
        ----------
        epoch : int
        row : dict
            Row of the history, with ``valid_macro_f1`` and ``valid_loss``.
        judged : nn.Module
            Network whose scores are in the row.
        always : bool
            True keeps the weights of every epoch, so the last epoch wins.
        """
        self.epoch = epoch
        self.rows.append(row)
        score = (row["valid_macro_f1"], -row["valid_loss"])
        if always or score > self.best_score:
            self.best_epoch, self.best_score, self.best = epoch, score, copy.deepcopy(judged.state_dict())

    def save(self, path: Path) -> None:
        """Write the state to a checkpoint file."""
        values = {name: getattr(self, name) for name in ("epoch", "best_epoch", "best_score", "best", "rows")}
        tensors: dict[str, torch.Tensor] = {}
        tree = _pack({**values, "parts": {name: part.state_dict() for name, part in self.parts.items()}}, "", tensors)
        with atomic(path) as temporary:  # safetensors, because unpickling a file can run code
            text = json.dumps(tree)
            save_file(tensors, temporary, metadata={"state": text, "digest": _digest(text, tensors)})

    def resume(self, path: Path) -> None:
        """Restore the state from a checkpoint file, if the file exists.

        Raises
        ------
        GenreError
            The file is damaged or cannot be read.
        """
        if not path.exists():
            return
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is not a mapping)
                metadata = file.metadata()
            if _digest(metadata["state"], tensors) != metadata["digest"]:
                raise GenreError(
                    f"checkpoint {path} is damaged: its content differs from what was written; remove it to train from the start"
                )
            saved = _unpack(json.loads(metadata["state"]), tensors.__getitem__)
            for name, part in self.parts.items():
                part.load_state_dict(saved["parts"][name])
        except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise GenreError(f"checkpoint {path} is not readable ({error}); remove it to train from the start") from None
        for name in ("epoch", "best_epoch", "best", "rows"):
            setattr(self, name, saved[name])
        self.best_score = tuple(saved["best_score"])


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    """Compute the SHA-256 digest of a checkpoint's content."""
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha256.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        sha256.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _pack(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Convert a state to JSON values, and move its tensors into `tensors`."""
    if isinstance(tree, torch.Tensor):
        tensors[name] = tree.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(tree, dict):  # as pairs, because the keys of an optimiser are integers, which JSON would turn into text
        return {"dict": [[key, _pack(value, f"{name}/{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {"list": [_pack(value, f"{name}/{i}", tensors) for i, value in enumerate(tree)]}
    return tree


def _unpack(tree: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    """Restore a state from the JSON values of `_pack`."""
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        return tensor(tree["tensor"])
    if "dict" in tree:
        return {key: _unpack(value, tensor) for key, value in tree["dict"]}
    return [_unpack(value, tensor) for value in tree["list"]]
