"""A prediction as JSON: one set of keys for the command, files of JSON lines and the server."""

from __future__ import annotations

from typing import Any

from genre_core.inference.predictor import Prediction


def as_record(file: str, prediction: Prediction, model: str) -> dict[str, Any]:
    """Convert a prediction to values that JSON allows.

    Parameters
    ----------
    file, model : str
        Name of the audio and of the model, as shown to the user.
    prediction : Prediction

    Returns
    -------
    dict
        The length is in seconds. ``tags`` holds all tags, highest first, with four decimals; it is empty if the model computes none.
    """
    return {
        "file": file,
        "genre": prediction.genre,
        "sure": prediction.sure,
        "probabilities": prediction.probabilities,
        "prediction_set": list(prediction.prediction_set),
        "coverage": prediction.coverage,
        "seconds": round(prediction.seconds, 3),
        "damage": prediction.damage,
        "model": model,
        "tags": {name: round(value, 4) for name, value in prediction.tags.items()},
    }
