import contextlib
import dataclasses
import json
import time

import pytest
import soundfile
from helpers import servers
from helpers.external import LIMITS, fetch, listed
from helpers.project import run, set_params

from genre_core.audio import effects as audio_effects
from genre_core.audio.io import write
from genre_core.datasets import external as external_clips
from genre_core.util.files import read_csv


@pytest.fixture
def server(tmp_path):
    """A server on loopback over ``tmp_path/served``; it counts the requests for each path."""
    (tmp_path / "served").mkdir()
    with servers.serve_folder(tmp_path / "served") as server:
        yield server


def test_local_files_and_urls_become_clips(tmp_path, write_tone, server):
    write_tone("local.wav", seconds=9, sample_rate=44100, channels=2)
    write_tone("served/remote.mp3", seconds=8)
    path = listed(tmp_path, ",local.wav,jazz,Local song,2,5", f"{server.url}/remote.mp3,,rock,Remote song,,")
    clips = fetch(path, tmp_path)
    assert [(c.status, c.reason) for c in clips] == [("ok", ""), ("ok", "")]
    assert external_clips.read_manifest(tmp_path / "out") == clips
    from genre_core.audio.io import decode

    local, remote = (decode(tmp_path / "out" / c.path) for c in clips)
    assert (local.seconds, local.sample_rate) == (5, 44100)
    assert remote.seconds == pytest.approx(8, abs=0.1)
    asked = len(server.asked)
    assert [c.status for c in fetch(path, tmp_path)] == ["ok", "ok"]
    assert len(server.asked) == asked  # a second run asks for nothing that is there


def test_what_can_not_be_had_is_named_and_the_rest_goes_on(tmp_path, write_tone, server):
    write_tone("served/big.wav", seconds=30, sample_rate=96000)
    write_tone("good.wav")
    (tmp_path / "served/page.html").write_text("<title>gone</title>")
    path = listed(
        tmp_path,
        f"{server.url}/missing.mp3,,rock,Missing,,",
        f"{server.url}/big.wav,,rock,Big,,",
        f"{server.url}/page.html,,rock,Page,,",
        ",gone.wav,rock,Gone,,",
        ",good.wav,rock,Good,,",
        ",good.wav,rock,Beyond,60,5",
    )
    clips = {c.title: c for c in fetch(path, tmp_path)}
    assert {title: c.status for title, c in clips.items()} == {
        **dict.fromkeys(["Missing", "Big", "Page", "Gone", "Beyond"], "failed"),
        "Good": "ok",
    }
    assert "404" in clips["Missing"].reason
    assert "gone, or not available from here (replace or remove its row)" in clips["Missing"].reason
    assert "yt-dlp 20" in clips["Page"].reason
    assert "pip install --upgrade yt-dlp" in clips["Page"].reason
    assert "max-filesize" in clips["Big"].reason or "max_megabytes" in clips["Big"].reason
    assert "Unsupported URL" in clips["Page"].reason
    assert "No such file" in clips["Gone"].reason
    assert "no audio after 60 s" in clips["Beyond"].reason
    assert all("\n" not in c.reason for c in clips.values())
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]  # nothing half-fetched is kept


def test_a_name_that_climbs_stays_inside(tmp_path, write_tone):
    body = write_tone("song.wav").read_bytes()

    def climbing(handler):
        handler.head(
            200, Content_Length=len(body), Content_Type="audio/wav", Content_Disposition='attachment; filename="../../../evil.wav"'
        )
        handler.wfile.write(body)

    with servers.serve(climbing) as server:
        url = server.url.replace("genres.tar.gz", "..%2F..%2Fevil.wav")
        clips = fetch(listed(tmp_path, f"{url},,rock,../../evil,,"), tmp_path)
    assert [c.status for c in clips] == ["ok"]
    assert clips[0].path == "clips/001-evil.flac"
    inside = {"list.csv", "song.wav", "out", "cache"}
    assert {p.name for p in tmp_path.iterdir()} == inside
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".wav"]


def test_no_network_is_noticed_after_three(tmp_path, server):
    server.shutdown()
    server.server_close()
    clips = fetch(listed(tmp_path, *(f"{server.url}/{i}.mp3,,rock,Song {i},," for i in range(5))), tmp_path)
    assert [c.status for c in clips] == ["failed"] * 5
    assert "refused" in clips[0].reason
    assert all("not tried" in c.reason for c in clips[3:])


def test_a_dead_host_does_not_cost_another(tmp_path, write_tone, server):
    write_tone("served/song.wav")
    with servers.serve(servers.status(200)) as dead:
        pass
    dead.server_close()
    rows = [f"http://127.0.0.2:{dead.server_port}/{i}.mp3,,rock,Dead {i},," for i in range(4)]
    clips = fetch(listed(tmp_path, *rows, f"{server.url}/song.wav,,rock,Good,,"), tmp_path)
    assert [c.status for c in clips] == ["failed"] * 4 + ["ok"]
    assert "not tried: 3 clips of 127.0.0.2" in clips[3].reason


def test_a_start_beyond_the_end_names_the_row_and_keeps_the_download(tmp_path, write_tone, server):
    write_tone("served/song.wav", seconds=3)
    path = listed(tmp_path, f"{server.url}/song.wav,,rock,Song,60,5")
    (clip,) = fetch(path, tmp_path)
    assert "start 60 s lies beyond the end of http://127.0.0.1" in clip.reason
    server.shutdown()
    server.server_close()
    (clip,) = fetch(path, tmp_path)
    assert "start 60 s lies beyond" in clip.reason


