"""The page in headless Chromium, and the HTTP API, on loopback."""

import os
import re
import time

import numpy as np
import pytest
import requests
from helpers.serving import CHROMIUM, FLAGS, music, serving, wav
from playwright.sync_api import expect, sync_playwright

from genre_core.apps.serve import api, uploads
from genre_core.errors import AudioError
from genre_core.inference.predictor import Predictor
from genre_core.inference.streaming import Listener

LIMITS = uploads.Limits(megabytes=3, seconds=40, decode_seconds=20)


@pytest.fixture(scope="module")
def predictor():
    return Predictor("pretrained")


@pytest.fixture(scope="module")
def served(predictor):
    """Address of a server with tight limits."""
    app = api.application(predictor, "pretrained", "model pretrained", LIMITS)
    with serving(app) as address:
        yield address


def post(address, data, name):
    answer = requests.post(f"{address}/api/predict", params={"name": name}, data=data, timeout=120)
    return answer.status_code, answer.json()


def test_the_api_says_what_the_predictor_says(served, tmp_path):
    file = wav(tmp_path / "a.wav", music(8))
    status, said = post(served, file.read_bytes(), "a.wav")
    wanted = Predictor("pretrained").predict_file(file)
    assert status == 200
    assert said["genre"] == wanted.genre
    assert said["probabilities"] == pytest.approx(wanted.probabilities)
    assert (said["prediction_set"], said["coverage"]) == ([], 0)  # 8 s are too few for a promise
    assert np.array(said["timeline"]["probabilities"]).shape == wanted.timeline.shape == (4, 10)


@pytest.mark.parametrize(
    ("make", "status", "message"),
    [
        (lambda: b"no audio at all", 422, "not audio that can be decoded"),
        (lambda: b"", 422, "empty file"),
        (lambda: b"\0" * 3_100_000, 413, "larger than 3 MB"),
        (lambda: music(1), 422, "too short: 1.00 s"),
        (lambda: np.zeros(8000 * 60, "f4"), 422, "longer than"),
    ],
)
def test_a_wrong_upload_gets_one_clear_message(served, tmp_path, make, status, message):
    made = make()
    data = made if isinstance(made, bytes) else wav(tmp_path / "a.wav", made, 22050 if len(made) < 50_000 else 8000).read_bytes()
    found, said = post(served, data, "bad.mp3")
    assert found == status
    assert said["error"].startswith("bad.mp3: ")
    assert message in said["error"]
    assert "/tmp" not in said["error"]  # noqa: S108


def test_odd_names_are_names(served, tmp_path):
    data = wav(tmp_path / "a.wav", music(6)).read_bytes()
    for name in ("a.\0", "no ending", "a" * 300 + ".wav", "../../x.wav", "ü$x$.wav"):
        assert post(served, data, name)[0] == 200


def test_slow_decoding_is_given_up(tmp_path):
    with wav(tmp_path / "a.wav", music(5)).open("rb") as file, pytest.raises(AudioError, match=r"^song: decoding took longer than 1e-09 s"):
        uploads.judge(Predictor("pretrained"), file, "song", uploads.Limits(decode_seconds=1e-9))


