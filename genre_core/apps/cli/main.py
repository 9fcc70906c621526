"""The ``genre`` command: run a command, with one-line errors."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from genre_core.apps.cli import ending
from genre_core.apps.cli.common import WRONG_INPUT, missing_extra
from genre_core.apps.cli.parser import parser
from genre_core.errors import GenreError
from genre_core.terminal import say, show_any_text
from genre_core.util.environment import NUMBA_REMEDY, lacks_numba_cache
from genre_core.util.memory import is_out_of_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; by default those of the process.

    Returns
    -------
    int
        0 for success, 1 if ``genre audit`` found problems, 2 if an input could not be used, 130 after Ctrl-C, 141 if the reader of
        the output has ended.
    """
    try:
        ending.main_begins()
        try:
            return _run(arguments)
        finally:
            ending.end_if_interrupted()
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return ending.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has ended: `genre predict ... | head`
        return ending.end_after_closed_pipe()
    except OSError as error:  # for example a full disk below the standard output
        say(f"error: {error}", sys.stderr)
        return WRONG_INPUT


def _run(arguments: Sequence[str] | None) -> int:
    """Parse the arguments and run a command; turn errors into one line and an exit code."""
    show_any_text()
    chosen = parser().parse_args(arguments)
    warnings.showwarning = _warn
    if not _writes_file(chosen):
        ending.end_with_reader()
    try:
        # Import only the module of this command: the imports of all commands take seconds.
        run = getattr(import_module(f"genre_core.apps.cli.{chosen.command}"), chosen.command)
        return int(run(chosen))
    except GenreError as error:
        say(f"error: {error}", sys.stderr)
        return WRONG_INPUT
    except ModuleNotFoundError as error:
        missing = missing_extra(error.name)
        if missing is None:
            raise
        say(f"error: genre {chosen.command} needs {missing}", sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:
        raise
    except OSError as error:  # for example a full disk, a read-only folder or a port in use
        say(f"error: {error}", sys.stderr)
        return WRONG_INPUT
    except (MemoryError, RuntimeError) as error:
        if lacks_numba_cache(error):
            say(f"error: {NUMBA_REMEDY}", sys.stderr)
            return WRONG_INPUT
        if not is_out_of_memory(error):
            raise
        say("error: this needs more memory than there is; give fewer or shorter files", sys.stderr)
        return WRONG_INPUT


def _writes_file(chosen: argparse.Namespace) -> bool:
    """Tell whether a command does more than print, so that it goes on without a reader."""
    return chosen.command in ("features", "export", "serve") or any(
        getattr(chosen, name, None) for name in ("out", "timeline", "m3u", "jsonl")
    )


def _warn(message: Warning | str, *rest: object, **more: object) -> None:
    say(f"warning: {message}", sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
