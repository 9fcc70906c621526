import hashlib
import time

import numpy as np
import pytest
from helpers import servers

from genre_core.util.download import FetchError, fetch

BODY = np.random.default_rng(0).bytes(500_000)


SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def get(tmp_path):
    def run(server, target="genres.tar.gz", **options):
        waits = []
        settings = {"max_bytes": 1_000_000, "timeout_s": 0.5, "tries": 3, "sleep": waits.append, "private_addresses": True} | options
        run.waits = waits
        return fetch(getattr(server, "url", server), tmp_path / target, **settings)

    return run


def left(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir())


def test_a_file_arrives_whole_and_is_not_asked_for_again(tmp_path, get):
    with servers.serve(servers.whole(BODY)) as server:
        assert get(server, size=len(BODY), sha256=SHA).read_bytes() == BODY
        get(server, sha256=SHA)
        assert len(server.asked) == 1
    assert left(tmp_path) == ["genres.tar.gz"]


def test_a_broken_connection_is_resumed_where_it_broke(get):
    with servers.serve(servers.cut(BODY, 100_000), servers.cut(BODY, 200_000), servers.whole(BODY)) as server:
        assert get(server, sha256=SHA).read_bytes() == BODY
        assert server.asked == ["", "bytes=100000-", "bytes=300000-"]


def test_a_later_run_resumes(tmp_path, get):
    with servers.serve(servers.cut(BODY, 100_000), servers.status(503)) as server:
        with pytest.raises(FetchError, match="answered 503; given up after 3 tries"):
            get(server)
        assert (tmp_path / "genres.tar.gz.part").stat().st_size == 100_000
        assert not (tmp_path / "genres.tar.gz").exists()
        server.answers[:] = [servers.whole(BODY)]
        assert get(server, sha256=SHA).read_bytes() == BODY
        assert server.asked[-1] == "bytes=100000-"


def test_another_version_of_the_file_is_not_mixed_in(get):
    other = BODY[::-1]
    with servers.serve(servers.cut(BODY, 100_000), servers.whole(other, tag='"2"')) as server:
        assert get(server).read_bytes() == other


def test_a_server_that_ignores_ranges_starts_anew(get):
    def ignores(handler):
        handler.head(200, Content_Length=len(BODY))
        handler.wfile.write(BODY)

    with servers.serve(servers.cut(BODY, 100_000), ignores) as server:
        assert get(server, sha256=SHA).read_bytes() == BODY


def test_416_and_a_wrong_place_start_anew(get):
    def elsewhere(handler):
        handler.head(206, Content_Length=10, Content_Range="bytes 7-16/500000", ETag='"1"')
        handler.wfile.write(b"y" * 10)

    with servers.serve(
        servers.cut(BODY, 100_000), servers.status(416), servers.cut(BODY, 50_000), elsewhere, servers.whole(BODY)
    ) as server:
        assert get(server, sha256=SHA, tries=5).read_bytes() == BODY


def test_a_resumed_answer_that_is_of_another_version_or_too_short_is_not_joined(get):
    other = BODY[::-1]

    def mixed(handler):  # ignores If-Range
        handler.head(206, Content_Length=400_000, Content_Range="bytes 100000-499999/500000", ETag='"2"')
        handler.wfile.write(other[100_000:])

    with servers.serve(servers.cut(BODY, 100_000), mixed, servers.whole(other, '"2"')) as server:
        assert get(server, tries=5).read_bytes() == other

    def short(handler):
        handler.head(206, Content_Length=10, Content_Range="bytes 100000-100009/500000", ETag='"1"')
        handler.wfile.write(BODY[100_000:100_010])

    with servers.serve(servers.cut(BODY, 100_000), short, servers.status(404)) as server, pytest.raises(FetchError, match="404"):
        get(server, tries=5, target="short.gz")


def test_a_server_that_never_gets_anywhere_is_given_up(get):
    def drip(handler):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        handler.head(206 if start else 200, Content_Length=500_000 - start, Content_Range=f"bytes {start}-499999/500000", ETag='"1"')
        handler.wfile.write(b"x")

    with servers.serve(drip) as server, pytest.raises(FetchError, match="given up after 3 tries"):
        get(server)
    circle = [servers.cut(BODY, 100_000), servers.status(416)] * 20
    with servers.serve(*circle) as server, pytest.raises(FetchError, match="given up after 3 tries"):
        get(server, target="circle.gz")


@pytest.mark.parametrize(
    "headers", [{"Location": "http://[::1/x"}, {"Retry_After": "²"}, {"Content_Length": "²"}, {"Content_Length": "9" * 5000}]
)
def test_headers_that_make_no_sense_are_no_traceback(get, headers):
    status = 302 if "Location" in headers else 503 if "Retry_After" in headers else 200

    def odd(handler):
        handler.head(status, **{k: v.encode().decode("latin-1") for k, v in headers.items()})

    with servers.serve(odd) as server, pytest.raises(FetchError):
        get(server, size=7)


def test_waiting_backs_off_and_obeys_the_server(get):
    with servers.serve(servers.status(503), servers.status(429, Retry_After=7), servers.whole(BODY)) as server:
        get(server, backoff_s=1)
        assert get.waits == [1, 7]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (servers.status(404), "answered 404"),
        (servers.page, "a web page"),
        (servers.status(503), "503; given up after 3 tries"),
        (servers.stall(1.5), "connection failed"),
        (servers.endless, "received more than 1,000,000 bytes"),
        (lambda h: h.head(200, Content_Length=5_000_000_000), "announced 5,000,000,000 bytes"),
        (servers.status(302, Location="file:///etc/passwd"), "not a usable address or redirect"),
        (servers.status(302, Location="/again"), "not a usable address or redirect|connection failed"),
    ],
)
def test_what_never_works_is_an_error_with_its_reason(tmp_path, get, answer, words):
    began = time.monotonic()
    with servers.serve(answer) as server, pytest.raises(FetchError, match=words):
        get(server)
    assert time.monotonic() - began < 20
    assert not (tmp_path / "genres.tar.gz").exists()


def test_a_length_that_lies(get):
    def short(handler):  # promises less than it sends: HTTP ends it there
        handler.head(200, Content_Length=1000)
        handler.wfile.write(BODY)

    with servers.serve(short) as server, pytest.raises(FetchError, match="received 1,000 bytes, expected 500,000"):
        get(server, size=len(BODY))


def test_the_wrong_file_is_removed(tmp_path, get):
    with servers.serve(servers.whole(BODY[::-1])) as server:
        with pytest.raises(FetchError, match=f"SHA-256 is .*, expected {SHA}"):
            get(server, sha256=SHA)
        assert left(tmp_path) == []
        (tmp_path / "genres.tar.gz").write_bytes(b"an older file")
        with pytest.raises(FetchError, match="SHA-256"):
            get(server, sha256=SHA)
        assert left(tmp_path) == []
    (tmp_path / "genres.tar.gz").write_bytes(b"an older file")
    with servers.serve(servers.whole(BODY)) as server:
        assert get(server, sha256=SHA).read_bytes() == BODY


def test_no_server_and_no_address(get):
    with servers.serve(servers.page) as server:
        url = server.url
    server.server_close()
    with pytest.raises(FetchError, match=r"connection failed .*refused"):
        get(url)
    with pytest.raises(FetchError, match="not a usable address"):
        get("file:///etc/passwd")
