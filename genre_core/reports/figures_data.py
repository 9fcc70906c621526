"""Figures of data sets: audit, overview, spectrograms, distributions, augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genre_core.features.spectrogram import FeatureSpec
from genre_core.reports.figures import Out, mel_axes, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def augmentation(
    path: Out,
    panels: Mapping[str, np.ndarray],
    spec: FeatureSpec,
    mask: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    """Draw log-mel spectrograms of a track, its versions, and a masked copy.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    panels : mapping of str to np.ndarray [shape=(frames, n_mels)]
        Title and log-mel in dB of each panel, the original first.
    spec : FeatureSpec
        Parameters of the spectrograms.
    mask : callable
        Masking of the training: takes windows of shape (1, frames, n_mels) and a generator, and sets masked values to 0.
    """
    original = next(iter(panels.values())).astype(np.float32)
    keep = mask(torch.ones(1, *original.shape), torch.Generator().manual_seed(0))[0].numpy()
    spectrograms_db = {
        **{k: v.astype(np.float32) for k, v in panels.items()},
        "masked (drawn anew for each window)": np.where(keep > 0, original, np.nan),
    }
    figure, axes = new_figure(len(spectrograms_db), 1, 8, 1.9 * len(spectrograms_db))
    top = float(original.max())
    longest = max(len(mel) for mel in spectrograms_db.values()) * spec.hop_length / spec.sample_rate
    for axis, (title, mel) in zip(axes[:, 0], spectrograms_db.items(), strict=True):
        seconds = len(mel) * spec.hop_length / spec.sample_rate
        image = axis.imshow(
            mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, spec.n_mels), vmin=top - 70, vmax=top, cmap="magma"
        )
        axis.set_xlim(0, longest)
        axis.set_title(title, fontsize=9)
        mel_axes(axis, spec)
    axes[-1, 0].set_xlabel("time (s)")
    figure.colorbar(image, ax=axes[:, 0], label="dB", pad=0.01)
    save(figure, path)


def audit(path: Out, tracks: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Draw genres, lengths, levels and bandwidths of an audited data set.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    tracks : sequence of mappings
        Tracks with ``genre``, ``problems``, and ``seconds``, ``level_dbfs`` and ``bandwidth_hz``, which are None if unknown.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(2, 2, 11, 8)
    figure.suptitle(title, fontsize=11)
    genres = sorted({t["genre"] for t in tracks})
    axis = axes[0, 0]
    flawless = [sum(t["genre"] == g and not t["problems"] for t in tracks) for g in genres]
    flawed = [sum(t["genre"] == g and bool(t["problems"]) for t in tracks) for g in genres]
    axis.barh(genres, flawless, color="tab:blue", label="without a problem")
    axis.barh(genres, flawed, left=flawless, color="tab:orange", label="with a problem")
    axis.set(xlabel="tracks")
    axis.invert_yaxis()
    axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    seconds = [t["seconds"] for t in tracks if t["seconds"] is not None]
    axes[0, 1].hist(seconds, bins=30, color="tab:blue")
    axes[0, 1].set(xlim=(0, None), xlabel="length (s)", ylabel="tracks", title="Lengths")
    for axis, key, label in ((axes[1, 0], "level_dbfs", "level (dBFS)"), (axes[1, 1], "bandwidth_hz", "bandwidth (Hz)")):
        values = [[t[key] for t in tracks if t["genre"] == g and t[key] is not None] for g in genres]
        _boxes(axis, genres, values, label)
        axis.set_title(f"{label.split(' (')[0].capitalize()} of each genre")
    axes[1, 1].set_xlim(0, None)
    save(figure, path)


def _boxes(axis: Axes, genres: Sequence[str], values: Sequence[Sequence[float]], label: str) -> None:
    """Draw a box plot of each genre's values, with the first genre on top."""
    axis.boxplot(values, orientation="horizontal", tick_labels=genres)
    axis.set_xlabel(label)
    axis.invert_yaxis()


