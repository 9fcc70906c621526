"""Speed against the way others do it, side by side in one run, as ratios: ``make bench``.

Absolute times depend on the machine and its mood; ratios of two things measured in turn on one machine do not. Every
pair is measured in alternation, `ROUNDS` times, and the best time of each counts. Exits with 1 when a bar is missed.
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
from genre_core.util.parallel import one_thread

ROUNDS = 3
TRACKS = 10
SECONDS = 30.0


def best_times(**contenders: Callable[[], object]) -> dict[str, float]:
    """Best of `ROUNDS` alternating runs of each contender, in seconds, after one run to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(ROUNDS + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: min(of_one) for name, of_one in times.items()}


def music(folder: Path) -> list[Path]:
    """Synthesised tracks of GTZAN's length, as WAV."""
    paths = []
    for number, genre in enumerate(styles.GENRES[:TRACKS]):
        paths.append(folder / f"{genre}.wav")
        y = demo.synthesise(genre, seed=9, artist=number, track=0, seconds=SECONDS)
        soundfile.write(paths[-1], y, sounds.SAMPLE_RATE, subtype="PCM_16")
    return paths


def extraction(paths: list[Path], params: config.Params, folder: Path) -> list[tuple[str, float, float, str]]:
    """`extract` against the usual loop, and against FFTs and decoding alone; all in one process with one thread."""
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

    def transforms_alone() -> None:
        for path in paths:
            y = torch.from_numpy(decode(path, sample_rate=spec.sample_rate).y)
            torch.stft(y, spec.n_fft, spec.hop_length, window=window, pad_mode="constant", return_complex=True)

    apart = window_starts(SECONDS, params.segment.seconds, params.segment.seconds)
    times = best_times(usual=usual_loop, apart=lambda: usual_loop(apart), ours=ours, transforms=transforms_alone)
    what = f"{len(paths)} tracks of {SECONDS:g} s, {len(starts)} segments each, one core"
    per_track = {name: f"{1000 * seconds / len(paths):.0f} ms" for name, seconds in times.items()}
    return [
        (
            f"extract / per-segment librosa loop ({what}: {per_track['ours']} against {per_track['usual']} a track)",
            times["usual"] / times["ours"],
            15,
            ">=",
        ),
        (f"the same against a loop over segments without overlap ({len(apart)} a track); no bar", times["apart"] / times["ours"], 0, ">="),
        (f"extract / FFTs and decoding alone ({per_track['transforms']} a track)", times["ours"] / times["transforms"], 2.5, "<="),
    ]


