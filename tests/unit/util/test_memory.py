"""Want of memory, however it is said, is one line."""

import subprocess
import sys

import pytest
import torch
from helpers.closure import ROOT

from genre_core.util.memory import is_out_of_memory


def test_torch_s_want_of_memory_is_told_from_its_other_errors():
    with pytest.raises(RuntimeError) as want:
        torch.empty(10**15)
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert is_out_of_memory(want.value)
    assert not is_out_of_memory(other.value)
    assert is_out_of_memory(MemoryError())


def test_a_stage_without_memory_ends_in_one_line(tmp_path):
    (tmp_path / "greedy.py").write_text("import torch\nfrom stages.run import run\n\ndef main():\n    torch.empty(10**15)\n\nrun(main)\n")
    code = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path('greedy.py')"
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this needs more memory than there is; set `parallel.workers` lower")
    assert done.stderr.count("\n") == 1
