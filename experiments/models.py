"""Comparison of all networks on one data set, as a Markdown table.

    python -m experiments.models                      # the data set of params.yaml
    python -m experiments.models -S dataset.name=folder -S dataset.folder.path=/path/to/music -S segment.protocol=track

Each network is a `dvc exp` experiment. If a preset exists (`presets/<type>.txt`), it is used. `ensemble` is the mean of cnn, resnet and
musicnn. The latency is the time in which a loaded model predicts 30 s of samples on one thread. The training time is the time of the
whole stage. Run it in a clone: it changes params.yaml.
"""

from __future__ import annotations

import argparse
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
from genre_core.util.files import read_json

MEMBERS = ("cnn", "resnet", "musicnn")
HEADER = "| network | parameters | model MB | training s | latency ms | accuracy [95 %] | macro-F1 | top 2 |\n" + "|---" * 8 + "|"


def latency_ms(model: str) -> float:
    """Measure the shortest time of five predictions from 30 s of samples.

    Parameters
    ----------
    model : str
        Path of the model file.

    Returns
    -------
    float
        Shortest time, in ms.
    """
    torch.set_num_threads(1)
    predictor = Predictor(model)
    y = np.random.default_rng(0).normal(0, 0.1, 30 * predictor.sample_rate).astype(np.float32)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        predictor.predict(y, predictor.sample_rate)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def row(name: str, settings: list[str]) -> str:
    """Run one experiment, and return its row of the table.

    Parameters
    ----------
    name : str
        Type of the network.
    settings : list of str
        Changes to params.yaml, each KEY=VALUE.

    Returns
    -------
    str
        Row in Markdown; the last line of the output if the experiment failed.
    """
    preset = Path("presets", f"{name}.txt")
    network_settings = preset.read_text().split() if preset.exists() else [f"model.type={name}"]
    MODEL.unlink(missing_ok=True)  # otherwise DVC would not train, and there would be no time
    done = experiment(f"models-{name}", [*network_settings, *settings])
    if done.returncode:
        output = done.stderr.strip() or done.stdout.strip() or "no output"
        return f"| `{name}` | failed: {output.splitlines()[-1]} |"
    train_seconds = re.findall(r"^train: .*\(([\d.]+) s\)$", done.stdout, re.MULTILINE)
    metrics = read_json("metrics/test/metrics.json")
    track, model = metrics["track"], metrics["model"]
    if name in MEMBERS:
        shutil.copy(MODEL, f"data/members/{name}.safetensors")
    train_text = train_seconds[-1] if train_seconds else "-"
    return (
        f"| `{name}` | {model['parameters']:,} | {model['bytes'] / 1e6:.2f} | {train_text} | {latency_ms(str(MODEL)):.0f} "
        f"| {format_score(track)} | {track['macro_f1']:.3f} | {track['top2_accuracy']:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="change to params.yaml; may be repeated"
    )
    parser.add_argument("--only", nargs="*", metavar="NETWORK", help="networks to run (default: all)")
    chosen = parser.parse_args()
    names = chosen.only or [*sorted(set(architectures()) - {"ensemble"}), "ensemble"]
    others = {path.stem for path in Path("data/members").glob("*.safetensors")} - set(MEMBERS)
    if others and "ensemble" in names:
        raise GenreError(f"data/members also contains {', '.join(sorted(others))}: move them away; `ensemble` is {', '.join(MEMBERS)}")
    print(HEADER)
    for name in names:
        print(row(name, chosen.settings), flush=True)


if __name__ == "__main__":
    command(main)
