"""Batch norm and dropout over a batch that several processes share.

With these layers, processes that each hold an equal share of a batch compute what one process computes on the whole batch, up to the
rounding of sums. PyTorch's `SyncBatchNorm` needs a GPU, so it is used there; on the CPU, `WholeBatchNorm` does the same with gloo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """Sum over all processes, and of the gradients in the way back."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


class WholeBatchNorm(_BatchNorm):
    """Batch norm with the mean and variance of the whole batch (S. Ioffe and C. Szegedy 2015)."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x (B, C, ...) of this process's share of the batch."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(x)
        others = [0, *range(2, x.dim())]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        count = values.numel() // values.shape[1] * distributed.get_world_size()
        mean = _Sum.apply(values.sum(others)) / count
        centred = values - mean.reshape(shape)
        variance = _Sum.apply(centred.square().sum(others)) / count  # not the mean of squares, which cancels
        with torch.no_grad():
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked or 1)
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        y = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            y = y * self.weight.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)


class WholeBatchDropout(nn.Dropout):
    """Dropout that draws the numbers of the whole batch and uses those of this process's share."""

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return x
        whole = functional.dropout(x.new_ones(distributed.get_world_size() * len(x), *x.shape[1:]), self.p)
        return x * whole[distributed.get_rank() * len(x) :][: len(x)]


def share_batches(module: nn.Module, device: torch.device) -> None:
    """Replace batch norm and dropout in all parts of `module` by layers over the whole batch; weights and names stay."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child) if device.type == "cuda" else _synchronised(child))
        elif type(child) is nn.Dropout:
            setattr(module, name, WholeBatchDropout(child.p).train(child.training))
        else:
            share_batches(child, device)


def _synchronised(layer: _BatchNorm) -> WholeBatchNorm:
    new = WholeBatchNorm(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    new._parameters, new._buffers = layer._parameters, layer._buffers
    return new.train(layer.training)
