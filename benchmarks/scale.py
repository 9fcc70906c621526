"""Growth: seconds, peak memory and bytes of each stage for more and more tracks: ``make scale``.

Each number of tracks has a project of its own in a temporary folder, with the demo's music (6 s a track, one pitch and one tempo version
of each training track) and training on 2,048 windows, so that training does not hide the stages that read every track. Each stage runs
in a process of its own, first without kept results, then (column "again") once more after ten tracks were added. Memory is the largest
sum of the resident sets of a stage and its workers, sampled ten times a second.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]
STAGES = ("download", "audit", "segment", "extract", "augment", "explore", "embed", "train", "evaluate", "interventions")
INCREMENTAL = ("audit", "segment", "extract", "augment")
OUTS = {
    "download": "data/raw",
    "audit": "metrics/audit",
    "segment": "data/index",
    "extract": "data/features/original.h5",
    "augment": "data/features/augmented.h5",
    "explore": "metrics/explore",
    "embed": "data/features/embeddings.h5",
    "train": "data/model",
    "evaluate": "metrics/test",
    "interventions": "metrics/interventions",
}
GENRES = 10
SECONDS = 6.0
ADDED_TRACKS = 10


@dataclass(frozen=True)
class Cost:
    """Cost of a stage: seconds, peak memory and bytes of its output."""

    seconds: float
    memory_bytes: int
    out_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how the stages grow with the number of tracks.")
    parser.add_argument("tracks", nargs="*", type=int, default=[100, 1000, 10_000], help="numbers of tracks, multiples of 100")
    chosen = parser.parse_args()
    costs: dict[int, dict[str, Cost]] = {}
    again: dict[int, dict[str, Cost]] = {}
    for tracks in chosen.tracks:
        if tracks < 100 or tracks % 100:
            sys.exit(f"error: {tracks} tracks: the number must be a multiple of 100")
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            project = Path(folder)
            _copy_project(project, tracks)
            costs[tracks] = {stage: _run(project, stage) for stage in STAGES}
            _add_tracks(project)
            again[tracks] = {stage: _run(project, stage) for stage in INCREMENTAL}
        _print(chosen.tracks[: len(costs)], costs, again)


def _copy_project(project: Path, tracks: int) -> None:
    """Copy what git tracks, and set the number of tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    params = yaml.safe_load((project / "params.yaml").read_text())
    artists = min(100, max(3, tracks // GENRES // 2))
    params["dataset"]["demo"] |= {"artists_per_genre": artists, "tracks_per_artist": tracks // GENRES // artists, "seconds": SECONDS}
    params["segment"] |= {"seconds": 3.0, "hop_seconds": 1.5}
    params["train"] |= {"epochs": 4, "windows_per_epoch": 512}
    params["cache"] |= {"folder": ".cache/tracks", "gigabytes": 1000.0}
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def _add_tracks(project: Path) -> None:
    """Add copies of ten tracks at another level: new files for every stage."""
    import numpy as np

    from genre_core.audio.io import decode, write
    from genre_core.corpus.catalogue import read_catalogue, write_catalogue

    tracks = read_catalogue(project / "data/raw")
    added = []
    for track in tracks[:: max(1, len(tracks) // ADDED_TRACKS)][:ADDED_TRACKS]:
        audio = decode(project / "data/raw" / track.path)
        path = track.path.replace(".wav", "-added.wav")
        write(project / "data/raw" / path, np.float32(0.9) * audio.y[::-1].copy(), audio.sample_rate)
        added.append(type(track)(f"{track.track}-added", path, track.genre, track.artist, track.split))
    write_catalogue(project / "data/raw", [*tracks, *added])


def _run(project: Path, stage: str) -> Cost:
    """Run a stage, and watch its memory."""
    started = time.monotonic()
    command = [sys.executable, "-m", f"stages.{stage}"]
    peak = 0
    with (project / "stage.log").open("w+") as log:
        process = psutil.Popen(command, cwd=project, env={**os.environ, "PYTHONPATH": str(project)}, stderr=log)
        while process.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.1)
        if process.returncode:
            log.seek(0)
            sys.exit(f"python -m stages.{stage} exited with {process.returncode}: {log.read().strip()[-500:]}")
    return Cost(time.monotonic() - started, peak, _size(project / OUTS[stage]))


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        pass
    return total


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _print(numbers: Sequence[int], costs: dict[int, dict[str, Cost]], again: dict[int, dict[str, Cost]]) -> None:
    print("| stage |" + "".join(f" {n:,}: s | ms/track | MB memory | MB out | again, 10 new: s |" for n in numbers))
    print("| --- |" + " ---: | ---: | ---: | ---: | ---: |" * len(numbers))
    for stage in STAGES:
        cells = []
        for n in numbers:
            cost, more = costs[n][stage], again[n].get(stage)
            cells += [
                f"{cost.seconds:.1f}",
                f"{1000 * cost.seconds / n:.1f}",
                f"{cost.memory_bytes / 1e6:.0f}",
                f"{cost.out_bytes / 1e6:.1f}",
            ]
            cells.append(f"{more.seconds:.1f}" if more else "")
        print(f"| {stage} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
