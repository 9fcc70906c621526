"""`genre similar` as a user calls it: run twice, killed, two at once, with wrong inputs; and its answers on the page."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import mutagen.flac
import pytest
import requests
import soundfile
from helpers.project import ROOT, environment
from helpers.serving import CHROMIUM, FLAGS, music, serving, wav

from genre_core.apps.cli.serve import _nearest_tracks
from genre_core.apps.serve import api, uploads
from genre_core.audio.io import decode
from genre_core.inference.predictor import Predictor
from genre_core.util.files import digest, write_csv

GENRE = [sys.executable, "-m", "genre_core.apps.cli.main"]
HOSTILE = "<img src=x onerror=document.title=1>"


def allow_ctrl_c():
    """A test that runs as a job in the background inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder, *arguments):
    """Start a command, with a cache folder of its own."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(
        [*GENRE, *arguments],
        cwd=folder,
        env=environment(ROOT, XDG_CACHE_HOME=str(folder / "cache")),
        text=True,
        start_new_session=True,
        preexec_fn=allow_ctrl_c,  # noqa: PLW1509 (only the test's own server has threads)
        **pipes,
    )


def genre(folder, *arguments):
    process = start(folder, *arguments)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def store_of(folder):
    return folder / "cache/genre-pipeline/embeddings.sqlite"


def stored(folder):
    """Number of embeddings in the store; 0 while there is none."""
    if not store_of(folder).exists():
        return 0
    db = sqlite3.connect(f"file:{store_of(folder)}?mode=ro", uri=True, timeout=10)
    try:
        return db.execute("SELECT count(*) FROM embeddings").fetchone()[0]
    except sqlite3.OperationalError:  # its tables are being made
        return 0
    finally:
        db.close()


@pytest.fixture
def home(tmp_path):
    """A folder with a library of six tracks, one of them with an artist in its tags, one in metadata.csv."""
    (tmp_path / "m/al bum").mkdir(parents=True)
    for seed in range(6):
        soundfile.write(tmp_path / f"m/al bum/{seed}.flac", music(5 + seed / 2, seed=seed), 22050)
    flac = mutagen.flac.FLAC(tmp_path / "m/al bum/0.flac")
    flac["artist"] = "Nina Simone"
    flac.save()
    write_csv(tmp_path / "m/metadata.csv", ["path", "artist"], [{"path": "al bum/1.flac", "artist": "nina simone"}])
    return tmp_path


def test_a_folder_is_computed_once_and_a_playlist_written(home):
    song = "m/al bum/0.flac"
    code, first, errors = genre(home, "similar", song, "m", "--m3u", "m/p.m3u8")
    assert (code, errors) == (0, f"m: 6 tracks, 5 computed now, 1 from {store_of(home)}\n")  # the song was computed first
    rows = [re.fullmatch(r" (\d) (-?\d\.\d{3}) (\S.*?\.flac)( \(.*\))?", line).groups() for line in first.splitlines()]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5]
    assert rows[-1][2:] == ("al bum/1.flac", " (nina simone, same artist)")
    similarities = [float(row[1]) for row in rows[:-1]]
    assert similarities == sorted(similarities, reverse=True)
    listed = [line for line in (home / "m/p.m3u8").read_text().splitlines() if not line.startswith("#")]
    assert listed == [row[2] for row in rows]
    before = digest(store_of(home))
    code, second, errors = genre(home, "similar", song, "m")
    assert (code, second) == (0, first)
    assert errors.splitlines() == ["m: skipped 1 file: 1 not audio (p.m3u8)", f"m: 6 tracks, 0 computed now, 6 from {store_of(home)}"]
    assert digest(store_of(home)) == before
    code, answer, _ = genre(home, "similar", song, "m", "--json", "--top", "2", "--any-artist")
    found = json.loads(answer)
    assert (code, found["file"], found["artist"], found["tracks"], found["failed"]) == (0, song, "Nina Simone", 6, [])
    best = max(rows, key=lambda row: float(row[1]))
    assert (found["nearest"][0]["file"], len(found["nearest"])) == (best[2], 2)
    assert found["nearest"][0]["similarity"] == pytest.approx(float(best[1]), abs=6e-4)


def test_wrong_inputs_are_one_line_each(home):
    (home / "m/text.mp3").write_text("no audio at all, only text")
    (home / "empty").mkdir()
    (home / "wrong.sqlite").write_text("only text, much more than the header of a file needs to be read by SQLite" * 20)
    song = "m/al bum/0.flac"
    for arguments, message in {
        ("no.mp3", "m"): f"error: {home}/no.mp3: no such file",
        ("m/text.mp3", "m"): f"error: {home}/m/text.mp3: not audio that can be decoded",
        (song, "none"): "error: none: not a folder; name the folder of your music",
        (song, "empty"): "error: empty: no audio file in this folder",
        (song, "m", "--m3u", "p.txt"): "error: --m3u p.txt: write to a .m3u8 or .m3u file",
        (song, "m", "--store", "wrong.sqlite"): "error: wrong.sqlite: is not a store of embeddings; name another file",
        (song, "m", "--store", "wrong.sqlite/x"): "error: wrong.sqlite/x: ",
    }.items():
        code, output, errors = genre(home, "similar", *arguments)
        assert (code, output) == (2, ""), errors
        assert errors.startswith(message)
        assert errors.count("\n") == 1
    code, output, errors = genre(home, "similar", song, "m", "--top", "3")
    assert (code, output.count("\n")) == (2, 3)  # the rest goes on
    assert errors.splitlines()[-1].startswith(f"error: {home}/m/text.mp3: not audio")


@pytest.fixture
def many(home):
    """The library with 24 tracks more: seconds of work."""
    for seed in range(6, 30):
        soundfile.write(home / f"m/{seed}.flac", music(12, seed=seed), 22050)
    return home


def wait_for(folder, count, process):
    until = time.monotonic() + 120
    while stored(folder) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_is_done_survives_a_kill(many, number):
    process = start(many, "similar", "m/6.flac", "m", "--json")
    wait_for(many, 3, process)
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    kept = stored(many)
    assert 3 <= kept < 30
    code, output, errors = genre(many, "similar", "m/6.flac", "m", "--json")
    assert code == 0
    assert f"m: 30 tracks, {30 - kept} computed now" in errors
    assert json.loads(output)["tracks"] == 30


def test_two_processes_share_a_store(many):
    both = [start(many, "similar", "m/6.flac", "m", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert json.loads(ended[0][0]) == json.loads(ended[1][0])
    assert stored(many) == 30


def application(library):
    """Return the application with the packaged model and a library."""
    return api.application(Predictor("pretrained"), "pretrained", "model pretrained", library=library)


@pytest.fixture
def served(home, monkeypatch):
    """Address of a server with the library of `home`, one of whose names is HTML."""
    (home / "m/al bum/5.flac").rename(home / f"m/{HOSTILE}.flac")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    with serving(application(_nearest_tracks(home / "m"))) as address:
        yield address


def test_the_api_lists_the_nearest_five_and_stores_no_upload(home, served):
    before = digest(store_of(home))
    wanted = json.loads(genre(home, "similar", "m/al bum/0.flac", "m", "--json", "--top", "5")[1])["nearest"]
    body = (home / "m/al bum/0.flac").read_bytes()
    answer = requests.post(f"{served}/api/predict", params={"name": "0.flac"}, data=body, timeout=60).json()
    assert answer["nearest"] == [{key: row[key] for key in ("file", "artist", "similarity")} for row in wanted]
    assert answer["nearest"][-1] == {"file": "al bum/1.flac", "artist": "nina simone", "similarity": pytest.approx(1, abs=0.5)}
    assert str(home) not in json.dumps(answer)
    upload = wav(home / "new.wav", music(6, seed=99)).read_bytes()
    assert len(requests.post(f"{served}/api/predict", data=upload, timeout=60).json()["nearest"]) == 5
    assert digest(store_of(home)) == before


def test_without_a_library_nothing_is_near(home):
    body = (home / "m/al bum/0.flac").read_bytes()
    with serving(application(None)) as address:
        assert requests.post(f"{address}/api/predict", data=body, timeout=60).json()["nearest"] == []


def test_the_song_itself_is_left_out_also_for_a_model_of_another_rate(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    nearest = _nearest_tracks(home / "m")
    with (home / "m/al bum/0.flac").open("rb", buffering=0) as file:
        at_16_khz = nearest.of(decode("0.flac", file=file, sample_rate=16000), file, "0.flac", uploads.Limits())
        at_22_khz = nearest.of(decode("0.flac", file=file, sample_rate=22050), file, "0.flac", uploads.Limits())
    assert at_16_khz == at_22_khz
    assert sorted(row["file"] for row in at_22_khz) == [f"al bum/{i}.flac" for i in range(1, 6)]
    with wav(home / "short.wav", music(1)).open("rb", buffering=0) as file:
        assert nearest.of(decode("short.wav", file=file, sample_rate=16000), file, "short.wav", uploads.Limits()) == []


def test_a_store_is_a_library_and_an_empty_one_is_an_error(home):
    genre(home, "similar", "m/al bum/0.flac", "m", "--store", "s.sqlite")
    nearest = _nearest_tracks(home / "s.sqlite")
    assert [track.name for track in nearest._library.tracks] == [f"{i}.flac" for i in range(6)]
    for path, message in (("none.sqlite", "no such file"), ("new.wav", "is not a store of embeddings")):
        wav(home / "new.wav", music(3))
        code, _, errors = genre(home, "serve", "--library", path, "--port", "1")
        assert code == 2
        assert errors.startswith("error: ")
        assert message in errors


def test_the_page_shows_the_nearest_five(home, served):
    if CHROMIUM is None:
        if os.environ.get("NEEDS_BROWSER"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(served)
        expect(page.locator("#similar")).to_be_hidden()
        page.locator("#drop input[type=file]").set_input_files(home / "m/al bum/0.flac")
        expect(page.locator("#nearest li")).to_have_count(5, timeout=60_000)
        expect(page.locator("#nearest")).to_contain_text(f"{HOSTILE}.flac")
        expect(page.locator("#nearest li").last).to_have_text(re.compile(r"^al bum/1\.flac nina simone, [01]\.\d\d$"))
        assert page.title() == "What genre is it?"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/serve-similar.png", full_page=True)
        browser.close()
