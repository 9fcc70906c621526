"""Files that claim what they do not hold: one line, exit code 2, bounded memory and time."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import safetensors
import torch
from helpers.bombs import index_bomb
from helpers.closure import ROOT
from helpers.hostile import refusal, rewritten
from helpers.hostile_input import ESCAPES, YAML_BOMB, header, raw_escapes
from helpers.project import environment
from safetensors.torch import save_file

from genre_core.errors import GenreError
from genre_core.features.store import FeatureStore, write_store
from genre_core.models import file as model_file
from genre_core.util.files import digest


def limited(*command, cwd, megabytes=3000, seconds=60):
    """Run our own program within a bound on memory; its exit code, and its lines on standard error."""

    def bound():
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 10**6,) * 2)

    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment(ROOT),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        preexec_fn=bound,
    )
    return done.returncode, done.stderr.strip().splitlines()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, s: [v.fill_(1e38) for k, v in s.items() if "weight" in k].clear(), "gives logits that are not finite"),
        (lambda d, s: d["info"].update(not_sure_below=float("nan")), "NaN is not a number"),
        (lambda d, s: d["info"].update(not_sure_below=int("9" * 400)), "info.not_sure_below"),
        (lambda d, s: d["info"].update(not_sure_below=[0.5]), "info.not_sure_below"),
        (lambda d, s: d["info"].update(not_sure_below="0.5"), "info.not_sure_below"),
        (lambda d, s: d["info"].update(conformal="sure"), "info.conformal"),
        (lambda d, s: d["info"]["conformal"].update(threshold="0.5"), "info.conformal.threshold"),
        (lambda d, s: d["info"]["conformal"].update(threshold=True), "info.conformal.threshold"),
        (lambda d, s: d["info"]["conformal"].update(threshold=1.5), "info.conformal.threshold"),
        (lambda d, s: d["info"]["conformal"].update(threshold=float("inf")), "Infinity is not a number"),
        (lambda d, s: d["info"]["conformal"].update(coverage=1.0), "info.conformal.coverage"),
        (lambda d, s: d["info"]["conformal"].update(coverage=[0.9]), "info.conformal.coverage"),
        (lambda d, s: [d["info"]["conformal"].pop("coverage")].clear(), "info.conformal.coverage"),
        (lambda d, s: d["info"]["conformal"].update(artists=-1), "info.conformal.artists"),
        (lambda d, s: d["info"]["conformal"].update(reason="x" * 100_000), "info.conformal.reason"),
        (lambda d, s: d["info"].update(train_tracks="\x1b[2J"), "info.train_tracks"),
        (lambda d, s: d["info"].update(score="good"), "info.score"),
        (lambda d, s: d.update(temperature=int("9" * 5000)) if False else {"genre_core": '{"format": ' + "9" * 5000 + "}"}, "damaged"),
        (lambda d, s: s.update({"normalisation.mean": s["normalisation.mean"].to(torch.complex64)}), "normalisation.mean is C64"),
        (lambda d, s: s.update({"normalisation.mean": s["normalisation.mean"].double()}), "normalisation.mean is F64"),
        (lambda d, s: s.update({"head.1.weight": s["head.1.weight"].half()}), "head.1.weight is F16"),
        (lambda d, s: s.update({"head.1.weight": s["head.1.weight"].T.contiguous()}), "head.1.weight is F32"),
        (lambda d, s: s.update({f"more.{i}": torch.zeros(1) for i in range(1000)}), "tensors are missing or not expected"),
        (lambda d, s: s.update({"familiar.limit": torch.zeros(())}), "tensors are missing or not expected: familiar.limit"),
    ],
)
def test_hostile_models_are_refused_before_their_tensors_are_read(project, tmp_path, change, words):
    path = rewritten(project / "data/model/model.safetensors", tmp_path / "m.safetensors", change)
    refusal(path, words)


def ensemble(project, path, **info):
    """An ensemble of the project's model with itself."""
    with safetensors.safe_open(project / "data/model/model.safetensors", framework="pt") as file:
        description = json.loads(file.metadata()["genre_core"])
        state = {f"{i}.{name}": file.get_tensor(name).clone() for name in file.keys() for i in range(2)}  # noqa: SIM118
    own = {"format": description["format"], "type": "ensemble", "segment_seconds": 3.0, "hop_seconds": 1.5, "temperature": 1.0}
    whole = {**own, "info": {**description["info"], **info}, "members": [description] * 2}
    save_file(state, path, metadata={"genre_core": json.dumps(whole)})
    return path


