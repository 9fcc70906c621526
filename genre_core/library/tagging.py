"""Write predicted genres into the tags of audio files.

A file is changed only if the model is sure of its genre and its field is empty, unless fields are to be overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genre_core.datasets.listing import leaves
from genre_core.errors import AudioError, GenreError
from genre_core.inference.predictor import Prediction, Predictor
from genre_core.library.journal import Change, Journal, path_fields, replaced_by
from genre_core.library.rewriting import check_writable, is_same, replaced
from genre_core.library.tag_formats.edits import Edit, Fields, reverse
from genre_core.library.tag_formats.formats import MAX_LETTERS, edits_for
from genre_core.library.tag_formats.reading import check_copy, read_fields
from genre_core.util.files import read_csv
from genre_core.util.parallel import in_threads

MOOD_THRESHOLD = 0.2  # on recordings of GTZAN, one to four tags are above it
_MODEL_DIGITS = 12  # of the model's digest


@dataclass(frozen=True)
class Plan:
    """What is to be done with a file.

    Attributes
    ----------
    path : str
        Path as given.
    reason : str
        Why nothing is written; empty if something is.
    prediction : Prediction, optional
        None if the tags alone decide.
    fields : Fields
        Values to write.
    """

    path: str
    reason: str = ""
    prediction: Prediction | None = None
    fields: Fields = field(default_factory=Fields)
    _target: Path = field(default_factory=Path, repr=False)
    _status: os.stat_result | None = field(default=None, repr=False)
    _edits: tuple[Edit, ...] = field(default=(), repr=False)

    def apply(self, journal: Journal) -> None:
        """Change the file, with a record of what is replaced.

        Raises
        ------
        AudioError
            The file cannot be changed; it stays as it is.
        GenreError
            The journal cannot be written, so no file may be changed.
        """
        if self._status is None:
            raise ValueError(f"{self.path}: nothing is planned")
        try:
            with self._target.open("rb") as file:
                backwards = replaced_by(reverse(file, self._edits))
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be read: {error.strerror}") from None
        path, path_base64 = path_fields(self._target)
        with replaced(self._target, self._edits, self._status) as copy:
            audio_bytes, audio_sha256 = check_copy(self._target, copy.path, self.fields)
            journal.changed(
                Change(
                    path=path,
                    path_base64=path_base64,
                    audio_bytes=audio_bytes,
                    audio_sha256=audio_sha256,
                    before_sha256=copy.before_sha256,
                    after_sha256=copy.after_sha256,
                    mtime_ns=self._status.st_mtime_ns,
                    replaced=backwards,
                    genres=list(self.fields.genres),
                    moods=list(self.fields.moods),
                    note=self.fields.note,
                )
            )


class Tagger:
    """Decision on the tags of files.

    Parameters
    ----------
    predictor : Predictor
    names : mapping of str to tuple of str
        Values of the genre field for genres of the model; other genres keep their names.
    overwrite : bool
        Whether fields that have values are replaced.
    mood_threshold : float, optional
        Least mean probability of a tag of musicnn that is written to the field for moods; None writes no moods.

    Raises
    ------
    GenreError
        Moods are wanted of a model that does not read musicnn's embeddings, or a genre cannot be a value of a tag.
    """

    def __init__(
        self, predictor: Predictor, *, names: Mapping[str, tuple[str, ...]], overwrite: bool = False, mood_threshold: float | None = None
    ) -> None:
        if mood_threshold is not None and "musicnn" not in predictor.model.kinds:
            raise GenreError(f"--moods: a {predictor.model.type} model does not read musicnn's tags; use --model pretrained")
        self.predictor = predictor
        self.names = {genre: names.get(genre, (genre,)) for genre in predictor.model.genres}
        for genre, values in self.names.items():
            for value in values:
                _check_value(value, f"the model's genre {genre!r}: give it another name with --map")
        self.overwrite = overwrite
        self.mood_threshold = mood_threshold

    def plan(self, path: str, root: Path) -> Plan:
        """Decide what is written into a file; the file is only read.

        Parameters
        ----------
        path : str
        root : Path
            Folder that a link must not leave.

        Raises
        ------
        AudioError
            The file cannot be used or changed.
        """
        target, status = _target(path, root)
        before = read_fields(target)
        note = _parse_note(before.note)
        same_model = note.get("model") == self.predictor.digest[:_MODEL_DIGITS]
        named = self.names.get(note.get("genre", ""))
        wants_genre = not before.genres or (self.overwrite and not (same_model and before.genres == named))
        wants_moods = self.mood_threshold is not None and (not before.moods or self.overwrite)
        wants_moods = wants_moods and not (same_model and note.get("moods") == f"{self.mood_threshold:g}")
        if not wants_genre and not wants_moods:
            return Plan(path, f"has {', '.join(before.genres)}")
        prediction = self.predictor.predict_file(path)
        best = prediction.genre
        if not prediction.sure:
            return Plan(path, f"not sure ({best} {prediction.probabilities[best]:.2f})", prediction)
        moods = tuple(tag for tag, p in prediction.tags.items() if p >= (self.mood_threshold or 0)) if wants_moods else ()
        if not wants_genre and not moods:
            return Plan(path, f"no mood of at least {self.mood_threshold:g}", prediction)
        text = f"genre={best}; probability={prediction.probabilities[best]:.3f}; model={self.predictor.digest[:_MODEL_DIGITS]}"
        if wants_moods or (same_model and "moods" in note and before.moods):
            text += f"; moods={f'{self.mood_threshold:g}' if wants_moods else note['moods']}"
        fields = Fields(self.names[best] if wants_genre else (), moods, text)
        if not is_same(target, status):
            raise AudioError(f"{path}: was changed by another program meanwhile; run the command again")
        return Plan(path, "", prediction, fields, target, status, tuple(edits_for(target, fields)))

    def plans(self, files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Plan | AudioError]]:
        """Plan files on all cores, in order; a bounded number of results waits.

        Parameters
        ----------
        files : iterable of (str, Path)
            Paths of files, with the folder that their links must not leave.

        Yields
        ------
        path : str
        plan : Plan or AudioError
            The error, if the file cannot be used.
        """

        def plan(file: tuple[str, Path]) -> Plan | AudioError:
            try:
                return self.plan(*file)
            except AudioError as error:
                return error

        for (path, _), planned in in_threads(plan, files, ordered=True):
            yield path, planned


def read_names(path: Path, genres: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read the names of genres in tags from a CSV with the columns ``genre,tag``.

    Several rows of a genre give it several values.

    Parameters
    ----------
    path : Path
    genres : iterable of str
        Genres of the model.

    Returns
    -------
    dict of str to tuple of str

    Raises
    ------
    GenreError
        The file is not such a table, or names a genre that the model does not know, or a tag that is empty or unusable.
    """
    known = list(genres)
    names: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(read_csv(path, ("genre", "tag")), start=2):
        where = f"{path}, line {number}"
        if row["genre"] not in known:
            raise GenreError(f"{where}: the model does not know the genre {row['genre']!r}; it knows {', '.join(known)}")
        _check_value(row["tag"], where)
        names[row["genre"]] = tuple(dict.fromkeys([*names.get(row["genre"], ()), row["tag"]]))
    if not names:
        raise GenreError(f"{path}: no row; write one for each genre, for example hiphop,Hip-Hop")
    return names


