"""Export of a model to ONNX, to run it without this package.

The exported graph maps samples to probabilities, or windows of features to logits.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from genre_core.audio import level
from genre_core.errors import GenreError
from genre_core.features import musicnn
from genre_core.features.spectrogram import FLOOR_POWER, dct_basis, mel_filters
from genre_core.models import frontend
from genre_core.models.ensemble import Model
from genre_core.models.model import GenreModel
from genre_core.util.files import atomic

OPSET = 17  # first opset with the operator STFT
TOLERANCE = 1e-4  # largest accepted difference of a probability from torch


class FromSamples(nn.Module):
    """Module from mono samples to the probabilities that `Predictor` computes.

    Parameters
    ----------
    model : GenreModel
    compact : bool
        True stores the mel filters in 16 bits: the file is half a megabyte smaller, and a probability differs by up to 2e-4.
    """

    def __init__(self, model: GenreModel, *, compact: bool) -> None:
        super().__init__()
        spec = frontend.first_spectrogram(model)
        self.backbone = musicnn.load() if model.kind == "musicnn" else nn.Identity()
        self.model, self.spec = model, spec
        self.network = model.network
        self.frames = model.feature.frames(model.segment_seconds)
        self.window: torch.Tensor
        self.filters: torch.Tensor
        self.dct: torch.Tensor
        self.register_buffer("window", torch.hann_window(spec.n_fft, periodic=True))
        self.register_buffer("filters", mel_filters(spec).T.half() if compact else mel_filters(spec).T)
        self.register_buffer("dct", torch.from_numpy(dct_basis(spec.n_mels, spec.n_mfcc)))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Compute the genre probabilities of a file.

        Parameters
        ----------
        samples : torch.Tensor [shape=(n,), dtype=float32]
            Mono samples at the sample rate of the model's first spectrogram.

        Returns
        -------
        torch.Tensor [shape=(genres,), dtype=float32]
        """
        spec, model = self.spec, self.model
        length = torch._shape_as_tensor(samples)[0]
        samples = self._to_level(samples)
        spectrum = torch.stft(
            nn.functional.pad(samples, (spec.n_fft // 2, spec.n_fft // 2)).unsqueeze(0),
            spec.n_fft,
            spec.hop_length,
            window=self.window,
            center=False,
            return_complex=False,
        )  # (1, 1 + n_fft / 2, T, 2)
        power = spectrum.square().sum(3)[0].T  # (T, 1 + n_fft / 2)
        mel = 10 * torch.log10((power @ self.filters.float()).clamp(min=FLOOR_POWER))
        track = self._embeddings(mel) if model.kind == "musicnn" else mel if model.kind == "mel" else mel @ self.dct
        if model.kind != "mfcc":
            track = track.half().float()  # precision of the feature store
        # Computed from the samples, because the tracer would turn the length of the backbone's output into a constant.
        last_row = length // spec.hop_length
        if model.kind == "musicnn":
            last_row = (last_row + 1 - musicnn.PATCH_FRAMES) // musicnn.PATCH_HOP_FRAMES
        count = (((length / spec.sample_rate - model.segment_seconds) / model.hop_seconds + 1e-6).floor().long() + 1).clamp(min=1)
        starts = torch.arange(count) * model.hop_seconds  # type: ignore[call-overload]
        if model.kind == "musicnn":
            first_row = (starts * spec.sample_rate / spec.hop_length / musicnn.PATCH_HOP_FRAMES).round().long()
            # The network accepts any number of patches.
            offsets = torch.arange((last_row + 1).clamp(max=self.frames))  # type: ignore[call-overload]
        else:
            first_row = (starts * spec.sample_rate / spec.hop_length + 1e-5).floor().long()
            offsets = torch.arange(self.frames)
        first_row = torch.minimum(first_row, (last_row + 1 - self.frames).clamp(min=0))
        rows = torch.minimum(first_row.unsqueeze(1) + offsets, last_row)  # (windows, frames)
        logits = self.network(model.normalisation.apply(model.normalisation.of_track(track)[rows]))
        return (logits.softmax(1).mean(0).clamp(min=1e-12).log() / model.temperature).softmax(0)

    def _to_level(self, samples: torch.Tensor) -> torch.Tensor:
        """Compute the result of `level.to_level`."""
        if self.model.spec.level_dbfs == 0:
            return samples
        samples = samples - samples.mean()
        samples = samples - samples.mean()  # again, for what a mean in 32 bits leaves
        block = round(level.BLOCK_SECONDS * self.spec.sample_rate)
        blocks = nn.functional.avg_pool1d(samples.square()[None, None], block, block)
        windows = nn.functional.avg_pool1d(blocks, level.BLOCKS_OF_WINDOW, 1)
        loud = (windows >= windows.mean() * 10 ** (level.GATE_DB / 10)).float()
        power = (windows * loud).sum() / loud.sum()
        gain = (10 ** (self.model.spec.level_dbfs / 10) / power.clamp(min=level.SILENT_POWER)).sqrt()
        return samples * torch.where(power > level.SILENT_POWER, gain, torch.ones_like(gain))

    def _embeddings(self, mel: torch.Tensor) -> torch.Tensor:
        """Compute the result of `musicnn.embed_decibel` for the whole track at once."""
        network = cast(musicnn.Backbone, self.backbone)
        maps = network.convolve(torch.log10(1e4 * 10 ** (mel / 10) + 1).unsqueeze(0))  # (1, 753, T)
        patch, hop = musicnn.PATCH_FRAMES, musicnn.PATCH_HOP_FRAMES
        pools = (nn.functional.max_pool1d(maps, patch, hop)[0].T, nn.functional.avg_pool1d(maps, patch, hop)[0].T)  # (patches, 753) each
        return network.embed(*pools)


def exportable(model: Model) -> GenreModel:
    """Return the model if it can be exported.

    Raises
    ------
    GenreError
        The model is an ensemble.
    """
    if not isinstance(model, GenreModel):
        raise GenreError("an ensemble cannot be exported; export its members: the mean of their probabilities is nearly the same")
    return model


def export(model: GenreModel, path: str | Path, *, features: bool = True, int8: bool = False) -> dict[str, Any]:
    """Write a model to an ``.onnx`` file.

    The metadata entry ``genre_core`` of the file is JSON. It holds the genres, the sample rate and everything else that is needed to
    use the file.

    Parameters
    ----------
    model : GenreModel
    path : str or Path
    features : bool
        True includes the computation of the features: the graph maps ``samples`` (n,), float32, to ``probabilities`` (genres,).
        False maps normalised ``windows`` (B, T, n_bins) to ``logits`` (B, genres).
    int8 : bool
        True stores the weights of convolutions and linear layers in 8 bits, and the mel filters in 16 bits.

    Returns
    -------
    dict
        Metadata of the file.

    Raises
    ------
    GenreError
        ONNX cannot express a layer of the network.
    """
    import onnx

    spec = frontend.first_spectrogram(model)
    network = model.network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    metadata = {
        **{key: value for key, value in model.description().items() if key != "format"},
        "sample_rate": spec.sample_rate,
        "input": "samples, float32, mono"
        if features
        else "windows, normalised by features.range_db and normalise, then mean and deviation",
    }
    if not features:
        metadata |= {name: getattr(model.normalisation, name).tolist() for name in ("mean", "deviation")}
    example: torch.Tensor
    if features:
        module: nn.Module = FromSamples(model, compact=int8).eval()
        example = torch.randn(round((model.segment_seconds + 2 * model.hop_seconds) * spec.sample_rate))
        names, axes = (["samples"], ["probabilities"]), {"samples": {0: "n"}}
    else:
        module = network
        example = torch.randn(2, model.feature.frames(model.segment_seconds), len(model.normalisation.mean))
        names, axes = (["windows"], ["logits"]), {"windows": {0: "windows"}, "logits": {0: "windows"}}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns about shapes that are constant on purpose
        raw = Path(folder) / "raw.onnx"
        _trace(
            model.type,
            module,
            (example,),
            str(raw),
            input_names=names[0],
            output_names=names[1],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the newer exporter fixes the shapes to the length of the example
            do_constant_folding=False,  # folding would store the filters in 32 bits again
        )
        graph = onnx.load(str(raw))
        if int8:
            _to_int8(graph)
        entry = graph.metadata_props.add()
        entry.key, entry.value = "genre_core", json.dumps(metadata, sort_keys=True)
        with atomic(path) as part:
            part.write_bytes(graph.SerializeToString(deterministic=True))
    return metadata


def _trace(model_type: str, *arguments: Any, **options: Any) -> None:
    try:
        torch.onnx.export(*arguments, **options)
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        raise GenreError(f"{model_type}: ONNX cannot express one of its layers ({' '.join(str(error).split())[:120]} ...)") from None


def _to_int8(graph: Any) -> None:
    """Store the weights of convolutions and linear layers in 8 bits.

    Each output has its own scale. The computation stays in float32.
    """
    from onnx import helper, numpy_helper

    weight_names = {node.input[1] for node in graph.graph.node if node.op_type in ("Conv", "Gemm")}
    for tensor in list(graph.graph.initializer):
        if tensor.name not in weight_names:
            continue
        value = numpy_helper.to_array(tensor)  # (outputs, ...), also for Gemm, which the exporter writes with transB
        scale = np.maximum(np.abs(value).reshape(len(value), -1).max(1), 1e-12) / 127
        rounded = np.round(value / scale.reshape(-1, *[1] * (value.ndim - 1))).astype(np.int8)
        name = tensor.name
        graph.graph.initializer.remove(tensor)
        graph.graph.initializer.extend(
            [numpy_helper.from_array(rounded, f"{name}.int8"), numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")]
        )
        graph.graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=0))
