"""Download of the audio of one web address with yt-dlp, within limits."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_core.errors import GenreError
from genre_core.util.network import NOT_PUBLIC, hang_up_after, public_addresses_only

_BLOCK_BYTES = 1 << 16
_MAX_PAGE_BYTES = 50_000_000


@dataclass(frozen=True)
class Limits:
    """Limits and yt-dlp options of a download.

    Attributes
    ----------
    megabytes, minutes : float
        Largest size and greatest length of a recording.
    cookies_file, cookies_from_browser : str
        Values of yt-dlp's options ``--cookies`` and ``--cookies-from-browser``; not used if empty.
    backoff_s : float
        Waiting time before the second try, in seconds. It doubles before each further try, up to 60 s.
    deadline_s : float
        Longest time for the download of a recording, in seconds.
    private_addresses : bool
        Whether URLs, redirects and playlists may lead to this machine or the local network.
    """

    megabytes: float
    minutes: float
    cookies_file: str = ""
    cookies_from_browser: str = ""
    backoff_s: float = 2.0
    deadline_s: float = 900.0
    private_addresses: bool = False


class UnavailableError(Exception):
    """Error of a clip that is not available.

    Attributes
    ----------
    stop : bool
        Whether other clips of the site will fail too, because there is no network or the site refuses requests.
    """

    def __init__(self, reason: str, *, stop: bool = False) -> None:
        super().__init__(reason)
        self.stop = stop


def cookies_exist(limits: Limits) -> None:
    """Check the cookies file, which yt-dlp would create if it is missing.

    Raises
    ------
    GenreError
        The file is missing, or is not in Netscape format.
    """
    if not limits.cookies_file:
        return
    path = Path(limits.cookies_file)
    start = path.read_bytes()[:200] if path.is_file() else b""
    if not re.match(rb"# (Netscape )?HTTP Cookie File", start):
        raise GenreError(
            f"external.cookies_file: {str(path)!r} is missing, or not a cookie file in Netscape format; export it again, or leave it empty"
        )


def advice(reason: str, version: str) -> tuple[str, bool]:
    """Explain an error of yt-dlp.

    Parameters
    ----------
    reason : str
        Message of yt-dlp.
    version : str
        Version of yt-dlp.

    Returns
    -------
    explanation : str
        Cause of the error, and its remedy.
    stop : bool
        Whether other clips of the site will fail too.
    """
    # the id of the video is removed because it may contain 404 or 429
    lower = re.sub(r"^\[[^\]]*\] [^\s:]+: ", "", reason).lower().replace("\u2019", "'")

    def says(*patterns: str) -> bool:
        return any(re.search(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", lower) for pattern in patterns)

    if says("confirm your age", "age-restricted", "members-only", "join this channel"):
        return "for members or adults only (give cookies of such an account: external.cookies_from_browser; or replace its row)", False
    if says("not a bot", "sign in to confirm", "login required", "log in"):
        return "the site wants a login (give yt-dlp cookies: external.cookies_from_browser or external.cookies_file)", True
    if says("http error 429", "too many requests", "rate-limit", "rate-limited"):
        return "too many requests (wait an hour, then `dvc repro -f fetch_external`; downloaded files are kept)", True
    if says(NOT_PUBLIC):
        return "not a public address (external.private_addresses allows addresses of this machine and the local network)", False
    if says("resolve", "connection refused", "unreachable", "failed to establish", "getaddrinfo", "timed out"):
        return "no network, or the server does not answer", True
    if says("http error 4(04|10)", "unavailable", "private", "removed", "terminated", "not available", "available in your country", "drm"):
        return "gone, or not available from here (replace or remove its row)", False
    return f"yt-dlp {version} failed (it is soon outdated: `pip install --upgrade yt-dlp` upgrades only it)", False


def _browser(text: str) -> tuple[str, str | None, str | None, str | None] | None:
    """Parse yt-dlp's ``BROWSER[+KEYRING][:PROFILE][::CONTAINER]``.

    Return browser, profile, keyring and container, or None if `text` has another form.
    """
    match = re.fullmatch(r"(?P<name>[^+:]+)(\+(?P<keyring>[^:]+))?(:(?!:)(?P<profile>.+?))?(::(?P<container>.+))?", text)
    return (match["name"].lower(), match["profile"], match["keyring"] and match["keyring"].upper(), match["container"]) if match else None


class _Messages:
    """Silent logger for yt-dlp; keeps the last line, a refusal's reason."""

    last = "yt-dlp gave no reason"

    def debug(self, message: str) -> None:
        self.last = message

    info = warning = error = debug


def download(url: str, folder: Path, limits: Limits) -> Path:
    """Download the audio of `url` with yt-dlp, unless `folder` contains it.

    Parameters
    ----------
    url : str
        Web address of the recording.
    folder : Path
        Folder that keeps downloaded files, named by the digest of their URL.
    limits : Limits
        Limits of the download.

    Returns
    -------
    Path
        File of the audio in `folder`.

    Raises
    ------
    UnavailableError
        The audio is not available. The message has the reason, and yt-dlp's version if it may be too old.
    """
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    for downloaded in sorted(folder.glob(f"{key}.*")):
        return downloaded
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
        """yt-dlp with a size limit for web pages, which may be endless."""

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
                        raise UnavailableError(f"a web page of more than {_MAX_PAGE_BYTES / 1e6:g} MB, not audio")
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
            "extract_flat": "in_playlist",  # lists the items of a playlist without a download
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
            # all connections are made in Python, where `public_addresses_only` checks them
            "hls_prefer_native": True,
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
            explanation, stop = advice(reason, version)
            raise UnavailableError(f"{explanation}: {reason}", stop=stop) from None
        except Exception as error:  # yt-dlp and its dependencies raise many types; one clip must not stop the others
            raise UnavailableError(f"yt-dlp {version} failed: {type(error).__name__}: {error}") from None
        downloads = [path for path in Path(temporary).iterdir() if path.suffix != ".part"]
        if not downloads:
            raise UnavailableError(f"not downloaded: {messages.last}")
        target = folder / f"{key}{downloads[0].suffix}"
        downloads[0].replace(target)
        return target
