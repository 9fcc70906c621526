"""Addresses of remote files and folders: ``s3://``, ``gs://``, ``https://``."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from genre_core.errors import GenreError

BUCKETS = ("s3", "gs")
WEB = ("https", "http")


def is_url(path: str) -> bool:
    """Tell whether `path` is an address like ``s3://bucket/folder`` and not a path on this disk."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/?/", path) is not None  # two letters at least: c:/music is a path


def is_web(url: str) -> bool:
    """Tell whether `url` begins with ``https://`` or ``http://``: one file, because the web has no folders."""
    return urlsplit(url).scheme in WEB


def shown(url: str) -> str:
    """Return `url` without user name, password and query, which may be secret."""
    return re.sub(r"//[^/@]*@", "//", url.split("?", 1)[0])


def cache_name(url: str) -> str:
    """Return a readable and unique name of a folder for the copy of `url`."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", shown(url)).strip("-")[:60]
    return f"{slug}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def check_url(url: str) -> None:
    """Check the scheme and the host or bucket of `url`.

    Raises
    ------
    GenreError
        Another scheme than s3, gs, https and http, no bucket or host, or unprintable characters.
    """
    try:
        parts = urlsplit(url)
        usable = url.isprintable() and parts.scheme in (*BUCKETS, *WEB) and url.startswith(f"{parts.scheme}://") and bool(parts.netloc)
    except ValueError:  # for example half an IPv6 address
        usable = False
    if not usable:
        raise GenreError(f"{shown(url)!r} is no usable address; write s3://bucket/folder, gs://bucket/folder or https://host/file")
