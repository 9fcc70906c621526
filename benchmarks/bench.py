"""Benchmark of speed against the usual implementations, as ratios: ``make bench``.

Absolute times depend on the machine and its load; a ratio of two times, measured in turn on one machine, depends on them much
less. The contenders run alternately, `ROUNDS` times, and the shortest time of each counts. The exit status is 1 if a value is
worse than its bar.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from torch import nn

from genre_core import config, networks
from genre_core.audio.io import decode, resample
from genre_core.corpus.index import window_starts
from genre_core.datasets import demo
from genre_core.datasets.demo import sounds, styles
from genre_core.evaluation.metrics import macro_f1
from genre_core.features.extract import Job, extract, log_features
from genre_core.features.spectrogram import FeatureSpec
from genre_core.inference.predictor import Predictor
from genre_core.models import file as model_file
from genre_core.models import normalisation
from genre_core.models.model import GenreModel
from genre_core.training import device as training_device
from genre_core.training import loop
from genre_core.training import sampler as training_sampler
from genre_core.training.windows import WindowsInMemory
from genre_core.util.threads import one_thread

ROUNDS = 3
TRACKS = 10
SECONDS = 30.0


def best_times(**contenders: Callable[[], object]) -> dict[str, float]:
    """Measure the shortest time of each contender, in alternating runs.

    Parameters
    ----------
    **contenders : callables
        Functions to time, by name.

    Returns
    -------
    dict of str to float
        Shortest time of `ROUNDS` runs, in seconds; one run before them, for warm-up, is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: min(seconds) for name, seconds in times.items()}


def music(folder: Path) -> list[Path]:
    """Write synthesised tracks of GTZAN's length (30 s) as WAV; return their paths."""
    paths = []
    for number, genre in enumerate(styles.GENRES[:TRACKS]):
        paths.append(folder / f"{genre}.wav")
        y = demo.synthesise(genre, seed=9, artist=number, track=0, seconds=SECONDS)
        soundfile.write(paths[-1], y, sounds.SAMPLE_RATE, subtype="PCM_16")
    return paths


def extraction(paths: list[Path], params: config.Params, folder: Path) -> list[tuple[str, float, float, str]]:
    """Compare `extract` with the usual loop, and with FFTs and decoding alone.

    Everything runs in one process with one thread. The result has a row (description, value, bar, sense) for each comparison.
    """
    spec = FeatureSpec.of(params.features)
    starts = window_starts(SECONDS, params.segment.seconds, params.segment.hop_seconds)
    one_thread()

    def usual_loop(starts: list[float] = starts) -> None:
        for path in paths:
            for start in starts:
                y, sample_rate = librosa.load(path, sr=spec.sample_rate, offset=start, duration=params.segment.seconds)
                common = {"sr": sample_rate, "n_fft": spec.n_fft, "hop_length": spec.hop_length}
                mel = librosa.feature.melspectrogram(y=y, n_mels=spec.n_mels, **common)
                librosa.power_to_db(mel)
                librosa.feature.mfcc(y=y, n_mfcc=spec.n_mfcc, **common)

    def ours() -> None:
        extract([Job(path.stem, path) for path in paths], spec, folder / "store.h5", partial(log_features, spec=spec), workers=1)

    window = torch.hann_window(spec.n_fft)

    def decoding_and_ffts() -> None:
        for path in paths:
            y = torch.from_numpy(decode(path, sample_rate=spec.sample_rate).y)
            torch.stft(y, spec.n_fft, spec.hop_length, window=window, pad_mode="constant", return_complex=True)

    no_overlap_starts = window_starts(SECONDS, params.segment.seconds, params.segment.seconds)
    times = best_times(usual=usual_loop, no_overlap=lambda: usual_loop(no_overlap_starts), ours=ours, transforms=decoding_and_ffts)
    workload = f"{len(paths)} tracks of {SECONDS:g} s, {len(starts)} segments each, one core"
    per_track = {name: f"{1000 * seconds / len(paths):.0f} ms" for name, seconds in times.items()}
    return [
        (
            f"extract / per-segment librosa loop ({workload}: {per_track['ours']} against {per_track['usual']} per track)",
            times["usual"] / times["ours"],
            15,
            ">=",
        ),
        (
            f"the same against a loop over segments without overlap ({len(no_overlap_starts)} per track); no bar",
            times["no_overlap"] / times["ours"],
            0,
            ">=",
        ),
        (f"extract / FFTs and decoding alone ({per_track['transforms']} per track)", times["ours"] / times["transforms"], 2.5, "<="),
    ]


