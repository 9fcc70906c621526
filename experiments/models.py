"""Every network on one data set, as `dvc exp` experiments, and a Markdown table of them.

    python -m experiments.models                      # the data set of params.yaml
    python -m experiments.models -S dataset.name=folder -S dataset.folder.path=/path/to/music -S segment.protocol=track

Presets (`presets/<type>.txt`) are used where there is one. `ensemble` is the mean of cnn, resnet and musicnn. Latency is that of
a loaded model for 30 s of samples, one thread; training seconds are the whole stage's. Run it in a clone: it changes params.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import torch

from experiments import command, experiment
from genre_core.config import architectures
from genre_core.errors import GenreError
from genre_core.evaluation.intervals import format_score
from genre_core.inference.predictor import Predictor
from genre_core.project import MODEL

MEMBERS = ("cnn", "resnet", "musicnn")
HEADER = "| network | parameters | model MB | training s | latency ms | accuracy [95 %] | macro-F1 | top 2 |\n" + "|---" * 8 + "|"


def latency_ms(model: str) -> float:
    """Shortest of five predictions from 30 s of samples, in ms."""
    torch.set_num_threads(1)
    predictor = Predictor(model)
    y = np.random.default_rng(0).normal(0, 0.1, 30 * predictor.sample_rate).astype(np.float32)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        predictor.predict(y, predictor.sample_rate)
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def row(name: str, settings: list[str]) -> str:
    """Run one experiment; its row of the table."""
    preset = Path("presets", f"{name}.txt")
    chosen = preset.read_text().split() if preset.exists() else [f"model.type={name}"]
    MODEL.unlink(missing_ok=True)  # train it again, to time it
    done = experiment(f"models-{name}", [*chosen, *settings])
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or "no output"
        return f"| `{name}` | failed: {said.splitlines()[-1]} |"
    seconds = re.findall(r"^train: .*\(([\d.]+) s\)$", done.stdout, re.MULTILINE)
    metrics = json.loads(Path("metrics/test/metrics.json").read_text())
    track, model = metrics["track"], metrics["model"]
    if name in MEMBERS:
        shutil.copy(MODEL, f"data/members/{name}.safetensors")
    took = seconds[-1] if seconds else "-"
    return (
        f"| `{name}` | {model['parameters']:,} | {model['bytes'] / 1e6:.2f} | {took} | {latency_ms(str(MODEL)):.0f} "
        f"| {format_score(track)} | {track['macro_f1']:.3f} | {track['top2_accuracy']:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="*", metavar="NETWORK")
    chosen = parser.parse_args()
    names = chosen.only or [*sorted(set(architectures()) - {"ensemble"}), "ensemble"]
    others = {path.stem for path in Path("data/members").glob("*.safetensors")} - set(MEMBERS)
    if others and "ensemble" in names:
        raise GenreError(f"data/members holds {', '.join(sorted(others))} too: move these away, `ensemble` is of {', '.join(MEMBERS)}")
    print(HEADER)
    for name in names:
        print(row(name, chosen.settings), flush=True)


if __name__ == "__main__":
    command(main)
