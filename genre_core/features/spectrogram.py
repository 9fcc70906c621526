"""Log-mel spectrograms and MFCC, equal to librosa's and several times faster.

They are faster for two reasons: a whole track is transformed once, not each overlapping segment; and torch computes the FFT
in blocks that fit into the processor's cache. librosa is not imported here because its import takes one to two seconds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genre_core.config import FeatureSettings
from genre_core.util.threads import single_thread

if TYPE_CHECKING:
    import torch  # imported in functions: a run whose features are all kept computes nothing

FLOOR_POWER = 1e-10  # -100 dB: librosa's `amin`
_BLOCK_FRAMES = 128  # the spectrum of a block (128, n_fft) fits into the processor's cache


@dataclass(frozen=True)
class FeatureSpec:
    """Parameters of a spectrogram, stored with each feature file and model.

    Attributes
    ----------
    sample_rate : int
        Sample rate in Hz.
    n_fft, hop_length : int
        Length of a frame, and distance between the starts of two frames, in samples.
    n_mels, n_mfcc : int
        Number of mel bands and of MFCC.
    fmin_hz, fmax_hz : float
        Lower edge of the lowest mel band, and upper edge of the highest.
    level_dbfs : float
        Level to which audio is brought first, see `level.to_level`; 0 leaves it as it is.
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    n_mels: int
    n_mfcc: int
    fmin_hz: float
    fmax_hz: float
    level_dbfs: float = 0.0

    @classmethod
    def of(cls, features: FeatureSettings) -> FeatureSpec:
        """Make a spec from the section ``features`` of params.yaml.

        `normalise` and `range_db` are left out because the extraction does not depend on them.
        """
        return cls(**features.model_dump(exclude={"normalise", "range_db"}))

    def frames(self, seconds: float) -> int:
        """Return the number of frames in a segment of `seconds`.

        It is ``1 + floor(seconds * sample_rate / hop_length)``, the number of centred frames.
        """
        return 1 + self.first_frame(seconds)

    def first_frame(self, start_seconds: float) -> int:
        """Return the first row of a segment that starts at `start_seconds`.

        It is ``floor(start_seconds * sample_rate / hop_length)``; the tolerance of 1e-9 frames hides rounding errors.
        """
        return int(start_seconds * self.sample_rate / self.hop_length + 1e-9)


def mel_and_mfcc(y: np.ndarray, spec: FeatureSpec) -> tuple[np.ndarray, np.ndarray]:
    """Compute the log-mel spectrogram and MFCC of a whole track.

    Frames are centred (zeros are padded at both ends) and multiplied by a periodic Hann window. Log-mel is the power in each
    of Slaney's area-normalised mel bands, in dB re 1.0, with a floor of 1e-10. MFCC are the orthonormal DCT-II of the log-mel
    (S. Davis and P. Mermelstein, IEEE TASSP 1980). librosa's default `top_db` limit is not applied because it would make
    each frame depend on the loudest one.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32], n > 0
        Mono samples at ``spec.sample_rate``.
    spec : FeatureSpec

    Returns
    -------
    mel : np.ndarray [shape=(1 + n // hop_length, n_mels), dtype=float32]
        Log-mel in dB.
    mfcc : np.ndarray [shape=(1 + n // hop_length, n_mfcc), dtype=float32]
    """
    mel = log_mel(y, spec)
    return mel, mel @ dct_basis(spec.n_mels, spec.n_mfcc)


def log_mel(y: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Compute the log-mel spectrogram of a whole track.

    See `mel_and_mfcc` for the definition and the parameters.

    Returns
    -------
    np.ndarray [shape=(1 + n // hop_length, n_mels), dtype=float32]
        Log-mel in dB.
    """
    import torch

    window, filters = _constants(spec)
    padded = np.pad(np.asarray(y, np.float32), spec.n_fft // 2)
    with torch.inference_mode():
        frames = torch.from_numpy(padded).unfold(0, spec.n_fft, spec.hop_length)  # (T, n_fft), a view
        mel = torch.empty(len(frames), spec.n_mels)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            spectrum = torch.fft.rfft(frames[start : start + _BLOCK_FRAMES] * window)  # (block, 1 + n_fft / 2)
            squares = torch.view_as_real(spectrum).flatten(1).square_()  # (block, 2 + n_fft): real and imaginary parts alternate
            for mels, parts, weights in filters:
                mel[start : start + _BLOCK_FRAMES, mels] = squares[:, parts] @ weights
        return mel.clamp_(min=FLOOR_POWER).log10_().mul_(10.0).numpy()[: 1 + len(y) // spec.hop_length]


@functools.lru_cache(maxsize=4)
def _constants(spec: FeatureSpec) -> tuple[torch.Tensor, list[tuple[slice, slice, torch.Tensor]]]:
    import torch

    with single_thread():
        window = torch.hann_window(spec.n_fft, periodic=True)
    filters = mel_filters(spec).T  # (1 + n_fft / 2, n_mels)
    groups = []
    # 16 neighbouring bands need few of the bins: the products with the zeros of all other bins are skipped.
    for first in range(0, spec.n_mels, 16):
        mels = slice(first, min(first + 16, spec.n_mels))
        used = torch.nonzero(filters[:, mels].sum(1)).flatten()
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        weights = filters[low:high, mels].repeat_interleave(2, dim=0)  # for the real and the imaginary part
        groups.append((mels, slice(2 * low, 2 * high), weights.contiguous()))
    return window, groups


def mel_filters(spec: FeatureSpec) -> torch.Tensor:
    """Compute triangular mel filters of equal area on Slaney's scale.

    They equal the filters of `librosa.filters.mel` (M. Slaney, "Auditory Toolbox", 1998).

    Returns
    -------
    torch.Tensor [shape=(n_mels, 1 + n_fft / 2), dtype=float32]
    """
    import torch

    bins_hz = np.linspace(0, spec.sample_rate / 2, 1 + spec.n_fft // 2)
    edges_hz = _mel_to_hz(np.linspace(_hz_to_mel(spec.fmin_hz), _hz_to_mel(spec.fmax_hz), spec.n_mels + 2))
    width_hz = np.diff(edges_hz)
    ramps = edges_hz[:, None] - bins_hz
    rising, falling = -ramps[:-2] / width_hz[:-1, None], ramps[2:] / width_hz[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return torch.from_numpy((triangles * area[:, None]).astype(np.float32))


_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27  # Slaney's scale: linear up to 1 kHz, logarithmic above


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_HZ / _LINEAR_HZ + float(np.log(hz / _BREAK_HZ)) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    break_mel = _BREAK_HZ / _LINEAR_HZ
    return np.where(mel < break_mel, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel)))


def mel_band_hz(spec: FeatureSpec) -> np.ndarray:
    """Compute the centre frequency of each mel band in Hz, shape ``(n_mels,)``."""
    return _mel_to_hz(np.linspace(_hz_to_mel(spec.fmin_hz), _hz_to_mel(spec.fmax_hz), spec.n_mels + 2))[1:-1]


def dct_basis(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Compute the orthonormal basis of the DCT-II.

    Column k is the cosine of coefficient k (N. Ahmed, T. Natarajan and K. Rao, "Discrete cosine transform", 1974).

    Returns
    -------
    np.ndarray [shape=(n_mels, n_mfcc), dtype=float32]
    """
    n, k = np.arange(n_mels)[:, None], np.arange(n_mfcc)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * n_mels)) * np.sqrt(2.0 / n_mels)
    basis[:, 0] /= np.sqrt(2.0)
    return basis.astype(np.float32)
