"""``genre tag``: write predicted genres into the tags of audio files, and undo it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from genre_core.apps.cli.common import WRONG_INPUT, chosen_predictor, expand, introduction
from genre_core.errors import AudioError, GenreError, SilenceWarning
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    from genre_core.library.tagging import Plan


def tag(chosen: argparse.Namespace) -> int:
    """Tag audio files, or undo it; return exit code 2 after an error."""
    import mutagen as _  # noqa: F401 (said to be missing before the first file, not at it)

    if chosen.undo:
        return _undo(chosen)
    if not chosen.files:
        raise GenreError("name the files or folders to tag, for example: genre tag my_music --dry-run")
    return _tag(chosen)


def _tag(chosen: argparse.Namespace) -> int:
    from tqdm import tqdm

    from genre_core.library.journal import Journal, default_path
    from genre_core.library.tagging import MOOD_THRESHOLD, Tagger, read_names
    from genre_core.util.files import remove_leftovers

    name, predictor = chosen_predictor(chosen.model)
    threshold = chosen.mood_threshold or (MOOD_THRESHOLD if chosen.moods else None)
    names = read_names(chosen.map, predictor.model.genres) if chosen.map else {}
    tagger = Tagger(predictor, names=names, overwrite=chosen.overwrite, mood_threshold=threshold)
    files, errors = _files(chosen.files)
    counts: Counter[str] = Counter(error=len(errors))
    for error in errors:
        say(f"error: {error}", sys.stderr)
    warnings.simplefilter("ignore", SilenceWarning)  # such a file is not tagged
    if not chosen.json and files:
        say(introduction(name, predictor))
        if threshold:
            say(f"moods: tags of musicnn with a mean probability of at least {threshold:g}, which is not calibrated")
    rows = []
    start = time.monotonic()
    path = chosen.journal or default_path()
    with contextlib.ExitStack() as stack:
        journal = None if chosen.dry_run or not files else Journal(path)
        if journal:
            stack.callback(journal.close)
            for folder in {Path(os.path.realpath(file)).parent for file, _ in files}:
                remove_leftovers(folder)  # copies of a killed run
        plans = tqdm(tagger.plans(files), total=len(files), desc="tag", unit="file", disable=True if len(files) < 4 else None)
        for file, plan in plans:
            try:
                if isinstance(plan, AudioError):
                    raise plan
                if journal and not plan.reason:
                    plan.apply(journal)
            except AudioError as problem:
                counts["error"] += 1
                say(f"error: {problem}", sys.stderr)
                continue
            counts[_outcome(plan)] += 1
            if chosen.json:
                rows.append(_as_json(plan))
            else:
                say(f"{file}: {_shown(plan, dry_run=chosen.dry_run)}")
    if chosen.json:
        say_json(rows)
    if not chosen.json and files:
        done = "would tag" if chosen.dry_run else "tagged"
        where = "" if chosen.dry_run else f"; journal {path}"
        say(
            f"{done} {counts['tagged']} of {len(files)} files in {time.monotonic() - start:.0f} s: "
            f"{counts['kept']} kept, {counts['not sure']} not sure, {counts['error']} errors{where}"
        )
    return WRONG_INPUT if counts["error"] else 0


def _files(names: list[str]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Expand folders to files, each once, with the folder that its links must not leave."""
    files: dict[str, tuple[str, Path]] = {}
    errors: list[str] = []
    for name in names:
        found, wrong = expand([name])
        errors += wrong
        root = Path(name) if Path(name).is_dir() else Path(name).parent
        for file in found:
            files.setdefault(os.path.realpath(file), (file, root))
    return list(files.values()), errors


def _outcome(plan: Plan) -> str:
    if not plan.reason:
        return "tagged"
    return "not sure" if plan.prediction and not plan.prediction.sure else "kept"


def _shown(plan: Plan, *, dry_run: bool) -> str:
    if plan.reason or plan.prediction is None:
        return f"kept: {plan.reason}"
    prediction = plan.prediction
    values = [*plan.fields.genres, *(["moods " + ", ".join(plan.fields.moods)] if plan.fields.moods else [])]
    damage = f" [{prediction.damage}]" if prediction.damage else ""
    return (
        f"{'would write ' if dry_run else ''}{'; '.join(values)} ({prediction.genre} {max(prediction.probabilities.values()):.2f}){damage}"
    )


def _as_json(plan: Plan) -> dict[str, object]:
    prediction = plan.prediction
    return {
        "file": plan.path,
        "outcome": _outcome(plan),
        "reason": plan.reason,
        "genre": prediction.genre if prediction else None,
        "probability": prediction.probabilities[prediction.genre] if prediction else None,
        "genres": list(plan.fields.genres),
        "moods": list(plan.fields.moods),
    }


def _undo(chosen: argparse.Namespace) -> int:
    from genre_core.library.journal import Journal, default_path, pending
    from genre_core.library.undoing import undo
    from genre_core.util.files import remove_leftovers

    if chosen.model or chosen.map or chosen.overwrite or chosen.moods or chosen.mood_threshold:
        raise GenreError("--undo: cannot be combined with --model, --map, --overwrite and --moods")
    path = chosen.journal or default_path()
    roots = [Path(os.path.realpath(name)) for name in chosen.files]

    def wanted(file: Path) -> bool:
        return not roots or any(file.is_relative_to(root) for root in roots)

    counts: Counter[str] = Counter()
    rows = []
    next(pending(path, wanted), None)  # a journal that is missing or of another kind is not opened for writing
    with contextlib.ExitStack() as stack:
        journal = None if chosen.dry_run else Journal(path)
        if journal:
            stack.callback(journal.close)
        cleared: set[Path] = set()
        for line, change in pending(path, wanted):
            if journal and change.file.parent not in cleared:
                cleared.add(change.file.parent)
                remove_leftovers(change.file.parent)
            try:
                outcome = "restored" if undo(change, dry_run=chosen.dry_run) else "was as before"
            except AudioError as problem:
                counts["error"] += 1
                say(f"error: {problem}", sys.stderr)
                continue
            if journal:
                journal.undone(line)
            counts[outcome] += 1
            rows.append({"file": change.path, "outcome": outcome})
            if not chosen.json:
                say(f"{change.path}: {'would be ' if chosen.dry_run and outcome == 'restored' else ''}{outcome}")
    if chosen.json:
        say_json(rows)
    if not chosen.json:
        done = "would restore" if chosen.dry_run else "restored"
        say(f"{done} {counts['restored']} files; {counts['was as before']} were as before, {counts['error']} errors; journal {path}")
    return WRONG_INPUT if counts["error"] else 0
