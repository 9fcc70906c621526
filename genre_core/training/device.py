"""Choose the device and the precision."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch

from genre_core.errors import GenreError


@dataclass(frozen=True)
class Hardware:
    """The device and the precision of the arithmetic."""

    device: torch.device
    bf16: bool

    @property
    def name(self) -> str:
        return f"{self.device.type} {'bf16' if self.bf16 else 'fp32'}"


def hardware(device: str, precision: str) -> Hardware:
    """Resolve ``auto``: CUDA, then MPS, then the CPU; bf16 where the hardware computes it natively.

    Raises
    ------
    GenreError
        The device is not there.
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
    """Let glibc keep what a batch frees for the next one: giving pages back and getting them anew takes a third of the time."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):  # another system: slower, that is all
        pass
