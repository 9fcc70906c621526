"""Choice of the device and the precision."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from genre_core.errors import GenreError

_COMPILED_STEPS = 20_000


@dataclass(frozen=True)
class Hardware:
    """Device and precision of the training.

    Attributes
    ----------
    device : torch.device
    bf16 : bool
        True computes in bfloat16, False in float32.
    """

    device: torch.device
    bf16: bool

    @property
    def name(self) -> str:
        """Device and precision, for example ``cuda bf16``."""
        return f"{self.device.type} {'bf16' if self.bf16 else 'fp32'}"


def hardware(device: str, precision: str) -> Hardware:
    """Choose the device and the precision.

    Parameters
    ----------
    device : {"auto", "cuda", "mps", "cpu"}
        ``auto`` takes the first available device: CUDA, then MPS, then the CPU.
    precision : {"auto", "bf16", "fp32"}
        ``auto`` takes bf16 if the hardware computes it natively.

    Returns
    -------
    Hardware

    Raises
    ------
    GenreError
        The device is not available.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if (device == "cuda" and not torch.cuda.is_available()) or (device == "mps" and not torch.backends.mps.is_available()):
        raise GenreError(f"train.device: {device!r} is not available here; use auto or cpu")
    native = {
        "cpu": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "cuda": device == "cuda" and torch.cuda.is_bf16_supported(),
        "mps": False,
    }
    return Hardware(torch.device(device), precision == "bf16" or (precision == "auto" and native[device]))


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next batch.

    Otherwise, a third of the training time is spent on returning pages to the system and requesting them again. On a system
    without glibc, nothing changes.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):  # a system without glibc
        pass


def compiles(choice: str, device: torch.device, steps: int) -> bool:
    """Decide whether `torch.compile` translates the network.

    Parameters
    ----------
    choice : {"auto", "on", "off"}
        ``auto`` compiles on a GPU with Triton if the training has at least 20,000 steps, because it takes about a minute. This bound
        is an estimate: no GPU has been measured.
    device : torch.device
    steps : int
        Number of steps of the whole training.
    """
    if choice == "auto":
        return device.type == "cuda" and steps >= _COMPILED_STEPS and find_spec("triton") is not None
    return choice == "on"
