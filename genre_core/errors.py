"""The errors that people see."""


def one_line(text: str) -> str:
    """`text` with what is not printable (line ends, control characters, broken encodings in file names) escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class GenreError(Exception):
    """Input that cannot be used. The message names the value, the file or key, and the remedy, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SilenceWarning(UserWarning):
    """Audio so quiet that an answer means nothing."""


class AudioError(GenreError):
    """An audio file that cannot be used: unreadable, empty, silent, too short or too long."""
