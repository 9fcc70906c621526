"""Train the chosen model; keep the best weights."""

import hashlib
import json
import platform
from functools import partial
from pathlib import Path
from typing import Any

import torch

import genre_core
from genre_core import __version__, augmentation, config, index, inference, models, normalisation, plots, training
from genre_core.errors import GenreError
from genre_core.files import digest, write_csv, write_json
from genre_core.store import FeatureStore, reader
from stages import AUGMENTED, CHECKPOINTS, COPIES, DATA_SET_KEYS, DOWNLOADS, INDEX, METRICS, MODEL, ORIGINAL, STORES, described, run

OUT = METRICS / "train"


def main() -> str:
    params = config.load()
    split = index.read(INDEX)
    leak = {key: split.split[key] for key in DATA_SET_KEYS[1:]}
    notes = {
        "demo": " (synthetic)",
        "gtzan": f" ({len(split.tracks)} of 1000 tracks)",
        "features": f" made elsewhere ({len(split.tracks)} tracks)",
    }
    data_set = {"data_set": params.dataset.name + notes.get(params.dataset.name, ""), **leak}
    counts = {"train_tracks": len(split.starts("train")), "valid_tracks": len(split.starts("valid"))}
    info = {
        **data_set,
        "split_digest": split.split_digest,
        "seed": params.seed,
        **counts,
        "versions": {"genre_core": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    checkpoint = CHECKPOINTS / f"{_key(params)}.safetensors"
    _draw_augmentation(params, split)
    make = _ensemble if params.model.type == "ensemble" else _network
    model, result, note = make(params, split, info, checkpoint)
    model.save(MODEL)
    write_json(OUT / "metrics.json", {**data_set, **counts, **result})
    checkpoint.unlink(missing_ok=True)
    return (
        f"train: {described(data_set)}: {model.type}, {model.parameters} parameters, {result['epochs']} epochs{note}, "
        f"best {result['best_epoch']}: macro-F1 {result['valid_macro_f1']:.3f} of {counts['valid_tracks']} validation tracks; in {MODEL}"
    )


def _network(
    params: config.Params, split: index.Index, info: dict[str, Any], checkpoint: Path
) -> tuple[inference.GenreModel, dict[str, Any], str]:
    """A network, trained; what came out, and a note for the summary."""
    with FeatureStore(ORIGINAL) as original:
        spec = original.spec
    name = params.model.type
    kind = models.feature_of(name)
    numbers = {genre: i for i, genre in enumerate(split.genres)}
    copies = augmentation.read_copies(COPIES) if kind != "musicnn" else {}
    frames = models.grid(kind, spec).frames(params.segment.seconds)

    torch.manual_seed(params.seed)
    hyperparameters = params.model.chosen()
    network = models.build(name, hyperparameters, n_bins=models.bins(kind, spec), n_genres=len(numbers))
    network.load_pretrained(DOWNLOADS)
    with FeatureStore(STORES[kind]) as store, FeatureStore(AUGMENTED) as augmented:
        train = []
        for track, starts in split.starts("train").items():
            made = [augmented.read(kind, copy.copy) for copy in copies.get(track, ())]
            versions = [store.read(kind, track), *(copy for copy in made if len(copy) >= frames)]
            train.append(training.TrainingTrack(numbers[split.tracks[track].genre], versions, starts))
        valid = [
            training.ValidTrack(numbers[split.tracks[track].genre], store.read(kind, track), starts)
            for track, starts in split.starts("valid").items()
        ]
    scaling = getattr(models.architecture(name), "NORMALISE", params.features.normalise)
    model = inference.GenreModel(
        name,
        hyperparameters,
        network,
        split.genres,
        spec,
        params.segment.seconds,
        params.segment.hop_seconds,
        normalisation.fit(scaling, (t.versions[0] for t in train), frames, range_db=params.features.range_db if kind == "mel" else 0.0),
        info=info,
    )
    result = training.fit(
        model,
        train,
        valid,
        params=params.train,
        augment=params.augment,
        seed=params.seed,
        history=OUT / "history.csv",
        checkpoint=checkpoint,
        # A crop between two windows of the grid would hold audio of test windows there.
        crops=params.augment.batches.crops and split.split["protocol"] != "segment",
        masks=kind == "mel",
    )
    resumed = result.pop("resumed_from")
    short = sum(len(made) for made in copies.values()) - sum(len(t.versions) - 1 for t in train)
    note = f", resumed after epoch {resumed}" if resumed else ""
    return model, result, note + (f"; {short} copies are shorter than a segment and were left out" if short else "")


def _ensemble(
    params: config.Params, split: index.Index, info: dict[str, Any], checkpoint: Path
) -> tuple[inference.Ensemble, dict[str, Any], str]:
    """The models of a folder as one; the temperature is fitted, nothing else."""
    section = models.architecture("ensemble").Hyperparameters
    folder = Path(config.parse(section, params.model.chosen(), "params.yaml", "model.ensemble.").folder)
    paths = sorted(folder.glob("*.safetensors"))
    members = [model for path in paths if isinstance(model := inference.load(path), inference.GenreModel)]
    if len(members) != len(paths) or len(members) < 2:
        raise GenreError(
            f"model.ensemble.folder: {folder} holds {len(members)} single models, two are needed: "
            f"copy {MODEL} there after each `dvc exp run`, as <name>.safetensors"
        )
    model = inference.Ensemble(members, params.segment.seconds, params.segment.hop_seconds, info=info)
    if members[0].info.get("split_digest") != split.split_digest or model.genres != split.genres:
        raise GenreError(f"{folder}: its models were trained on another split than params.yaml's: what they learnt from may be a test now")
    valid = split.starts("valid")
    genres = [split.genres.index(split.tracks[track].genre) for track in valid]
    with reader(STORES, model.kinds) as read:
        logits = [model.score(read(track), starts) for track, starts in valid.items()]
    model.temperature = training.fit_temperature(logits, genres)
    scores = training.scores_of(torch.stack([inference.pooled(x, 1.0) for x in logits]).numpy(), genres)
    row = {"epoch": 1, "lr": 0.0, "train_loss": scores["valid_loss"], **scores}
    write_csv(OUT / "history.csv", training.HISTORY, [row])
    named = ", ".join(f"{path.stem} ({member.type})" for path, member in zip(paths, members, strict=True))
    return model, {"epochs": 1, "best_epoch": 1, "hardware": "cpu fp32", **scores}, f" of {len(members)} models: {named}"


def _draw_augmentation(params: config.Params, split: index.Index) -> None:
    copies = augmentation.read_copies(COPIES)
    shown = next(iter(copies), None) or next(iter(split.starts("train")))
    with FeatureStore(ORIGINAL) as original, FeatureStore(AUGMENTED) as augmented:
        panels = {f"{shown}: original": original.read("mel", shown)}
        spec = original.spec
        panels |= {copy.title: augmented.read("mel", copy.copy) for copy in copies.get(shown, ())}
    plots.augmentation(OUT / "augmentation.png", panels, spec, partial(augmentation.mask, batches=params.augment.batches))


def _key(params: config.Params) -> str:
    """Name of the checkpoint: other parameters, inputs or code never resume it."""
    used = params.model_dump(include={"seed": True, "segment": {"seconds"}, "features": True, "augment": {"batches"}, "train": True})
    code = digest(*sorted(Path(genre_core.__file__).parent.rglob("*.py")), Path(__file__))
    text = json.dumps([code, used, params.model.type, params.model.chosen(), torch.__version__], sort_keys=True)
    used_inputs = digest(ORIGINAL, AUGMENTED, STORES["musicnn"], COPIES, INDEX / "segments.csv", INDEX / "tracks.csv")
    return hashlib.sha256((text + used_inputs).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run(main)
