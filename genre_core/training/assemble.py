"""From a feature store and a split to a trained model: a network, or several models as one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

import genre_core
from genre_core import config, networks
from genre_core.corpus.index import Index
from genre_core.errors import GenreError
from genre_core.evaluation.calibration import fit_temperature, pooled
from genre_core.evaluation.scoring import scores_of
from genre_core.features import rows, versions
from genre_core.features.store import FeatureStore, reader
from genre_core.models import normalisation
from genre_core.models.file import load
from genre_core.models.model import Ensemble, GenreModel
from genre_core.project import AUGMENTED, COPIES, DOWNLOADS, INDEX, MODEL, ORIGINAL, STORES
from genre_core.training import loop
from genre_core.training.sampler import TrainingTrack, ValidTrack
from genre_core.util.files import digest, write_csv

_CODE = ("corpus", "evaluation", "features", "models", "networks", "training")  # packages that training depends on


def train_network(
    params: config.Params, split: Index, info: dict[str, Any], checkpoint: Path, history: Path
) -> tuple[GenreModel, dict[str, Any], str]:
    """Train a network; return the model, the row of its best epoch, and a note for the summary."""
    with FeatureStore(ORIGINAL) as original:
        spec = original.spec
    name = params.model.type
    kind = networks.feature_of(name)
    numbers = {genre: i for i, genre in enumerate(split.genres)}
    copies = versions.read_copies(COPIES) if kind != "musicnn" else {}
    frames = rows.grid(kind, spec).frames(params.segment.seconds)

    torch.manual_seed(params.seed)
    hyperparameters = params.model.chosen()
    network = networks.build(name, hyperparameters, n_bins=rows.bins(kind, spec), n_genres=len(numbers))
    network.load_pretrained(DOWNLOADS)
    with FeatureStore(STORES[kind]) as store, FeatureStore(AUGMENTED) as augmented:
        train = []
        for track, starts in split.starts("train").items():
            made = [augmented.read(kind, copy.copy) for copy in copies.get(track, ())]
            features = [store.read(kind, track), *(copy for copy in made if len(copy) >= frames)]
            train.append(TrainingTrack(numbers[split.tracks[track].genre], features, starts))
        valid = [
            ValidTrack(numbers[split.tracks[track].genre], store.read(kind, track), starts)
            for track, starts in split.starts("valid").items()
        ]
    scaling = getattr(networks.architecture(name), "NORMALISE", params.features.normalise)
    model = GenreModel(
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
    result = loop.fit(
        model,
        train,
        valid,
        params=params.train,
        augment=params.augment,
        seed=params.seed,
        history=history,
        checkpoint=checkpoint,
        # A crop between two windows of the grid would hold audio of test windows there.
        crops=params.augment.batches.crops and split.split["protocol"] != "segment",
        masks=kind == "mel",
    )
    resumed = result.pop("resumed_from")
    short = sum(len(made) for made in copies.values()) - sum(len(t.versions) - 1 for t in train)
    note = f", resumed after epoch {resumed}" if resumed else ""
    return model, result, note + (f"; {short} copies are shorter than a segment and were left out" if short else "")


def combine_models(
    params: config.Params, split: Index, info: dict[str, Any], checkpoint: Path, history: Path
) -> tuple[Ensemble, dict[str, Any], str]:
    """Combine the models of a folder; the temperature is fitted, nothing else."""
    section = networks.architecture("ensemble").Hyperparameters
    folder = Path(config.parse(section, params.model.chosen(), "params.yaml", "model.ensemble.").folder)
    paths = sorted(folder.glob("*.safetensors"))
    members = [model for path in paths if isinstance(model := load(path), GenreModel)]
    if len(members) != len(paths) or len(members) < 2:
        raise GenreError(
            f"model.ensemble.folder: {folder} holds {len(members)} single models, two are needed: "
            f"copy {MODEL} there after each `dvc exp run`, as <name>.safetensors"
        )
    model = Ensemble(members, params.segment.seconds, params.segment.hop_seconds, info=info)
    if members[0].info.get("split_digest") != split.split_digest or model.genres != split.genres:
        raise GenreError(f"{folder}: its models were trained on another split than params.yaml's: what they learnt from may be a test now")
    valid = split.starts("valid")
    genres = [split.genres.index(split.tracks[track].genre) for track in valid]
    with reader(STORES, model.kinds) as read:
        logits = [model.score(read(track), starts) for track, starts in valid.items()]
    model.temperature = fit_temperature(logits, genres)
    scores = scores_of(torch.stack([pooled(x, 1.0) for x in logits]).numpy(), genres)
    row = {"epoch": 1, "lr": 0.0, "train_loss": scores["valid_loss"], **scores}
    write_csv(history, loop.HISTORY, [row])
    named = ", ".join(f"{path.stem} ({member.type})" for path, member in zip(paths, members, strict=True))
    return model, {"epochs": 1, "best_epoch": 1, "hardware": "cpu fp32", **scores}, f" of {len(members)} models: {named}"


def checkpoint_key(params: config.Params) -> str:
    """Name a checkpoint, so that other parameters, inputs or code never resume it."""
    used = params.model_dump(include={"seed": True, "segment": {"seconds"}, "features": True, "augment": {"batches"}, "train": True})
    root = Path(genre_core.__file__).parent
    code = digest(*sorted(path for package in _CODE for path in (root / package).rglob("*.py")))
    text = json.dumps([code, used, params.model.type, params.model.chosen(), torch.__version__], sort_keys=True)
    used_inputs = digest(ORIGINAL, AUGMENTED, STORES["musicnn"], COPIES, INDEX / "segments.csv", INDEX / "tracks.csv")
    return hashlib.sha256((text + used_inputs).encode()).hexdigest()[:16]
