"""Network pretrained on ImageNet, fine-tuned on log-mel as images.

K. Palanisamy, D. Singhania and A. Yao, "Rethinking CNN models for audio classification", 2020. `genre_core.networks._imagenet` builds
the network. The window is its image, repeated for the three colour channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import GenreNetwork, _imagenet

FEATURE = "mel"


class Hyperparameters(Section):
    """Section ``model.transfer``."""

    network: Literal["vgg16", "mobilenet_v2", "efficientnet_lite0"]
    # Path of a local file; if empty, the installed package or the official address; "none" means random weights.
    weights: str
    tune: Literal["frozen", "gradual", "full"]
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Pretrained network with a new head, for at least 32 frames.

    The pretrained networks halve the number of frames five times.
    """

    min_frames = 32

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.chosen = hyperparameters
        self.features, channels = _imagenet.features(hyperparameters.network)
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(channels, n_genres))
        self._frozen = 0  # number of parts of `features`, from the first, that are not trained

    def load_pretrained(self, downloads: Path) -> None:
        if self.chosen.weights != "none":
            _imagenet.load(self.features, self.chosen.network, self.chosen.weights, downloads)

    def unfreeze(self, done: float) -> None:
        """Freeze parts of the pretrained network as `tune` demands.

        ``gradual`` trains only the head in the first third of the epochs, then also the later half of the network, then all of it.
        """
        parts = len(_imagenet.parts(self.features))
        frozen = {"full": 0, "frozen": parts, "gradual": parts if done < 1 / 3 else parts // 2 if done < 2 / 3 else 0}
        self._frozen = frozen[self.chosen.tune]
        for i, part in enumerate(_imagenet.parts(self.features)):
            part.requires_grad_(i >= self._frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for part in _imagenet.parts(self.features)[: self._frozen]:  # the batch norm of frozen parts keeps ImageNet's statistics
            part.eval()
        return self

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows.transpose(1, 2).unsqueeze(1).expand(-1, 3, -1, -1)  # (B, 3, F, T)
        return self.head(self.features(x).mean((2, 3)))
