"""Errors and warnings that are shown to the user."""

import re
from collections.abc import Iterator

_UNDECODABLE = re.compile("[\udc80-\udcff]+")  # Python's substitutes for the bytes of a file name that it cannot decode


def as_text(name: str) -> str:
    """Percent-escape the bytes of a file name that are not UTF-8.

    Returns
    -------
    str
        For example ``caf%E9.mp3`` for the bytes ``caf\\xe9.mp3``. Names without such bytes stay as they are.
    """

    def escaped(match: re.Match[str]) -> str:
        # Python decodes valid UTF-8 in this way too if the locale is ASCII.
        decoded = match[0].encode("ascii", "surrogateescape").decode("utf-8", "surrogateescape")
        return "".join(f"%{ord(c) - 0xDC00:02X}" if _UNDECODABLE.match(c) else c for c in decoded)

    return _UNDECODABLE.sub(escaped, name)


def one_line(text: str) -> str:
    """Escape the unprintable characters of `text`.

    Examples are line ends, control characters and undecodable bytes in file names.

    Returns
    -------
    str
        Text on one line, for example with ``\\n`` in place of a line end.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in as_text(text))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then its causes, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


class GenreError(Exception):
    """Error about unusable input.

    The message names the value, the file or key, and the remedy, in one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SilenceWarning(UserWarning):
    """Warning about audio that is too quiet for a meaningful prediction."""


class AudioError(GenreError):
    """Error about an unusable audio file.

    The file is unreadable, empty, silent, too short or too long.
    """


class BeyondEndError(AudioError):
    """Error about a start time after the end of an audio file."""


class PassingError(AudioError):
    """Error about an audio file that may be gone the next time.

    The system cannot open or read the file now, or the memory is full.
    """
