"""Effect of a leaky split: one model under four split protocols.

`make leak` runs it on the demo data set.

    python -m experiments.leak                                   # the demo data set
    python -m experiments.leak /path/to/logmel_train_valid.npz   # precomputed features: GTZAN at its full size
    python -m experiments.leak --page                            # write the page from the results in docs/leak.json

Each seed also draws other folds, so the interval includes the effect of the split. The `dvc exp` experiments have the names
leak-<data>-<normalise>-<protocol>-<seed>. The results are in docs/leak.json; docs/leak.md and docs/leak-<data>.png are written from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments import SEEDS, SHORT, command, figures, judged
from genre_core.evaluation import intervals
from genre_core.util.files import atomic, read_json, write_json

PROTOCOLS = ("segment", "track", "artist", "official")
RESULTS = Path("docs/leak.json")
SETTINGS = (*SHORT, "train.threads=1")
LABELS = {"track": "each track's mean spectrum taken away", "dataset": "the data set's mean taken away"}
DATA = ("demo", "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", type=lambda text: str(Path(text).resolve()), metavar="FILE.npz")
    parser.add_argument("--title", help="title of the data set on the page and in the figure (default: the file's name)")
    parser.add_argument("--normalise", nargs="+", choices=list(LABELS), default=list(LABELS))
    parser.add_argument("--page", action="store_true", help="run nothing, only write the page from docs/leak.json")
    chosen = parser.parse_args()
    results: dict[str, dict[str, Any]] = read_json(RESULTS) if RESULTS.exists() else {}
    name = "features" if chosen.source else "demo"
    data_settings = ["dataset.name=features", f"dataset.features.path={chosen.source}"] if chosen.source else ["dataset.name=demo"]
    title = chosen.title or (Path(chosen.source).stem if chosen.source else "Demo data set (synthetic, 200 tracks)")
    todo = [] if chosen.page else [(n, p) for n in chosen.normalise for p in PROTOCOLS]
    for normalise, protocol in (bar := tqdm(todo, unit="row", disable=None)):
        bar.set_postfix_str(f"{normalise} {protocol}")
        runs = [
            (
                f"leak-{name}-{normalise}-{protocol}-{seed}",
                [
                    *data_settings,
                    *SETTINGS,
                    f"features.normalise={normalise}",
                    f"segment.protocol={protocol}",
                    f"seed={seed}",
                    f"segment.seed={seed}",
                ],
            )
            for seed in SEEDS
        ]
        results[f"{name}-{normalise}-{protocol}"] = {**judged(runs), "data": title}
        write_json(RESULTS, results)
    with atomic(RESULTS.with_suffix(".md")) as part:
        part.write_text(page(results), encoding="utf-8")
    for data in DATA:
        rows = {
            label: [results[key] for protocol in PROTOCOLS if (key := f"{data}-{normalise}-{protocol}") in results]
            for normalise, label in LABELS.items()
        }
        if any(rows.values()):
            figures.protocols(RESULTS.with_name(f"leak-{data}.png"), {k: v for k, v in rows.items() if v}, title=_title(results, data))


def _title(results: dict[str, dict[str, Any]], data: str) -> str:
    name = next(row["data"] for key, row in results.items() if key.startswith(data))
    return f"{name}: one network, four splits"


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return docs/leak.md.

    Parameters
    ----------
    results : dict
        Content of docs/leak.json.

    Returns
    -------
    str
        Page in Markdown.
    """
    lines = [
        "# What a leaky split adds",
        "",
        "Written by `make leak`, and `python -m experiments.leak FILE.npz`, from `docs/leak.json`: the default network with",
        f"{', '.join(f'`{s}`' for s in SETTINGS)}, {len(SEEDS)} seeds, each with another dealing of the folds.",
        "Accuracy of test tracks, 95 % interval of the mean over seeds by draws of whole artists.",
    ]
    for data in DATA:
        if not any(key.startswith(data) for key in results):
            continue
        title = _title(results, data)
        lines += ["", f"## {title}", "", f"![{title}](leak-{data}.png)", ""]
        lines += ["| protocol | " + " | ".join(LABELS.values()) + " | crossing |", "|---|---|---|---|"]
        for protocol in PROTOCOLS:
            rows = [results.get(f"{data}-{normalise}-{protocol}") for normalise in LABELS]
            cells = [intervals.interval(r["mean"], r["low"], r["high"]) if r else "-" for r in rows]
            leaky = next((("leaky" if r["leaky"] else "nothing") for r in rows if r), "-")
            lines.append(f"| `{protocol}` | " + " | ".join(cells) + f" | {leaky} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    command(main)
