"""The files that DVC and people read agree with the code."""

import ast
import hashlib
import json
import re

import pytest
import yaml
from helpers.closure import ROOT, import_closure
from helpers.pipeline_files import PIPELINE

from genre_core.config import architectures

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


WITHOUT_CODE = {"download", "fetch_external"}  # a changed comment must not fetch gigabytes again


NO_RESULT = (
    "genre_core/util/",
    "genre_core/config/",
    *(f"genre_core/{name}.py" for name in ("errors", "terminal", "project")),
    "stages/run.py",
)


def is_docstring_alone(path):
    return path.endswith("__init__.py") and len(ast.parse((ROOT / path).read_text()).body) == 1


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_code_dependencies_cover_what_a_stage_imports(stage):
    declared = [d for d in PIPELINE["stages"][stage]["deps"] if d.startswith(("genre_core/", "stages/")) and not d.endswith(".safetensors")]
    if stage in WITHOUT_CODE:
        assert not declared
        return
    own = {path for path in import_closure(f"stages.{stage}") if not path.startswith(NO_RESULT) and not is_docstring_alone(path)}
    own -= {"genre_core/__init__.py", "stages/__init__.py"}
    assert [path for path in sorted(own) if not any(path == d or path.startswith(f"{d}/") for d in declared)] == []
    idle = [d for d in declared if "$" not in d and not any(path == d or path.startswith(f"{d}/") for path in own)]
    assert idle == []
    # `networks` imports the chosen one by name
    assert ("genre_core/networks/${model.type}.py" in declared) == ("genre_core/networks/__init__.py" in own)


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_the_closure_follows_imports_within_functions_and_from_packages():
    closure = import_closure("stages.augment")
    assert {
        "stages/__init__.py",
        "stages/augment.py",
        "genre_core/__init__.py",
        "genre_core/features/versions.py",
        "genre_core/audio/io.py",
    } <= closure
    assert "genre_core/training/loop.py" not in closure
    assert "genre_core/reports/figures.py" in import_closure("genre_core.apps.cli.explain")  # imported within a function


def test_each_stage_is_one_script():
    assert {name: f"python -m stages.{name}" for name in PIPELINE["stages"]} == {k: v["cmd"] for k, v in PIPELINE["stages"].items()}
    for name in PIPELINE["stages"]:
        assert (ROOT / f"stages/{name}.py").is_file()


def test_every_parameter_belongs_to_a_stage():
    used = {p for stage in PIPELINE["stages"].values() for p in stage["params"]}
    expand = {
        "dataset.${dataset.name}": ["dataset.demo", "dataset.gtzan", "dataset.fma", "dataset.folder", "dataset.features"],
        "model.${model.type}": [f"model.{name}" for name in architectures()],
    }
    used |= {p for key, values in expand.items() if key in used for p in values}
    unused = [key for key, _ in leaves(PARAMS) if not any(key == p or key.startswith(p + ".") for p in used)]
    assert {key.split(".")[0] for key in unused} == {"parallel", "cache"}  # results do not depend on them


def test_params_hold_no_lists_and_only_true_and_false():
    assert [key for key, value in leaves(PARAMS) if isinstance(value, list)] == []
    assert not re.search(r":\s*(yes|no|on|off)\b", re.sub(r"#.*", "", (ROOT / "params.yaml").read_text()), re.IGNORECASE)


def test_no_out_is_persistent_and_metrics_are_in_git():
    for stage in PIPELINE["stages"].values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            path, options = (out, {}) if isinstance(out, str) else next(iter(out.items()))
            assert "persist" not in options
            assert path.startswith("metrics/") == (options.get("cache") is False)


def dvc_md5(path):
    """The digest that DVC gives a file, or a folder without what .dvcignore names."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 (DVC's choice)
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.name != ".DS_Store")
    listed = [{"md5": dvc_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"  # noqa: S324


def test_lock_and_metrics_are_those_of_the_committed_params():
    """After a change: `dvc repro`, and commit dvc.lock and metrics/ with it."""
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    assert set(lock) == set(PIPELINE["stages"])
    stale = []
    for name, stage in lock.items():
        for entry in [*stage["deps"], *stage.get("outs", [])]:
            path = ROOT / entry["path"]
            if entry["path"].startswith(("genre_core/", "stages/", "metrics/")) and path.exists() and dvc_md5(path) != entry["md5"]:
                stale.append((name, entry["path"]))
    assert stale == []
    metrics = json.loads((ROOT / "metrics/test/metrics.json").read_text())
    assert metrics["data_set"] == "demo (synthetic)"
    assert not metrics["leaky"]
    assert metrics["model"]["type"] == "cnn"
    assert metrics["model"]["bytes"] <= 2_000_000
    assert metrics["track"]["accuracy"] > 0.6


def test_the_readme_shows_the_committed_scores():
    track = json.loads((ROOT / "metrics/test/metrics.json").read_text())["track"]
    readme = (ROOT / "README.md").read_text()
    for name, words in (("accuracy", "accuracy "), ("macro_f1", "macro-F1 ")):
        assert f"{words} {track[name]:.3f} [{track[f'{name}_low']:.3f}, {track[f'{name}_high']:.3f}]" in readme


def test_the_readme_draws_the_graph_of_dvc_yaml():
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r'node\d+\["(\w+)"\]', readme)) == set(PIPELINE["stages"])
