"""Wrong labels: planted, listed by the stage, corrected by the user, read back by segment."""

import shutil

import pytest
from helpers.project import copy_project
from helpers.stages import run_stages

from genre_core.datasets import demo
from genre_core.errors import GenreError
from genre_core.util.files import read_csv

GENRES = ("blues", "metal")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A project with 16 tracks of two genres, one of them in the folder of the other genre."""
    music = tmp_path_factory.mktemp("labels")
    tracks = demo.download(music / "all", seed=3, artists_per_genre=8, tracks_per_artist=1, seconds=6.0)
    rows = ["path,artist"]
    for track in tracks:
        if track.genre not in GENRES:
            continue
        name = track.path.split("/")[-1]
        genre = {"blues.00000": "metal"}.get(track.track, track.genre)
        (music / f"m/{genre}").mkdir(parents=True, exist_ok=True)
        shutil.copy(music / "all" / track.path, music / f"m/{genre}/{name}")
        rows.append(f"{genre}/{name},{track.artist}")
    (music / "m/metadata.csv").write_text("\n".join(rows) + "\n")
    project = copy_project(music / "project")
    run_stages(project, "download", "audit", "segment", dataset__name="folder", dataset__folder__path=str(music / "m"))
    return project


def table(project, name):
    return {row["path"]: row for row in read_csv(project / name)}


def test_the_stage_is_off_at_first_and_its_table_empty(planted):
    said = run_stages(planted, "labels", labels__check=False)["labels"]
    assert "not checked" in said
    assert (planted / "metrics/labels/labels.csv").read_text() == "path,genre,suggested,p_genre,p_suggested,margin\n"
    assert "labels.check=true" in (planted / "metrics/labels/report.md").read_text()


def test_planted_labels_are_listed_corrected_and_not_listed_again(planted, tmp_path):
    own = shutil.copytree(planted, tmp_path / "own", symlinks=True)
    before = (own / "data/index/tracks.csv").read_bytes()
    said = run_stages(own, "labels", labels__check=True)["labels"]
    listed = read_csv(own / "metrics/labels/labels.csv")
    assert (listed[0]["path"], listed[0]["genre"], listed[0]["suggested"]) == ("metal/blues.00000.wav", "metal", "blues"), said
    assert "metal/blues.00000.wav" in (own / "metrics/labels/report.md").read_text()

    # Unchanged rows change nothing.
    shutil.copy(own / "metrics/labels/labels.csv", own / "data/labels.csv")
    run_stages(own, "segment")
    assert (own / "data/index/tracks.csv").read_bytes() == before

    text = (own / "data/labels.csv").read_text()
    text = text.replace("metal/blues.00000.wav,metal,", "metal/blues.00000.wav,blues,")
    (own / "data/labels.csv").write_text(text + "metal/metal.00002.wav,\n")
    said = run_stages(own, "segment", "labels")
    assert "1 genres corrected" in said["segment"]
    tracks = table(own, "data/index/tracks.csv")
    assert tracks["metal/blues.00000.wav"]["genre"] == "blues"
    assert table(own, "data/index/rejected.csv")["metal/metal.00002.wav"]["reason"] == "left out by data/labels.csv"
    assert "metal/metal.00002.wav" not in tracks
    decided = {row["path"] for row in listed}
    assert not decided & {row["path"] for row in read_csv(own / "metrics/labels/labels.csv")}


def test_a_wrong_corrections_file_stops_segment_and_leaves_the_index(planted, tmp_path):
    own = shutil.copytree(planted, tmp_path / "own", symlinks=True)
    before = (own / "data/index/tracks.csv").read_bytes()
    (own / "data/labels.csv").write_text("path,genre\nmetal/blues.00000.wav,<!--\n")
    with pytest.raises(GenreError, match=r"data/labels.csv, line 2: genre '<!--' of 'metal/blues.00000.wav' holds HTML"):
        run_stages(own, "segment")
    assert (own / "data/index/tracks.csv").read_bytes() == before
    (own / "data/labels.csv").write_text("path,genre\nmetal/gone.wav,blues\n")
    with pytest.warns(UserWarning, match="no effect"):
        run_stages(own, "segment")
    assert (own / "data/index/tracks.csv").read_bytes() == before
