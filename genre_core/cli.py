"""The ``genre`` command."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_core import __version__
from genre_core.errors import GenreError, SilenceWarning, one_line

if TYPE_CHECKING:
    from genre_core.inference import Prediction, Predictor

DEFAULT_MODEL = Path("data/model/model.safetensors")
WRONG_INPUT = 2


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
    predict.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="model file (default: %(default)s)")
    predict.add_argument("--json", action="store_true", help="print a list of {file, genre, probabilities, seconds, model}")
    predict.add_argument(
        "--top", type=_positive, default=3, metavar="K", help="genres to show for each file, without --json (default: %(default)s)"
    )
    predict.add_argument("--timeline", type=Path, metavar="OUT.PNG", help="draw the genres over time (one file only)")
    chosen = parser.parse_args(arguments)
    try:
        return _predict(chosen)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:  # the reader of our output left: `genre predict ... | head`
        sys.stderr.close()
        return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _predict(chosen: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    from genre_core.inference import Predictor
    from genre_core.parallel import cores, one_thread

    files, errors = _expand(chosen.files)
    if chosen.timeline and len(files) != 1:
        raise GenreError(f"--timeline {chosen.timeline}: draws one file, {len(files)} were given")
    if chosen.timeline and chosen.timeline.suffix.lower() != ".png":
        raise GenreError(f"--timeline {chosen.timeline}: write to a .png file")
    predictor = Predictor(chosen.model)
    if not chosen.json and files:
        print(_introduction(chosen.model, predictor), flush=True)

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
                tqdm.write(f"{one_line(file)}: " + ", ".join(f"{genre} {p:.2f}" for genre, p in top), file=sys.stdout)
    if chosen.json:
        json.dump([_as_json(file, result, chosen) for file, result in done], sys.stdout, indent=2, ensure_ascii=False)
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


def _introduction(path: Path, predictor: Predictor) -> str:
    info = predictor.model.info
    protocol = f"protocol {info.get('protocol', '?')}{' (LEAKY)' if info.get('leaky') else ''}"
    data = f"{info.get('data_set', 'unknown data')}, {info.get('train_tracks', '?')} tracks"
    return f"model {path}: {predictor.model.type} trained on {data}, {protocol}"


def _as_json(file: str, result: Prediction, chosen: argparse.Namespace) -> dict[str, object]:
    return {
        "file": file,
        "genre": result.genre,
        "probabilities": result.probabilities,
        "seconds": round(result.seconds, 3),
        "model": str(chosen.model),
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
