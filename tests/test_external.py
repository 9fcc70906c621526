import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import copy_project, run, set_params

from genre_core import external
from genre_core.errors import GenreError

LIMITS = external.Limits(megabytes=5, minutes=1)


@pytest.fixture
def server(tmp_path):
    """A server on loopback over ``tmp_path/served``; it counts the requests for each path."""
    (tmp_path / "served").mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "served")) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        http.asked = asked
        http.url = f"http://127.0.0.1:{http.server_port}"
        yield http
        http.shutdown()


def listed(tmp_path, *rows, header="url,file,genre,title,start,seconds"):
    path = tmp_path / "list.csv"
    path.write_text("# a comment, with a comma\n" + "\n".join([header, *rows]) + "\n")
    return path


def fetch(path, tmp_path, online=True, limits=LIMITS):
    return external.fetch(path, tmp_path / "out", online=online, limits=limits, downloads=tmp_path / "cache")


def test_local_files_and_urls_become_clips(tmp_path, write_tone, server):
    write_tone("local.wav", seconds=9, sample_rate=44100, channels=2)
    write_tone("served/remote.mp3", seconds=8)
    path = listed(tmp_path, ",local.wav,jazz,Local song,2,5", f"{server.url}/remote.mp3,,rock,Remote song,,")
    clips = fetch(path, tmp_path)
    assert [(c.status, c.reason) for c in clips] == [("ok", ""), ("ok", "")]
    assert external.read_manifest(tmp_path / "out") == clips
    from genre_core.audio import decode

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
    assert "yt-dlp 20" in clips["Missing"].reason
    assert "pip install --upgrade yt-dlp" in clips["Missing"].reason
    assert "max-filesize" in clips["Big"].reason or "max_megabytes" in clips["Big"].reason
    assert "Unsupported URL" in clips["Page"].reason
    assert "No such file" in clips["Gone"].reason
    assert "no audio there" in clips["Beyond"].reason
    assert all("\n" not in c.reason for c in clips.values())
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]  # nothing half-fetched is kept


def test_no_network_is_noticed_after_three(tmp_path, server):
    server.shutdown()
    server.server_close()
    clips = fetch(listed(tmp_path, *(f"{server.url}/{i}.mp3,,rock,Song {i},," for i in range(5))), tmp_path)
    assert [c.status for c in clips] == ["failed"] * 5
    assert "refused" in clips[0].reason
    assert all("not tried" in c.reason for c in clips[3:])


def test_offline_skips_urls_and_asks_nobody(tmp_path, write_tone, server):
    write_tone("good.wav")
    clips = fetch(listed(tmp_path, f"{server.url}/a.mp3,,rock,A,,", ",good.wav,rock,Good,,"), tmp_path, online=False)
    assert [c.status for c in clips] == ["skipped", "ok"]
    assert server.asked == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("file:///etc/passwd,,rock,X,,", "no http or https address"),
        ("ftp://example.org/a.mp3,,rock,X,,", "no http or https address"),
        (",,rock,X,,", "give either url or file"),
        ("https://example.org/a,b.wav,rock,X,,", "give either url or file"),
        (",a.wav,,X,,", "no genre"),
        (",a.wav,rock,X,soon,", "start 'soon' is no number"),
        (",a.wav,rock,X,-3,", "start '-3' is not allowed"),
        (",a.wav,rock,X,,nan", "seconds 'nan' is not allowed"),
    ],
)
def test_wrong_lists_are_refused_by_line(tmp_path, row, words):
    with pytest.raises(GenreError, match=rf"list\.csv, clip 1 \(X\): .*{words}"):
        external.read_list(listed(tmp_path, row))


def test_the_committed_list_is_valid():
    from closure import ROOT

    clips = external.read_list(ROOT / "data/external.csv")
    assert len(clips) >= 4
    assert all(c.url.startswith("https://www.youtube.com/watch?v=") for c in clips)


def test_clips_are_scored_beside_the_test(tmp_path, project):
    """The real stages, on clips made of the demo's own test tracks."""
    target = copy_project(tmp_path / "p")
    for name in ("model", "raw"):
        (target / "data" / name).symlink_to(project / "data" / name)
    (target / "metrics/test").mkdir(parents=True, exist_ok=True)
    (target / "metrics/test/metrics.json").write_text((project / "metrics/test/metrics.json").read_text())
    rows = [f",raw/{g}/{g}.00000.wav,{g},Song of {g},1,4" for g in ("jazz", "metal", "pop")]
    (target / "data/clips.csv").write_text(
        "url,file,genre,title,start,seconds\n" + "\n".join(rows) + "\n,raw/jazz/jazz.00001.wav,polka,Other,,\n"
    )
    set_params(target, external__list="data/clips.csv")
    for stage in ("fetch_external", "validate_external"):
        run("python", "-m", f"stages.{stage}", cwd=target)
    metrics = json.loads((target / "metrics/external/metrics.json").read_text())
    assert metrics["clips"] == 3
    assert metrics["trained_on"]["data_set"] == "demo (synthetic)"
    test = json.loads((target / "metrics/test/metrics.json").read_text())
    assert metrics["accuracy_drop_from_test"] == pytest.approx(test["track"]["accuracy"] - metrics["accuracy"], abs=1e-3)
    assert len(list((target / "metrics/external/timelines").glob("*.png"))) == 4
    assert "the model knows no such genre" in (target / "metrics/external/predictions.csv").read_text()
