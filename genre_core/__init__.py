"""Music-genre classification: `Predictor` says the genre of audio, `load_features` gives the feature store to torch."""

from importlib import import_module

__version__ = "0.1.0"
_FROM = {
    "Predictor": "genre_core.inference.predictor",
    "WindowDataset": "genre_core.features.torch_dataset",
    "load_features": "genre_core.features.torch_dataset",
    "GenreError": "genre_core.errors",
}


def __getattr__(name: str) -> object:  # on first use: a stage must not import, nor depend on, what it does not need
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
