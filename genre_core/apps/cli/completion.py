"""``genre completion``: print a shell's completion script."""

from __future__ import annotations

import argparse
import sys


def completion(chosen: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    import shtab

    from genre_core.apps.cli.main import parser

    sys.stdout.write(shtab.complete(parser(), shell=chosen.shell) + "\n")
    return 0