def test_an_ensemble_s_info_is_checked(project, tmp_path):
    assert model_file.load(ensemble(project, tmp_path / "good.safetensors")).type == "ensemble"
    for info in ({"not_sure_below": 7}, {"conformal": {"coverage": 0.9, "threshold": "all"}}, {"leaky": "\x1b[31m"}, {"data_set": ["x"]}):
        with pytest.raises(GenreError, match="info"):
            model_file.load(ensemble(project, tmp_path / "e.safetensors", **info))


def test_a_sparse_model_of_gigabytes_is_not_read(project, tmp_path):
    description = json.loads(safetensors.safe_open(project / "data/model/model.safetensors", framework="pt").metadata()["genre_core"])
    for name, size in (("small", 1_900_000_000), ("large", 6_000_000_000)):
        path = tmp_path / f"{name}.safetensors"
        start = header(
            {
                "head.1.weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]},
                "__metadata__": {"genre_core": json.dumps(description)},
            }
        )
        with path.open("wb") as file:
            file.write(start)
            file.truncate(len(start) + size)
        code, lines = limited("-m", "genre_core.apps.cli.main", "predict", "--model", str(path), "x.wav", cwd=tmp_path, megabytes=1500)
        assert code == 2
        assert len(lines) == 1
        assert str(path) in lines[0]


