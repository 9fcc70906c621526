"""Live features are the offline ones, frame by frame; live answers are those of the same seconds."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT, environment


def listen(tmp_path, data, *options):
    return subprocess.run(
        [sys.executable, "-m", "genre_core.apps.cli.main", "listen", "--stdin", "--model", "pretrained", "--rate", "16000", *options],
        input=data,
        cwd=tmp_path,
        env=environment(ROOT),
        capture_output=True,
        check=False,
    )


def test_a_pipe_is_answered_each_second(tmp_path, rng):
    pcm = (3000 * rng.normal(size=8 * 16000) * np.repeat(rng.uniform(0, 1, 80), 1600)).astype("<i2").tobytes()
    done = listen(tmp_path, pcm, "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["seconds"] for answer in answers] == [5, 6, 7, 8]  # the first after a window of 5 s
    assert all(sum(answer["probabilities"].values()) == pytest.approx(1) for answer in answers)
    assert b"real-time factor" in done.stderr
    shown = listen(tmp_path, pcm).stdout.decode()
    assert shown.count("s  ") >= 3
    assert "#" in shown
    assert "\033" not in shown  # no terminal: no colour, no cursor
    short = listen(tmp_path, pcm[:16000])
    assert short.returncode == 2
    assert b"0.5 s of audio received" in short.stderr
