"""Kinds of feature."""

from typing import Literal

Kind = Literal["mel", "mfcc", "musicnn"]
KINDS: tuple[Kind, ...] = ("mel", "mfcc", "musicnn")