def overview(
    path: Out,
    counts: Mapping[str, Mapping[str, int]],
    seconds: Mapping[str, Sequence[float]],
    levels: Mapping[str, Sequence[float]],
    *,
    title: str,
) -> None:
    """Draw track counts by split, and lengths and levels, of each genre.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    counts : mapping of split to mapping of genre to int
        Number of tracks.
    seconds, levels : mappings of genre to values
        Lengths in s and levels in dBFS of the tracks, without unknown values.
    title : str
        Title of the figure.
    """
    figure, axes = new_figure(1, 3, 13, 1.5 + 0.3 * len(seconds))
    figure.suptitle(title, fontsize=11)
    genres = list(seconds)
    left = np.zeros(len(genres))
    for number, (split, split_counts) in enumerate(counts.items()):
        width = np.array([split_counts.get(genre, 0) for genre in genres])
        axes[0, 0].barh(genres, width, left=left, color=f"C{number}", label=split)
        left += width
    axes[0, 0].set(xlabel="tracks")
    axes[0, 0].legend(fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    axes[0, 0].invert_yaxis()
    for axis, values, label in ((axes[0, 1], seconds, "length (s)"), (axes[0, 2], levels, "level (dBFS)")):
        _boxes(axis, genres, list(values.values()), label)
    axes[0, 1].set_xlim(0, None)
    save(figure, path)


def spectrograms(path: Out, tracks: Mapping[str, tuple[np.ndarray | None, np.ndarray]], spec: FeatureSpec) -> None:
    """Draw the waveform and the log-mel spectrogram of each track.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    tracks : mapping of title to (waveform, mel)
        ``waveform`` is the envelope, np.ndarray [shape=(2, any)]: lowest and highest samples over time, or None for a track without
        audio. ``mel`` is the log-mel in dB, np.ndarray [shape=(frames, n_mels)].
    spec : FeatureSpec
        Parameters of the spectrograms.
    """
    columns = 2
    rows = -(-len(tracks) // columns)
    figure, axes = new_figure(2 * rows, columns, 12, 2.6 * rows)
    axes[0, 0].get_gridspec().set_height_ratios([1, 3] * rows)
    for axis in axes.flat:
        axis.axis("off")
    for number, (title, (waveform, mel)) in enumerate(tracks.items()):
        waveform_axis = axes[2 * (number // columns), number % columns]
        mel_axis = axes[2 * (number // columns) + 1, number % columns]
        mel_db = mel.astype(np.float32)
        seconds = len(mel_db) * spec.hop_length / spec.sample_rate
        mel_axis.axis("on")
        if waveform is not None:
            waveform_axis.axis("on")
            waveform_axis.fill_between(np.linspace(0, seconds, waveform.shape[1]), waveform[0], waveform[1], color="tab:blue", linewidth=0)
            waveform_axis.set(xlim=(0, seconds), ylim=(-1, 1), xticks=[])
        waveform_axis.set_title(title, fontsize=9)
        top = float(mel_db.max())
        mel_axis.imshow(mel_db.T, origin="lower", aspect="auto", extent=(0, seconds, 0, spec.n_mels), vmin=top - 70, vmax=top, cmap="magma")
        mel_axes(mel_axis, spec)
        mel_axis.set_ylabel("Hz")
        mel_axis.tick_params(labelsize=7)
    save(figure, path)


def distributions(path: Out, values: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Draw the distribution of several values in each genre.

    Parameters
    ----------
    path : str, Path or binary file
        File to write to.
    values : mapping of title to mapping of genre to np.ndarray [shape=(tracks,)]
        Value of each track; each title is one panel.
    """
    columns = 3
    rows = -(-len(values) // columns)
    genres = list(next(iter(values.values())))
    figure, axes = new_figure(rows, columns, 12, rows * (0.8 + 0.25 * len(genres)))
    for axis in axes.flat[len(values) :]:
        axis.axis("off")
    for axis, (title, values_of_genre) in zip(axes.flat, values.items(), strict=False):
        axis.violinplot(list(values_of_genre.values()), orientation="horizontal", showmedians=True, widths=0.9)
        axis.set_yticks(range(1, len(genres) + 1), genres)
        axis.set_title(title, fontsize=9)
        axis.invert_yaxis()
    save(figure, path)
