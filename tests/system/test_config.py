import subprocess
import sys

from helpers.closure import ROOT
from helpers.config import changed


def test_a_stage_with_wrong_params_prints_one_line_and_fails(tmp_path):
    changed(tmp_path, train__lr="fast")
    done = subprocess.run(
        [sys.executable, "-m", "stages.segment"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: params.yaml: train.lr: 'fast'")
