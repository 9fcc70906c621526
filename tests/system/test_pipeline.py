"""Real `dvc repro` and `dvc exp run` on the small demo, in repositories of their own."""

import json
import shutil

import numpy as np
import pytest
import yaml
from helpers.made_features import write as write_features
from helpers.pipeline import STAGES, metrics, ran
from helpers.project import copy_project, run, set_params


def test_a_run_leaves_what_the_readme_promises(project):
    for path in (
        "data/raw/catalogue.csv",
        "data/index/rejected.csv",
        "data/features/original.h5",
        "data/features/augmented.h5",
        "data/model/model.safetensors",
        "metrics/train/history.csv",
        "metrics/explore/augmentation.png",
        "metrics/test/predictions.csv",
        "metrics/test/report.png",
        "metrics/external/metrics.json",
        "metrics/audit/report.md",
        "metrics/explore/spectrograms.png",
        "metrics/interventions/interventions.csv",
    ):
        assert (project / path).stat().st_size > 0
    test = metrics(project, "test")
    assert (test["data_set"], test["protocol"], test["leaky"], test["tracks"]) == ("demo (synthetic)", "artist", False, 10)
    assert 0 <= test["track"]["accuracy_low"] <= test["track"]["accuracy"] <= test["track"]["accuracy_high"] <= 1
    assert set(test["genres"]) == {"blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"}
    external = metrics(project, "external")
    assert (external["clips"], external["accuracy"], external["accuracy_drop_from_test"]) == (0, None, None)
    assert external["clips_skipped"] >= 4
    assert not list((project / ".checkpoints").glob("*"))


def test_a_second_run_does_nothing(own):
    done = run("dvc", "repro", cwd=own)
    assert ran(done) == []
    assert "up to date" in done.stdout


def test_another_network_re_runs_training_and_later(own):
    done = run("dvc", "exp", "run", "-S", "model.type=fnn", cwd=own)
    assert set(ran(done)) == {"embed", "train", "evaluate", "interventions", "validate_external"}
    assert metrics(own, "test")["model"]["type"] == "fnn"
    shown = run("dvc", "exp", "show", "--csv", cwd=own).stdout
    assert "model.type" in shown.splitlines()[0]
    assert "accuracy" in run("dvc", "metrics", "diff", cwd=own).stdout
    assert "model.type" in run("dvc", "params", "diff", cwd=own).stdout
    run("dvc", "plots", "diff", "HEAD", cwd=own)


def test_params_of_the_network_that_is_not_chosen_do_not_count(own):
    set_params(own, model__fnn__hidden_1=7)
    assert ran(run("dvc", "repro", "--dry", cwd=own)) == []


def test_another_split_extracts_nothing_anew(own):
    set_params(own, segment__protocol="track")
    again = {"segment", "explore", "augment", "train", "evaluate", "interventions", "validate_external"}
    assert set(ran(run("dvc", "repro", cwd=own))) == again


def test_masks_are_no_parameter_of_the_copies(own):
    set_params(own, augment__batches__mixup_alpha=0.5)
    planned = run("dvc", "repro", "--dry", cwd=own)
    assert ran(planned)[:2] == ["explore", "train"]  # the picture of masks, and what learns with them


