"""Real servers on loopback that speak the protocols of S3 (moto) and of Google Cloud Storage."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote

import fsspec
import requests


class Bucket:
    """An empty bucket on a server of its own.

    Attributes
    ----------
    url : str
        Address of the bucket.
    environment : dict of str to str
        Variables that lead a client to the server.
    asked : list of str
        Method and path of each request.
    """

    def __init__(self, url: str, environment: dict[str, str], asked: list[str]) -> None:
        self.url, self.environment, self.asked = url, environment, asked
        scheme, _, self.name = url.partition("://")
        self.files = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)

    def call(self, method: str, path: str, *more: Any, **options: Any) -> Any:
        """Call a method of fsspec's file system on a path in the bucket."""
        with mock.patch.dict(os.environ, self.environment):  # read at the first call
            return getattr(self.files, method)(f"{self.name}/{path}" if path else self.name, *more, **options)

    def put(self, path: str, content: bytes, **options: Any) -> None:
        self.call("pipe_file", path, content, **options)

    def remove(self, path: str) -> None:
        self.call("rm_file", path)

    def got(self) -> list[str]:
        """Paths of the objects that were read since the last call, below the bucket."""
        paths = [unquote(match[1]) for line in self.asked if (match := re.match(rf"GET /{self.name}/([^? ]+) ", line))]
        self.asked.clear()
        return paths


@contextmanager
def s3() -> Iterator[Bucket]:
    """A bucket on moto's server."""
    from moto.server import ThreadedMotoServer

    asked: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: asked.append(re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).partition('"')[2])  # type: ignore[method-assign]
    logger = logging.getLogger("werkzeug")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        bucket = Bucket("s3://bucket", environment, asked)
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)  # servers of one process share their content
        bucket.call("mkdir", "")
        yield bucket
    finally:
        server.stop()
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def gs() -> Iterator[Bucket]:
    """A bucket on gcp-storage-emulator's server."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
    server.start()
    try:
        port = server._api._httpd.socket.getsockname()[1]
        environment = {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            "FSSPEC_GS_TOKEN": "anon",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks Google for the kind of the bucket
        }
        with mock.patch.dict(os.environ, environment):
            bucket = Bucket("gs://bucket", environment, [])
        yield bucket
    finally:
        server.stop()
