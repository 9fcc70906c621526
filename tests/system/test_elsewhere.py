"""Music and caches in a bucket: real DVC and a real S3-speaking server on loopback."""

import io
import shutil
import subprocess
import zipfile

import pytest
from helpers import buckets
from helpers.pipeline import ran
from helpers.project import copy_project, run, set_params
from helpers.servers import serve_folder


@pytest.fixture
def s3():
    with buckets.s3() as bucket:
        yield bucket


def git(project, *command):
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], cwd=project, check=True, capture_output=True)


def clone(source, target):
    """A clean clone, whose cache is empty."""
    subprocess.run(["git", "clone", "-q", str(source), str(target)], check=True)
    assert not (target / ".dvc/cache").exists()
    return target


def test_a_clone_pulls_from_s3_what_another_machine_has_pushed_and_runs_nothing(own, s3, tmp_path):
    def dvc(*command, project):
        return run("dvc", *command, cwd=project, **s3.environment)

    # Machine A: the run of another split that it has tried, then its results.
    dvc("remote", "add", "-d", "shared", f"{s3.url}/genre", project=own)
    dvc("remote", "modify", "shared", "endpointurl", s3.environment["AWS_ENDPOINT_URL"], project=own)
    set_params(own, segment__protocol="track")
    assert ran(dvc("repro", "segment", project=own)) == ["segment"]
    dvc("push", "--run-cache", "segment", project=own)  # DVC pushes the outputs of the present run alone
    git(own, "checkout", "params.yaml")
    dvc("repro", "--single-item", "segment", project=own)
    assert "pushed" in dvc("push", "--run-cache", project=own).stdout
    git(own, "add", "-A")
    git(own, "commit", "-qm", "results")

    # Machine B pulls all.
    pulled = clone(own, tmp_path / "pulled")
    dvc("pull", "--run-cache", project=pulled)
    for name in ("data/raw/catalogue.csv", "data/model/model.safetensors"):
        assert (pulled / name).read_bytes() == (own / name).read_bytes()
    done = dvc("repro", project=pulled)
    assert ran(done) == []
    assert "up to date" in done.stdout
    set_params(pulled, segment__protocol="track")  # this split has never been in git
    done = dvc("repro", "--pull", "segment", project=pulled)
    assert (ran(done), "'segment' is cached" in done.stdout) == ([], True)

    # Machine C pulls nothing before: no stage has its output, and its cache is empty.
    other = clone(own, tmp_path / "other")
    assert not (other / "data/raw").exists()
    assert ran(dvc("repro", "--pull", project=other)) == []
    assert (other / "data/model/model.safetensors").read_bytes() == (own / "data/model/model.safetensors").read_bytes()


def music(write_tone, put):
    for number in range(3):
        for genre, hz in (("low", 200), ("high", 3000)):
            put(f"{genre}/{number}.wav", write_tone("tone.wav", hz=hz + 10 * number, seconds=4).read_bytes())


def test_music_in_a_bucket_runs_once_and_again_when_an_object_changes(s3, tmp_path, write_tone):
    target = copy_project(tmp_path / "p")
    music(write_tone, lambda name, content: s3.put(f"music/{name}", content))
    s3.put("music/cover.jpg", b"x")
    set_params(target, dataset__name="folder", dataset__folder__path="s3://bucket/music", segment__protocol="track")

    def repro():
        s3.asked.clear()
        return run("dvc", "repro", "segment", cwd=target, **s3.environment)

    done = repro()
    assert ran(done) == ["download", "audit", "segment"]
    assert "download: folder: 6 tracks of 2 genres" in done.stdout
    assert len(s3.got()) == 6  # DVC reads the list of the objects, not the objects
    assert (ran(repro()), s3.got()) == ([], [])

    s3.put("music/low/0.wav", write_tone("tone.wav", hz=250, seconds=4).read_bytes())
    s3.put("music/low/3.wav", write_tone("tone.wav", hz=260, seconds=5).read_bytes())
    assert ran(repro()) == ["download", "audit", "segment"]
    assert sorted(s3.got()) == ["music/low/0.wav", "music/low/3.wav"]
    assert "low/3.wav" in (target / "data/index/tracks.csv").read_text()
    s3.remove("music/low/3.wav")
    assert ran(repro()) == ["download", "audit", "segment"]
    assert s3.got() == []
    assert "low/3.wav" not in (target / "data/index/tracks.csv").read_text()


def test_an_archive_on_the_web_runs_once_and_again_when_it_changes(tmp_path, write_tone):
    target = copy_project(tmp_path / "p")
    (tmp_path / "www").mkdir()

    def publish(**more):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as opened:
            music(write_tone, opened.writestr)
            for name, content in more.items():
                opened.writestr(name, content)
        (tmp_path / "www/music.zip").write_bytes(buffer.getvalue())

    publish()
    with serve_folder(tmp_path / "www") as server:
        set_params(target, dataset__name="folder", dataset__folder__path=f"{server.url}/music.zip", segment__protocol="track")
        assert ran(run("dvc", "repro", "segment", cwd=target)) == ["download", "audit", "segment"]
        assert ran(run("dvc", "repro", "segment", cwd=target)) == []
        publish(**{"low/added.wav": (tmp_path / "tone.wav").read_bytes()})
        assert ran(run("dvc", "repro", "segment", cwd=target)) == ["download", "audit", "segment"]
    assert "low/added.wav" in (target / "data/index/tracks.csv").read_text()


def test_a_bucket_that_is_not_there_stops_the_run_with_one_line(s3, tmp_path):
    target = copy_project(tmp_path / "p")
    set_params(target, dataset__name="folder", dataset__folder__path="s3://bucket/nothing")
    done = run("dvc", "repro", "download", cwd=target, check=False, **s3.environment)
    assert "dependency 's3://bucket/nothing' does not exist" in done.stderr
    shutil.rmtree(target / ".dvc/tmp", ignore_errors=True)
    done = run("python", "-m", "stages.download", cwd=target, check=False, **s3.environment)
    assert done.stderr == (
        "error: dataset.folder.path: s3://bucket/nothing: nothing is there; is the bucket and the folder spelled right?\n"
    )
