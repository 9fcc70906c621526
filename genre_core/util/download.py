"""Download one file so that it is whole and the right one, or absent: resumed, retried, bounded, verified."""

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

from genre_core.errors import GenreError
from genre_core.util.files import atomic, digest
from genre_core.util.network import PrivateAddressError, hang_up_after, public_addresses_only

_BLOCK_BYTES = 1 << 16
_PROGRESS_BYTES = 1000
_PATIENCE_STATUS = {408, 425, 429, 500, 502, 503, 504}  # worth another try


class FetchError(GenreError):
    """A file that can not be had from an address; the message holds the reason, not the address."""


class _PassingError(Exception):
    """A reason to try again: the connection broke, the server is busy, less came than was promised."""

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
    tries: int = 5,
    backoff_s: float = 2.0,
    timeout_s: float = 30.0,
    deadline_s: float = 6 * 3600.0,
    private_addresses: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download `url` to `target`.

    A file that is there and right is kept. Otherwise the bytes go to ``<target>.part``, which a later call resumes
    by Range when the server says that it still is the same file (ETag or Last-Modified), and which takes its name when
    size and digest, where known, are right.

    Parameters
    ----------
    url : str
        http or https; redirects to anything else are refused.
    target : str or Path
    max_bytes : int > 0
        A longer answer is refused, whatever its headers say.
    size : int, optional
    sha256 : str, optional
    tries : int > 0
        Attempts in a row that bring fewer than 1,000 new bytes; one that brings more starts the count anew.
    backoff_s : float >= 0
        Wait before the second attempt; doubled each time, or what the server asks for, at most a minute.
    timeout_s : float > 0
        Longest silence of the server.
    deadline_s : float > 0
        For all attempts together.
    private_addresses : bool
        Allow addresses of this machine and the local network, also behind redirects.
    sleep : callable
        For tests.

    Raises
    ------
    FetchError
        With the reason. What can be resumed is kept.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        with contextlib.suppress(FetchError):  # a file that changed since is removed, and fetched anew
            _verify(target, size, sha256)
            return target
    part = target.with_name(target.name + ".part")
    failures, most = 0, 0
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            with public_addresses_only(not private_addresses), hang_up_after(max(0.1, deadline - time.monotonic())):
                _attempt(url, part, max_bytes=max_bytes, timeout_s=timeout_s, deadline=deadline)
            break
        except _PassingError as error:
            have = part.stat().st_size if part.exists() else 0
            failures = 1 if have > most + _PROGRESS_BYTES else failures + 1  # a part that is begun anew, or drips, is no progress
            most = max(most, have)
            if time.monotonic() > deadline:
                raise FetchError(f"{error}; not done after {deadline_s:g} s") from None
            if failures >= tries:
                raise FetchError(f"{error}; given up after {failures} tries without progress") from None
            sleep(min(60.0, max(error.wait_s, backoff_s * 2 ** (failures - 1))))
        except (requests.RequestException, ValueError) as error:  # ValueError: an address or header that is none
            raise FetchError(f"not a usable address or redirect: {error}") from None
    try:
        _verify(part, size, sha256)
    finally:
        _state(part).unlink(missing_ok=True)
    part.replace(target)
    return target


def _attempt(url: str, part: Path, *, max_bytes: int, timeout_s: float, deadline: float) -> None:
    """One request, which appends to `part` what is missing, or starts it anew."""
    have, headers = _resumable(url, part)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout_s, allow_redirects=True) as answer:
            if answer.status_code == 416:  # what we hold is not a beginning of what is there
                _forget(part)
                raise _PassingError("the server refused to resume (416); starting anew")
            if answer.status_code in _PATIENCE_STATUS:
                asked = answer.headers.get("Retry-After", "")
                raise _PassingError(f"the server answered {answer.status_code}", float(_number(asked) or 0))
            if answer.status_code not in (200, 206):
                raise FetchError(f"the server answered {answer.status_code} {answer.reason}")
            if "html" in answer.headers.get("Content-Type", ""):
                raise FetchError("the server answered with a web page, not with the file")
            tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""), re.ASCII)
            if answer.status_code == 206 and (content_range is None or int(content_range[1]) != have):
                _forget(part)
                raise _PassingError("the server resumed at another place; starting anew")
            if answer.status_code == 206 and tag and tag != headers.get("If-Range"):
                _forget(part)
                raise _PassingError("the server resumed another version of the file; starting anew")
            if answer.status_code == 200:
                have = 0
            promised = _number(answer.headers.get("Content-Length", ""))
            total = have + promised if promised is not None else None
            if answer.status_code == 206 and content_range and content_range[2] != "*":
                total = int(content_range[2])
            if total is not None and total > max_bytes:
                raise FetchError(f"{total:,} bytes were promised, at most {max_bytes:,} are accepted")
            with atomic(_state(part)) as temporary:
                temporary.write_text(json.dumps({"url": url, "tag": tag}))
            got = _append(answer, part, have, total, max_bytes, deadline)
            if total is not None and got < total:
                raise _PassingError(f"the connection ended after {got:,} of {total:,} bytes")
    except PrivateAddressError as error:
        raise FetchError(str(error)) from None
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        if refused := _cause_of_kind(error, PrivateAddressError):
            raise FetchError(str(refused)) from None
        raise _PassingError(f"the connection failed ({_cause(error)})") from None


def _append(answer: requests.Response, part: Path, have: int, total: int | None, max_bytes: int, deadline: float) -> int:
    """Write the body behind the first `have` bytes; the length reached."""
    with (
        _own(part, have) as file,
        tqdm(total=total, initial=have, desc="download", unit="B", unit_scale=True, disable=None) as bar,
    ):
        file.seek(have)
        file.truncate()
        while block := answer.raw.read1(_BLOCK_BYTES):  # not `read`, which loses what came before a connection broke
            have += len(block)
            if have > max_bytes:
                raise FetchError(f"more than {max_bytes:,} bytes came")
            if time.monotonic() > deadline:
                raise FetchError("not done in the time that is allowed; what came is kept")
            file.write(block)
            bar.update(len(block))
    return have


def _own(part: Path, have: int) -> IO[bytes]:
    """Open our own file for writing; a link in its place is not followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | (0 if have else os.O_TRUNC)
    return os.fdopen(os.open(part, flags, 0o666), "r+b")


def _resumable(url: str, part: Path) -> tuple[int, dict[str, str]]:
    """Return how much of `url` is here, and the headers that ask for the rest; needs a tag."""
    plain = {"Accept-Encoding": "identity"}
    if not part.exists():
        return 0, plain
    saved: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        saved = json.loads(_state(part).read_text())
    have = part.stat().st_size
    if have and saved.get("url") == url and saved.get("tag"):
        return have, {**plain, "Range": f"bytes={have}-", "If-Range": saved["tag"]}
    return 0, plain


def _number(text: str) -> int | None:
    """Parse a header's whole number; None for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


def _state(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _verify(path: Path, size: int | None, sha256: str | None) -> None:
    """Remove a file that is not the one that is expected, and say so."""
    found = path.stat().st_size
    if size is not None and found != size:
        path.unlink()
        raise FetchError(f"{found:,} bytes came, {size:,} were expected")
    if sha256 is not None and (got := digest(path)) != sha256:
        path.unlink()
        raise FetchError(f"SHA-256 {got} came, {sha256} was expected")


def _cause_of_kind(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _cause(error: BaseException) -> str:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return f"{type(error).__name__}: {error}"
