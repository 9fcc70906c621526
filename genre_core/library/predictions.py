"""Predictions of a whole library in a file of JSON lines, which a killed run continues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genre_core.errors import AudioError, GenreError, as_text
from genre_core.inference.predictor import Predictor
from genre_core.inference.record import as_record
from genre_core.util.files import digest, plain_file
from genre_core.util.jsonl import LineWriter, read_numbered
from genre_core.util.parallel import in_threads

_MAX_FILE_BYTES = 64_000_000_000


@dataclass
class Counts:
    """Number of files by what became of them.

    Attributes
    ----------
    predicted : int
        Files that were predicted in this run.
    copied : int
        Files whose content had a prediction under another name.
    there : int
        Files whose line was there before this run.
    unusable : int
        Files that are not usable audio; their line holds the error.
    failed : int
        Files that could not be opened; they have no line, so the next run tries them again.
    """

    predicted: int = 0
    copied: int = 0
    there: int = 0
    unusable: int = 0
    failed: int = 0


class Ledger:
    """Index of a file of predictions: which files are done, and where each content has its line.

    It holds 16 bytes a file and 16 a content, not the lines.

    Parameters
    ----------
    path : Path
        File of predictions; it may be missing.
    model_sha256 : str
    settings : dict
        Model and settings of this run; lines of others are passed over.

    Raises
    ------
    GenreError
        The file is not one of JSON lines.
    """

    def __init__(self, path: Path, model_sha256: str, settings: dict[str, Any]) -> None:
        self._files: set[bytes] = set()
        self._positions: dict[bytes, int] = {}
        if not path.exists():
            return
        for _, position, record in read_numbered(path):
            file, content = record.get("file"), record.get("content_sha256")
            if (
                isinstance(file, str)
                and isinstance(content, str)
                and (record.get("model_sha256"), record.get("settings"))
                == (
                    model_sha256,
                    settings,
                )
            ):
                self.add(file, content, position)

    def add(self, file: str, content: str, position: int) -> None:
        """Note that `file` with the digest `content` has its line at byte `position`."""
        self._files.add(_short(f"{file}\0{content}"))
        self._positions.setdefault(_short(content), position)

    def has(self, file: str, content: str) -> bool:
        """Check whether this file with this content has a line."""
        return _short(f"{file}\0{content}") in self._files

    def position(self, content: str) -> int | None:
        """Return the first byte of a line with this content; None if there is none."""
        return self._positions.get(_short(content))


def _short(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class _Done:
    content: str
    record: dict[str, Any] | None  # None: the ledger has this content


def predict_library(
    predictor: Predictor,
    model_name: str,
    files: Sequence[str],
    out: str | Path,
    *,
    failed: Callable[[str], None],
    progress: Callable[[], object] = lambda: None,
) -> Counts:
    """Predict files, and add a line to `out` as each is done.

    A file is known by the SHA-256 of its bytes, and an answer by the content, the SHA-256 of the model and the settings: what has a line
    is not computed again. The memory does not depend on the size of the lines.

    Parameters
    ----------
    predictor : Predictor
    model_name : str
        Name of the model in the lines.
    files : sequence of str
        Paths of audio files.
    out : str or Path
        File of JSON lines to continue, or to create. The keys are those of `as_record`, and ``content_sha256``, ``model_sha256``
        and ``settings``. A file that is not usable audio has ``error`` in place of the prediction.
    failed : callable
        Called with a message for each file that is unusable or could not be opened.
    progress : callable
        Called after each file.

    Returns
    -------
    Counts

    Raises
    ------
    GenreError
        `out` cannot be written, is not a file of JSON lines, or is being written by another process.
    """
    counts = Counts()
    identity = {"model_sha256": predictor.digest, "settings": predictor.settings}
    with LineWriter(out) as lines:  # locked before it is read
        ledger = Ledger(Path(out), predictor.digest, predictor.settings)
        for file, done in in_threads(partial(_predict, predictor, model_name, ledger), files):
            progress()
            if isinstance(done, str):
                counts.failed += 1
                failed(done)
                continue
            name = as_text(file)
            if ledger.has(name, done.content):
                counts.there += 1
                continue
            record, position = done.record, ledger.position(done.content)
            if record is None and position is not None:
                record = {**lines.read(position), "file": name}
                counts.copied += "error" not in record
            elif record is not None:
                record = {**record, "content_sha256": done.content, **identity}
                counts.predicted += "error" not in record
            if record is None:
                continue
            if "error" in record:
                counts.unusable += 1
                failed(str(record["error"]))
            ledger.add(name, done.content, lines.add(record))
    return counts


def _predict(predictor: Predictor, model_name: str, ledger: Ledger, file: str) -> _Done | str:
    """Predict a file unless the ledger has its content; return a message if it cannot be opened."""
    try:
        plain_file(file, max_bytes=_MAX_FILE_BYTES)
        content = digest(file)
    except GenreError as error:
        return str(error)
    except OSError as error:
        return f"{file}: cannot be read: {error.strerror}"
    if ledger.position(content) is not None:
        return _Done(content, None)
    try:
        return _Done(content, as_record(as_text(file), predictor.predict_file(file), model_name))
    except AudioError as error:
        return _Done(content, {"file": as_text(file), "error": str(error), "model": model_name})
    except GenreError as error:  # the model, or the memory: another run may do better
        return str(error)
