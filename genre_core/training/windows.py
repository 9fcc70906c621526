"""Windows of the training tracks: from the memory of a device, or from the store while the network trains.

Both give the same values to the bit. A window is named by its first row, as in `Sampler`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from genre_core.features.stored import StoredFeatures
from genre_core.models.normalisation import Normalisation, of_part
from genre_core.training.plan import Batch
from genre_core.training.sampler import Features, Sampler, TrainingTrack, ValidTrack

_DEVICE_SHARE = 0.5  # of the free memory of a GPU; the rest is for the network and its batches


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy values from the CPU to a device, without a wait for the work that the device still has to do."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)  # a copy of memory that is not pinned waits


def feature_bytes(features: Sequence[Features]) -> int:
    """Compute the size of features in memory."""
    row = np.asarray(features[0])[:1].nbytes if features else 0
    return row * sum(len(one) for one in features)


def place(size: int, device: torch.device, memory_bytes: float, *, free_bytes: int | None = None) -> str:
    """Choose where the features of the training tracks lie.

    Parameters
    ----------
    size : int
        Size of the features, in bytes.
    device : torch.device
    memory_bytes : float
        Largest size in the memory of the CPU.
    free_bytes : int, optional
        Free memory of the device; by default, it is asked if it is a GPU.

    Returns
    -------
    {"device", "memory", "store"}
        In the memory of `device`, in that of the CPU, or in the store.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] if free_bytes is None else free_bytes
        if size <= _DEVICE_SHARE * free:
            return "device"
    return "memory" if size <= memory_bytes else "store"


def read_windows(
    train: Sequence[TrainingTrack],
    valid: Sequence[ValidTrack],
    sampler: Sampler,
    normalisation: Normalisation,
    device: torch.device,
    *,
    memory_bytes: float,
    most_windows: int,
) -> tuple[WindowsInMemory | WindowsInStore, Sequence[ValidTrack]]:
    """Read the features where they fit: on the device, in memory, or not at all.

    Returns
    -------
    windows : WindowsInMemory or WindowsInStore
        Windows of the training tracks.
    valid : sequence of ValidTrack
        Validation tracks; their features are in memory if they fit there beside those of the training tracks.
    """
    versions = [version for track in train for version in track.versions]
    size, valid_size = feature_bytes(versions), feature_bytes([track.features for track in valid])
    chosen = place(size, device, memory_bytes - valid_size)
    if valid_size + (size if chosen == "memory" else 0) <= memory_bytes / (1 if chosen != "store" else 4):
        valid = [replace(track, features=np.asarray(track.features)) for track in valid]
    if chosen == "store":
        return WindowsInStore(versions, sampler, normalisation, device, memory_bytes / 2, most_windows), valid
    kept_on = device if chosen == "device" else torch.device("cpu")
    return WindowsInMemory(versions, sampler, normalisation, kept_on, device), valid


