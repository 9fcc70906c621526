import os
import signal
import subprocess
import sys
import time

from helpers.closure import ROOT
from helpers.training import data, fit, new_model

from genre_core.models import file as model_file
from genre_core.util.files import digest


def test_the_same_seed_gives_the_same_bytes_in_both_precisions(tmp_path, rng, params):
    train, valid = data(rng)
    for precision in ("fp32", "bf16"):
        digests = set()
        for run in ("a", "b"):
            (tmp_path / "checkpoint.pt").unlink(missing_ok=True)
            model = new_model(train)
            fit(model, train, valid, params, tmp_path, epochs=2, precision=precision)
            model_file.save(model, tmp_path / f"{run}.safetensors")
            digests.add(digest(tmp_path / f"{run}.safetensors"))
        assert len(digests) == 1


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
import numpy as np
from helpers import training as t
from genre_core import config
from genre_core.models import file as model_file
params = config.load({params!r})
train, valid = t.data(np.random.default_rng(0))
model = t.new_model(train)
result = t.fit(model, train, valid, params, Path(sys.argv[1]), epochs=6)
model_file.save(model, Path(sys.argv[1]) / "model.safetensors")
print("resumed", result["resumed_from"])
"""


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    script = SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), params=str(ROOT / "params.yaml"))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    command = [sys.executable, "-c", script]
    assert "resumed None" in subprocess.run([*command, whole], capture_output=True, text=True, check=True).stdout
    process = subprocess.Popen([*command, broken], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not ((broken / "history.csv").exists() and len((broken / "history.csv").read_text().splitlines()) >= 3):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "model.safetensors").exists()
    resumed = subprocess.run([*command, broken], capture_output=True, text=True, check=True).stdout
    assert any(f"resumed {epoch}" in resumed for epoch in range(1, 6))
    for name in ("model.safetensors", "history.csv"):
        assert digest(whole / name) == digest(broken / name)
