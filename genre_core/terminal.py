"""Safe printing of untrusted text to a terminal.

Text from a file, a server or a model cannot move the cursor, clear the screen or set a title.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from genre_core.errors import one_line


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text` as one line, with unprintable characters escaped.

    The line appears above a tqdm progress bar if one is shown. The default `stream` is standard output.
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

    Printable characters of every script stay as they are; the others become JSON escapes.

    Raises
    ------
    ValueError
        `value` contains NaN or infinity, which JSON does not allow.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n")
    sys.stdout.flush()
