"""Planted faults are found, and nothing else."""

import json

import numpy as np
import soundfile
import soxr
from helpers.audit import RATE
from helpers.project import run

from genre_core.audio.io import write
from genre_core.datasets import demo
from genre_core.util.files import read_csv


def folder_of_faults(root, music, write_tone):
    y = next(iter(music.values()))
    other = list(music.values())[7]
    write(root / "rock/fine.wav", 0.7 * y / np.abs(y).max(), RATE)
    write(root / "rock/clipped.wav", np.clip(8 * other, -1, 1), RATE)
    write(root / "pop/silent.wav", np.zeros(5 * RATE), RATE)
    narrow = soxr.resample(soxr.resample(list(music.values())[15], RATE, 8000), 8000, RATE)
    soundfile.write(root / "pop/narrow.flac", narrow, RATE, subtype="PCM_24")
    rumble = 0.5 * np.sin(2 * np.pi * 12 * np.arange(12 * RATE) / RATE)
    write(root / "pop/rumble.wav", 0.4 * list(music.values())[22] + rumble, RATE)
    (root / "rock/broken.mp3").write_bytes(b"no audio at all")
    write(root / "rock/whole.wav", list(music.values())[30], RATE)
    whole = (root / "rock/whole.wav").read_bytes()
    (root / "rock/whole.wav").write_bytes(whole[: len(whole) // 2])
    write(root / "pop/copy.flac", 0.35 * y / np.abs(y).max(), RATE)
    (root / "metadata.csv").write_text(
        "path,artist,split\nrock/fine.wav,Ann,train\npop/copy.flac,Bob,test\nrock/clipped.wav,Cy,train\npop/rumble.wav,Cy,test\n"
    )


def test_each_planted_fault_is_named(tmp_path, music, write_tone):
    for genre in ("rock", "pop"):
        (tmp_path / "m" / genre).mkdir(parents=True)
    folder_of_faults(tmp_path / "m", music, write_tone)
    done = run("genre", "audit", str(tmp_path / "m"), "--json", "--out", str(tmp_path / "out"), cwd=tmp_path, check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    problems = {row["file"]: [p.split(":")[0] for p in row["problems"]] for row in found["tracks"]}
    assert problems == {
        "rock/fine.wav": [],
        "rock/clipped.wav": ["clipped"],
        "pop/silent.wav": ["silent"],
        "pop/narrow.flac": ["band-limited"],
        "pop/rumble.wav": ["subsonic"],
        "rock/broken.mp3": ["unreadable"],
        "rock/whole.wav": ["truncated"],
        "pop/copy.flac": [],
    }
    (pair,) = found["pairs"]
    assert {pair["a"], pair["b"]} == {"rock/fine.wav", "pop/copy.flac"}
    assert pair["score"] > 0.95
    assert pair["offset_s"] == 0
    report = (tmp_path / "out/report.md").read_text()
    assert "artist Cy" in report
    assert "one recording: pop/copy.flac and rock/fine.wav" in report
    assert [row["kind"] for row in read_csv(tmp_path / "out/pairs.csv")] == ["near"]
    assert (tmp_path / "out/report.png").stat().st_size > 5000


def test_a_clean_folder_exits_with_0_and_no_folder_with_2(tmp_path, music):
    for i, y in enumerate(list(music.values())[:4]):
        write(tmp_path / f"m/rock/{i}.wav", 0.7 * y / np.abs(y).max(), RATE)
    done = run("genre", "audit", str(tmp_path / "m"), cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stdout + done.stderr
    done = run("genre", "audit", str(tmp_path / "none"), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "none" in done.stderr


def test_planted_wrong_labels_are_listed_only_if_asked(tmp_path):
    tracks = demo.download(tmp_path / "all", seed=3, artists_per_genre=6, tracks_per_artist=1, seconds=6.0)
    rows = ["path,artist"]
    for track in tracks:
        if track.genre in ("blues", "metal"):
            genre = "metal" if track.track == "blues.00000" else track.genre
            target = tmp_path / "m" / genre / f"caf\u00e9 {track.track}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / track.path).rename(target)
            rows.append(f"{target.relative_to(tmp_path / 'm').as_posix()},{track.artist}")
    (tmp_path / "m/metadata.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "m/metal/broken.mp3").write_bytes(b"no audio at all")
    done = run("genre", "audit", str(tmp_path / "m"), "--labels", "--json", "--out", str(tmp_path / "out"), cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)["labels"]
    assert [(s["path"], s["suggested"]) for s in found["suspects"]][:1] == [("metal/caf\u00e9 blues.00000.wav", "blues")]
    assert found["judged"] == 12
    assert found["notes"] == ["1 files are not judged: they are unreadable, silent, shorter than 3 s, or no audio"]
    listed = read_csv(tmp_path / "out/labels.csv")
    assert (listed[0]["path"], listed[0]["genre"]) == ("metal/caf\u00e9 blues.00000.wav", "metal")
    assert "## Labels that look wrong" in (tmp_path / "out/report.md").read_text()
    done = run("genre", "audit", str(tmp_path / "m"), "--out", str(tmp_path / "plain"), cwd=tmp_path, check=False)
    assert "Labels" not in (tmp_path / "plain/report.md").read_text()
    assert not (tmp_path / "plain/labels.csv").exists()
