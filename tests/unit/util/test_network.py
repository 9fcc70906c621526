"""Nothing from outside leads a download to this machine or the local network: real servers on two addresses of loopback."""

import dataclasses
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers import servers
from helpers.external import LIMITS, listed
from hypothesis import given
from hypothesis import strategies as st

from genre_core.datasets import external as external_clips
from genre_core.util import network
from genre_core.util.download import FetchError, fetch

OUTSIDE = "127.0.0.2"  # plays the public internet here


@pytest.fixture
def inside(tmp_path, write_tone):
    """What must not be reached: a server on 127.0.0.1, and the list of what it was asked."""
    write_tone("inside/secret.wav", seconds=5)
    with servers.serve_folder(tmp_path / "inside") as server:
        server.url += "/secret.wav"
        yield server


@pytest.fixture
def outside(monkeypatch, inside):
    """A server that leads inside: by a redirect, a playlist, a playlist of playlists."""
    monkeypatch.setattr(network, "is_public", lambda address: address == OUTSIDE)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            if self.path.startswith("/redirect"):
                self.send_response(302)
                self.send_header("Location", inside.url)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = {
                "/list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{inside.url}\n#EXT-X-ENDLIST\n",
                "/key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{inside.url}"\n#EXTINF:5,\n{inside.url}\n#EXT-X-ENDLIST\n',
                "/sample.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{inside.url}"\n#EXTINF:5,\n{inside.url}\n#EXT-X-ENDLIST\n',
                "/master.m3u8": f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\n{inside.url.replace(".wav", ".m3u8")}\n',
            }[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

    try:
        http = ThreadingHTTPServer((OUTSIDE, 0), Handler)
    except OSError:
        pytest.skip("this system has one address of loopback")
    with http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://{OUTSIDE}:{http.server_port}"
        http.shutdown()


def test_a_download_is_not_led_inside(tmp_path, outside, inside):
    for url in (f"{outside}/redirect", inside.url):
        with pytest.raises(FetchError, match=r"127\.0\.0\.1 is an address of this machine or the local network, which is not allowed"):
            fetch(url, tmp_path / "x", max_bytes=10_000_000, sleep=lambda s: None)
    assert inside.asked == []
    assert fetch(f"{outside}/redirect", tmp_path / "x", max_bytes=10_000_000, private_addresses=True).stat().st_size > 100_000


@pytest.mark.parametrize("path", ["redirect/song.wav", "list.m3u8", "master.m3u8", "key.m3u8", "sample.m3u8", ""])
def test_yt_dlp_is_not_led_inside(tmp_path, outside, inside, path, monkeypatch):
    program, marker = tmp_path / "ffmpeg", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\necho ran >> {marker}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    limits = dataclasses.replace(LIMITS, private_addresses=False)
    url = f"{outside}/{path}" if path else inside.url
    (clip,) = external_clips.fetch(
        listed(tmp_path, f"{url},,rock,Song,,"), tmp_path / "out", online=True, limits=limits, downloads=tmp_path / "cache"
    )
    assert clip.status == "failed"
    assert inside.asked == []
    assert not marker.exists()
    if path in ("redirect/song.wav", ""):
        assert "external.private_addresses allows addresses of this machine" in clip.reason


def test_a_proxy_of_the_environment_may_be_private_at_its_port_alone(monkeypatch, inside):
    def connects():
        with network.public_addresses_only():
            try:
                socket.create_connection(("127.0.0.1", inside.server_port)).close()
            except network.PrivateAddressError:
                return False
        return True

    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert not connects()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{inside.server_port}")
    assert connects()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert not connects()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    assert not connects()
    monkeypatch.delenv("HTTP_PROXY")
    assert not connects()


def test_no_program_is_started_that_would_ask_for_us(tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with network.public_addresses_only(), pytest.raises(network.PrivateAddressError):
        subprocess.run(["ffmpeg", "-i", "http://127.0.0.1/"], check=False)
    assert not marker.exists()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),  # noqa: S104
        *("::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "ff02::1", "2002:7f00:1::"),
        *("fec0::1", "64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1", "::127.0.0.1"),
        "localhost",
    ],
)
def test_private_addresses(address):
    assert not network.is_public(address)


@given(st.ip_addresses(v=4, network="8.0.0.0/8"))
def test_public_addresses(address):
    assert network.is_public(str(address))
    assert network.is_public(f"::ffff:{address}")
