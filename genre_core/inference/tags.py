"""Tags of a track: what the backbone musicnn was trained to name (Pons and Serra, LBD-ISMIR 2019)."""

from __future__ import annotations

import numpy as np

from genre_core.features import musicnn


def mean_tags(embeddings: np.ndarray) -> dict[str, float]:
    """Average the 50 last.fm tags over a track.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(patches, 1756)]
        Embeddings of `musicnn.embeddings`.

    Returns
    -------
    dict of str to float
        Mean activation of each tag in [0, 1], highest first. These are not calibrated probabilities.
    """
    activations = embeddings[:, musicnn.TAGS].mean(0, dtype=np.float64)
    names = musicnn.tag_names()
    return {names[i]: float(activations[i]) for i in np.argsort(-activations, kind="stable")}
