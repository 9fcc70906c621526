"""Pictures, as PNG: the bytes are the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from genre_core.features import FeatureSpec, mel_band_hz
from genre_core.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genre_core.explanation import Explanation


Out = str | Path | IO[bytes]  # where a picture is written


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot, which keeps state that threads would share

    matplotlib.rcParams["text.parse_math"] = False  # a name with two dollar signs is no formula
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Figure, out: Out) -> None:
    options: dict[str, Any] = {"dpi": 90, "format": "png", "metadata": {"Software": None}}
    if not isinstance(out, str | Path):
        figure.savefig(out, **options)
        return
    with atomic(out) as part:
        figure.savefig(part, **options)


def _mel_axes(axes: Axes, spec: FeatureSpec) -> None:
    """Label the bins of a spectrogram by their frequency."""
    centres = mel_band_hz(spec)
    wanted = [hz for hz in (100, 500, 1000, 2000, 4000, 8000, 16000) if centres[0] < hz < centres[-1]]
    axes.set_yticks([float(np.interp(hz, centres, np.arange(len(centres)))) for hz in wanted], [f"{hz:,}" for hz in wanted])
    axes.set_ylabel("frequency (Hz)")


def augmentation(
    path: Out,
    panels: Mapping[str, np.ndarray],
    spec: FeatureSpec,
    mask: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    """Draw log-mel spectrograms of a track and its copies, and the track masked.

    Parameters
    ----------
    path : str, Path or binary file
    panels : mapping of str to np.ndarray [shape=(frames, n_mels)]
        The original first.
    spec : FeatureSpec
    mask : callable
        As in training: windows (1, frames, n_mels) and a generator, masked to 0.
    """
    original = next(iter(panels.values())).astype(np.float32)
    keep = mask(torch.ones(1, *original.shape), torch.Generator().manual_seed(0))[0].numpy()
    pictures = {
        **{k: v.astype(np.float32) for k, v in panels.items()},
        "masked (drawn anew for each window)": np.where(keep > 0, original, np.nan),
    }
    figure, axes = _figure(len(pictures), 1, 8, 1.9 * len(pictures))
    top = float(original.max())
    longest = max(len(p) for p in pictures.values()) * spec.hop_length / spec.sample_rate
    for axis, (title, picture) in zip(axes[:, 0], pictures.items(), strict=True):
        seconds = len(picture) * spec.hop_length / spec.sample_rate
        image = axis.imshow(
            picture.T, origin="lower", aspect="auto", extent=(0, seconds, 0, spec.n_mels), vmin=top - 70, vmax=top, cmap="magma"
        )
        axis.set_xlim(0, longest)
        axis.set_title(title, fontsize=9)
        _mel_axes(axis, spec)
    axes[-1, 0].set_xlabel("time (s)")
    figure.colorbar(image, ax=axes[:, 0], label="dB", pad=0.01)
    _save(figure, path)


def report(
    path: Out,
    *,
    title: str,
    matrix: np.ndarray,
    genres: Sequence[str],
    f1: Mapping[str, float],
    reliability: Mapping[str, Sequence[Mapping[str, float]]],
    history: Sequence[Mapping[str, str]],
) -> None:
    """Draw one page: confusion matrix, F1 of each genre, reliability, learning curves.

    Parameters
    ----------
    path : str, Path or binary file
    title : str
    matrix : np.ndarray [shape=(genres, genres)]
        Tracks by true (rows) and predicted genre.
    genres : sequence of str
    f1 : mapping of genre to float
    reliability : mapping of label to rows of `evaluation.reliability`
    history : rows of history.csv
    """
    figure, axes = _figure(2, 2, 11, 9)
    figure.suptitle(title, fontsize=11)
    axis = axes[0, 0]
    axis.imshow(matrix / np.maximum(matrix.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(genres)), genres, rotation=45, ha="right")
    axis.set_yticks(range(len(genres)), genres)
    axis.set(xlabel="predicted", ylabel="true", title="Tracks: true against predicted")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        share = matrix[row, column] / matrix[row].sum()
        axis.text(column, row, int(matrix[row, column]), ha="center", va="center", fontsize=8, color="white" if share > 0.5 else "black")

    axis = axes[0, 1]
    ordered = sorted(f1, key=lambda genre: f1[genre])
    axis.barh(ordered, [f1[genre] for genre in ordered], color="tab:blue")
    axis.set(xlim=(0, 1), xlabel="F1 of tracks", title="Genres")

    axis = axes[1, 0]
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    for label, rows in reliability.items():
        axis.plot([r["confidence"] for r in rows], [r["accuracy"] for r in rows], marker="o", label=label)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy", title="Reliability (tracks)")
    axis.legend()

    axis = axes[1, 1]
    epochs = [int(row["epoch"]) for row in history]
    axis.plot(epochs, [float(row["train_loss"]) for row in history], label="training loss (augmented)")
    axis.plot(epochs, [float(row["valid_loss"]) for row in history], label="validation loss (tracks)")
    axis.plot(epochs, [float(row["valid_macro_f1"]) for row in history], label="validation macro-F1 (tracks)")
    axis.set(xlabel="epoch", ylim=(0, None), title="Learning curves")
    axis.legend()
    _save(figure, path)


def timeline(
    path: Out, starts_seconds: np.ndarray, probabilities: np.ndarray, genres: Sequence[str], *, segment_seconds: float, title: str
) -> None:
    """Draw the probability of each genre over a track.

    Parameters
    ----------
    path : str, Path or binary file
    starts_seconds : np.ndarray [shape=(windows,)]
    probabilities : np.ndarray [shape=(windows, genres)]
    genres : sequence of str
    segment_seconds : float
        Length of a window.
    title : str
    """
    figure, axes = _figure(1, 1, 9, 0.8 + 0.3 * len(genres))
    axis = axes[0, 0]
    edges = np.append(starts_seconds, starts_seconds[-1] + segment_seconds)
    image = axis.pcolormesh(edges, np.arange(len(genres) + 1), probabilities.T, vmin=0, vmax=1, cmap="viridis")
    axis.set_yticks(np.arange(len(genres)) + 0.5, genres)
    axis.invert_yaxis()
    axis.set(xlabel="start of the segment (s)", title=title)
    figure.colorbar(image, ax=axis, label="probability", pad=0.01)
    _save(figure, path)


def audit(path: Out, tracks: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Draw what a data set is made of: tracks a genre, lengths, levels and bandwidths.

    Parameters
    ----------
    path : str, Path or binary file
    tracks : sequence of mappings
        genre, seconds, level_dbfs, bandwidth_hz (None where unknown) and problems.
    title : str
    """
    figure, axes = _figure(2, 2, 11, 8)
    figure.suptitle(title, fontsize=11)
    genres = sorted({t["genre"] for t in tracks})
    axis = axes[0, 0]
    sound = [sum(t["genre"] == g and not t["problems"] for t in tracks) for g in genres]
    flawed = [sum(t["genre"] == g and bool(t["problems"]) for t in tracks) for g in genres]
    axis.barh(genres, sound, color="tab:blue", label="nothing found")
    axis.barh(genres, flawed, left=sound, color="tab:orange", label="with a problem")
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
    _save(figure, path)


