import re
import sys
from functools import partial

import numpy as np
import pytest
from helpers.project import SPEC, run

from genre_core.audio.io import decode
from genre_core.features.extract import Job, extract, log_features
from genre_core.features.store import FeatureStore
from genre_core.util.files import digest
from genre_core.util.parallel import map_tracks


def test_extraction_gives_the_same_bytes_for_any_number_of_workers(tmp_path, write_tone):
    jobs = [Job(f"t{i}", write_tone(f"{i}.wav", hz=100 * (i + 1), seconds=1 + i % 3)) for i in range(7)]
    digests = set()
    for workers in (1, 2, 3):
        extract(jobs, SPEC, tmp_path / f"{workers}.h5", partial(log_features, spec=SPEC), workers=workers)
        digests.add(digest(tmp_path / f"{workers}.h5"))
    assert len(digests) == 1
    with FeatureStore(tmp_path / "1.h5") as store:
        assert [rows.stop - rows.start for rows in store.tracks.values()] == [SPEC.frames(1 + i % 3) for i in range(7)]
        np.testing.assert_array_equal(store.read("mel", "t3"), log_features(decode(jobs[3].path, sample_rate=22050).y, SPEC)["mel"])


def test_a_bounded_number_of_tracks_is_in_flight():
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = map_tracks(abs, items(), workers=2)
    for consumed, value in enumerate(results, start=1):
        assert value == consumed - 1
        assert len(taken) <= consumed + 2 * 2


def _fail_at_3(i: int) -> int:
    if i == 3:
        raise ValueError("three")
    return i


def test_a_worker_that_the_system_kills_is_one_clear_error(tmp_path):
    (tmp_path / "killed.py").write_text(
        "import os, signal\n"
        "from genre_core.util.parallel import map_tracks\n"
        "def killed(i):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    list(map_tracks(killed, range(10), workers=2))\n"
    )
    done = run(sys.executable, "killed.py", cwd=tmp_path, check=False)
    assert re.search(r"GenreError: one of 2 workers was killed, .* set `parallel.workers` lower", done.stderr)


def test_a_worker_s_error_arrives():
    for workers in (1, 2):
        with pytest.raises(ValueError, match="three"):
            list(map_tracks(_fail_at_3, range(10), workers=workers))
