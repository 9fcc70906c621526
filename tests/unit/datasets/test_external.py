import contextlib
import dataclasses
import time
from collections import Counter

import pytest
from helpers import servers
from helpers.external import LIMITS, fetch, listed
from helpers.project import ROOT

from genre_core.datasets import external as external_clips
from genre_core.datasets import ytdlp
from genre_core.errors import GenreError


def test_endless_too_long_and_busy_ones_end(tmp_path, write_tone):
    def audio(handler):  # a stream without a length
        handler.head(200, Content_Type="audio/mpeg")
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                handler.wfile.write(b"\xff\xfb\x90\x00" * 16384)

    began = time.monotonic()
    song = write_tone("long.wav", seconds=90, sample_rate=8000)
    with servers.serve(audio) as endless, servers.serve(servers.status(429)) as busy, servers.serve(servers.status(410)) as gone:
        rows = [f"{s.url.replace('genres.tar.gz', 'a.mp3')},,rock,{n},," for s, n in ((endless, "Endless"), (busy, "Busy"), (gone, "Gone"))]
        clips = {c.title: c for c in fetch(listed(tmp_path, *rows, f",{song.name},rock,Long,,", f",{song.name},rock,Part,80,5"), tmp_path)}
    assert time.monotonic() - began < 60
    assert "larger than external.max_megabytes" in clips["Endless"].reason
    assert "wait an hour" in clips["Busy"].reason
    assert "gone" in clips["Gone"].reason
    assert "longer than 1 minutes" in clips["Long"].reason
    assert clips["Part"].status == "ok"


@pytest.mark.parametrize(
    ("reason", "words", "stop"),
    [
        ("[youtube] x: Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies", "wants a login", True),
        ("[youtube] x: Unable to download API page: HTTP Error 429: Too Many Requests", "wait an hour", True),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "gone", False),
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "gone", False),
        ("[youtube] x: Unable to extract player response; please report this issue", "pip install --upgrade yt-dlp", False),
        ("[youtube] aB429xYzQ0k: Video unavailable", "gone", False),
        ("[youtube] aB404xYzQ0k: Unable to extract player response", "pip install --upgrade yt-dlp", False),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", "cookies of such an account", False),
        ("[youtube] x: The uploader has not made this video available in your country", "gone, or not available", False),
        ("[youtube] x: This video is not available", "gone, or not available", False),
        ("[youtube] x: Join this channel to get access to members-only content", "cookies of such an account", False),
        ("Unable to download webpage: Failed to resolve 'www.youtube.com'", "no network", True),
    ],
)
def test_what_yt_dlp_says_is_told_apart(reason, words, stop):
    said, others_too = ytdlp.advice(reason, "2026.1.1")
    assert words in said
    assert others_too == stop


@pytest.mark.parametrize("content", [None, "no cookies"])
def test_cookies_that_are_none_are_refused_by_their_parameter(tmp_path, content):
    file = tmp_path / "cookies.txt"
    if content:
        file.write_text(content)
    with pytest.raises(GenreError, match=r"external\.cookies_file: '.*cookies\.txt' is missing, or not a cookie file"):
        fetch(listed(tmp_path, ",a.wav,rock,A,,"), tmp_path, limits=dataclasses.replace(LIMITS, cookies_file=str(file)))
    assert file.exists() == bool(content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("firefox", ("firefox", None, None, None)),
        ("Firefox:default::work", ("firefox", "default", None, "work")),
        ("chromium+gnomekeyring:Profile 1", ("chromium", "Profile 1", "GNOMEKEYRING", None)),
    ],
)
def test_browsers_are_named_as_yt_dlp_names_them(text, expected):
    assert ytdlp._browser(text) == expected


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("file:///etc/passwd,,rock,X,,", "not an http or https address"),
        ("ftp://example.org/a.mp3,,rock,X,,", "not an http or https address"),
        ("http://[::1/a.mp3,,rock,X,,", "not an http or https address"),
        ("http://exa mple.org/a.mp3,,rock,X,,", "not an http or https address"),
        ("http://127.0.0.1:99999/a.mp3,,rock,X,,", "not an http or https address"),
        (",,rock,X,,", "give either url or file"),
        ("https://example.org/a,b.wav,rock,X,,", "give either url or file"),
        (",a.wav,,X,,", "no genre"),
        (",a.wav,rock,X,soon,", "start 'soon' is not a number"),
        (",a.wav,rock,X,-3,", "start '-3' is not allowed"),
        (",a.wav,rock,X,,nan", "seconds 'nan' is not allowed"),
    ],
)
def test_wrong_lists_are_refused_by_line(tmp_path, row, words):
    with pytest.raises(GenreError, match=rf"list\.csv, clip 1 \(X\): .*{words}"):
        external_clips.read_list(listed(tmp_path, row))


def test_the_committed_list_is_valid():

    clips = external_clips.read_list(ROOT / "data/external.csv")
    assert set(Counter(c.genre for c in clips).values()) == {3}
    assert len(clips) >= 30
    assert len({c.url for c in clips}) == len(clips)
    assert all(c.url.startswith("https://www.youtube.com/watch?v=") for c in clips)