def _boxes(axis: Axes, genres: Sequence[str], values: Sequence[Sequence[float]], label: str) -> None:
    """Draw how the values of each genre are distributed, the first genre on top."""
    axis.boxplot(values, orientation="horizontal", tick_labels=genres)
    axis.set_xlabel(label)
    axis.invert_yaxis()


def explanation(path: Out, found: Explanation, *, segment_seconds: float, title: str) -> None:
    """Draw which bands and moments of a file carried its decision.

    Parameters
    ----------
    path : str, Path or binary file
    found : Explanation
    segment_seconds : float
        Length of a window.
    title : str
    """
    figure, axes = _figure(2, 2, 11, 6)
    figure.suptitle(title, fontsize=11)
    grid = axes[0, 0].get_gridspec()
    grid.set_height_ratios([1, 3])
    grid.set_width_ratios([4, 1])
    seconds = len(found.mel) * found.spec.hop_length / found.spec.sample_rate
    edges = np.append(found.starts_seconds, max(found.starts_seconds[-1] + segment_seconds, seconds))
    axes[0, 1].axis("off")
    axes[0, 0].stairs(found.probability, edges, fill=True, color="tab:blue")
    axes[0, 0].set(ylim=(0, 1), xlim=(0, seconds), ylabel=f"P({found.genre})")

    axis = axes[1, 0]
    top = float(found.mel.max())
    extent = (0, seconds, 0, found.spec.n_mels)
    axis.imshow(found.mel.T, origin="lower", aspect="auto", extent=extent, vmin=top - 70, vmax=top, cmap="gray")
    centres = mel_band_hz(found.spec)
    rows = np.append(np.searchsorted(centres, found.edges_hz[:-1]), found.spec.n_mels)
    limit = max(0.05, float(np.abs(found.carried).max()))
    image = axis.pcolormesh(edges, rows, found.carried, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.55)
    axis.set(xlim=(0, seconds), ylim=(0, found.spec.n_mels), xlabel="time (s)")
    _mel_axes(axis, found.spec)
    figure.colorbar(image, ax=axis, label="fall of P without the band", location="bottom", shrink=0.6)

    axis = axes[1, 1]
    axis.barh((rows[:-1] + rows[1:]) / 2, found.falls, height=np.diff(rows) * 0.9, color=np.where(found.falls > 0, "tab:red", "tab:blue"))
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(ylim=(0, found.spec.n_mels), yticks=[], xlabel="fall over the whole file")
    _save(figure, path)


