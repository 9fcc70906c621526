"""Train stage: train the chosen model and keep the best weights."""

import platform
from collections.abc import Callable
from typing import Any

import torch

from genre_core import __version__, config, networks
from genre_core.corpus import index
from genre_core.evaluation.intervals import format_score
from genre_core.models import file as model_file
from genre_core.models.ensemble import Model
from genre_core.project import CHECKPOINTS, INDEX, METRICS, MODEL
from genre_core.training import assemble, processes
from genre_core.util.files import write_json
from stages.run import DATA_SET_KEYS, described, run

OUT = METRICS / "train"


def main() -> str:
    params = config.load()
    split = index.read(INDEX)
    fits_all = split.split["protocol"] == "all"
    several = not fits_all and networks.by_gradient(params.model.type)  # other models are fitted by one process
    if several and params.train.processes > 1 and not processes.torchrun_started():
        processes.launch("stages.train", params.train.processes)
        return ""  # the first process has printed the summary
    first = processes.started().first
    if not several and not first:
        return ""
    protocol = {key: split.split[key] for key in DATA_SET_KEYS[1:]}
    notes = {
        "demo": " (synthetic)",
        "gtzan": f" ({len(split.tracks)} of 1000 tracks)",
        "fma": f" ({len(split.tracks)} tracks)",
        "features": f" made elsewhere ({len(split.tracks)} tracks)",
    }
    data_set = {"data_set": params.dataset.name + notes.get(params.dataset.name, ""), **protocol}
    counts = {"train_tracks": len(split.starts("train")), "valid_tracks": len(split.starts("valid"))}
    info = {
        **data_set,
        "split_digest": split.split_digest,
        "seed": params.seed,
        **counts,
        "versions": {"genre_core": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    checkpoint = CHECKPOINTS / f"{assemble.checkpoint_key(params)}.safetensors"
    make: Callable[..., tuple[Model, dict[str, Any], str]]
    if fits_all:
        from genre_core.training.fit_all import fit_all  # scikit-learn takes a second to import

        make = fit_all
    else:
        make = assemble.combine_models if params.model.type == "ensemble" else assemble.train_network
    model, result, note = make(params, split, info, checkpoint, OUT / "history.csv")
    if not first:
        return ""
    model_file.save(model, MODEL)
    write_json(OUT / "metrics.json", {**data_set, **counts, **result})
    checkpoint.unlink(missing_ok=True)
    if fits_all:
        score = model.info["score"]
        return (
            f"train: {described(data_set)}: {model.type}, {model.parameters} parameters{note}; "
            f"accuracy {format_score(score)} on {score['on']}; in {MODEL}"
        )
    return (
        f"train: {described(data_set)}: {model.type}, {model.parameters} parameters, {result['epochs']} epochs{note}, "
        f"best {result['best_epoch']}: macro-F1 {result['valid_macro_f1']:.3f} of {counts['valid_tracks']} validation tracks; in {MODEL}"
    )


if __name__ == "__main__":
    run(main)
