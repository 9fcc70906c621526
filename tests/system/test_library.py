"""``genre predict --jsonl`` with real processes."""

import json
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

GENRE = [sys.executable, "-m", "genre_core.apps.cli.main", "predict"]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    rng = np.random.default_rng(0)
    for i in range(24):
        (folder / f"album {i % 3}").mkdir(exist_ok=True)
        soundfile.write(folder / f"album {i % 3}" / f"{i}.flac", rng.normal(0, 0.1, 20 * 16000), 16000)
    return folder


def command(music, out):
    return [*GENRE, str(music), "--jsonl", str(out), "--model", "pretrained"]


def test_kills_lose_no_line_and_repeat_none(music, tmp_path):
    out, draw, kills = tmp_path / "out.jsonl", random.Random(1), 0
    while kills < 60:
        before = out.stat().st_size if out.exists() else 0
        process = subprocess.Popen(command(music, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not out.exists() or out.stat().st_size <= before):
            time.sleep(0.02)  # until it has written something
        time.sleep(draw.uniform(0, 0.4))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills > 1
    files = [json.loads(line)["file"] for line in out.read_text().splitlines()]
    assert sorted(files) == sorted(str(path) for path in music.rglob("*.flac"))


def test_a_second_process_is_kept_out_and_a_summary_is_said(music, tmp_path):
    out = tmp_path / "out.jsonl"
    first = subprocess.Popen(command(music, out), stdout=subprocess.PIPE, text=True)
    while not out.exists() or not out.stat().st_size:
        time.sleep(0.02)
    second = subprocess.run(command(music, out), capture_output=True, text=True, check=False)
    said, _ = first.communicate()
    assert second.returncode == 2
    assert "another process is writing this file" in second.stderr
    assert first.returncode == 0
    assert "24 files: 24 done" in said and "files an hour" in said


def test_options_that_do_not_fit(music, tmp_path):
    for options, words in [
        (["--json"], "cannot be combined"),
        (["--part", "5"], "shorter than a segment"),
    ]:
        done = subprocess.run([*command(music, tmp_path / "o.jsonl"), *options], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "o.jsonl").exists()


def test_every_file_gets_its_line_although_nobody_reads_the_output(music, tmp_path):
    out = tmp_path / "out.jsonl"
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(command(music / "album 0", out), stdout=writer, stderr=subprocess.DEVNULL, check=False)
    os.close(writer)
    assert process.returncode in (0, 141)
    assert len(out.read_text().splitlines()) == 8
