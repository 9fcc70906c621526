"""Music-genre classification of audio.

`Predictor` predicts the genre of a track. `load_features` loads the feature store as a PyTorch data set.
"""

from importlib import import_module

__version__ = "0.1.0"
_MODULES = {
    "Predictor": "genre_core.inference.predictor",
    "WindowDataset": "genre_core.features.torch_dataset",
    "load_features": "genre_core.features.torch_dataset",
    "GenreError": "genre_core.errors",
}


# Modules are imported on first use, because a stage must not import (or depend on) a module that it does not need.
def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
