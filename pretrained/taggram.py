"""Published tag activations of MSD_musicnn for GTZAN's fault-filtered tracks.

Source: J. Pons, "sklearn-audio-transfer-learning", https://github.com/jordipons/sklearn-audio-transfer-learning, ISC licence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from genre_core.config import Section
from genre_core.datasets import gtzan
from genre_core.errors import GenreError
from genre_core.features.musicnn import TAGS, WIDTH
from genre_core.models.model import GenreModel

FOLDER = Path("pretrained")
DATA = FOLDER / "data"
URL = "https://raw.githubusercontent.com/jordipons/sklearn-audio-transfer-learning/master/data/audio_representations/"
PARTS = {
    "training": ("training_data_GTZAN_MSDmusicnn_taggram.npz", "1c7584e7f3b7da1b20b4709e737e218ec5019c6a2ff5a2865c977b208f77a42c"),
    "evaluation": ("evaluation_data_GTZAN_MSDmusicnn_taggram.npz", "02a03d35bc0761a4201b304fa6aaa974cd7112df7714ac81deb209521d19b6ce"),
}


class Params(Section):
    """Parameters in pretrained/params.yaml."""

    training_path: str
    evaluation_path: str
    online: bool
    folds: int
    repeats: int
    bootstrap_samples: int
    seed: int


def params() -> Params:
    """Read the parameters of this pipeline.

    Returns
    -------
    Params
        Content of pretrained/params.yaml.

    Raises
    ------
    OSError
        The file cannot be read.
    pydantic.ValidationError
        A parameter is missing, unknown or has the wrong type.
    """
    return Params.model_validate(yaml.safe_load((FOLDER / "params.yaml").read_text()))


@dataclass(frozen=True)
class Taggram:
    """Tracks and their tag activations.

    Attributes
    ----------
    tracks, genres, artists : list of str
        Name, genre and artist of each track; the name of the track replaces an unknown artist.
    patches : list of np.ndarray [shape=(patches, 50), dtype=float32]
        Probabilities of the 50 tags in each patch of 3 s.
    """

    tracks: list[str]
    genres: list[str]
    artists: list[str]
    patches: list[np.ndarray]


def probabilities(model: GenreModel, patches: np.ndarray) -> np.ndarray:
    """Predict the genre probabilities of a track from its tags.

    Parameters
    ----------
    model : GenreModel
        Model that reads the tags of musicnn.
    patches : np.ndarray [shape=(patches, 50), dtype=float32]
        Probabilities of the 50 tags in each patch.

    Returns
    -------
    np.ndarray [shape=(genres,)]
        Probability of each genre.
    """
    rows = np.zeros((len(patches), WIDTH), np.float32)
    rows[:, TAGS] = patches
    return model.probabilities(model.logits(rows, [0.0]))[0]


def read(part: str) -> Taggram | None:
    """Read a part of the published activations.

    Parameters
    ----------
    part : {"training", "evaluation"}
        Name of the part.

    Returns
    -------
    Taggram or None
        Tracks of the part; None if stage `fetch` did not get the file.

    Raises
    ------
    GenreError
        A track is not in this part of the fault-filtered split.
    """
    path = DATA / f"{part}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        ids, x = file["IDS"].astype(str), file["X"]
    known = gtzan.table()
    names = sorted(set(ids))
    tracks = [Path(name).stem for name in names]
    split = {"training": "train", "evaluation": "test"}[part]
    if strays := [track for track in tracks if known[track].split != split]:
        raise GenreError(f"{path}: {len(strays)} tracks are not in the fault-filtered {split} part: {', '.join(strays[:3])}")
    artists = [known[track].artist or track for track in tracks]
    return Taggram(tracks, [known[track].genre for track in tracks], artists, [x[ids == name] for name in names])
