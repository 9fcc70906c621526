"""Added tracks cost only themselves, and the outputs have the bytes of a full run."""

import shutil

import numpy as np
from helpers.project import copy_project
from helpers.stages import run_stages

from genre_core.audio.io import decode, write
from genre_core.util.files import digest
from genre_core.util.result_cache import ResultCache

STAGES = ("download", "audit", "segment", "extract", "augment", "embed")
OWN_MUSIC = {"dataset__name": "folder", "segment__protocol": "track", "model__type": "musicnn"}
RESULTS_OF_A_TRACK = 4  # audit, segment, extract, embed
VERSIONS_OF_A_TRAINING_TRACK = 2  # one pitch, one tempo


def outputs(project):
    return {str(path.relative_to(project)): digest(path) for name in ("data", "metrics") for path in (project / name).rglob("*.*")}


def tracks_in(project, side):
    return run_stages(project, "segment")["segment"].split("protocol track: ")[1].split(f" {side}")[0].split()[-1]


def test_added_tracks_cost_only_themselves(project, tmp_path):
    own = copy_project(tmp_path / "own")
    kept = ResultCache(own / ".cache/tracks", 10**9)
    tracks = sorted((project / "data/raw").rglob("*.wav"))
    for path in tracks:
        (own / "data/my_music" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, own / "data/my_music" / path.parent.name)
    run_stages(own, *STAGES, **OWN_MUSIC)
    training = int(tracks_in(own, "train"))
    assert kept.usage().results == RESULTS_OF_A_TRACK * len(tracks) + VERSIONS_OF_A_TRAINING_TRACK * training
    before = {path: path.stat().st_ino for path in kept.folder.rglob("*.track")}

    for path in tracks[::10]:
        audio = decode(path)
        write(own / "data/my_music" / path.parent.name / "added.wav", np.ascontiguousarray(audio.y[::-1]), audio.sample_rate)
    run_stages(own, *STAGES)
    assert {path: path.stat().st_ino for path in before} == before  # nothing was computed again
    added = kept.usage().results - len(before)
    newly_training = int(tracks_in(own, "train")) - training
    assert added >= RESULTS_OF_A_TRACK * 3 + VERSIONS_OF_A_TRAINING_TRACK * newly_training
    assert added < len(before) / 2  # tracks that came to the training side have versions now

    full = copy_project(tmp_path / "full")
    shutil.copytree(own / "data/my_music", full / "data/my_music", dirs_exist_ok=True)
    run_stages(full, *STAGES, **OWN_MUSIC, cache__gigabytes=0.0)
    assert not (full / ".cache/tracks").exists()
    assert len(outputs(own)) > 40
    assert outputs(own) == outputs(full)


def test_a_renamed_file_is_known_and_a_damaged_result_is_not_used(project, tmp_path):
    own = shutil.copytree(project, tmp_path / "own", symlinks=True)
    kept = ResultCache(own / ".cache/tracks", 10**9)
    before = digest(own / "data/features/original.h5")
    assert kept.usage().results > 100
    for path in kept.folder.rglob("*.track"):
        content = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (own / "data/features/original.h5").unlink()
    run_stages(own, "extract")
    assert digest(own / "data/features/original.h5") == before


def test_a_size_limit_holds_after_each_stage(project, tmp_path):
    own = shutil.copytree(project, tmp_path / "own", symlinks=True)
    shutil.rmtree(own / ".cache/tracks")
    run_stages(own, "extract", cache__gigabytes=0.001)
    usage = ResultCache(own / ".cache/tracks", 0).usage()
    assert 0 < usage.bytes <= 1_000_000
