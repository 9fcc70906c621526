"""``genre completion``: print a completion script for a shell."""

from __future__ import annotations

import argparse
import sys


def completion(chosen: argparse.Namespace) -> int:
    """Print a completion script for a shell."""
    import shtab

    from genre_core.apps.cli.parser import parser

    sys.stdout.write(shtab.complete(parser(), shell=chosen.shell) + "\n")
    return 0
