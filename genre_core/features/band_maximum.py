"""Convolution with filters over time and bands, and the maximum over the bands, as matrix products.

This is nearly all the work of musicnn. Batch norm after ReLU is monotone in each channel, so the maximum over the bands is taken first,
and ReLU and batch norm work on it alone. A convolution with one input channel is slow in libraries; as a matrix product of small
blocks, which stay in the processor's cache, it takes less than half the time.
"""

from __future__ import annotations

import torch
from torch.nn import functional

_BLOCK_VALUES = 500_000  # of a matrix of windows: 2 MB
_INT8_MAX = 127
_INT8_MULTIPLE = 8  # the product of 8-bit matrices wants such sizes


class BandMaximum:
    """Convolution, ReLU and batch norm, then the maximum over the bands.

    Parameters
    ----------
    weight : torch.Tensor [shape=(channels, frames, bands)]
        Filters. Zeros are added over time, so that the number of frames stays.
    bias, scale, offset : torch.Tensor [shape=(channels,)]
        Bias of the convolution; factor and offset of the batch norm after the ReLU.
    int8 : bool
        Compute with 8-bit integers: each filter has a scale of its own, the input has one scale.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor, *, int8: bool = False) -> None:
        self.frames, self.bands = weight.shape[1:]
        self.scale, self.offset = scale, offset
        # A negative scale turns the maximum to a minimum: such a filter and its result change their sign.
        self.sign = torch.where(self.scale < 0, -1.0, 1.0)
        self.bias = bias * self.sign
        matrix = (weight * self.sign[:, None, None]).flatten(1).T.contiguous()  # (frames * bands, channels)
        self.channels = matrix.shape[1]
        self.weight_scale = (matrix.abs().amax(0) / _INT8_MAX).clamp(min=1e-12) if int8 else None
        if self.weight_scale is not None:
            matrix = torch.round(matrix / self.weight_scale).to(torch.int8)
            matrix = functional.pad(matrix, (0, -self.channels % _INT8_MULTIPLE, 0, -len(matrix) % _INT8_MULTIPLE)).contiguous()
        self.matrix = matrix

    def __call__(self, x: torch.Tensor, highest: float) -> torch.Tensor:
        """Filter a spectrogram.

        Parameters
        ----------
        x : torch.Tensor [shape=(T, bands), dtype=float32]
        highest : float
            Largest absolute value of the whole track, the range of the 8-bit integers.

        Returns
        -------
        torch.Tensor [shape=(T, channels), dtype=float32]
        """
        total = len(x)
        input_scale = max(highest, 1e-12) / _INT8_MAX
        if self.weight_scale is not None:
            x = torch.round(x / input_scale).clamp(-_INT8_MAX, _INT8_MAX).to(torch.int8)
        x = functional.pad(x, (0, 0, (self.frames - 1) // 2, self.frames // 2))  # TensorFlow's "same"
        if self.bands == 1:
            x = x.T.contiguous().T  # the frames of a window lie side by side
        time_stride, band_stride = x.stride()
        positions = x.shape[1] - self.bands + 1
        values = self.frames * self.bands
        block = max(1, _BLOCK_VALUES // (positions * values))
        windows = torch.zeros(block * positions, len(self.matrix), dtype=x.dtype)  # (frames * positions, values)
        maxima = []
        for start in range(0, total, block):
            count = min(block, total - start)
            shape, strides = (count, positions, self.frames, self.bands), (time_stride, band_stride, time_stride, band_stride)
            rows = windows[: count * positions]
            rows[:, :values] = x.as_strided(shape, strides, start * time_stride).reshape(count * positions, values)
            product = torch._int_mm(rows, self.matrix) if self.weight_scale is not None else rows @ self.matrix
            maxima.append(product.view(count, positions, -1).amax(1))  # (count, channels)
        maximum = torch.cat(maxima)[:, : self.channels]
        if self.weight_scale is not None:
            maximum = maximum.float() * (input_scale * self.weight_scale)
        return torch.relu((maximum + self.bias) * self.sign) * self.scale + self.offset
