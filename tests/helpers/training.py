"""What tests of training share."""

import numpy as np
import torch
from helpers.project import SPEC

from genre_core import networks
from genre_core.models import normalisation
from genre_core.models.model import GenreModel
from genre_core.training import loop
from genre_core.training import sampler as training_sampler

SMALL = {"cnn": {"width": 4, "blocks": 4, "dropout": 0.1}, "fnn": {"hidden_1": 32, "hidden_2": 16, "dropout": 0.1}}


def features(genre, rng, frames=300, bins=128, equalisation_db=15):
    """Noise with a ridge that tells the genre, under an equalisation that tells nothing."""
    x = rng.normal(-50, 5, (frames, bins)) + rng.normal(0, equalisation_db, bins)
    x[::8, 10 + 30 * genre : 30 + 30 * genre] += 25  # a band that beats
    return x.astype(np.float16)


def data(rng, tracks=8, genres=3, **more):
    train = [
        training_sampler.TrainingTrack(g, [features(g, rng, **more) for _ in range(2)], [0.0, 3.0])
        for g in range(genres)
        for _ in range(tracks)
    ]
    valid = [training_sampler.ValidTrack(g, features(g, rng, **more), [0.0, 3.0]) for g in range(genres) for _ in range(4)]
    return train, valid


def new_model(train, kind="cnn", normalise="track"):
    torch.manual_seed(0)
    bins = train[0].versions[0].shape[1]
    network = networks.build(kind, SMALL[kind], n_bins=bins, n_genres=3)
    fitted = normalisation.fit(normalise, (t.versions[0] for t in train), SPEC.frames(3))
    return GenreModel(kind, SMALL[kind], network, ["a", "b", "c"], SPEC, 3.0, 3.0, fitted)


def fit(model, train, valid, params, tmp_path, **changes):
    options = {"epochs": 8, "windows_per_epoch": 96, "batch_size": 16, "lr": 0.01, "weight_averaging": 0.5} | changes
    return loop.fit(
        model,
        train,
        valid,
        params=params.train.model_copy(update=options),
        augment=params.augment,
        seed=1,
        history=tmp_path / "history.csv",
        checkpoint=tmp_path / "checkpoint.pt",
        crops=True,
        masks=model.type == "cnn",
    )
