"""Training of a model from feature stores and a split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genre_core
from genre_core import config, networks
from genre_core.corpus.catalogue import artist_group
from genre_core.corpus.index import Index
from genre_core.errors import GenreError
from genre_core.evaluation import conformal
from genre_core.evaluation.calibration import fit_temperature, pooled
from genre_core.evaluation.scoring import validation_scores
from genre_core.features import versions
from genre_core.features.feature_kind import feature_kind
from genre_core.features.store import FeatureStore, reader
from genre_core.features.stored import StoredFeatures
from genre_core.models import normalisation
from genre_core.models.ensemble import Ensemble, Model
from genre_core.models.file import load
from genre_core.models.model import GenreModel
from genre_core.project import AUGMENTED, DOWNLOADS, INDEX, MODEL, ORIGINAL, STORES, VERSIONS
from genre_core.training import loop, processes
from genre_core.training.sampler import TrainingTrack, ValidTrack
from genre_core.util.files import digest, write_csv

_CODE = ("corpus", "evaluation", "features", "models", "networks", "training")  # packages that training depends on


def train_network(
    params: config.Params, split: Index, info: dict[str, Any], checkpoint: Path, history: Path
) -> tuple[GenreModel, dict[str, Any], str]:
    """Train a network on the training tracks of a split.

    Parameters
    ----------
    params : Params
    split : Index
    info : dict
        Information about the model, written into its file.
    checkpoint, history : Path
        Files that are written after each epoch; an existing checkpoint is resumed.

    Returns
    -------
    model : GenreModel
        Calibrated in the first of several processes alone, which saves it.
    row : dict
        Result of `loop.fit` without ``resumed_from``: number of epochs, best epoch, hardware and scores.
    note : str
        Text for the summary of the stage.

    Raises
    ------
    GenreError
        A feature store is missing or damaged, or `loop.fit` raises an error.
    """
    with FeatureStore(ORIGINAL) as original:
        spec = original.spec
    name = params.model.type
    kind = networks.feature_of(name)
    class_of_genre = {genre: i for i, genre in enumerate(split.genres)}
    feature = feature_kind(kind, spec)
    versions_of_track = versions.read_versions(VERSIONS) if feature.has_versions else {}
    frames = feature.frames(params.segment.seconds)

    torch.manual_seed(params.seed)
    hyperparameters = params.model.chosen()
    network = networks.build(name, hyperparameters, n_bins=feature.n_bins, n_genres=len(class_of_genre))
    network.load_pretrained(DOWNLOADS)
    with FeatureStore(STORES[kind]) as store, FeatureStore(AUGMENTED) as augmented:
        train = []
        for track, starts in split.starts("train").items():
            augmented_features = [StoredFeatures(augmented, kind, version.copy) for version in versions_of_track.get(track, ())]
            features = [StoredFeatures(store, kind, track), *(version for version in augmented_features if len(version) >= frames)]
            train.append(TrainingTrack(class_of_genre[split.tracks[track].genre], features, starts))
        valid = [
            ValidTrack(class_of_genre[split.tracks[track].genre], StoredFeatures(store, kind, track), starts)
            for track, starts in split.starts("valid").items()
        ]
        scaling = getattr(networks.architecture(name), "NORMALISE", params.features.normalise)
        range_db = params.features.range_db if feature.is_log_mel else 0.0
        model = GenreModel(
            name,
            hyperparameters,
            network,
            split.genres,
            spec,
            params.segment.seconds,
            params.segment.hop_seconds,
            normalisation.fit(scaling, (np.asarray(t.versions[0]) for t in train), frames, range_db=range_db),
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
            # With the protocol "segment", a crop between two windows of the grid can contain audio of a test window.
            crops=params.augment.batches.crops and split.split["protocol"] != "segment",
            masks=feature.is_log_mel,
        )
        if processes.started().first:
            _calibrate(model, [model.logits(np.asarray(t.features), t.starts_seconds) for t in valid], split, params.train.coverage)
    resumed = result.pop("resumed_from")
    short_versions = sum(map(len, versions_of_track.values())) - sum(len(t.versions) - 1 for t in train)
    note = f", resumed after epoch {resumed}" if resumed else ""
    return (
        model,
        result,
        note + (f"; {short_versions} augmented versions are shorter than a segment and were left out" if short_versions else ""),
    )


def combine_models(
    params: config.Params, split: Index, info: dict[str, Any], checkpoint: Path, history: Path
) -> tuple[Ensemble, dict[str, Any], str]:
    """Combine the models of a folder into an ensemble.

    Only its calibration is fitted, on the validation tracks.

    Parameters
    ----------
    params : Params
    split : Index
    info : dict
        Information about the model, written into its file.
    checkpoint : Path
        Not used.
    history : Path
        CSV file that gets one row, with the scores of the validation tracks.

    Returns
    -------
    model : Ensemble
    row : dict
        Number of epochs, best epoch, hardware and scores, as for `train_network`.
    note : str
        Text for the summary of the stage.

    Raises
    ------
    GenreError
        The folder holds fewer than two models or an ensemble, or the models were trained on another split.
    """
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
        raise GenreError(
            f"{folder}: its models were trained on another split than the one of params.yaml: their training tracks may be test tracks now"
        )
    valid = split.starts("valid")
    genres = [split.genres.index(split.tracks[track].genre) for track in valid]
    with reader(STORES, model.kinds) as read:
        logits = [model.score(read(track), starts) for track, starts in valid.items()]
    _calibrate(model, logits, split, params.train.coverage)
    scores = validation_scores(torch.stack([pooled(x, 1.0) for x in logits]).numpy(), genres)
    row = {"epoch": 1, "lr": 0.0, "train_loss": scores["valid_loss"], **scores}
    write_csv(history, loop.HISTORY, [row])
    members_text = ", ".join(f"{path.stem} ({member.type})" for path, member in zip(paths, members, strict=True))
    return model, {"epochs": 1, "best_epoch": 1, "hardware": "cpu fp32", **scores}, f" of {len(members)} models: {members_text}"


def _calibrate(model: Model, logits: Sequence[torch.Tensor], split: Index, coverage: float) -> None:
    """Fit the temperature, then the threshold of the prediction sets, on the logits of the validation tracks."""
    rows = [split.tracks[track] for track in split.starts("valid")]
    genres = [split.genres.index(row.genre) for row in rows]
    model.temperature = fit_temperature(logits, genres)
    probabilities = np.array([model.track_probabilities(x) for x in logits])
    groups = [artist_group(row.artist, row.track) for row in rows]
    model.info["conformal"] = conformal.promise(np.array(genres), probabilities, groups, coverage, leaky=split.split["leaky"])


def checkpoint_key(params: config.Params) -> str:
    """Compute the name of a checkpoint from parameters, inputs and code.

    A run with other parameters, inputs or code gets another name, so it never resumes this checkpoint.

    Parameters
    ----------
    params : Params

    Returns
    -------
    str
        First 16 hexadecimal digits of a SHA-256 digest.
    """
    used = params.model_dump(include={"seed": True, "segment": {"seconds"}, "features": True, "augment": {"batches"}, "train": True})
    del used["train"]["memory_gb"]  # does not change results, so a run that filled the memory can go on with less
    root = Path(genre_core.__file__).parent
    code = digest(*sorted(path for package in _CODE for path in (root / package).rglob("*.py")))
    text = json.dumps([code, used, params.model.type, params.model.chosen(), torch.__version__], sort_keys=True)
    used_inputs = digest(ORIGINAL, AUGMENTED, STORES["musicnn"], VERSIONS, INDEX / "segments.csv", INDEX / "tracks.csv")
    return hashlib.sha256((text + used_inputs).encode()).hexdigest()[:16]
