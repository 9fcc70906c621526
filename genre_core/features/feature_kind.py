"""What the code needs to know about each kind of feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genre_core.features import musicnn
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec


@dataclass(frozen=True)
class FeatureKind:
    """A kind of feature, computed with given spectrogram parameters.

    Attributes
    ----------
    name : {"mel", "mfcc", "musicnn"}
    n_bins : int
        Number of values in a row.
    frames : callable
        Converts the length of a window in seconds to its number of rows.
    first_frame : callable
        Converts the start of a window in seconds to its first row.
    is_log_mel : bool
        True if the values are levels of frequency bands in dB: a range can limit them, and masks can hide them.
    any_length : bool
        True if networks that read it take a window of any number of rows.
    has_versions : bool
        True if augmented versions of the training tracks are computed.
    """

    name: Kind
    n_bins: int
    frames: Callable[[float], int]
    first_frame: Callable[[float], int]
    is_log_mel: bool = False
    any_length: bool = False
    has_versions: bool = True


def feature_kind(name: Kind, spec: FeatureSpec) -> FeatureKind:
    """Describe a kind of feature; ``musicnn`` does not depend on `spec`."""
    if name == "musicnn":
        return FeatureKind(name, musicnn.WIDTH, musicnn.frames, musicnn.first_frame, any_length=True, has_versions=False)
    n_bins = spec.n_mels if name == "mel" else spec.n_mfcc
    return FeatureKind(name, n_bins, spec.frames, spec.first_frame, is_log_mel=name == "mel")
