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
FOUND = 1
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
        epilog="example: genre compare main metrics/test/predictions.csv",
    )
    compare.add_argument(
        "a",
        metavar="A",
        help="predictions (CSV: track, true, predicted, optionally artist), a git revision or an experiment",
    )
    compare.add_argument("b", metavar="B", help="of the second")
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")
    audit = commands.add_parser(
        "audit",
        help="faults of a data set",
        description="Look for copies of one recording, artists on two sides of a split, and damaged audio. "
        "Exit code 0: nothing found, 1: something, 2: no such data set.",
        epilog="example: genre audit my_music --out audit/ --json",
    )
    audit.add_argument("folder", nargs="?", default="data/raw", metavar="FOLDER", help="<genre>/<file> below it (default: %(default)s)")
    audit.add_argument("--out", type=Path, metavar="DIR", help="write report.md, report.png, tracks.csv and pairs.csv there")
    audit.add_argument("--json", action="store_true", help="print {pairs: [{a, b, score, offset_s}], tracks: [{file, problems}]}")
    explain = commands.add_parser(
        "explain",
        help="what carried the decision on a file",
        description="Take one band after another out of a file, and see by how much the genre's probability falls.",
        epilog="example: genre explain song.mp3 --out song.png",
    )
    explain.add_argument("file", metavar="FILE", help="audio file of any format")
    explain.add_argument("--model", metavar="PATH|pretrained", help=_MODEL_HELP)
    explain.add_argument("--genre", metavar="GENRE", help="the genre that is asked about (default: the most probable one)")
    explain.add_argument("--out", type=Path, metavar="OUT.PNG", help="draw bands and moments over the spectrogram")
    explain.add_argument("--json", action="store_true", help="print {file, genre, probability, bands, moments}")
    chosen = parser.parse_args(arguments)
    run = {"predict": _predict, "compare": _compare, "audit": _audit, "explain": _explain}[chosen.command]
    try:
        return run(chosen)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:  # the reader of our output left: `genre predict ... | head`
        sys.stderr.close()
        return 0


def _audit(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genre_core import audit
    from genre_core.datasets import CATALOGUE, folder, read_catalogue

    root = Path(chosen.folder)
    tracks = read_catalogue(root) if (root / CATALOGUE).exists() else folder.scan(root)[0]
    if not tracks:
        raise GenreError(f"{chosen.folder}: no audio file in this folder")
    found = audit.audit(root, tracks)
    if chosen.out:
        audit.write(found, chosen.out, title=root.resolve().name)
    if chosen.json:
        rows = [{"file": row.file, "problems": list(filter(None, row.problems.split("; ")))} for row in found.tracks]
        print(json.dumps({"pairs": [asdict(pair) for pair in found.pairs], "tracks": rows}, indent=2, ensure_ascii=False))
        return 0 if found.clean else FOUND
    for pair in found.pairs:
        print(f"{one_line(pair.a)} = {one_line(pair.b)} ({pair.kind}, {pair.score:.3f}, shifted by {pair.offset_s:+.2f} s)")
    for row in found.tracks:
        if row.problems:
            print(f"{one_line(row.file)}: {one_line(row.problems)}")
    for artist in found.crossing_artists:
        print(f"artist {one_line(artist)} stands on two sides of the data set's own split")
    flawed = sum(bool(row.problems) for row in found.tracks)
    where = f"; report in {chosen.out / 'report.md'}" if chosen.out else ""
    print(
        f"{len(found.tracks)} files: {len(found.pairs)} pairs of copies, {flawed} files with a problem, "
        f"{len(found.crossing_artists)} crossing artists{where}"
    )
    return 0 if found.clean else FOUND


def _explain(chosen: argparse.Namespace) -> int:
    from genre_core import plots
    from genre_core.audio import decode, resample
    from genre_core.explanation import explain, rates

    if chosen.out and chosen.out.suffix.lower() != ".png":
        raise GenreError(f"--out {chosen.out}: write to a .png file")
    name, predictor = _predictor(chosen.model)
    model = predictor.model
    if chosen.genre and chosen.genre not in model.genres:
        raise GenreError(f"--genre {chosen.genre}: the model knows {', '.join(model.genres)}")
    audio = decode(chosen.file, sample_rate=predictor.sample_rate)
    said = predictor.predict(audio.y, audio.sample_rate, name=chosen.file)
    samples = {rate: resample(audio.y, audio.sample_rate, rate) for rate in rates(model)}
    found = explain(model.finer(), samples, said.starts_seconds.tolist(), chosen.genre or said.genre)
    if chosen.out:
        title = f"{Path(chosen.file).name}: {found.genre} {said.probabilities[found.genre]:.2f}"
        plots.explanation(chosen.out, found, segment_seconds=said.window_seconds, title=title)
    if chosen.json:
        edges = found.edges_hz.tolist()
        bands = zip(edges[:-1], edges[1:], found.carried.mean(axis=1), strict=True)
        moments = zip(found.starts_seconds.tolist(), found.probability.tolist(), strict=True)
        shown = {
            "file": chosen.file,
            "genre": found.genre,
            "probability": said.probabilities[found.genre],
            "bands": [{"low_hz": low, "high_hz": high, "fall": float(fall)} for low, high, fall in bands],
            "moments": [{"start_s": start, "probability": p} for start, p in moments],
            "model": name,
        }
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    print(f"{one_line(chosen.file)}: {found.genre} {said.probabilities[found.genre]:.2f}; its probability falls without")
    for band, fall in sorted(found.bands, key=lambda item: -item[1]):
        print(f"  {band:>16}  {fall:+.3f}")
    return 0


def _predictions(name: str) -> str:
    """A file of predictions, or that of a git revision, such as an experiment's name."""
    import subprocess
    import tempfile

    if Path(name).exists() or name.endswith(".csv"):
        return name
    listed = subprocess.run(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], capture_output=True, text=True, check=False)
    experiments = [ref for ref in listed.stdout.split() if ref.rsplit("/", 1)[-1] == name]
    for revision in [name, *experiments]:
        shown = subprocess.run(["git", "show", f"{revision}:metrics/test/predictions.csv"], capture_output=True, check=False)
        if shown.returncode == 0:
            break
    else:
        raise GenreError(f"{name}: no file, and no git revision or experiment with metrics/test/predictions.csv")
    with tempfile.NamedTemporaryFile("wb", prefix=f"{Path(name).name}-", suffix=".csv", delete=False) as file:
        file.write(shown.stdout)
    return file.name


def _compare(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genre_core.comparison import compare

    found = compare(_predictions(chosen.a), _predictions(chosen.b))
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
        plots.timeline(
            chosen.timeline,
            result.starts_seconds,
            result.timeline,
            predictor.model.genres,
            segment_seconds=result.window_seconds,
            title=Path(file).name,
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
