"""Every command helps, and every benchmark that others run prints what it promises."""

import json
import re
import socket
import subprocess

import numpy as np
import pytest
from helpers.project import ROOT, run, set_params

from experiments import leak, search
from genre_core import config, networks
from genre_core.apps.cli import main as cli_main
from genre_core.audio.io import write
from genre_core.errors import GenreError
from genre_core.util.files import read_json, write_csv, write_json

COMMANDS = next(action for action in cli_main.parser()._actions if action.dest == "command").choices


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_json_where_it_answers(name):
    text = COMMANDS[name].format_help()
    assert "example: " in text
    assert f"genre {name}" in text
    assert ("--json" in text) == (name not in ("serve", "completion"))
    for example in re.findall(rf"\bgenre {name} [^;|>]*", text.split("example: ")[1].replace("\n", " ")):
        cli_main.parser().parse_args(example.split()[1:])  # it is one that the parser takes


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_that_the_shell_reads(tmp_path, shell):
    script = run("genre", "completion", shell, cwd=tmp_path).stdout
    assert all(name in script for name in COMMANDS)
    if shell == "bash":
        (tmp_path / "c.sh").write_text(script)
        asked = 'source c.sh; COMP_WORDS=(genre aud); COMP_CWORD=1; _shtab_genre genre aud genre; echo "${COMPREPLY[@]}"'
        assert subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip() == "audit"


def test_what_the_system_refuses_is_an_error_and_no_finding(tmp_path, write_tone):
    write_tone("m/rock/a.wav")
    (tmp_path / "file").write_text("")
    done = run("genre", "audit", "m", "--out", "file/x", cwd=tmp_path, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert run("genre", "serve", "--port", "99999", cwd=tmp_path, check=False).returncode == 2


def test_no_colour_without_a_terminal(tmp_path, write_tone):
    done = run("genre", "predict", str(write_tone("a.wav")), "--model", "pretrained", cwd=tmp_path)
    assert "\033" not in done.stdout + done.stderr


def test_the_card_is_that_of_the_committed_metrics(own):
    run("python", "-m", "stages.card", cwd=own)
    card = (own / "MODEL_CARD.md").read_text()
    test = read_json(own / "metrics/test/metrics.json")
    assert f"| accuracy | {test['track']['accuracy']:.3f} [" in card
    assert test["model"]["sha256"] in card
    assert "synthesised by this project" in card
    assert "mp3 64 kb/s" in card
    (own / "data/model/model.safetensors").unlink()
    (own / "data/model/model.safetensors").write_bytes(b"another")
    wrong = run("python", "-m", "stages.card", cwd=own, check=False)
    assert wrong.returncode == 1
    assert "does not belong to data/model/model.safetensors" in wrong.stderr


def test_the_committed_card_is_of_the_committed_metrics():
    card = (ROOT / "MODEL_CARD.md").read_text()
    test = read_json(ROOT / "metrics/test/metrics.json")
    assert test["model"]["sha256"] in card
    for name, found in read_json(ROOT / "metrics/interventions/metrics.json")["interventions"].items():
        assert f"| {name} | {found['accuracy']:.3f} |" in card


def commit(project):
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "run"], cwd=project, check=True)