def test_a_feed_is_no_recording(tmp_path, write_tone, server):
    write_tone("served/song.wav")
    items = f'<item><title>One</title><link>{server.url}/song.wav</link><enclosure url="{server.url}/song.wav" type="audio/wav"/></item>'
    (tmp_path / "served/feed.xml").write_text(
        f'<?xml version="1.0"?><rss version="2.0"><channel><title>Feed</title>{items * 2}</channel></rss>'
    )
    (clip,) = fetch(listed(tmp_path, f"{server.url}/feed.xml,,rock,Feed,,"), tmp_path)
    assert clip.status == "failed"
    assert "a playlist or feed, not one recording" in clip.reason


def test_a_page_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    sent = []

    def endless(handler):
        handler.head(200, Content_Type="text/html")
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                handler.wfile.write(b"<p>" * 20_000)
                sent.append(60_000)

    monkeypatch.setattr("genre_core.datasets.ytdlp._MAX_PAGE_BYTES", 5_000_000)
    with servers.serve(endless) as server:
        (clip,) = fetch(listed(tmp_path, f"{server.url}.html,,rock,Page,,"), tmp_path, limits=dataclasses.replace(LIMITS, megabytes=1000))
    assert clip.status == "failed"
    assert "a web page of more than 5 MB" in clip.reason
    assert sum(sent) < 40_000_000


def test_what_broke_is_asked_for_again_when_it_is_mended(tmp_path, write_tone, server):
    (tmp_path / "served/song.wav").write_bytes(b"RIFF broken")
    rows = [f"{server.url}/song.wav,,rock,Song,,", f"http://{'a' * 70}.org/x.mp3,,rock,Label too long,,"]
    assert [c.status for c in fetch(listed(tmp_path, *rows), tmp_path)] == ["failed", "failed"]
    write_tone("served/song.wav")
    assert [c.status for c in fetch(listed(tmp_path, *rows), tmp_path)] == ["ok", "failed"]


def test_offline_skips_urls_and_asks_nobody(tmp_path, write_tone, server):
    write_tone("good.wav")
    clips = fetch(listed(tmp_path, f"{server.url}/a.mp3,,rock,A,,", ",good.wav,rock,Good,,"), tmp_path, online=False)
    assert [c.status for c in clips] == ["skipped", "ok"]
    assert server.asked == []


def test_clips_are_scored_beside_the_test_with_what_differs(own):
    """The real stages, on clips made of the demo's own test tracks, softer by 20 dB and without what is above 3 kHz."""
    test_tracks = [row["track"] for row in read_csv(own / "metrics/test/predictions.csv")]
    rows = []
    for genre in ("jazz", "metal", "pop"):
        name = next(track for track in test_tracks if track.startswith(genre))
        y, rate = soundfile.read(own / f"data/raw/{genre}/{name}.wav", dtype="float32")
        write(own / f"data/clips/{genre}.wav", audio_effects.filter_waveform(0.1 * y, rate, hz=3000.0, kind="lowpass"), rate)
        rows.append(f",clips/{genre}.wav,{genre},Song of {genre},0.2,5.5")
    (own / "data/clips.csv").write_text("url,file,genre,title,start,seconds\n" + "\n".join(rows) + "\n,clips/jazz.wav,polka,Other,,\n")
    set_params(own, external__list="data/clips.csv")
    for stage in ("fetch_external", "validate_external"):
        run("python", "-m", f"stages.{stage}", cwd=own)
    metrics = json.loads((own / "metrics/external/metrics.json").read_text())
    assert metrics["clips"] == 3
    assert metrics["trained_on"]["data_set"] == "demo (synthetic)"
    test = json.loads((own / "metrics/test/metrics.json").read_text())
    drop = metrics["accuracy_drop_from_test"]
    assert drop == pytest.approx(test["track"]["accuracy"] - metrics["accuracy"], abs=1e-3)
    assert metrics["accuracy_drop_low"] < drop < metrics["accuracy_drop_high"]
    of_genres = {row["genre"]: row for row in read_csv(own / "metrics/external/genres.csv")}
    assert set(of_genres) == set(test["genres"])  # every genre of the test, and no polka
    assert of_genres["blues"]["drop"] == ""
    jazz = of_genres["jazz"]
    assert (jazz["clips"], jazz["test_tracks"]) == ("1", "1")
    assert float(jazz["drop"]) == pytest.approx(float(jazz["test_right"]) - float(jazz["clips_right"]))
    assert float(jazz["drop_low"]) < float(jazz["drop"]) + 1e-9 < float(jazz["drop_high"]) + 2e-9
    assert float(jazz["shift_level_dbfs"]) == pytest.approx(-20, abs=4)
    assert float(jazz["shift_bandwidth_hz"]) < -3000


def test_a_server_that_drips_is_hung_up_at_the_deadline(tmp_path):
    def drip(handler):
        handler.head(200, Content_Type="text/html", Content_Length=1_000_000)
        with contextlib.suppress(OSError):
            for _ in range(100):
                handler.wfile.write(b"<p>")
                handler.wfile.flush()
                time.sleep(0.3)

    limits = dataclasses.replace(LIMITS, deadline_s=3)
    began = time.monotonic()
    with servers.serve(drip) as server:
        (clip,) = fetch(listed(tmp_path, f"{server.url}.html,,rock,Page,,"), tmp_path, limits=limits)
    assert clip.status == "failed"
    assert time.monotonic() - began < 15
