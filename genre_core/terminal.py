"""Safe printing of untrusted text to a terminal.

Unprintable characters are escaped, so text from a file, a server or a model cannot move the cursor, clear the screen or set
the window's title.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any, TextIO

from genre_core.errors import one_line


def show_any_text() -> None:
    """Let standard output and error escape the letters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text` as one line, with unprintable characters escaped.

    If a tqdm progress bar is shown, the line appears above the bar.

    Parameters
    ----------
    text : str
        Text to print; a line end in the text is escaped too.
    stream : text file, optional
        Output stream; the default is standard output.
    """
    stream = stream or sys.stdout
    safe = one_line(text)
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(safe, file=stream)
    else:
        print(safe, file=stream)
    stream.flush()


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """Print `value` as JSON on standard output.

    Printable characters of any alphabet stay as they are; unprintable characters become JSON escapes. If the encoding of standard
    output lacks a character, all characters beyond ASCII become escapes.

    Parameters
    ----------
    value : JSON-serialisable object
        Value to print.
    indent : int or None
        Number of spaces per level; None prints one line.

    Raises
    ------
    ValueError
        `value` contains NaN or infinity, which JSON does not allow.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8", "surrogatepass")
    except (UnicodeError, LookupError):  # the terminal cannot show a letter; its backslash escapes would not be JSON
        text = json.dumps(value, indent=indent, allow_nan=False)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n")
    sys.stdout.flush()