def decoding(paths: list[Path], folder: Path) -> list[tuple[str, float, float, str]]:
    """Compare `decode` with libsndfile alone and the mean of the channels, in one thread.

    The rows are as for `extraction`.
    """
    y = np.stack([resample(decode(paths[0]).y, sounds.SAMPLE_RATE, 44_100)] * 2, 1)
    files = {"WAV": folder / "stereo.wav", "FLAC": folder / "stereo.flac", "mp3": folder / "stereo.mp3"}
    for path in files.values():
        soundfile.write(path, y, 44_100)

    def ours(path: Path) -> None:
        for _ in range(10):
            decode(path)

    def libsndfile(path: Path) -> None:
        for _ in range(10):
            soundfile.read(path, dtype="float32")[0].mean(axis=1)

    rows = []
    for name, path in files.items():
        times = best_times(ours=partial(ours, path), libsndfile=partial(libsndfile, path))
        per_file = {key: f"{100 * seconds:.1f} ms" for key, seconds in times.items()}
        what = f"decode / libsndfile alone, 30 s of stereo {name} ({per_file['ours']} against {per_file['libsndfile']})"
        rows.append((what, times["ours"] / times["libsndfile"], 1.2, "<="))
    return rows


def train(params: config.Params) -> list[tuple[str, float, float, str]]:
    """Compare the speed of our training loop with a plain fp32 loop.

    Both use the same network, windows, optimiser and number of steps. The rows are as for `extraction`.
    """
    hardware = training_device.hardware("cpu", "auto")
    spec = FeatureSpec.of(params.features)
    frames = spec.frames(params.segment.seconds)
    log_mels: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
    labels: dict[str, list[int]] = {"train": [], "valid": []}
    for genre in range(len(styles.GENRES)):
        for artist in range(8):
            y = demo.synthesise(styles.GENRES[genre], seed=5, artist=artist, track=0, seconds=6)
            side = "valid" if artist < 3 else "train"
            log_mels[side].append(log_features(resample(y, sounds.SAMPLE_RATE, spec.sample_rate), spec)["mel"])
            labels[side].append(genre)
    starts = window_starts(6, params.segment.seconds, params.segment.hop_seconds)
    tracks = [training_sampler.TrainingTrack(g, [x], starts) for g, x in zip(labels["train"], log_mels["train"], strict=True)]
    valid = [training_sampler.ValidTrack(g, x, starts) for g, x in zip(labels["valid"], log_mels["valid"], strict=True)]
    fitted = normalisation.fit(params.features.normalise, log_mels["train"], frames, range_db=params.features.range_db)
    epochs, windows = 5, 640
    settings = params.train.model_copy(
        update={
            **{"epochs": epochs, "windows_per_epoch": windows, "weight_averaging": 0.0, "device": "cpu"},
            **{"keep": "best", "patience": epochs},  # the plain loop does the same
        }
    )
    torch.set_num_threads(settings.threads)
    scores: dict[str, float] = {}

    def new_model() -> GenreModel:
        torch.manual_seed(0)
        hyperparameters = params.model.model_extra["cnn"]
        network = networks.build("cnn", hyperparameters, n_bins=spec.n_mels, n_genres=len(styles.GENRES))
        return GenreModel(
            "cnn", hyperparameters, network, list(styles.GENRES), spec, params.segment.seconds, params.segment.hop_seconds, fitted
        )

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = loop.fit(
                new_model(), tracks, valid, params=settings, augment=params.augment, seed=0,
                history=Path(folder, "h.csv"), checkpoint=Path(folder, "c.pt"), crops=True, masks=True,
            )  # fmt: skip
        scores["ours"] = result["valid_macro_f1"]

    def plain() -> None:
        """Train as in a tutorial: NCHW, fp32; windows, augmentation and validation as in our loop."""
        model = new_model()
        sampler = training_sampler.Sampler(tracks, frames, spec.first_frame, True)
        cpu = torch.device("cpu")
        kept = WindowsInMemory([version for track in tracks for version in track.versions], sampler, fitted, cpu, cpu)
        optimiser = torch.optim.AdamW(model.network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.lr, total_steps=epochs * (windows // settings.batch_size) + 1)
        best = 0.0
        from genre_core.training.augment import mask, mixup

        for epoch in range(1, epochs + 1):
            generator = torch.Generator().manual_seed(epoch)
            tracks_drawn, rows = sampler.draw(windows, generator)
            model.network.train()
            for batch in torch.arange(windows).split(settings.batch_size):
                x = fitted.apply(kept.take(rows[batch]))
                targets = nn.functional.one_hot(sampler.genres[tracks_drawn[batch]], len(styles.GENRES)).float()
                x, targets = mixup(x, targets, params.augment.batches.mixup_alpha, generator)
                x = mask(x, generator, batches=params.augment.batches)
                loss = nn.functional.cross_entropy(model.network(x), targets, label_smoothing=settings.label_smoothing)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            track_probabilities = np.array([model.logits(t.features, t.starts_seconds).softmax(1).mean(0).numpy() for t in valid])
            best = max(best, macro_f1(np.array(labels["valid"]), track_probabilities.argmax(1), len(styles.GENRES)))
        scores["plain"] = best

    times = best_times(plain=plain, ours=ours)
    native_bf16 = hardware.bf16
    rates = {name: f"{epochs * windows / seconds:.0f}" for name, seconds in times.items()}
    name = f"training / plain fp32 loop ({hardware.name}: {rates['ours']} against {rates['plain']} windows per second)"
    f1_difference = f"validation macro-F1, ours minus plain ({scores['ours']:.3f} minus {scores['plain']:.3f}, {len(valid)} tracks)"
    return [
        (
            name if native_bf16 else name + "; no bar, because this machine has no native bf16",
            times["plain"] / times["ours"],
            2.5 if native_bf16 else 0.0,
            ">=",
        ),
        (f1_difference, scores["ours"] - scores["plain"], -0.15, ">="),
    ]


def predictor(paths: list[Path], folder: Path) -> list[tuple[str, float, float, str]]:
    """Measure the prediction time of the trained default `cnn`, warm and cold.

    Warm: a loaded model predicts a file, on one core. Cold: the command `genre predict` starts, loads the model and predicts. The
    rows are as for `extraction`.
    """
    path = Path("data/model/model.safetensors")
    if not path.is_file() or model_file.load(path).type != "cnn":
        sys.exit("error: data/model/model.safetensors is missing or is not a trained cnn; run `make demo` first")
    one_thread()
    warm = Predictor(path)
    flac = folder / "clip.flac"
    soundfile.write(flac, decode(paths[0]).y, sounds.SAMPLE_RATE)
    times = best_times(
        wav=lambda: [warm.predict_file(paths[0]) for _ in range(5)], flac=lambda: [warm.predict_file(flac) for _ in range(5)]
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "genre_core.apps.cli.main", "predict", str(paths[0])], check=True, stdout=subprocess.DEVNULL)
    cold_seconds = time.perf_counter() - start
    return [
        ("Predictor, 30 s WAV from file, warm, one core (ms)", 1000 * times["wav"] / 5, 50, "<="),
        ("Predictor, 30 s FLAC from file, warm, one core (ms)", 1000 * times["flac"] / 5, 50, "<="),
        ("genre predict, cold start (s)", cold_seconds, 3, "<="),
        ("model file (MB)", path.stat().st_size / 1e6, 2, "<="),
    ]


def no_op() -> list[tuple[str, float, float, str]]:
    """Count the stages that `dvc repro` starts if nothing has changed.

    It must start none: then the time of the command is only the time of DVC.
    """
    log = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=True, capture_output=True, text=True)
    return [("no-op dvc repro: stages started", float(log.stdout.count("Running stage")), 0, "<=")]


def main() -> int:
    params = config.load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = music(folder)
        sections: Mapping[str, Callable[[], list[tuple[str, float, float, str]]]] = {
            "extraction": lambda: extraction(paths, params, folder),
            "decoding": lambda: decoding(paths, folder),
            "training": lambda: train(params),
            "prediction": lambda: predictor(paths, folder),
            "nothing to do": no_op,
        }
        missed = 0
        for section in sections.values():
            for what, value, bar, sense in section():
                met = value >= bar if sense == ">=" else value <= bar
                missed += not met
                print(f"{'ok  ' if met else 'MISS'}  {value:8.2f}  ({sense} {bar:g})  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
