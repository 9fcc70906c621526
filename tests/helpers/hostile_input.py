"""What tests of hostile input share."""

import json
import struct

import h5py


def header(text, size=0):
    raw = json.dumps(text).encode() if not isinstance(text, bytes) else text
    return struct.pack("<Q", size or len(raw)) + raw


def change(path, alter):
    with h5py.File(path, "r+") as file:
        alter(file)


YAML_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\n"


def raw_escapes(text):
    return [c for c in text if not c.isprintable() and c != "\n"]