def protocols(path: Out, rows: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str) -> None:
    """Draw the accuracy of the same model under several protocols, with intervals and the single seeds.

    Parameters
    ----------
    path : str, Path or binary file
    rows : mapping of label to sequence of mappings
        Each with protocol, mean, low, high, accuracies and leaky.
    title : str
    """
    figure, axes = _figure(1, 1, 8, 4.5)
    axis = axes[0, 0]
    names = list(dict.fromkeys(row["protocol"] for of_label in rows.values() for row in of_label))
    width = 0.8 / len(rows)
    for number, (label, of_label) in enumerate(rows.items()):
        x = np.array([names.index(row["protocol"]) for row in of_label]) + (number - (len(rows) - 1) / 2) * width
        mean = np.array([row["mean"] for row in of_label])
        span = np.abs(np.array([[row["low"], row["high"]] for row in of_label]).T - mean)
        axis.bar(x, mean, width * 0.9, yerr=span, capsize=4, color=f"C{number}", alpha=0.75, label=label)
        for at, row in zip(x, of_label, strict=True):
            axis.plot([at] * len(row["accuracies"]), row["accuracies"], "k.", markersize=4)
            axis.text(at, 0.02, f"{row['mean']:.2f}", ha="center", color="white", fontsize=9)
    leaky = {row["protocol"] for of_label in rows.values() for row in of_label if row["leaky"]}
    axis.set_xticks(range(len(names)), [f"{name}\n(leaky)" if name in leaky else name for name in names])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks", xlabel="protocol of the split", title=title)
    if len(rows) > 1:
        axis.legend(loc="upper right", fontsize=8)
    _save(figure, path)


def folds(path: Out, accuracies: Mapping[int, Sequence[float]], pooled: Mapping[str, float], *, title: str) -> None:
    """Draw the accuracy of each fold and seed, and the pooled one with its interval.

    Parameters
    ----------
    path : str, Path or binary file
    accuracies : mapping of fold to the accuracy of each seed
    pooled : mapping
        accuracy, accuracy_low, accuracy_high.
    title : str
    """
    figure, axes = _figure(1, 1, 7, 4)
    axis = axes[0, 0]
    axis.axhspan(pooled["accuracy_low"], pooled["accuracy_high"], color="tab:blue", alpha=0.2, label="all folds, 95 % over artists")
    axis.axhline(pooled["accuracy"], color="tab:blue")
    for fold, values in accuracies.items():
        axis.plot([fold] * len(values), values, "o", color="black", markersize=5)
    axis.set_xticks(list(accuracies), [f"fold {fold}" for fold in accuracies])
    axis.set(ylim=(0, 1), ylabel="accuracy of test tracks (a dot a seed)", title=title)
    axis.legend(loc="lower right", fontsize=8)
    _save(figure, path)


