"""Two models of known difference."""

import json

import numpy as np
from helpers.comparison import predictions
from helpers.project import run


def test_the_command(tmp_path):
    right = np.arange(50) < 20
    a, b = predictions(tmp_path / "a.csv", right), predictions(tmp_path / "b.csv", ~right)
    text = run("genre", "compare", str(a), str(b), cwd=tmp_path).stdout
    assert "A 0.400, B 0.600 on 50 tracks of 50 artists" in text
    assert "t0: rock, A says rock, B says pop" in text
    parsed = json.loads(run("genre", "compare", "--json", str(a), str(b), cwd=tmp_path).stdout)
    assert (parsed["only_a"], parsed["only_b"], len(parsed["disagreements"])) == (20, 30, 50)
    done = run("genre", "compare", str(a), "none.csv", cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (2, "error: none.csv: no such file\n")
    assert np.isfinite(parsed["p"])


def test_revisions_are_compared_that_end_alike(tmp_path, rng):
    def git(*arguments):
        run("git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments, cwd=tmp_path)

    git("init", "-q", "-b", "main")
    (tmp_path / "metrics/test").mkdir(parents=True)
    predictions(tmp_path / "metrics/test/predictions.csv", [True] * 4)
    git("add", "-A")
    git("commit", "-qm", "right")
    git("checkout", "-qb", "other/main")
    predictions(tmp_path / "metrics/test/predictions.csv", [False] * 4)
    git("commit", "-qam", "wrong")
    said = json.loads(run("genre", "compare", "main", "other/main", "--json", cwd=tmp_path).stdout)
    assert (said["accuracy_a"], said["accuracy_b"]) == (1.0, 0.0)
    nothing = run("genre", "compare", "main", "no-such", cwd=tmp_path, check=False)
    assert (nothing.returncode, "no-such: neither a file nor a git revision" in nothing.stderr) == (2, True)