def test_live_audio_is_answered_as_by_the_listener(served):
    y = (music(12, 48000) * 32767).astype("<i2")
    answer = requests.post(f"{served}/api/live", params={"rate": 48000}, data=y[-480_000:].tobytes(), timeout=60).json()
    wanted = Listener(Predictor("pretrained").model, 48000, context_seconds=10.0)
    wanted.push(y[-480_000:].astype("f4") / 32768)
    assert answer["probabilities"] == pytest.approx(wanted.now().probabilities, abs=1e-4)
    short = requests.post(f"{served}/api/live", params={"rate": 48000}, data=y[:4800].tobytes(), timeout=60).json()
    assert short == {"seconds": 0.1, "genre": None}
    for rate in ("", "0", "1e9", "\u0664\u0664100", "-48000", "9" * 5000):
        assert requests.post(f"{served}/api/live", params={"rate": rate}, data=b"", timeout=60).status_code in (414, 422, 400)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        if os.environ.get("NEEDS_BROWSER"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    sound = wav(tmp_path_factory.mktemp("microphone") / "played.wav", music(20, 48000), 48000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={sound}"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served):
    """The page, at the width of a phone; it must ask no other host."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, permissions=["microphone"])
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_default_timeout(60_000)
    page.goto(served)
    page.get_by_role("heading", name="What genre is it?").wait_for()
    yield page
    strangers = [url for url in asked if not url.startswith((served, served.replace("http", "ws"), "data:", "blob:"))]
    context.close()
    assert strangers == []


def shot(page, name):
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_dropped_file_is_answered_and_a_wrong_one_told_so(page, tmp_path):
    page.locator("#drop input[type=file]").set_input_files(wav(tmp_path / "song.wav", music(8)))
    expect(page.locator("#note")).to_contain_text("song.wav, 8 s", timeout=60_000)
    expect(page.locator("#timeline img")).to_have_count(1)
    expect(page.locator("#genres")).to_contain_text("%")
    expect(page.locator("#timeline img")).to_be_visible()
    expect(page.locator("#carried img")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "serve-phone")
    (tmp_path / "text.mp3").write_text("no audio at all, only text")
    page.locator("#drop input[type=file]").set_input_files(tmp_path / "text.mp3")
    expect(page.locator("#note")).to_contain_text("text.mp3: not audio that can be decoded", timeout=60_000)
    expect(page.locator("#timeline img")).to_have_count(0)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_a_prediction_set_is_shown_as_text(page, served, predictor, tmp_path, size):
    """Only if it has more genres than one, and not all; the genre's name is never interpreted."""
    model = predictor.model
    before = model.out_of_distribution, model.info["conformal"], model.genres
    file = wav(tmp_path / "song.wav", music(16))
    try:
        ranked = list(predictor.predict_file(file).probabilities)
        evil = "<b id=evil>x</b>"
        model.out_of_distribution, model.genres = None, [evil if genre == ranked[1] else genre for genre in model.genres]
        ranked[1] = evil
        limit = 1 - list(predictor.predict_file(file).probabilities.values())[size - 1] + 1e-9
        model.info["conformal"] = {**model.info["conformal"], "coverage": 0.95, "threshold": limit}
        _, said = post(served, file.read_bytes(), "song.wav")
        assert (said["prediction_set"], said["coverage"]) == (ranked[:size], 0.95)
        page.locator("#drop input[type=file]").set_input_files(file)
        expect(page.locator("#note")).to_contain_text("song.wav, 16 s", timeout=60_000)
        text = "{}, {} or {}: 95 % sure that one of them is right.".format(*ranked)
        expect(page.get_by_text(text)).to_have_count(int(size == 3))
        expect(page.get_by_text("sure that one of them")).to_have_count(int(size == 3))
        assert page.locator("#evil").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        shot(page, f"serve-set-{size}")
    finally:
        model.out_of_distribution, model.info["conformal"], model.genres = before


def test_a_recording_is_answered(page):
    page.locator("#record").click()
    expect(page.locator("#note")).to_contain_text("Recording", timeout=60_000)
    page.wait_for_timeout(7000)
    page.locator("#record").click()
    expect(page.locator("#note")).to_contain_text(re.compile(r"recording\.wav, [5-8] s"), timeout=60_000)


def test_a_name_is_shown_and_never_run(page, tmp_path):
    name = "<img src=x onerror=document.title=1>.wav"
    page.locator("#drop input[type=file]").set_input_files(wav(tmp_path / name, music(6)))
    expect(page.locator("#note")).to_contain_text(f"{name}, 6 s", timeout=60_000)
    assert page.title() == "What genre is it?"


def test_the_live_page_follows_the_microphone_each_second(page):
    page.get_by_role("tab", name="Live").click()
    page.locator("#listen").click()
    note = page.locator("#live-note")
    expect(note).to_contain_text("s heard", timeout=60_000)
    seen = {}
    until = time.monotonic() + 8
    while time.monotonic() < until:
        if found := re.search(r"([\d.]+) s heard", note.inner_text()):
            seen.setdefault(float(found[1]), time.monotonic())
        page.wait_for_timeout(50)
    changes = np.diff(list(seen.values()))
    assert len(seen) >= 6
    assert np.median(changes) <= 1.0
    shot(page, "serve-live")
