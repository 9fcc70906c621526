"""Download of one file: resumed, retried, limited in size and verified.

After a download, the file is either complete and correct or absent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import requests
import urllib3
from tqdm import tqdm

from genre_core.errors import GenreError, causes
from genre_core.util.files import atomic, digest
from genre_core.util.network import PrivateAddressError, hang_up_after, public_addresses_only

_BLOCK_BYTES = 1 << 16
_PROGRESS_BYTES = 1000  # an attempt with more new bytes counts as progress
_RETRY_STATUS = {408, 425, 429, 500, 502, 503, 504}  # HTTP status codes after which another attempt can succeed


class FetchError(GenreError):
    """Error about a failed download.

    The message contains the reason, but not the address.
    """


class _TemporaryError(Exception):
    """Temporary failure: broken connection, busy server or incomplete response."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def fetch(
    url: str,
    target: str | Path,
    *,
    max_bytes: int,
    size: int | None = None,
    sha256: str | None = None,
    sha1: str | None = None,
    tries: int = 5,
    backoff_s: float = 2.0,
    timeout_s: float = 30.0,
    deadline_s: float = 6 * 3600.0,
    private_addresses: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download `url` to `target`.

    An existing `target` with the expected size and checksums is kept. Otherwise the bytes are written to ``<target>.part``. A later
    call resumes this part with a Range request if the server still has the same file (ETag or Last-Modified). The part is renamed
    to `target` if its size and checksums are as expected; a size or checksum of None is not checked.

    Parameters
    ----------
    url : str
        HTTP or HTTPS address; redirects to other schemes are refused.
    target : str or Path
        Path of the downloaded file; missing folders are created.
    max_bytes : int > 0
        Largest accepted size in bytes. It also applies if the headers state a smaller size.
    size : int, optional
        Expected size of the file, in bytes.
    sha256 : str, optional
        Expected SHA-256 of the file, in hexadecimal.
    sha1 : str, optional
        Expected SHA-1 of the file, in hexadecimal, for files whose authors publish no SHA-256. It finds damage, not forgery.
    tries : int > 0
        Number of successive attempts without progress. An attempt with more than 1,000 new bytes restarts the count.
    backoff_s : float >= 0
        Wait before the second attempt, in seconds. The wait doubles for each further attempt. It is at least as long as the server
        requests (Retry-After), and at most 60 s.
    timeout_s : float > 0
        Longest wait for the next bytes from the server, in seconds.
    deadline_s : float > 0
        Time limit for all attempts together, in seconds.
    private_addresses : bool
        Whether addresses of this machine and of the local network are allowed, also after a redirect.
    sleep : callable
        Function that waits a number of seconds; replaced in tests.

    Returns
    -------
    Path
        `target` as a Path.

    Raises
    ------
    FetchError
        The file cannot be downloaded, is larger than `max_bytes`, or does not have the expected size and checksums. A part that can
        be resumed is kept.
    OSError
        The file cannot be written.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        with contextlib.suppress(FetchError):  # `_verify` removes a wrong file, which is then downloaded again
            _verify(target, size, sha256, sha1)
            return target
    part = target.with_name(target.name + ".part")
    failures, largest_part_bytes = 0, 0
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            with public_addresses_only(not private_addresses), hang_up_after(max(0.1, deadline - time.monotonic())):
                _attempt(url, part, max_bytes=max_bytes, timeout_s=timeout_s, deadline=deadline)
            break
        except _TemporaryError as error:
            part_bytes = part.stat().st_size if part.exists() else 0
            # A restart from the first byte, or growth by a few bytes, does not count as progress.
            failures = 1 if part_bytes > largest_part_bytes + _PROGRESS_BYTES else failures + 1
            largest_part_bytes = max(largest_part_bytes, part_bytes)
            if time.monotonic() > deadline:
                raise FetchError(f"{error}; not finished after {deadline_s:g} s") from None
            if failures >= tries:
                raise FetchError(f"{error}; given up after {failures} tries without progress") from None
            sleep(min(60.0, max(error.wait_s, backoff_s * 2 ** (failures - 1))))
        except (requests.RequestException, ValueError) as error:  # ValueError: an invalid address or header
            raise FetchError(f"not a usable address or redirect: {error}") from None
    try:
        _verify(part, size, sha256, sha1)
    finally:
        _state_path(part).unlink(missing_ok=True)
    part.replace(target)
    return target


