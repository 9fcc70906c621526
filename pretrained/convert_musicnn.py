"""Conversion of the tagger MSD_musicnn to safetensors, without TensorFlow.

    pip download --no-deps musicnn==0.1.0
    python -m pretrained.convert_musicnn musicnn-0.1.0-py3-none-any.whl

The wheel `musicnn==0.1.0` has the ISC licence. The conversion is needed only once.
It writes ``genre_core/pretrained/msd_musicnn.safetensors``: the inference weights in float16, with the parameter names of
`genre_core.features.musicnn.Backbone`. The checkpoint has TensorFlow's "bundle" format: an index (a LevelDB table of protocol
buffers) and one file of raw little-endian tensors.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from genre_core.errors import GenreError
from genre_core.features.musicnn import WEIGHTS, Backbone
from genre_core.util.files import atomic, digest

SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
FOLDER = "musicnn/MSD_musicnn/"
TAGS = "musicnn/configuration.py"
# (convolution, batch normalisation, our name), in the order in which the wheel's models.py creates the layers,
# because TensorFlow numbers layers in this order.
LAYERS = (
    ("conv2d", "batch_normalization_1", "timbral.0"),
    ("conv2d_1", "batch_normalization_2", "timbral.1"),
    ("conv2d_2", "batch_normalization_3", "temporal.0"),
    ("conv2d_3", "batch_normalization_4", "temporal.1"),
    ("conv2d_4", "batch_normalization_5", "temporal.2"),
    ("conv2d_5", "batch_normalization_6", "middle.0"),
    ("conv2d_6", "batch_normalization_7", "middle.1"),
    ("conv2d_7", "batch_normalization_8", "middle.2"),
)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read the varint at a position; return its value and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of one block of a LevelDB table.

    A key is stored as the length of the prefix that it shares with the previous key, and the remaining bytes.
    """
    if data[offset + size] != 0:
        raise GenreError("the checkpoint's index is compressed; the index in the wheel musicnn==0.1.0 is not compressed")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    at, end, key = 0, len(block) - 4 * (restarts + 1), b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        yield key, block[at + unshared : at + unshared + length]
        at += unshared + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a protocol buffer.

    The value is an int for varints and fixed-width fields, and bytes for length-delimited fields.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            width = {1: 8, 5: 4}[tag & 7]
            yield tag >> 3, int.from_bytes(message[at : at + width], "little")
            at += width


def read_bundle(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """Read the float32 tensors of a TensorFlow checkpoint.

    Parameters
    ----------
    index : bytes
        Content of the checkpoint's index file.
    data : bytes
        Content of the checkpoint's data file.

    Returns
    -------
    dict of str to np.ndarray [dtype=float32]
        Tensor of each name; tensors of other types are left out.

    Raises
    ------
    GenreError
        The index is compressed.
    """
    at = len(index) - 48  # start of the footer, which has the position of the block index
    for _ in range(2):
        _, at = _varint(index, at)
    offset, at = _varint(index, at)
    size, at = _varint(index, at)
    tensors = {}
    for _, handle in _block(index, offset, size):
        first, after = _varint(handle, 0)
        length, _ = _varint(handle, after)
        for key, value in _block(index, first, length):
            if not key:  # the header of the bundle has an empty key
                continue
            entry = dict(_fields(value))
            if entry.get(1) != 1:  # DT_FLOAT
                continue
            shape = [int(dict(_fields(bytes(d))).get(1, 0)) for n, d in _fields(bytes(entry.get(2, b""))) if n == 2]  # type: ignore[arg-type]
            begin, count = int(entry.get(4, 0)), int(entry[5])  # type: ignore[arg-type]
            tensors[key.decode()] = np.frombuffer(data[begin : begin + count], "<f4").reshape(shape)
    return tensors


def converted(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Convert tensors to the parameter names of `Backbone` and to torch's layouts.

    Parameters
    ----------
    tensors : dict of str to np.ndarray [dtype=float32]
        Result of `read_bundle`.

    Returns
    -------
    dict of str to torch.Tensor [dtype=float32]
        State of `Backbone`.

    Raises
    ------
    KeyError
        A tensor is missing.
    """
    state: dict[str, np.ndarray] = {}

    def norm(source: str, target: str) -> None:
        """Copy the parameters of a batch normalisation."""
        for old, new in (("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
            state[f"{target}.{new}"] = tensors[f"{source}/{old}"]

    norm("batch_normalization", "input")
    for conv, bn, target in LAYERS:
        kernel = tensors[f"{conv}/kernel"]  # (time, frequency, in, out)
        weight = kernel.transpose(3, 2, 0, 1)  # (out, in, time, frequency)
        if target.startswith("temporal"):
            weight = weight[..., 0]  # (out, 1, time)
        elif target.startswith("middle"):
            weight = weight[:, 0].transpose(0, 2, 1)  # (out, frequency, time)
        state[f"{target}.conv.weight"] = weight
        state[f"{target}.conv.bias"] = tensors[f"{conv}/bias"]
        norm(bn, f"{target}.norm")
    norm("batch_normalization_9", "pooled")
    state["penultimate.weight"], state["penultimate.bias"] = tensors["dense/kernel"].T, tensors["dense/bias"]
    norm("batch_normalization_10", "hidden")
    state["tags.weight"], state["tags.bias"] = tensors["dense_1/kernel"].T, tensors["dense_1/bias"]
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def read_wheel(wheel: Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Read the weights and the tag names from the wheel musicnn==0.1.0.

    Parameters
    ----------
    wheel : Path
        Path of the wheel.

    Returns
    -------
    state : dict of str to torch.Tensor [dtype=float32]
        State of `Backbone`.
    tags : list of str
        Names of the 50 tags.

    Raises
    ------
    GenreError
        The SHA-256 of the file is not the wheel's.
    OSError
        The file cannot be read.
    """
    if digest(wheel) != SHA256:
        raise GenreError(f"{wheel}: not the wheel musicnn==0.1.0 (SHA-256 {SHA256}); get it with `pip download --no-deps musicnn==0.1.0`")
    with zipfile.ZipFile(wheel) as file:
        tensors = read_bundle(file.read(FOLDER + ".index"), file.read(FOLDER + ".data-00000-of-00001"))
        source = file.read(TAGS).decode()
    text = source[source.index("MSD_LABELS") :]
    tags = json.loads(text[text.index("[") : text.index("]") + 1].replace("'", '"'))
    return converted(tensors), tags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    state, tags = read_wheel(parser.parse_args().wheel)
    backbone = Backbone()
    backbone.load_state_dict(state, strict=True)
    with atomic(WEIGHTS) as part:
        save_file({name: value.half() for name, value in state.items()}, part, metadata={"tags": json.dumps(tags)})
    print(f"{WEIGHTS}: {sum(v.numel() for v in state.values())} numbers, {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
