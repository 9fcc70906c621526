"""``genre features``: write features of audio files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from genre_core.apps.cli.common import WRONG_INPUT, expand
from genre_core.errors import GenreError, as_text
from genre_core.terminal import say, say_json


def _with_text_names(result: Any) -> Any:
    """Give a result of `tables.of_file` names that are composed Unicode (NFC), without undecodable bytes."""
    from genre_core.corpus.catalogue import nfc

    if isinstance(result, list):
        return [{**row, "filename": as_text(row["filename"]), "label": nfc(as_text(row["label"]))} for row in result]
    file, genre, *arrays = result
    return as_text(file), nfc(as_text(genre)), *arrays


def features(chosen: argparse.Namespace) -> int:
    """Write features of audio files as arrays or as a table."""
    from functools import partial

    from tqdm import tqdm

    from genre_core.features import kaggle, tables
    from genre_core.util.parallel import map_tracks

    if chosen.seconds and chosen.format == "npz":
        raise GenreError("--seconds works only with --format csv; npz holds whole files")
    out = chosen.out or Path(f"features.{chosen.format}")
    if out.suffix != f".{chosen.format}":
        raise GenreError(f"--out {out}: write to a .{chosen.format} file")
    files, errors = expand(chosen.files)
    if chosen.format == "csv" and len(files) > 1:
        kaggle.compile_numba()  # see https://github.com/numba/numba/issues/10128
    work = partial(tables.of_file, form=chosen.format, seconds=chosen.seconds)
    results = map_tracks(work, files, preload=("genre_core.features.tables",))
    computed = []
    for result in tqdm(results, total=len(files), desc="features", unit="file", disable=True if len(files) < 2 else None):
        if isinstance(result, str):
            errors.append(result)
        else:
            computed.append(_with_text_names(result))
    if not computed:
        raise GenreError("; ".join(errors) or "no file was given")
    count = tables.write(out, computed, chosen.format)
    if chosen.json:
        say_json({"out": str(out), "files": len(computed), "rows": count, "failed": errors})
    else:
        content = f"{count} rows of {len(kaggle.COLUMNS)} columns" if chosen.format == "csv" else "log-mel and MFCC"
        say(f"{out}: {content} of {len(computed)} files")
    for error in errors:
        say(f"error: {error}", sys.stderr)
    return WRONG_INPUT if errors else 0
