"""Errors and warnings that are shown to the user."""


def one_line(text: str) -> str:
    """Escape the unprintable characters of `text`.

    Examples are line ends, control characters and undecodable bytes in file names.

    Returns
    -------
    str
        Text on one line, for example with ``\\n`` in place of a line end.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


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