def train(params: config.Params) -> list[tuple[str, float, float, str]]:
    """Our training step against the plain fp32 loop: same network, windows, optimiser and number of steps."""
    where = training_device.hardware("cpu", "auto")
    spec = FeatureSpec.of(params.features)
    frames = spec.frames(params.segment.seconds)
    stores: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
    labels: dict[str, list[int]] = {"train": [], "valid": []}
    for genre in range(len(styles.GENRES)):
        for artist in range(8):
            y = demo.synthesise(styles.GENRES[genre], seed=5, artist=artist, track=0, seconds=6)
            side = "valid" if artist < 3 else "train"
            stores[side].append(log_features(resample(y, sounds.SAMPLE_RATE, spec.sample_rate), spec)["mel"])
            labels[side].append(genre)
    starts = window_starts(6, params.segment.seconds, params.segment.hop_seconds)
    tracks = [training_sampler.TrainingTrack(g, [x], starts) for g, x in zip(labels["train"], stores["train"], strict=True)]
    valid = [training_sampler.ValidTrack(g, x, starts) for g, x in zip(labels["valid"], stores["valid"], strict=True)]
    fitted = normalisation.fit(params.features.normalise, stores["train"], frames, range_db=params.features.range_db)
    epochs, windows = 5, 640
    settings = params.train.model_copy(
        update={
            **{"epochs": epochs, "windows_per_epoch": windows, "weight_averaging": 0.0, "device": "cpu"},
            **{"keep": "best", "patience": epochs},  # as the plain loop
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
        """What a tutorial writes: NCHW, fp32, the same number of windows, augmentation and validation."""
        model = new_model()
        sampler = training_sampler.Sampler(tracks, frames, spec.first_frame, True, fitted.of_track)
        optimiser = torch.optim.AdamW(model.network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.lr, total_steps=epochs * (windows // settings.batch_size) + 1)
        best = 0.0
        from genre_core.training.augment import mask, mixup

        for epoch in range(1, epochs + 1):
            generator = torch.Generator().manual_seed(epoch)
            tracks_drawn, rows = sampler.draw(windows, generator)
            model.network.train()
            for some in torch.arange(windows).split(settings.batch_size):
                x = fitted.apply(sampler.windows(rows[some]))
                targets = nn.functional.one_hot(sampler.genres[tracks_drawn[some]], len(styles.GENRES)).float()
                x, targets = mixup(x, targets, params.augment.batches.mixup_alpha, generator)
                x = mask(x, generator, batches=params.augment.batches)
                loss = nn.functional.cross_entropy(model.network(x), targets, label_smoothing=settings.label_smoothing)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            tracks_said = np.array([model.logits(t.features, t.starts_seconds).softmax(1).mean(0).numpy() for t in valid])
            best = max(best, macro_f1(np.array(labels["valid"]), tracks_said.argmax(1), len(styles.GENRES)))
        scores["plain"] = best

    times = best_times(plain=plain, ours=ours)
    native = where.bf16
    rates = {name: f"{epochs * windows / seconds:.0f}" for name, seconds in times.items()}
    name = f"training / plain fp32 loop ({where.name}: {rates['ours']} against {rates['plain']} windows a second)"
    same = f"validation macro-F1, ours less plain ({scores['ours']:.3f} less {scores['plain']:.3f}, {len(valid)} tracks)"
    return [
        (name if native else name + "; no native bf16 here: no bar", times["plain"] / times["ours"], 2.5 if native else 0.0, ">="),
        (same, scores["ours"] - scores["plain"], -0.15, ">="),
    ]


def predictor(paths: list[Path], folder: Path) -> list[tuple[str, float, float, str]]:
    """The trained default `cnn`, warm, from a file, one core; and a cold start of the command."""
    path = Path("data/model/model.safetensors")
    if not path.is_file() or model_file.load(path).type != "cnn":
        sys.exit("error: data/model/model.safetensors holds no trained cnn; run `make demo` first")
    one_thread()
    warm = Predictor(path)
    flac = folder / "clip.flac"
    soundfile.write(flac, decode(paths[0]).y, sounds.SAMPLE_RATE)
    times = best_times(
        wav=lambda: [warm.predict_file(paths[0]) for _ in range(5)], flac=lambda: [warm.predict_file(flac) for _ in range(5)]
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "genre_core.apps.cli.main", "predict", str(paths[0])], check=True, stdout=subprocess.DEVNULL)
    cold = time.perf_counter() - began
    return [
        ("Predictor, 30 s WAV from file, warm, one core (ms)", 1000 * times["wav"] / 5, 50, "<="),
        ("Predictor, 30 s FLAC from file, warm, one core (ms)", 1000 * times["flac"] / 5, 50, "<="),
        ("genre predict, cold start (s)", cold, 3, "<="),
        ("model file (MB)", path.stat().st_size / 1e6, 2, "<="),
    ]


def no_op() -> list[tuple[str, float, float, str]]:
    """A `dvc repro` with nothing to do starts none of our programs: it costs what DVC costs."""
    log = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=True, capture_output=True, text=True)
    return [("no-op dvc repro: stages started", float(log.stdout.count("Running stage")), 0, "<=")]


def main() -> int:
    params = config.load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = music(folder)
        sections: Mapping[str, Callable[[], list[tuple[str, float, float, str]]]] = {
            "extraction": lambda: extraction(paths, params, folder),
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
