"""Download the audio of one web address through yt-dlp, within limits."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_core.errors import GenreError
from genre_core.util.network import hang_up_after, public_addresses_only

_BLOCK_BYTES = 1 << 16
_MAX_PAGE_BYTES = 50_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a download, and options of yt-dlp.

    Attributes
    ----------
    megabytes, minutes : float
        Of one recording.
    cookies_file, cookies_from_browser : str
        yt-dlp's own options ``--cookies`` and ``--cookies-from-browser``; empty: none.
    backoff_s : float
        Wait before the second try; doubled each time.
    deadline_s : float
        For one recording.
    private_addresses : bool
        URLs, redirects and playlists may lead to this machine or the local network.
    """

    megabytes: float
    minutes: float
    cookies_file: str = ""
    cookies_from_browser: str = ""
    backoff_s: float = 2.0
    deadline_s: float = 900.0
    private_addresses: bool = False


class UnavailableError(Exception):
    """A clip that can not be had; `stop` when others will fare alike: no network, or a site that sends us away."""

    def __init__(self, reason: str, *, stop: bool = False) -> None:
        super().__init__(reason)
        self.stop = stop


def cookies_exist(limits: Limits) -> None:
    """Refuse cookies that yt-dlp would make up.

    Raises
    ------
    GenreError
        The file is missing, or of another format.
    """
    if not limits.cookies_file:
        return
    path = Path(limits.cookies_file)
    start = path.read_bytes()[:200] if path.is_file() else b""
    if not re.match(rb"# (Netscape )?HTTP Cookie File", start):
        raise GenreError(
            f"external.cookies_file: {str(path)!r} is missing, or no cookie file in Netscape's format; export it anew, or leave it empty"
        )


def advice(reason: str, version: str) -> tuple[str, bool]:
    """Explain an error of yt-dlp; tell whether the next clip will fail alike.

    Parameters
    ----------
    reason : str
        yt-dlp's message.
    version : str
        yt-dlp's.
    """
    lower = re.sub(r"^\[[^\]]*\] [^\s:]+: ", "", reason).lower().replace("\u2019", "'")  # without the video's id, which may hold any digits

    def says(*signs: str) -> bool:
        return any(re.search(rf"(?<![a-z0-9]){sign}(?![a-z0-9])", lower) for sign in signs)

    if says("confirm your age", "age-restricted", "members-only", "join this channel"):
        return "for its members or of age alone (cookies of such an account: external.cookies_from_browser; or replace its row)", False
    if says("not a bot", "sign in to confirm", "login required", "log in"):
        return "the site wants a login (give yt-dlp cookies: external.cookies_from_browser or external.cookies_file)", True
    if says("http error 429", "too many requests", "rate-limit", "rate-limited"):
        return "too many requests (wait an hour, then `dvc repro -f fetch_external`; what was fetched is kept)", True
    if says("local network, which is not allowed"):
        return "not a public address (external.private_addresses allows those of this machine and the local network)", False
    if says("resolve", "connection refused", "unreachable", "failed to establish", "getaddrinfo", "timed out"):
        return "no network, or the server does not answer", True
    if says("http error 4(04|10)", "unavailable", "private", "removed", "terminated", "not available", "available in your country", "drm"):
        return "gone, or not to be had from here (replace or remove its row)", False
    return f"yt-dlp {version} could not (it ages fast: `pip install --upgrade yt-dlp` upgrades it alone)", False


def _browser(text: str) -> tuple[str, str | None, str | None, str | None] | None:
    """yt-dlp's ``BROWSER[+KEYRING][:PROFILE][::CONTAINER]``."""
    match = re.fullmatch(r"(?P<name>[^+:]+)(\+(?P<keyring>[^:]+))?(:(?!:)(?P<profile>.+?))?(::(?P<container>.+))?", text)
    return (match["name"].lower(), match["profile"], match["keyring"] and match["keyring"].upper(), match["container"]) if match else None


class _Messages:
    """yt-dlp's logger: silent, and keeps the last line, which says why a filter refused."""

    last = "yt-dlp gave no reason"

    def debug(self, message: str) -> None:
        self.last = message

    info = warning = error = debug


