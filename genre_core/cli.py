"""The ``genre`` command."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_core import __version__
from genre_core.errors import GenreError, SilenceWarning, one_line

if TYPE_CHECKING:
    from genre_core.inference import Prediction, Predictor

TRAINED = Path("data/model/model.safetensors")
WRONG_INPUT = 2
_MODEL_HELP = f"a model file, or the packaged one for real music (default: {TRAINED} where it was trained on real music, else pretrained)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 when something could not be used."""
    parser = argparse.ArgumentParser(prog="genre", description="Music-genre classification with a trained model.")
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser(
        "predict",
        help="the genre of audio files",
        description="Say the genre of audio files, with calibrated probabilities. Exit code 2 if a file could not be used.",
        epilog="example: genre predict song.mp3 album/ --top 3 --timeline song.png",
    )
    predict.add_argument("files", nargs="+", metavar="FILE", help="audio file of any format, or a folder of them")
    predict.add_argument("--model", metavar="PATH|pretrained", help=_MODEL_HELP)
    predict.add_argument("--json", action="store_true", help="print a list of {file, genre, sure, probabilities, seconds, model}")
    predict.add_argument(
        "--top", type=_positive, default=3, metavar="K", help="genres to show for each file, without --json (default: %(default)s)"
    )
    predict.add_argument("--timeline", type=Path, metavar="OUT.PNG", help="draw the genres over time (one file only)")
    compare = commands.add_parser(
        "compare",
        help="two models on the same tracks",
        description="Compare two files of predictions: the difference of accuracy with its interval, McNemar's test, where they differ.",
        epilog="example: git show main:metrics/test/predictions.csv > a.csv; genre compare a.csv metrics/test/predictions.csv",
    )
    compare.add_argument("a", metavar="A.csv", help="predictions of the first model: track, true, predicted, optionally artist")
    compare.add_argument("b", metavar="B.csv", help="of the second")
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")
    chosen = parser.parse_args(arguments)
    try:
        return _compare(chosen) if chosen.command == "compare" else _predict(chosen)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:  # the reader of our output left: `genre predict ... | head`
        sys.stderr.close()
        return 0


def _compare(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genre_core.comparison import compare

    found = compare(chosen.a, chosen.b)
    if chosen.json:
        print(json.dumps({**asdict(found), "verdict": found.verdict}, indent=2, ensure_ascii=False))
        return 0
    print(f"A {found.accuracy_a:.3f}, B {found.accuracy_b:.3f} on {found.tracks} tracks of {found.artists} artists")
    print(f"B - A {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]: {found.verdict}")
    print(f"right alone: A {found.only_a}, B {found.only_b}; McNemar p = {found.p:.3g}")
    for row in found.disagreements:
        print(f"  {one_line(row['track'])}: {row['true']}, A says {row['a']}, B says {row['b']}")
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _predict(chosen: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    from genre_core.parallel import cores, one_thread

    files, errors = _expand(chosen.files)
    if chosen.timeline and len(files) != 1:
        raise GenreError(f"--timeline {chosen.timeline}: draws one file, {len(files)} were given")
    if chosen.timeline and chosen.timeline.suffix.lower() != ".png":
        raise GenreError(f"--timeline {chosen.timeline}: write to a .png file")
    name, predictor = _predictor(chosen.model)
    if not chosen.json and files:
        print(_introduction(name, predictor), flush=True)

    def one(file: str) -> Prediction | str:
        one_thread()
        try:
            return predictor.predict_file(file)
        except GenreError as error:
            return str(error)

    done = []
    warnings.simplefilter("always", SilenceWarning)
    warnings.showwarning = lambda message, *rest, **more: tqdm.write(f"warning: {message}", file=sys.stderr)
    # Threads, not processes: decoding, FFT and convolution release the interpreter's lock, and one model serves all.
    with ThreadPoolExecutor(cores()) as pool:
        results = zip(files, pool.map(one, files), strict=True)
        for file, result in tqdm(results, total=len(files), desc="predict", unit="file", disable=True if len(files) < 4 else None):
            if isinstance(result, str):
                errors.append(result)
                continue
            done.append((file, result))
            if not chosen.json:
                top = list(result.probabilities.items())[: chosen.top]
                answer = ", ".join(f"{genre} {p:.2f}" for genre, p in top)
                tqdm.write(f"{one_line(file)}: {answer if result.sure else f'not sure ({answer})'}", file=sys.stdout)
    if chosen.json:
        json.dump([_as_json(file, result, name) for file, result in done], sys.stdout, indent=2, ensure_ascii=False)
        print()
    if chosen.timeline and done:
        from genre_core import plots

        file, result = done[0]
        length = predictor.model.segment_seconds
        plots.timeline(
            chosen.timeline, result.starts_seconds, result.timeline, predictor.model.genres, segment_seconds=length, title=Path(file).name
        )
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return WRONG_INPUT if errors else 0


def _predictor(chosen: str | None) -> tuple[str, Predictor]:
    """The model that was asked for; else the one trained here, if it knows real music; else the packaged one."""
    from genre_core.inference import Predictor

    if chosen is None and TRAINED.exists():
        trained = Predictor(TRAINED)
        if not str(trained.model.info.get("data_set", "")).startswith("demo"):
            return str(TRAINED), trained
    name = chosen or "pretrained"
    return name, Predictor(name)


def _introduction(name: str, predictor: Predictor) -> str:
    from genre_core.evaluation import with_interval

    model = predictor.model
    info = model.info
    protocol = f"protocol {info.get('protocol', '?')}{' (LEAKY)' if info.get('leaky') else ''}"
    data = f"{one_line(str(info.get('data_set', 'unknown data')))}, {info.get('train_tracks', '?')} tracks"
    score = _score(name, info)
    said = f"accuracy {with_interval(score)} on {score['on']}" if score else ""
    return f"model {name}: {model.type} trained on {data}, {protocol}; {said or 'no test score beside it'}"


def _score(name: str, info: dict[str, Any]) -> dict[str, Any] | None:
    """The model's test score: its own, or that of the pipeline's last evaluation if it was of this file."""
    from genre_core.files import digest

    score = info.get("score")
    if isinstance(score, dict) and all(isinstance(score.get(key), float) for key in ("accuracy", "accuracy_low", "accuracy_high")):
        return {"on": "unknown tracks", **score}
    try:
        metrics = Path(name).resolve().parents[2] / "metrics" / "test" / "metrics.json"
        found = json.loads(metrics.read_text(encoding="utf-8"))
        if found["model"]["sha256"] != digest(name):
            return None
        return {
            "on": f"{found['tracks']} test tracks",
            **{key: found["track"][key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _as_json(file: str, result: Prediction, model: str) -> dict[str, object]:
    return {
        "file": file,
        "genre": result.genre,
        "sure": result.sure,
        "probabilities": result.probabilities,
        "seconds": round(result.seconds, 3),
        "model": model,
    }


def _expand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files as they are, folders as the audio files below them, sorted; and what is wrong with the rest."""
    from genre_core.audio import AUDIO_SUFFIXES

    files, errors = [], []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file() and not p.name.startswith("."))
            if not found:
                errors.append(f"{name}: no audio file in this folder")
            files += [str(p) for p in found]
        else:
            files.append(name)
    return files, errors


if __name__ == "__main__":
    sys.exit(main())