def test_a_search_queues_every_combination_and_ranks_by_validation(own):
    (own / "space.txt").write_text("# two epochs teach the first nothing\nmodel.type fnn logistic\n")
    commit(own)
    done = run("python", "-m", "experiments.search", "space.txt", cwd=own)
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| `")]
    assert [row[1].strip() for row in rows] == ["`model.type=logistic`", "`model.type=fnn`"]
    assert float(rows[0][2]) > float(rows[1][2])
    assert not subprocess.run(["git", "status", "--porcelain", "params.yaml"], cwd=own, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("text", ["train.lr\n", "# nothing\n", "train-lr 1 2\n"])
def test_a_search_space_that_is_none_is_told(tmp_path, text):
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(GenreError, match=r"(no|not a) parameter"):
        search.combinations(tmp_path / "s.txt")


def test_the_combinations_are_all_of_them(tmp_path):
    (tmp_path / "s.txt").write_text("a.b 1 2 # low, high\n\nc 3 4 5\n")
    assert len(search.combinations(tmp_path / "s.txt")) == 6
    assert ["a.b=2", "c=4"] in search.combinations(tmp_path / "s.txt")
    assert len(search.combinations(ROOT / search.SPACE)) == 12


def test_cross_validation_judges_every_track_once_a_seed(own):
    set_params(own, model__type="logistic", augment__copies__pitch=0, augment__copies__tempo=0)
    commit(own)
    done = run("python", "-m", "experiments.cv", "--seeds", "1", "--out", "out", cwd=own)
    found = json.loads((own / "out/cv.json").read_text())
    assert found["tracks"] == 30  # all of the small demo's
    assert sorted(found["fold_accuracies"]) == ["0", "1", "2"]
    assert found["pooled"]["accuracy_low"] <= found["pooled"]["accuracy"] <= found["pooled"]["accuracy_high"]
    assert f"{found['pooled']['accuracy']:.3f} [" in done.stdout
    assert (own / "out/cv.png").stat().st_size > 5000


def test_the_pages_of_leak_and_experiments_are_those_of_their_results():
    results = json.loads((ROOT / "docs/leak.json").read_text())
    assert (ROOT / "docs/leak.md").read_text() == leak.page(results)
    from experiments import recipe

    rows = json.loads((ROOT / "docs/recipe.json").read_text())
    assert (ROOT / "docs/recipe.md").read_text() == recipe.page(rows)
    params = config.load(ROOT / "params.yaml")
    network = networks.build(params.model.type, params.model.chosen(), n_bins=128, n_genres=10)
    assert rows["default"]["parameters"] == sum(p.numel() for p in network.parameters())
    assert params.train.keep == "last"  # as the page says


def test_a_row_runs_what_its_page_says(monkeypatch):
    from experiments import SHORT, recipe

    asked = {}
    monkeypatch.setattr(recipe, "judged", lambda runs: asked.update(runs) or {})
    for row in ("default", "short-mixup-0.3", "audio-copies-none"):
        assert recipe.run(row, "/x")["settings"] == list(recipe.ROWS[row])
    assert {name.rsplit("-", 1)[1] for name in asked} == {"1", "2", "3"}
    assert "dataset.features.path=/x" in asked["default-1"]
    assert not set(SHORT) & set(asked["default-1"])
    assert {*SHORT, "augment.batches.mixup_alpha=0.3", "seed=2"} <= set(asked["short-mixup-0.3-2"])
    assert {"dataset.folder.path=/x", "augment.copies.pitch=0", "seed=3", "segment.seed=3"} <= set(asked["audio-copies-none-3"])


def test_tracks_of_unknown_artists_are_not_one_artists(tmp_path, monkeypatch):
    import experiments

    rows = [{"track": f"t{i}", "artist": "", "true": "a", "predicted": "ab"[i % 2]} for i in range(40)]
    write_csv(tmp_path / "metrics/test/predictions.csv", list(rows[0]), rows)
    kept = {"protocol": "track", "scored_on": "test part", "leaky": False, "tracks": 40}
    write_json(tmp_path / "metrics/test/metrics.json", {**kept, "track": {"accuracy": 0.5}, "model": {"parameters": 1}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "experiment", lambda *given: subprocess.CompletedProcess(given, 0))
    found = experiments.judged([("x", [])])
    assert found["low"] == pytest.approx(0.35, abs=0.05)  # 40 throws of a coin
    assert found["high"] == pytest.approx(0.65, abs=0.05)


def test_a_port_that_is_taken_is_an_error_before_any_address(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("genre", "serve", "--port", str(taken.getsockname()[1]), "--model", "pretrained", cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "in use" in done.stderr


def test_an_export_that_fails_its_check_leaves_the_one_before(tmp_path, monkeypatch):
    from genre_core.apps.cli import export
    from genre_core.inference import onnx_check

    (tmp_path / "m.onnx").write_text("the one before")
    monkeypatch.setattr(onnx_check, "check", lambda *given, **more: {"largest_difference": 0.5})
    chosen = cli_main.parser().parse_args(["export", str(tmp_path / "m.onnx"), "--model", "pretrained", "--without-features"])
    with pytest.raises(GenreError, match=r"a probability differs from torch by 5\.0e-01"):
        export.export(chosen)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "the one before"


def test_silence_is_a_warning_in_one_line(tmp_path):
    write(tmp_path / "s.wav", np.zeros(5 * 22050), 22050)
    done = run("genre", "explain", "s.wav", "--model", "pretrained", cwd=tmp_path)
    assert re.fullmatch(r"warning: [^\n]*silent[^\n]*\n", done.stderr)
