"""A server on loopback that misbehaves on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each GET by the next function of the script; the last one repeats."""

    protocol_version = "HTTP/1.1"
    server: Scripted

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append(self.headers.get("Range", ""))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Scripted(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/genres.tar.gz"


@contextmanager
def serve(*answers: Answer) -> Iterator[Scripted]:
    with Scripted(list(answers)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@contextmanager
def serve_folder(folder: Path) -> Iterator[FolderServer]:
    """A server on loopback over `folder`; ``asked`` holds the path of each request, ``url`` its address."""
    with FolderServer(folder) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class FolderServer(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        asked = self.asked = []

        class Served(SimpleHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

            do_HEAD = do_GET  # noqa: N815

        super().__init__(("127.0.0.1", 0), partial(Served, directory=folder))
        self.url = f"http://127.0.0.1:{self.server_port}"


def whole(body: bytes, tag: str = '"1"', **headers: object) -> Answer:
    """Ranges as they should be."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if asked and handler.headers.get("If-Range") in (None, tag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                handler.head(416, Content_Length=0)
                return
            rest = body[start:]
            handler.head(206, Content_Length=len(rest), Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", ETag=tag, **headers)
            handler.wfile.write(rest)
        else:
            handler.head(200, Content_Length=len(body), ETag=tag, **headers)
            handler.wfile.write(body)

    return answer


def redirect(url: str) -> Answer:
    """As Kaggle and the Hugging Face hub do, to a signed address of a store."""
    return lambda handler: handler.head(302, Location=url, Content_Length=0)


def by_name(answers: Mapping[str, Answer]) -> Answer:
    """Answer by the last part of the path; 404 to others."""
    return lambda handler: answers.get(handler.path.rsplit("/", 1)[-1], status(404))(handler)


def cut(body: bytes, count: int, tag: str = '"1"') -> Answer:
    """Promise the rest, send `count` bytes of it, hang up."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start:
            handler.head(206, Content_Length=len(body) - start, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", ETag=tag)
        else:
            handler.head(200, Content_Length=len(body), ETag=tag)
        handler.wfile.write(body[start : start + count])
        handler.wfile.flush()

    return answer


def status(code: int, **headers: object) -> Answer:
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def page(handler: Handler) -> None:
    body = b"<!doctype html><title>Sign in</title>"
    handler.head(200, Content_Length=len(body), Content_Type="text/html; charset=utf-8")
    handler.wfile.write(body)


def stall(seconds: float) -> Answer:
    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=100, ETag='"1"')
        handler.wfile.write(b"x" * 10)
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def endless(handler: Handler) -> None:
    handler.head(200)
    try:
        for _ in range(100_000):
            handler.wfile.write(b"\0" * 65536)
    except OSError:
        pass