def _check_value(value: str, where: str) -> None:
    """Refuse a genre that tags cannot hold, or that players would read as another one."""
    problem = ""
    if not value or value != " ".join(value.split()):
        problem = "is empty or has spaces at its end or in a row"
    elif len(value) > MAX_LETTERS or not value.isprintable():
        problem = f"has more than {MAX_LETTERS} letters or a control character"
    elif value.isdecimal() or value.startswith("(") or value in ("RX", "CR"):
        problem = "would be read as a number of ID3v1"
    if problem:
        raise GenreError(f"{where}: the tag {value!r} {problem}")


def _target(path: str, root: Path) -> tuple[Path, os.stat_result]:
    """Resolve the links of a path that stays in `root`, and check that the file can be replaced."""
    if leaves(path, root):
        raise AudioError(f"{path}: is a link that leaves {root}; name the file itself")
    target = Path(os.path.realpath(path))
    try:
        status = target.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path}: is a {'folder' if stat.S_ISDIR(status.st_mode) else 'pipe or device'}, not an audio file")
        check_writable(target)
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened: {error.strerror}") from None
    return target, status


def _parse_note(note: str) -> dict[str, str]:
    """Split the own field into its values."""
    return dict(part.split("=", 1) for part in note.split("; ") if "=" in part)
