"""The errors that people see."""


class GenreError(Exception):
    """Input that cannot be used. The message names the value, the file or key, and the remedy."""


class AudioError(GenreError):
    """An audio file that cannot be used: unreadable, empty, silent, too short or too long."""