class WindowsInMemory:
    """Windows of features that lie in the memory of a device.

    Parameters
    ----------
    versions : sequence of np.ndarray or StoredFeatures [shape=(frames, n_bins)]
        Features of all versions of all tracks; one at a time is read.
    sampler : Sampler
    normalisation : Normalisation
    kept_on, device : torch.device
        Device that keeps the features, and device of the windows.
    """

    def __init__(
        self, versions: Sequence[Features], sampler: Sampler, normalisation: Normalisation, kept_on: torch.device, device: torch.device
    ) -> None:
        first = torch.from_numpy(np.asarray(versions[0]))
        rows = int(sampler.length.sum())
        self.features = torch.empty(rows, first.shape[1], dtype=first.dtype, device=kept_on)  # (all frames, bins)
        for version, begin, length in zip(versions, sampler.begin.tolist(), sampler.length.tolist(), strict=True):
            values = torch.from_numpy(np.asarray(version))
            self.features[begin : begin + len(values)] = normalisation.of_track(values).to(first.dtype)
            self.features[begin + len(values) : begin + length] = self.features[begin + len(values) - 1].clone()
        self.device = device
        self.offsets = torch.arange(sampler.frames, device=kept_on)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the windows that begin at `rows` (B,), after the steps that need the whole track.

        Returns
        -------
        torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        """
        kept_on = self.features.device
        windows = self.features[to_device(rows, kept_on)[:, None] + self.offsets]  # (B, T, bins)
        return (windows if kept_on == self.device else to_device(windows, self.device)).float()

    def read(self, batches: Iterable[Batch]) -> Generator[tuple[Batch, torch.Tensor], None, None]:
        """Yield each batch with its windows, as `take` returns them."""
        for batch in batches:
            yield batch, self.take(batch.rows)


class WindowsInStore:
    """Windows that a thread reads from the store, a block of batches ahead of the training.

    The order is the one that was drawn, as from memory. Inside a block, windows are read in the order of the file.

    Parameters
    ----------
    versions : sequence of np.ndarray or StoredFeatures [shape=(frames, n_bins)]
        Features of all versions of all tracks; each is read once for its statistics, one at a time.
    sampler : Sampler
    normalisation : Normalisation
    device : torch.device
        Device of the windows.
    memory_bytes : float
        Size of two blocks: one is read while the other one is used. A block has at least one batch.
    most_windows : int
        Largest number of windows in a block, because the training waits for the first one.
    """

    def __init__(
        self,
        versions: Sequence[Features],
        sampler: Sampler,
        normalisation: Normalisation,
        device: torch.device,
        memory_bytes: float,
        most_windows: int,
    ) -> None:
        self.versions, self.device, self.frames = versions, device, sampler.frames
        self.begin = sampler.begin.numpy()
        first = torch.from_numpy(np.asarray(versions[0])[:1])
        self.dtype, self.bins = first.dtype, first.shape[1]
        # Made before the tracks are read: small tensors between large ones that come and go would keep gigabytes of holes.
        floors, means = torch.empty(len(versions)), torch.empty(len(versions), self.bins)
        for i, version in enumerate(versions):
            floors[i], means[i] = normalisation.statistics(torch.from_numpy(np.asarray(version)))
        self.floors, self.means = floors.to(device), means.to(device)
        self.block_windows = min(most_windows, int(memory_bytes / 2 / (self.frames * self.bins * self.dtype.itemsize)))
        self.blocks: list[torch.Tensor] = [torch.empty(0)] * 2
        self.copied: list[torch.cuda.Event | None] = [None, None]

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the windows that begin at `rows`, as `WindowsInMemory.take` does."""
        windows = torch.empty(len(rows), self.frames, self.bins, dtype=self.dtype)
        self._fill(windows, rows)
        return self._normalised(windows, rows)

    def read(self, batches: Iterable[Batch]) -> Generator[tuple[Batch, torch.Tensor], None, None]:
        """Yield each batch with its windows, as `take` returns them, and read the next block meanwhile."""
        with ThreadPoolExecutor(1, "read-windows") as reader:
            used: tuple[list[Batch], int, Future[None]] | None = None
            for number, block in enumerate(self._blocks(batches)):
                buffer = number % 2
                size = sum(len(batch.rows) for batch in block)
                if len(self.blocks[buffer]) < size:
                    pinned = self.device.type == "cuda"
                    self.blocks[buffer] = torch.empty(size, self.frames, self.bins, dtype=self.dtype, pin_memory=pinned)
                future = reader.submit(self._fill_buffer, buffer, torch.cat([batch.rows for batch in block]))
                if used:
                    yield from self._use(*used)
                used = block, buffer, future
            if used:
                yield from self._use(*used)

    def _blocks(self, batches: Iterable[Batch]) -> Iterator[list[Batch]]:
        """Yield as many batches together as fit into one block."""
        block: list[Batch] = []
        for batch in batches:
            if block and sum(len(b.rows) for b in block) + len(batch.rows) > self.block_windows:
                yield block
                block = []
            block.append(batch)
        if block:
            yield block

    def _use(self, block: list[Batch], buffer: int, future: Future[None]) -> Generator[tuple[Batch, torch.Tensor], None, None]:
        future.result()
        for batch, windows in zip(block, self.blocks[buffer].split([len(b.rows) for b in block]), strict=False):
            yield batch, self._normalised(windows, batch.rows)
        if self.device.type == "cuda":
            self.copied[buffer] = event = torch.cuda.Event()
            event.record()

    def _fill_buffer(self, buffer: int, rows: torch.Tensor) -> None:
        if event := self.copied[buffer]:  # the device may still copy the block that was there
            event.synchronize()
        self._fill(self.blocks[buffer], rows)

    def _fill(self, windows: torch.Tensor, rows: torch.Tensor) -> None:
        """Read the windows that begin at `rows` into `windows`, in the order of the file."""
        target, first_rows = windows.numpy(), rows.numpy()
        version = np.searchsorted(self.begin, first_rows, side="right") - 1
        start = first_rows - self.begin[version]
        for i in np.argsort(first_rows, kind="stable").tolist():
            features, first = self.versions[version[i]], int(start[i])
            part = features.window(first, self.frames) if isinstance(features, StoredFeatures) else features[first : first + self.frames]
            target[i, : len(part)] = part
            target[i, len(part) :] = part[-1]

    def _normalised(self, windows: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        version = to_device(torch.from_numpy(np.searchsorted(self.begin, rows.numpy(), side="right") - 1), self.device)
        windows = windows.to(self.device, non_blocking=True)
        normalised = of_part(windows, self.floors[version, None, None], self.means[version, None])  # (B, T, bins)
        return normalised.to(self.dtype).float()  # rounded as in memory
