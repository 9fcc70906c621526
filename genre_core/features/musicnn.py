"""The frozen audio backbone musicnn, a pretrained convolutional network for music tagging.

J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", LBD-ISMIR 2019. The
weights are ``MSD_musicnn`` (787,159 parameters), trained on the 50 last.fm tags of the Million Song Dataset, under the ISC
licence: see ``pretrained/NOTICE``. `pretrained/convert_musicnn.py` converted them.

musicnn has its own log-mel: 16 kHz, frames of 512 samples every 256, 96 mels, ``log10(1e4 * mel + 1)``.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from genre_core.features import musicnn_spec
from genre_core.features.band_maximum import BandMaximum
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import mel_and_mfcc
from genre_core.features.store import to_store_dtype

SPEC = musicnn_spec.SPEC
PATCH_FRAMES = 187
PATCH_SECONDS = 3.0
PATCH_HOP_FRAMES = 62  # about 1 s
TAGS, PENULTIMATE, POOLS = slice(0, 50), slice(50, 250), slice(250, 1756)  # columns of the embeddings
COLUMNS = {"tags": TAGS, "penultimate": PENULTIMATE, "pools": POOLS}
WIDTH = 1756
WEIGHTS = Path(__file__).parents[1] / "pretrained" / "msd_musicnn.safetensors"
_EPSILON = 1e-3
_TEMPORAL_FRAMES = (128, 64, 32)
_HALO_FRAMES = 64 + 3 * 3  # reach of the convolutions: half of the longest filter, and 3 frames for each middle layer
_BLOCK_FRAMES = 2048


def frames(seconds: float) -> int:
    """Return the number of patches in a window, at least one."""
    return max(1, (SPEC.frames(seconds) - PATCH_FRAMES) // PATCH_HOP_FRAMES + 1)


def first_frame(start_seconds: float) -> int:
    """Return the number of the patch that begins nearest to `start_seconds`."""
    return round(start_seconds * SPEC.sample_rate / SPEC.hop_length / PATCH_HOP_FRAMES)


class _Layer(nn.Module):
    """Convolution, ReLU and batch norm, in this order."""

    def __init__(self, conv: nn.Module, channels: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm(channels, eps=_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x).relu_())


class Backbone(nn.Module):
    """Network of musicnn, with the layers of ``models.py`` in its wheel."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.BatchNorm2d(1, eps=_EPSILON)
        self.timbral = nn.ModuleList(_Layer(nn.Conv2d(1, 204, (7, bins)), 204, nn.BatchNorm2d) for bins in (38, 67))
        self.temporal = nn.ModuleList(_Layer(nn.Conv1d(1, 51, length), 51, nn.BatchNorm1d) for length in _TEMPORAL_FRAMES)
        self.middle = nn.ModuleList(_Layer(nn.Conv1d(channels, 64, 7, padding=3), 64, nn.BatchNorm1d) for channels in (561, 64, 64))
        self.pooled = nn.BatchNorm1d(1506, eps=_EPSILON)
        self.penultimate = nn.Linear(1506, 200)
        self.hidden = nn.BatchNorm1d(200, eps=_EPSILON)
        self.tags = nn.Linear(200, 50)

    def convolve(self, mel: torch.Tensor) -> torch.Tensor:
        """Convolve `mel` (B, T, 96) to feature maps (B, 753, T), in operations that ONNX has.

        `Convolver` computes the same in a third of the time.
        """
        x = self.input(mel.unsqueeze(1))  # (B, 1, T, 96)
        parts = [layer(functional.pad(x, (0, 0, 3, 3))).amax(3) for layer in self.timbral]  # (B, 204, T)
        by_band = x.permute(0, 3, 1, 2).flatten(0, 1)  # (B * 96, 1, T): a temporal filter sees one band
        for layer, length in zip(self.temporal, _TEMPORAL_FRAMES, strict=True):
            y = layer(functional.pad(by_band, ((length - 1) // 2, length // 2)))  # TensorFlow's "same"
            parts.append(y.unflatten(0, (len(mel), -1)).amax(1))  # (B, 51, T)
        return self.deepen(torch.cat(parts, 1))

    def deepen(self, front: torch.Tensor) -> torch.Tensor:
        """Apply the middle layers to the maps `front` (B, 561, T), and return all maps (B, 753, T)."""
        maps = [front, self.middle[0](front)]
        maps.append(self.middle[1](maps[1]) + maps[1])
        maps.append(self.middle[2](maps[2]) + maps[2])
        return torch.cat(maps, 1)

    def embed(self, maximum: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Compute embeddings from the maximum and the mean over time.

        Parameters
        ----------
        maximum, mean : torch.Tensor [shape=(B, 753)]
            Pools of the feature maps of `convolve`.

        Returns
        -------
        torch.Tensor [shape=(B, 1756)]
            Tag probabilities, penultimate layer and pools: see `TAGS`, `PENULTIMATE` and `POOLS`.
        """
        pools = torch.stack([maximum, mean], 2).flatten(1)  # interleaved: maximum and mean of each channel
        penultimate = self.hidden(self.penultimate(self.pooled(pools)).relu())
        return torch.cat([self.tags(penultimate).sigmoid(), penultimate, pools], 1)


def _constants(layer: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return filters (channels, frames, bands) and bias of a layer, and factor and offset of its batch norm."""
    weight = layer.conv.weight[:, 0]
    norm = layer.norm
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return weight if weight.ndim == 3 else weight[..., None], layer.conv.bias, scale, norm.bias - norm.running_mean * scale


class Convolver:
    """Feature maps of a track, by matrix products.

    Parameters
    ----------
    backbone : Backbone
    int8 : bool
        Compute the first layer, nearly all the work, with 8-bit integers.
    """

    def __init__(self, backbone: Backbone, *, int8: bool = False) -> None:
        self.backbone = backbone
        self.filters = [BandMaximum(*_constants(layer), int8=int8) for layer in backbone.timbral]
        weights, biases, scales, offsets = zip(*map(_constants, backbone.temporal), strict=True)
        longest = max(_TEMPORAL_FRAMES)
        # One filter bank of the longest length: the shorter filters get zeros on both sides.
        padded = [
            functional.pad(weight, (0, 0, (longest - 1) // 2 - (length - 1) // 2, longest // 2 - length // 2))
            for weight, length in zip(weights, _TEMPORAL_FRAMES, strict=True)
        ]
        self.filters.append(BandMaximum(torch.cat(padded), torch.cat(biases), torch.cat(scales), torch.cat(offsets), int8=int8))

    def maps(self, mel: torch.Tensor, highest: float) -> torch.Tensor:
        """Convolve `mel` (T, 96) to feature maps (753, T).

        `highest` is the largest absolute value of the track's normalised input: see `highest_input`.
        """
        x = self.backbone.input(mel[None, None])[0, 0]  # (T, 96)
        front = torch.cat([filters(x, highest) for filters in self.filters], 1)  # (T, 561)
        return self.backbone.deepen(front.T[None])[0]

    def highest_input(self, mel: torch.Tensor) -> float:
        """Return the largest absolute value of the normalised `mel` (T, 96)."""
        ends = torch.stack([mel.min(), mel.max()])[None, None, None]  # the normalisation is monotone
        return float(self.backbone.input(ends).abs().max())


@functools.lru_cache(maxsize=2)
def convolver(*, int8: bool = False) -> Convolver:
    """Build the convolver of the packaged weights."""
    return Convolver(load(), int8=int8)


@functools.lru_cache(maxsize=1)
def load() -> Backbone:
    """Load the backbone with the packaged weights, in float32."""
    state = {name: value.float() for name, value in load_file(WEIGHTS).items()}
    backbone = Backbone().eval().requires_grad_(False)
    backbone.load_state_dict(state)
    return backbone


@functools.lru_cache(maxsize=1)
def tag_names() -> tuple[str, ...]:
    """Read the names of the 50 last.fm tags, in column order."""
    with safetensors.safe_open(WEIGHTS, framework="pt") as file:
        return tuple(json.loads(file.metadata()["tags"]))


def decibel(y: np.ndarray) -> np.ndarray:
    """Compute the log-mel of mono samples at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(T, 96), dtype=float32]
        Log-mel in dB.
    """
    return mel_and_mfcc(y, SPEC)[0]


def log_mel(mel: np.ndarray) -> torch.Tensor:
    """Convert the log-mel of `decibel` to the input of musicnn.

    Parameters
    ----------
    mel : np.ndarray [shape=(T, 96), dtype=float32]
        Log-mel in dB. float16 would overflow on loud music.

    Returns
    -------
    torch.Tensor [shape=(T, 96), dtype=float32]
        ``log10(1e4 * power + 1)``.
    """
    return torch.log10(1e4 * 10 ** (torch.from_numpy(mel) / 10) + 1)


def level_deviation_db(mel_db: np.ndarray) -> float:
    """Compute how much the level changes over time, in dB.

    It is the standard deviation of each band's level, averaged over the bands with their mean power as weight: about 0.3 for a
    steady tone, and 5 to 11 for music.

    Parameters
    ----------
    mel_db : np.ndarray [shape=(T, 96), dtype=float32]
        Log-mel of `decibel`.
    """
    power = (10 ** log_mel(mel_db) - 1).clamp(min=1e-6)  # (T, 96)
    weights = power.mean(0)
    return float(((10 * power.log10()).std(0, correction=0) * weights).sum() / weights.sum())


def embeddings(y: np.ndarray) -> np.ndarray:
    """Compute the embeddings of a track, about one per second.

    The convolutions run once over the whole track; then each patch is pooled. This is three times as fast as running
    them for each patch. The tags of both methods correlate at 0.99 because only the edges of the patches differ.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32], n > 0
        Mono samples at 16 kHz. A track of less than 3 s has one shorter patch.

    Returns
    -------
    np.ndarray [shape=(patches, 1756), dtype=float32]
        Embeddings. `TAGS`, `PENULTIMATE` and `POOLS` name the columns.
    """
    return embed_decibel(decibel(y))


@torch.inference_mode()
def embed_decibel(mel_db: np.ndarray, *, int8: bool = False) -> np.ndarray:
    """Compute `embeddings` from the log-mel of `decibel`, shape (T, 96), dB.

    With `int8`, 8-bit integers compute the first layer.
    """
    backbone, convolve = load(), convolver(int8=int8)
    mel = log_mel(mel_db)
    highest = convolve.highest_input(mel)
    total = len(mel)
    patch_frames = min(PATCH_FRAMES, total)
    embedded = []
    maps, first_frame_of_maps = torch.zeros(753, 0), 0  # the feature maps that later patches still need
    for start in range(0, total, _BLOCK_FRAMES):  # blocks bound the memory for long tracks
        low, end = max(0, start - _HALO_FRAMES), min(total, start + _BLOCK_FRAMES)
        block_maps = convolve.maps(mel[low : min(total, end + _HALO_FRAMES)], highest)  # (753, block and halo)
        maps = torch.cat([maps, block_maps[:, start - low : end - low]], 1)
        count = max(0, (end - first_frame_of_maps - patch_frames) // PATCH_HOP_FRAMES + 1)
        if count:
            patches = maps.unfold(1, patch_frames, PATCH_HOP_FRAMES)  # (753, count, patch_frames)
            embedded.append(backbone.embed(patches.amax(2).T, patches.mean(2).T))
            maps = maps[:, count * PATCH_HOP_FRAMES :].clone()
            first_frame_of_maps += count * PATCH_HOP_FRAMES
    return torch.cat(embedded).numpy()


def features(y: np.ndarray) -> dict[Kind, np.ndarray]:
    """Compute `embeddings` as the features of a track, in the store's float16."""
    return {"musicnn": to_store_dtype(embeddings(y))}
