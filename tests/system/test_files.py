"""Files that are whole or absent, and follow no link; tables that no spreadsheet computes."""

import subprocess
import sys

from genre_core.util import files


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    begin = "c = atomic(sys.argv[1]); c.__enter__(); print(flush=True); input(); os._exit(9)"
    child = f"import os, sys; from genre_core.util.files import atomic; {begin}"
    with subprocess.Popen([sys.executable, "-c", child, str(tmp_path / "a.csv")], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        (theirs,) = tmp_path.glob(".a-*")
        with files.atomic(tmp_path / "a.csv") as part:
            part.write_text("1")
        assert theirs.exists()
        running.communicate(b"\n")
    assert theirs.exists()  # it was ended without cleaning up
    files._CLEARED.clear()  # as another process would look
    with files.atomic(tmp_path / "a.csv") as part:
        assert not theirs.exists()
        part.write_text("2")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