def _attempt(url: str, part: Path, *, max_bytes: int, timeout_s: float, deadline: float) -> None:
    """Send one request, which completes `part` or restarts it."""
    part_bytes, headers = _resume_request(url, part)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout_s, allow_redirects=True) as response:
            if response.status_code == 416:  # `part` is not the beginning of the server's file, for example too long
                _remove_part(part)
                raise _TemporaryError("the server refused to resume (416); starting again")
            if response.status_code in _RETRY_STATUS:
                retry_after = response.headers.get("Retry-After", "")
                raise _TemporaryError(f"the server answered {response.status_code}", float(_parse_number(retry_after) or 0))
            if response.status_code not in (200, 206):
                raise FetchError(f"the server answered {response.status_code} {response.reason}")
            if "html" in response.headers.get("Content-Type", ""):
                raise FetchError("the server answered with a web page, not with the file")
            tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""), re.ASCII)
            if response.status_code == 206 and (content_range is None or int(content_range[1]) != part_bytes):
                _remove_part(part)
                raise _TemporaryError("the server resumed at another position; starting again")
            if response.status_code == 206 and tag and tag != headers.get("If-Range"):
                _remove_part(part)
                raise _TemporaryError("the server resumed another version of the file; starting again")
            if response.status_code == 200:
                part_bytes = 0
            body_bytes = _parse_number(response.headers.get("Content-Length", ""))
            total = part_bytes + body_bytes if body_bytes is not None else None
            if response.status_code == 206 and content_range and content_range[2] != "*":
                total = int(content_range[2])
            if total is not None and total > max_bytes:
                raise FetchError(f"the server announced {total:,} bytes, at most {max_bytes:,} are accepted")
            with atomic(_state_path(part)) as temporary:
                temporary.write_text(json.dumps({"url": url, "tag": tag}))
            received_bytes = _append(response, part, part_bytes, total, max_bytes, deadline)
            if total is not None and received_bytes < total:
                raise _TemporaryError(f"the connection ended after {received_bytes:,} of {total:,} bytes")
    except PrivateAddressError as error:
        raise FetchError(str(error)) from None
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        if refused := next((cause for cause in causes(error) if isinstance(cause, PrivateAddressError)), None):
            raise FetchError(str(refused)) from None
        raise _TemporaryError(f"the connection failed ({_root_cause(error)})") from None


def _append(response: requests.Response, part: Path, part_bytes: int, total: int | None, max_bytes: int, deadline: float) -> int:
    """Write the body after the first `part_bytes` bytes; return the length."""
    with (
        _open_part(part, part_bytes) as file,
        tqdm(total=total, initial=part_bytes, desc="download", unit="B", unit_scale=True, disable=None) as bar,
    ):
        file.seek(part_bytes)
        file.truncate()
        while block := response.raw.read1(_BLOCK_BYTES):  # `read` would lose the bytes received before a broken connection
            part_bytes += len(block)
            if part_bytes > max_bytes:
                raise FetchError(f"received more than {max_bytes:,} bytes, the largest accepted size")
            if time.monotonic() > deadline:
                raise FetchError("not finished in the allowed time; the received bytes are kept")
            file.write(block)
            bar.update(len(block))
    return part_bytes


def _open_part(part: Path, part_bytes: int) -> IO[bytes]:
    """Open `part` for writing; refuse a symbolic link at its path."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | (0 if part_bytes else os.O_TRUNC)
    return os.fdopen(os.open(part, flags, 0o666), "r+b")


def _resume_request(url: str, part: Path) -> tuple[int, dict[str, str]]:
    """Return the number of bytes to keep, and the request headers.

    Bytes are kept only if `url` served them with a tag (ETag or Last-Modified), because the server compares the tag.
    """
    headers = {"Accept-Encoding": "identity"}
    if not part.exists():
        return 0, headers
    state: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        state = json.loads(_state_path(part).read_text())
    part_bytes = part.stat().st_size
    if part_bytes and state.get("url") == url and state.get("tag"):
        return part_bytes, {**headers, "Range": f"bytes={part_bytes}-", "If-Range": state["tag"]}
    return 0, headers


def _parse_number(text: str) -> int | None:
    """Parse a whole number; return None for any other text."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _remove_part(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _verify(path: Path, size: int | None, sha256: str | None, sha1: str | None) -> None:
    """Check size and checksums of a file; remove a wrong file."""
    actual_size = path.stat().st_size
    if size is not None and actual_size != size:
        path.unlink()
        raise FetchError(f"received {actual_size:,} bytes, expected {size:,}")
    for name, expected in (("SHA-256", sha256), ("SHA-1", sha1)):
        if expected is not None and (actual := digest(path, algorithm=name.replace("-", "").lower())) != expected:
            path.unlink()
            raise FetchError(f"the {name} is {actual}, expected {expected}")


def _root_cause(error: BaseException) -> str:
    """Describe the root cause of an error."""
    *_, root = causes(error)
    return f"{type(root).__name__}: {root}"