@pytest.mark.parametrize("where", ["data/my_music", "outside"])
def test_your_own_music_end_to_end_and_changes_are_noticed(tmp_path, write_tone, where):
    target = copy_project(tmp_path / "p")
    root = target / "data/my_music" if where == "data/my_music" else tmp_path / "outside"
    rng = np.random.default_rng(0)
    for number in range(6):
        for genre, hz, suffix in (("low", 200, "wav"), ("high", 3000, "mp3")):
            write_tone(
                root / genre / f"{number}.{suffix}", hz=hz * rng.uniform(0.9, 1.1), seconds=4 + number, sample_rate=44100, channels=2
            )
    (root / "low/broken.wav").write_text("no audio")
    path = "data/my_music" if where == "data/my_music" else "../outside"
    set_params(target, dataset__name="folder", dataset__folder__path=path, train__epochs=3, features__normalise="dataset")
    if where == "outside":
        done = run("dvc", "repro", cwd=target)
        assert sorted(ran(done)) == sorted(STAGES)
        test = metrics(target, "test")
        assert (test["data_set"], test["tracks"], set(test["genres"])) == ("folder", 4, {"low", "high"})
        assert ran(run("dvc", "repro", cwd=target)) == []
    else:  # the later stages do not know where the music lies
        done = run("dvc", "repro", "segment", cwd=target)
    assert "1 rejected (see data/index/rejected.csv)" in done.stdout
    assert (root / "low/0.wav").stat().st_mode & 0o200  # DVC left the source writable

    write_tone(root / "low/added.wav", hz=210, seconds=5)
    assert ran(run("dvc", "repro", "segment", cwd=target)) == ["download", "audit", "segment"]
    assert "low/added.wav" in (target / "data/index/tracks.csv").read_text()
    write_tone(root / "low/added.wav", hz=215, seconds=6)
    assert ran(run("dvc", "repro", "segment", cwd=target)) == ["download", "audit", "segment"]
    (root / "low/added.wav").unlink()
    run("dvc", "repro", "segment", cwd=target)  # as before: from the run-cache
    assert "low/added.wav" not in (target / "data/index/tracks.csv").read_text()


def test_a_wrong_parameter_stops_the_run_with_one_line(own):
    done = run("dvc", "exp", "run", "-S", "train.lr=-1", cwd=own, check=False)
    assert done.returncode != 0
    assert "error: params.yaml: train.lr: -1 is not allowed: should be greater than 0" in (done.stdout + done.stderr).replace(
        "Input", "input"
    )
    assert "Traceback" not in done.stderr


def test_dvc_rewrites_params_without_losing_a_comment(own):
    from helpers.closure import ROOT

    shutil.copy(ROOT / "params.yaml", own / "params.yaml")
    before = (own / "params.yaml").read_text()
    run("dvc", "exp", "run", "--single-item", "-S", "train.lr=1e-5", "fetch_external", cwd=own)
    after = (own / "params.yaml").read_text()
    assert [line.split("#", 1)[1] for line in after.splitlines() if "#" in line] == [
        line.split("#", 1)[1] for line in before.splitlines() if "#" in line
    ]
    assert yaml.safe_load(after)["train"]["lr"] == "1e-05"  # a string: `config` makes it a number


HARMLESS = [
    "reports/figures_data.py",
    "reports/model_card.py",
    "errors.py",
    "terminal.py",
    "apps/cli/predict.py",
    "inference/predictor.py",
    "util/files.py",
]
TELLING = ["networks/cnn.py", "features/spectrogram.py", "training/loop.py", "evaluation/calibration.py", "models/normalisation.py"]


def retrains(project):
    """Whether `dvc repro` would train anew."""
    return "train" in json.loads(run("dvc", "status", "--json", cwd=project).stdout)


def test_an_edited_picture_error_text_or_command_line_trains_nothing_anew_and_an_edited_network_feature_or_loss_does(own):
    assert not retrains(own)
    for name in HARMLESS:
        with (own / "genre_core" / name).open("a") as file:
            file.write("\n# edited\n")
        assert not retrains(own), name
    for name in TELLING:
        path = own / "genre_core" / name
        before = path.read_text()
        path.write_text(f"{before}\n# edited\n")
        assert retrains(own), name
        path.write_text(before)
    assert not retrains(own)


def test_features_made_elsewhere_start_anew_and_embeddings_are_extracted_where_they_are_read(own, tmp_path, rng):
    set_params(own, model__type="musicnn")
    assert ran(run("dvc", "repro", "--dry", cwd=own))[:2] == ["embed", "train"]
    source = write_features(tmp_path / "x.npz", rng)
    set_params(own, dataset__name="features", dataset__features__path=str(source), segment__protocol="official")
    assert ran(run("dvc", "repro", "segment", cwd=own)) == ["download", "audit", "segment"]
