"""``genre export``: write a model as ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.errors import GenreError
from genre_core.project import MODEL
from genre_core.terminal import say, say_json


def export(chosen: argparse.Namespace) -> int:
    """Write a model as ONNX, and check it against torch."""
    from genre_core.inference import onnx as onnx_export
    from genre_core.inference import onnx_check
    from genre_core.models.file import load
    from genre_core.util.files import atomic

    model = onnx_export.exportable(load(chosen.model or (MODEL if MODEL.exists() else "pretrained")))
    if chosen.out.suffix != ".onnx":
        raise GenreError(f"{chosen.out}: write to a .onnx file")
    with atomic(chosen.out) as part:
        onnx_export.export(model, part, features=not chosen.without_features, int8=chosen.int8)
        checked = onnx_check.check(model, part, Path.cwd(), features=not chosen.without_features)
        if not chosen.int8 and checked["largest_difference"] > onnx_export.TOLERANCE:
            raise GenreError(f"{chosen.out}: a probability differs from torch by {checked['largest_difference']:.1e}; not written")
    answer = {"file": str(chosen.out), "bytes": chosen.out.stat().st_size, **checked}
    if chosen.json:
        say_json(answer)
        return 0
    say(f"{chosen.out}: {answer['bytes'] / 1e6:.2f} MB; 30 s of audio take {answer['latency_ms']:.0f} ms on one core")
    say(
        f"compared with torch on {answer['on']}: largest difference in probability {answer['largest_difference']:.1e}, "
        f"{answer['changed_answers']} of {answer['tracks']} answers change"
        + (f", accuracy {answer['accuracy']:.3f} (torch {answer['accuracy_torch']:.3f})" if answer["accuracy"] is not None else "")
    )
    return 0
