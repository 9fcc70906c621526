"""Train the chosen network; keep the best weights."""

import hashlib
import json
import platform
from functools import partial
from pathlib import Path

import torch

import genre_core
from genre_core import __version__, augmentation, config, index, models, normalisation, plots, training
from genre_core.features import FeatureSpec
from genre_core.files import digest, write_json
from genre_core.inference import GenreModel
from genre_core.store import FeatureStore
from stages import AUGMENTED, CHECKPOINTS, COPIES, INDEX, METRICS, MODEL, ORIGINAL, run

OUT = METRICS / "train"


def main() -> str:
    params = config.load()
    described = index.read(INDEX)
    spec = FeatureSpec.of(params.features)
    kind = models.feature_of(params.model.type)
    numbers = {genre: i for i, genre in enumerate(described.genres)}
    copies = augmentation.read_copies(COPIES)
    frames = spec.frames(params.segment.seconds)

    with FeatureStore(ORIGINAL) as original, FeatureStore(AUGMENTED) as augmented:
        train = []
        for track, starts in described.starts("train").items():
            made = [augmented.read(kind, copy.copy) for copy in copies.get(track, ())]
            versions = [original.read(kind, track), *(copy for copy in made if len(copy) >= frames)]
            train.append(training.TrainingTrack(numbers[described.tracks[track].genre], versions, starts))
        valid = [
            training.ValidTrack(numbers[described.tracks[track].genre], original.read(kind, track), starts)
            for track, starts in described.starts("valid").items()
        ]
        shown = next(iter(copies), None) or next(iter(described.starts("train")))
        panels = {f"{shown}: original": original.read("mel", shown)}
        panels |= {copy.title: augmented.read("mel", copy.copy) for copy in copies.get(shown, ())}
        plots.augmentation(OUT / "augmentation.png", panels, spec, partial(augmentation.mask, batches=params.augment.batches))

    torch.manual_seed(params.seed)
    hyperparameters = params.model.chosen()
    bins = train[0].versions[0].shape[1]
    model = GenreModel(
        params.model.type,
        hyperparameters,
        models.build(params.model.type, hyperparameters, n_bins=bins, n_genres=len(numbers)),
        described.genres,
        spec,
        params.segment.seconds,
        params.segment.hop_seconds,
        normalisation.fit(params.features.normalise, (t.versions[0] for t in train), frames),
    )
    leak = {key: described.split[key] for key in ("protocol", "folds", "fold", "leaky", "crossing_tracks", "crossing_artists")}
    notes = {"demo": " (synthetic)", "gtzan": f" ({len(described.tracks)} of 1000 tracks)"}
    data_set = {"data_set": params.dataset.name + notes.get(params.dataset.name, ""), **leak}
    checkpoint = CHECKPOINTS / f"{_key(params)}.safetensors"
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
        crops=params.augment.batches.crops and described.split["protocol"] != "segment",
        masks=kind == "mel",
    )
    model.info = {
        **data_set,
        "seed": params.seed,
        "train_tracks": len(train),
        "valid_tracks": len(valid),
        "versions": {"genre_core": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    model.save(MODEL)
    resumed = result.pop("resumed_from")
    write_json(OUT / "metrics.json", {**data_set, "train_tracks": len(train), "valid_tracks": len(valid), **result})
    checkpoint.unlink(missing_ok=True)
    again = f", resumed after epoch {resumed}" if resumed else ""
    short = sum(len(made) for made in copies.values()) - sum(len(t.versions) - 1 for t in train)
    dropped = f"; {short} copies are shorter than a segment and were left out" if short else ""
    protocol = f"{data_set['data_set']}, protocol {data_set['protocol']}{' (LEAKY)' if data_set['leaky'] else ''}"
    return (
        f"train: {protocol}: {params.model.type}, {model.parameters} parameters, {result['epochs']} epochs{again}, "
        f"best {result['best_epoch']}: macro-F1 {result['valid_macro_f1']:.3f} of {len(valid)} validation tracks{dropped}; in {MODEL}"
    )


def _key(params: config.Params) -> str:
    """Name of the checkpoint: other parameters, inputs or code never resume it."""
    used = params.model_dump(include={"seed": True, "segment": {"seconds"}, "features": True, "augment": {"batches"}, "train": True})
    code = digest(*sorted(Path(genre_core.__file__).parent.rglob("*.py")), Path(__file__))
    text = json.dumps([code, used, params.model.type, params.model.chosen(), torch.__version__], sort_keys=True)
    used_inputs = digest(ORIGINAL, AUGMENTED, COPIES, INDEX / "segments.csv", INDEX / "tracks.csv")
    return hashlib.sha256((text + used_inputs).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run(main)