def overview(
    path: Out,
    counts: Mapping[str, Mapping[str, int]],
    seconds: Mapping[str, Sequence[float]],
    levels: Mapping[str, Sequence[float]],
    *,
    title: str,
) -> None:
    """Draw tracks of each genre by split, and lengths and levels of each genre.

    Parameters
    ----------
    path : str, Path or binary file
    counts : mapping of split to mapping of genre to int
    seconds, levels : mappings of genre to values
        Lengths in s, levels in dBFS; empty where unknown.
    title : str
    """
    figure, axes = _figure(1, 3, 13, 1.5 + 0.3 * len(seconds))
    figure.suptitle(title, fontsize=11)
    genres = list(seconds)
    left = np.zeros(len(genres))
    for number, (side, of_side) in enumerate(counts.items()):
        width = np.array([of_side.get(genre, 0) for genre in genres])
        axes[0, 0].barh(genres, width, left=left, color=f"C{number}", label=side)
        left += width
    axes[0, 0].set(xlabel="tracks")
    axes[0, 0].legend(fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    axes[0, 0].invert_yaxis()
    for axis, values, label in ((axes[0, 1], seconds, "length (s)"), (axes[0, 2], levels, "level (dBFS)")):
        _boxes(axis, genres, list(values.values()), label)
    axes[0, 1].set_xlim(0, None)
    _save(figure, path)


def spectrograms(path: Out, tracks: Mapping[str, tuple[np.ndarray | None, np.ndarray]], spec: FeatureSpec) -> None:
    """Draw the waveform of each track and its log-mel spectrogram.

    Parameters
    ----------
    path : str, Path or binary file
    tracks : mapping of title to (waveform, mel)
        Lowest and highest samples over time [shape=(2, any)], or None; np.ndarray [shape=(frames, n_mels)].
    spec : FeatureSpec
    """
    columns = 2
    rows = -(-len(tracks) // columns)
    figure, axes = _figure(2 * rows, columns, 12, 2.6 * rows)
    axes[0, 0].get_gridspec().set_height_ratios([1, 3] * rows)
    for axis in axes.flat:
        axis.axis("off")
    for number, (title, (waveform, mel)) in enumerate(tracks.items()):
        above, below = axes[2 * (number // columns), number % columns], axes[2 * (number // columns) + 1, number % columns]
        picture = mel.astype(np.float32)
        seconds = len(picture) * spec.hop_length / spec.sample_rate
        below.axis("on")
        if waveform is not None:
            above.axis("on")
            above.fill_between(np.linspace(0, seconds, waveform.shape[1]), waveform[0], waveform[1], color="tab:blue", linewidth=0)
            above.set(xlim=(0, seconds), ylim=(-1, 1), xticks=[])
        above.set_title(title, fontsize=9)
        top = float(picture.max())
        below.imshow(picture.T, origin="lower", aspect="auto", extent=(0, seconds, 0, spec.n_mels), vmin=top - 70, vmax=top, cmap="magma")
        _mel_axes(below, spec)
        below.set_ylabel("Hz")
        below.tick_params(labelsize=7)
    _save(figure, path)


def distributions(path: Out, values: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Draw the distribution of several values in each genre.

    Parameters
    ----------
    path : str, Path or binary file
    values : mapping of title to mapping of genre to np.ndarray [shape=(tracks,)]
    """
    columns = 3
    rows = -(-len(values) // columns)
    genres = list(next(iter(values.values())))
    figure, axes = _figure(rows, columns, 12, rows * (0.8 + 0.25 * len(genres)))
    for axis in axes.flat[len(values) :]:
        axis.axis("off")
    for axis, (title, of_genres) in zip(axes.flat, values.items(), strict=False):
        axis.violinplot(list(of_genres.values()), orientation="horizontal", showmedians=True, widths=0.9)
        axis.set_yticks(range(1, len(genres) + 1), genres)
        axis.set_title(title, fontsize=9)
        axis.invert_yaxis()
    _save(figure, path)