def download(url: str, folder: Path, limits: Limits) -> Path:
    """Fetch the audio of `url` with yt-dlp into `folder`, or return what is already there.

    Raises
    ------
    UnavailableError
        With yt-dlp's reason; its version when it may be too old.
    """
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    for kept in sorted(folder.glob(f"{key}.*")):
        return kept
    from yt_dlp import DownloadError, YoutubeDL
    from yt_dlp.version import __version__ as version

    folder.mkdir(parents=True, exist_ok=True)
    messages = _Messages()
    deadline = time.monotonic() + limits.deadline_s
    bytes_allowed = int(limits.megabytes * 1e6)

    def refuse(info: dict[str, Any], *, incomplete: bool) -> str | None:
        if info.get("is_live"):
            return "a live stream"
        if (info.get("duration") or 0) > limits.minutes * 60:
            return f"{info['duration'] / 60:.0f} minutes long, external.max_minutes is {limits.minutes:g}"
        return None

    def watch(progress: dict[str, Any]) -> None:
        if (progress.get("downloaded_bytes") or 0) > bytes_allowed:
            raise UnavailableError(f"larger than external.max_megabytes, {limits.megabytes:g}")
        if time.monotonic() > deadline:
            raise UnavailableError(f"not done after {limits.deadline_s:g} s")

    class Downloader(YoutubeDL):  # type: ignore[misc]
        """yt-dlp with a bound on what it reads into memory: a web page may have no end."""

        def urlopen(self, request: Any) -> Any:
            response = super().urlopen(request)
            read = response.read

            def bounded(size: int | None = None) -> bytes:
                if size is not None:
                    return read(size)
                parts, total = [], 0
                while block := read(_BLOCK_BYTES):
                    parts.append(block)
                    if (total := total + len(block)) > _MAX_PAGE_BYTES:
                        raise UnavailableError(f"a page of more than {_MAX_PAGE_BYTES / 1e6:g} MB, and no audio")
                    if time.monotonic() > deadline:
                        raise UnavailableError(f"not done after {limits.deadline_s:g} s")
                return b"".join(parts)

            response.read = bounded
            return response

    def wait_s(n: int) -> float:
        return min(60.0, limits.backoff_s * 2.0**n)

    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as temporary:
        options: dict[str, Any] = {
            "format": "bestaudio/best",
            "outtmpl": {"default": f"{temporary}/audio.%(ext)s"},
            "noplaylist": True,
            "playlist_items": "1",
            "extract_flat": "in_playlist",  # a playlist's items are named, not fetched
            "max_filesize": bytes_allowed,
            "match_filter": refuse,
            "progress_hooks": [watch],
            "retries": 3,
            "extractor_retries": 2,
            "fragment_retries": 3,
            "retry_sleep_functions": {"http": wait_s, "extractor": wait_s, "fragment": wait_s},
            "cookiefile": limits.cookies_file or None,
            "cookiesfrombrowser": _browser(limits.cookies_from_browser),
            "socket_timeout": 20,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "cachedir": False,
            "logger": messages,
            "hls_prefer_native": True,  # whatever connects is Python, and is looked at
            "ffmpeg_location": f"{temporary}/none",
            "external_downloader": {"default": "native"},
        }
        try:
            with (
                public_addresses_only(not limits.private_addresses),
                hang_up_after(limits.deadline_s),
                Downloader(options) as downloader,
            ):
                info = downloader.extract_info(url)
                if (info or {}).get("_type") in ("playlist", "multi_video"):
                    raise UnavailableError("a playlist or feed, not one recording; name one of its recordings")
        except UnavailableError:
            raise
        except DownloadError as error:
            if time.monotonic() > deadline:
                raise UnavailableError(f"not done after {limits.deadline_s:g} s") from None
            reason = re.sub(r"^ERROR:\s*|\x1b\[[0-9;]*m", "", str(error))
            what, stop = advice(reason, version)
            raise UnavailableError(f"{what}: {reason}", stop=stop) from None
        except Exception as error:  # yt-dlp and what it uses raise many kinds; one clip must not cost the others
            raise UnavailableError(f"yt-dlp {version} failed: {type(error).__name__}: {error}") from None
        got = [path for path in Path(temporary).iterdir() if path.suffix != ".part"]
        if not got:
            raise UnavailableError(f"not downloaded: {messages.last}")
        target = folder / f"{key}{got[0].suffix}"
        got[0].replace(target)
        return target
