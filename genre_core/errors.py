"""Errors and warnings that are shown to the user."""


def one_line(text: str) -> str:
    """Escape the characters of `text` that are not printable.

    These are line ends, control characters and broken encodings in file names.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class GenreError(Exception):
    """Error about input that cannot be used.

    The message names the value, the file or key, and the remedy, in one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SilenceWarning(UserWarning):
    """Warning that audio is too quiet for a meaningful prediction."""


class AudioError(GenreError):
    """Error about an audio file that cannot be used.

    The file is unreadable, empty, silent, too short or too long.
    """
