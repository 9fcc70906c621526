"""Text for a terminal: what a file, a server or a model says cannot move the cursor, clear the screen or set a title."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from genre_core.errors import one_line


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text` as one line, what is not printable in it escaped; above a progress bar if there is one."""
    stream = stream or sys.stdout
    safe = one_line(text)
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(safe, file=stream)
    else:
        print(safe, file=stream)
    stream.flush()


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """Print `value` as JSON; letters of any script as they are, all else that is not printable as an escape of JSON."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n")
    sys.stdout.flush()
