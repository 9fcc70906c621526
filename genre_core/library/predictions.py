"""Predictions of a whole library in a file of JSON lines, which goes on where it was stopped.

A file is known by the SHA-256 of its content. A line holds this digest, the digest of the model and the settings, so the file of
lines itself tells what is done: nothing else is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from genre_core import __version__
from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.errors import GenreError, PassingError, as_text, one_line
from genre_core.inference.predictor import Predictor
from genre_core.inference.record import as_record
from genre_core.util.files import plain_file
from genre_core.util.jsonl import LineWriter, read_lines
from genre_core.util.memory import is_out_of_memory
from genre_core.util.parallel import in_threads

_MAX_AUDIO_BYTES = 1 << 40
_KEY_BYTES = 16


class Outcome(NamedTuple):
    """What was done for one file.

    Attributes
    ----------
    file : str
        Path of the file.
    work : str
        ``computed``; ``copied`` from a file with the same content; ``known`` from an earlier line; or ``passed`` over, without a
        line, because of an error that can be gone the next time.
    error : str
        Why the file cannot be used; empty if it can.
    """

    file: str
    work: Literal["computed", "copied", "known", "passed"]
    error: str = ""


class Ledger:
    """What a file of lines holds for one model and its settings, in about 400 bytes of memory a line.

    Parameters
    ----------
    identity : dict
        ``model_sha256`` and ``settings`` of the lines that count.
    """

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity
        self._positions: dict[bytes, int] = {}  # first byte of a line, by content
        self._errors: dict[bytes, bool] = {}  # whether the line is an error, by path and content and by path, size and time

    def read(self, path: Path) -> None:
        """Read the lines of a file, one at a time.

        An error of another version does not count, because this version may read the file.

        Raises
        ------
        GenreError
            A line was not written by `predict_files`.
        """
        for number, position, record in read_lines(path):
            self._check(path, number, record)
            same = all(record[key] == value for key, value in self.identity.items())
            if same and ("error" not in record or record.get("version") == __version__):
                self.add(position, record)

    @staticmethod
    def _check(path: Path, number: int, record: dict[str, Any]) -> None:
        types = {"file": str, "content_sha256": str, "model_sha256": str, "settings": dict, "bytes": int, "modified_ns": int}
        if not all(isinstance(record.get(key), kind) for key, kind in types.items()) or not ("genre" in record or "error" in record):
            raise GenreError(f"{path}, line {number}: was not written by `genre predict --jsonl`; name another file")

    def add(self, position: int, record: dict[str, Any]) -> None:
        """Add the line that begins at byte `position`."""
        content = _key(record["content_sha256"])
        self._positions.setdefault(content, position)
        for key in (_key(record["file"], content), _key(record["file"], record["bytes"], record["modified_ns"])):
            self._errors[key] = "error" in record

    def position(self, content_sha256: str) -> int | None:
        """Return the first byte of a line for this content, or None."""
        return self._positions.get(_key(content_sha256))

    def known(self, file: str, status: os.stat_result, content_sha256: str = "") -> Outcome | None:
        """Return the outcome of a file that has a line, else None.

        Without `content_sha256`, path, size and time of the last change decide, so that a file that did not change is not read.
        """
        name = as_text(file)
        key = _key(name, _key(content_sha256)) if content_sha256 else _key(name, status.st_size, status.st_mtime_ns)
        failed = self._errors.get(key)
        return None if failed is None else Outcome(file, "known", "could not be used before" if failed else "")


def _key(*values: object) -> bytes:
    """Shorten values to 16 bytes."""
    return hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


class Library(contextlib.AbstractContextManager["Library"]):
    """Writer of predictions, one line for each file, which several threads share.

    Parameters
    ----------
    out : Path
        File of JSON lines to continue, or to create.
    predictor : Predictor
    model_name : str
        Name of the model in the lines.

    Raises
    ------
    GenreError
        `out` has the name of an audio file, cannot be written, is written by another process, or holds other lines.
    """

    def __init__(self, out: Path, predictor: Predictor, model_name: str) -> None:
        if out.suffix.lower() in AUDIO_SUFFIXES:
            raise GenreError(f"{out}: is the name of an audio file; write to a .jsonl file")
        self._predictor = predictor
        self._model_name = model_name
        settings = json.loads(json.dumps(predictor.settings))
        self._ledger = Ledger({"model_sha256": predictor.digest, "settings": settings})
        self._changed = threading.Condition()  # guards the writer, the ledger and the next line
        self._computing: set[str] = set()  # digests of the contents in work
        self._writer = LineWriter(out)
        try:
            self._ledger.read(out)
        except BaseException:
            self._writer.close()
            raise

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def predict_files(self, files: Sequence[str]) -> Iterator[Outcome]:
        """Predict from files, and write a line as each is done.

        A thread decodes while another computes.

        Yields
        ------
        Outcome
            In the order in which the files are done.

        Raises
        ------
        GenreError
            A line cannot be written, for example on a full disk.
        """
        for _, outcome in in_threads(self._predict_file, files):
            yield outcome

    def _predict_file(self, path: str) -> Outcome:
        with contextlib.ExitStack() as stack:
            try:
                plain_file(path, max_bytes=_MAX_AUDIO_BYTES)
                file = stack.enter_context(Path(path).open("rb", buffering=0))
                before = os.fstat(file.fileno())
                with self._changed:
                    if outcome := self._ledger.known(path, before):
                        return outcome
                content_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
            except (GenreError, OSError) as error:  # the content is unknown: an error of the system
                return Outcome(path, "passed", _without_path(path, getattr(error, "strerror", None) or str(error)))
            facts = {"content_sha256": content_sha256, "bytes": before.st_size, "modified_ns": before.st_mtime_ns}
            return self._predict_content(path, file, before, facts)

    def _predict_content(self, path: str, file: IO[bytes], before: os.stat_result, facts: dict[str, Any]) -> Outcome:
        """Take the answer of this content from the lines, or compute it; only one thread computes it."""
        content_sha256 = facts["content_sha256"]
        with self._changed:
            self._changed.wait_for(lambda: content_sha256 not in self._computing)
            if outcome := self._ledger.known(path, before, content_sha256):
                return outcome
            if (position := self._ledger.position(content_sha256)) is not None:
                return self._write({**self._writer.read(position), **facts}, path, "copied")
            self._computing.add(content_sha256)
        try:
            record = self._compute(path, file)
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                return Outcome(path, "passed", "was changed while it was read; try again")
            with self._changed:
                return self._write({**record, **facts, **self._ledger.identity, "version": __version__}, path, "computed")
        except PassingError as error:
            return Outcome(path, "passed", _without_path(path, str(error)))
        finally:
            with self._changed:
                self._computing.discard(content_sha256)
                self._changed.notify_all()

    def _compute(self, path: str, file: IO[bytes]) -> dict[str, Any]:
        """Compute the answer for a file, or the error that its content causes."""
        try:
            prediction, _ = self._predictor.decode_and_predict(path, file=file)
        except PassingError:
            raise
        except GenreError as error:
            return {"file": path, "error": _without_path(path, str(error)), "model": self._model_name}
        except Exception as error:
            if is_out_of_memory(error):
                raise PassingError("needs more memory than is free; close other programs, or cut the file") from None
            raise PassingError(f"{type(error).__name__}: {error}; this is a defect of genre, please report it") from error
        return as_record(path, prediction, self._model_name)

    def _write(self, record: dict[str, Any], path: str, work: Literal["computed", "copied"]) -> Outcome:
        record = {**record, "file": as_text(path)}
        self._ledger.add(self._writer.add(record), record)
        return Outcome(path, work, record.get("error", ""))


def _without_path(path: str, message: str) -> str:
    """Remove the path at the start of a message, because a file of the same content has another path."""
    return message.removeprefix(f"{one_line(path)}: ")