def test_a_damaged_store_is_named_by_training_and_not_the_learning_rate(project, tmp_path):
    target = shutil.copytree(project, tmp_path / "p", symlinks=True)
    for damage in ("nan", "byte"):
        path = target / "data/features/original.h5"
        shutil.copyfile(project / "data/features/original.h5", tmp_path / "copy.h5")
        path.unlink()
        if damage == "nan":
            with FeatureStore(tmp_path / "copy.h5") as opened:
                rows = [(track, {kind: opened.read(kind, track).copy() for kind in ("mel", "mfcc")}) for track in opened.tracks]
                rows[0][1]["mel"][5, 5] = np.nan
                write_store(path, opened.spec, rows)
        else:
            raw = bytearray((tmp_path / "copy.h5").read_bytes())
            with h5py.File(tmp_path / "copy.h5") as file:
                chunk = file["mel"].id.get_chunk_info(0)
            raw[chunk.byte_offset + chunk.size // 2] ^= 255
            path.write_bytes(raw)
        done = subprocess.run(
            [sys.executable, "-m", "stages.train"], cwd=target, env=environment(ROOT), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "original.h5: track" in done.stderr
        assert "the feature store is damaged" in done.stderr
        assert "train.lr" not in done.stderr


def test_nothing_raw_reaches_the_terminal(project, tmp_path, write_tone):
    music = tmp_path / f"a{ESCAPES}b"
    music.mkdir()
    shutil.move(write_tone("x.wav", seconds=6), music / f"song{ESCAPES}.wav")
    (music / f"broken{ESCAPES}.wav").write_bytes(b"x")
    bad = rewritten(
        project / "data/model/model.safetensors",
        tmp_path / f"m{ESCAPES}.safetensors",
        lambda d, s: d["info"].update(data_set=ESCAPES, protocol=ESCAPES),
    )
    genre = [sys.executable, "-m", "genre_core.apps.cli.main"]
    for command in (
        [*genre, "predict", str(music), "--model", str(bad)],
        [*genre, "predict", str(music), "--model", str(bad), "--json"],
        [*genre, "predict", str(music), "--model", str(tmp_path / f"none{ESCAPES}")],
        [*genre, "explain", str(music / f"song{ESCAPES}.wav"), "--model", str(bad)],
        [*genre, "audit", str(tmp_path)],
        [*genre, "audit", str(tmp_path), "--json"],
        [*genre, "features", str(music), "--out", str(tmp_path / f"o{ESCAPES}.npz")],
        [*genre, "compare", ESCAPES, ESCAPES],
        [*genre, "predict", "--top", ESCAPES, "x"],
        [*genre, "predict", "x", f"--{ESCAPES}"],
        [*genre, ESCAPES],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environment(ROOT), capture_output=True, text=True, check=False)
        assert raw_escapes(done.stdout + done.stderr) == [], command
        assert "Traceback" not in done.stderr, command
        assert done.stdout + done.stderr


def test_a_folder_as_data_set_and_wrong_params_end_in_one_line_and_no_traceback(project, tmp_path):
    """Through the stages, as DVC runs them."""
    target = shutil.copytree(project, tmp_path / "p", symlinks=True)
    for text in (YAML_BOMB, "seed: " + "9" * 5000, "[" * 100_000):
        (target / "params.yaml").write_text(text)
        code, lines = limited("-m", "stages.segment", cwd=target)
        assert code == 1
        assert len(lines) == 1
        assert lines[0].startswith("error: params.yaml")


def test_a_small_model_that_asks_for_gigabytes_is_refused(project, tmp_path):
    def alter(description, state):
        description["features"].update(sample_rate=48000, hop_length=64, n_mels=256, fmax_hz=20000.0)
        description.update(segment_seconds=60.0, hyperparameters={"width": 256, "blocks": 1, "dropout": 0.1})

    path = rewritten(project / "data/model/model.safetensors", tmp_path / "m.safetensors", alter)
    code, lines = limited("-m", "genre_core.apps.cli.main", "predict", "--model", str(path), "x.wav", cwd=tmp_path, megabytes=1500)
    assert code == 2
    assert len(lines) == 1
    assert "a window has" in lines[0]


def test_a_table_that_a_few_bytes_claim_is_not_allocated(tmp_path):
    (tmp_path / "x.m4a").write_bytes(index_bomb(80_000_000))
    (tmp_path / "try.py").write_text(
        "import re, sys\n"
        "from pathlib import Path\n"
        "from genre_core.apps.cli.main import main\n"
        "code = main(['predict', 'x.m4a', '--model', 'pretrained'])\n"
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "sys.exit(code if peak < 1_000_000 else 99)\n"
    )
    code, lines = limited("try.py", cwd=tmp_path, megabytes=8000)
    assert code == 2
    assert len(lines) == 1
    assert re.search(r"x\.m4a: (not audio that can be decoded|broken audio data|contains no audio)", lines[0])


@pytest.mark.parametrize(
    "content", ["pipe", "[" * 200_000, '{"track": {"accuracy": "x"}, "tracks": 1, "model": {"sha256": "DIGEST"}}', "zero"]
)
def test_what_lies_beside_a_model_is_checked(project, tmp_path, content, write_tone):
    model = tmp_path / "p/data/model/model.safetensors"
    beside = tmp_path / "p/metrics/test/metrics.json"
    for path in (model, beside):
        path.parent.mkdir(parents=True)
    shutil.copyfile(project / "data/model/model.safetensors", model)
    if content == "pipe":
        os.mkfifo(beside)
    elif content == "zero":
        beside.symlink_to("/dev/zero")
    else:
        beside.write_text(content.replace("DIGEST", digest(model)))
    song = write_tone("x.wav", seconds=6)
    code, lines = limited("-m", "genre_core.apps.cli.main", "predict", "--model", str(model), str(song), cwd=tmp_path)
    assert code == 0, lines
    assert lines == []
