"""What the commands of ``genre`` do; each imports what it needs, so that none waits for another's libraries."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_core.cli import FOUND, TRAINED, WRONG_INPUT
from genre_core.errors import GenreError, SilenceWarning, one_line
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    import numpy as np

    from genre_core.inference import Prediction, Predictor


def audit(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genre_core import audit as auditing
    from genre_core.datasets import CATALOGUE, folder, read_catalogue

    root = Path(chosen.folder)
    tracks = read_catalogue(root) if (root / CATALOGUE).exists() else folder.scan(root)[0]
    if not tracks:
        raise GenreError(f"{chosen.folder}: no audio file in this folder")
    found = auditing.audit(root, tracks)
    if chosen.out:
        auditing.write(found, chosen.out, title=root.resolve().name)
    if chosen.json:
        rows = [{"file": row.file, "problems": list(filter(None, row.problems.split("; ")))} for row in found.tracks]
        pairs = [asdict(pair) for pair in found.pairs]
        said = {"pairs": pairs, "tracks": rows, "crossing_artists": found.crossing_artists, "not_looked_at": found.not_looked_at}
        say_json(said)
        return 0 if found.clean else FOUND
    for pair in found.pairs:
        say(f"{pair.a} = {pair.b} ({pair.kind}, {pair.score:.3f}, shifted by {pair.offset_s:+.2f} s)")
    for row in found.tracks:
        if row.problems:
            say(f"{row.file}: {row.problems}")
    for artist in found.crossing_artists:
        say(f"artist {artist} stands on two sides of the data set's own split")
    if found.not_looked_at:
        say(f"{found.not_looked_at} tracks are features made elsewhere: nothing was looked for in them")
    flawed = sum(bool(row.problems) for row in found.tracks)
    where = f"; report in {chosen.out / 'report.md'}" if chosen.out else ""
    say(
        f"{len(found.tracks)} files: {len(found.pairs)} pairs of copies, {flawed} files with a problem, "
        f"{len(found.crossing_artists)} crossing artists{where}"
    )
    return 0 if found.clean else FOUND


def explain(chosen: argparse.Namespace) -> int:
    from genre_core import plots
    from genre_core.explanation import explain as occlude

    if chosen.out and chosen.out.suffix.lower() != ".png":
        raise GenreError(f"--out {chosen.out}: write to a .png file")
    name, predictor = _predictor(chosen.model)
    model = predictor.model
    if chosen.genre and chosen.genre not in model.genres:
        raise GenreError(f"--genre {chosen.genre}: the model knows {', '.join(model.genres)}")
    said, audio = predictor.decode_and_predict(chosen.file)
    found = occlude(model.finer(), audio.y, audio.sample_rate, said.starts_seconds.tolist(), chosen.genre or said.genre)
    if chosen.out:
        title = f"{Path(chosen.file).name}: {found.genre} {found.whole:.2f}"
        plots.explanation(chosen.out, found, segment_seconds=said.window_seconds, title=title)
    if chosen.json:
        edges = found.edges_hz.tolist()
        bands = zip(edges[:-1], edges[1:], found.falls, strict=True)
        moments = zip(found.starts_seconds.tolist(), found.probability.tolist(), strict=True)
        shown = {
            "file": chosen.file,
            "genre": found.genre,
            "probability": found.whole,
            "bands": [{"low_hz": low, "high_hz": high, "fall": float(fall)} for low, high, fall in bands],
            "moments": [{"start_s": start, "probability": p} for start, p in moments],
            "model": name,
        }
        say_json(shown)
        return 0
    say(f"{chosen.file}: {found.genre} {found.whole:.2f}; its probability falls without")
    for band, fall in sorted(found.bands, key=lambda item: -item[1]):
        say(f"  {band:>16}  {fall:+.3f}")
    return 0


def _predictions(name: str, copy: Path) -> str:
    """A file of predictions, or that of a git revision, such as an experiment's name, written to `copy`."""
    from genre_core import revisions

    if Path(name).exists() or name.endswith(".csv"):
        return name
    shown = revisions.show(name, "metrics/test/predictions.csv")
    if shown is None:
        raise GenreError(f"{name}: no file, and no git revision or experiment with metrics/test/predictions.csv")
    copy.write_bytes(shown)
    return str(copy)


def compare(chosen: argparse.Namespace) -> int:
    import tempfile
    from dataclasses import asdict

    from genre_core import comparison
    from genre_core.evaluation import interval

    with tempfile.TemporaryDirectory() as folder:
        found = comparison.compare(_predictions(chosen.a, Path(folder, "a.csv")), _predictions(chosen.b, Path(folder, "b.csv")))
    if chosen.json:
        say_json({**asdict(found), "verdict": found.verdict})
        return 0
    say(f"A {found.accuracy_a:.3f}, B {found.accuracy_b:.3f} on {found.tracks} tracks of {found.artists} artists")
    say(f"B - A {interval(found.difference, found.low, found.high, sign='+')}: {found.verdict}")
    say(f"right alone: A {found.only_a}, B {found.only_b}; McNemar p = {found.p:.3g}")
    for row in found.disagreements:
        say(f"  {row['track']}: {row['true']}, A says {row['a']}, B says {row['b']}")
    return 0


def predict(chosen: argparse.Namespace) -> int:
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
        say(_introduction(name, predictor))

    def one(file: str) -> Prediction | str:
        one_thread()
        try:
            return predictor.predict_file(file)
        except GenreError as error:
            return str(error)

    done = []
    warnings.simplefilter("always", SilenceWarning)
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
                say(f"{file}: {answer if result.sure else f'not sure ({answer})'}")
    if chosen.json:
        say_json([_as_json(file, result, name) for file, result in done])
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
        say(f"error: {error}", sys.stderr)
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
    data = f"{info.get('data_set', 'unknown data')!s}, {info.get('train_tracks', '?')} tracks"
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


def listen(chosen: argparse.Namespace) -> int:
    """Say the genre of the last seconds, over and over."""
    import numpy as np

    from genre_core.streaming import Heard, Listener

    name, predictor = _predictor(chosen.model)
    listener = Listener(predictor.model, chosen.rate, context_seconds=chosen.context)
    size = round(chosen.every * chosen.rate)
    shown: list[Heard] = []
    if not chosen.json:
        say(_introduction(name, predictor), sys.stderr)

    def answer() -> None:
        heard = listener.now()
        if heard is None:
            return
        shown.append(heard)
        if chosen.json:
            values = {
                "seconds": round(heard.seconds, 3),
                "genre": next(iter(heard.probabilities)),
                "sure": heard.sure,
                "probabilities": heard.probabilities,
                "latency_ms": round(heard.latency_ms, 1),
                "real_time_factor": round(heard.real_time_factor, 4),
            }
            say_json(values, indent=None)
        else:
            bars = "  ".join(f"{genre:>10} {_bar(p)} {p:.2f}" for genre, p in list(heard.probabilities.items())[:3])
            line = f"{heard.seconds:7.1f} s  {bars}  {'' if heard.sure else 'not sure'}"
            if sys.stdout.isatty():
                sys.stdout.write(f"\r\033[K{one_line(line)}")
                sys.stdout.flush()
            else:
                say(line)

    try:
        for samples in _stdin(size) if chosen.stdin else _microphone(chosen.rate, size):
            listener.push(np.asarray(samples, np.float32))
            answer()
    except KeyboardInterrupt:
        pass
    if sys.stdout.isatty() and not chosen.json:
        say("")
    if not shown:
        needed = listener.model.segment_seconds
        raise GenreError(f"{listener.seconds:.1f} s of audio came; at least {needed:g} s are needed for an answer")
    latency = float(np.median([heard.latency_ms for heard in shown]))
    say(f"latency {latency:.0f} ms (median), real-time factor {shown[-1].real_time_factor:.3f}", sys.stderr)
    return 0


def _bar(share: float, width: int = 10) -> str:
    return "#" * round(share * width) + "." * (width - round(share * width))


def _stdin(size: int) -> Iterator[np.ndarray]:
    """Blocks of `size` samples of 16-bit PCM; the last may be shorter."""
    import numpy as np

    while data := sys.stdin.buffer.read(2 * size):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / 32768


def _microphone(rate: int, size: int) -> Iterator[np.ndarray]:
    """Blocks of `size` samples of the default microphone, for ever."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: no PortAudio library
        raise GenreError(f"no microphone: {error}; pip install '.[listen]' (and libportaudio2), or pipe: --stdin") from None
    try:
        with sounddevice.InputStream(rate, size, channels=1, dtype="float32") as stream:
            while True:
                yield stream.read(size)[0][:, 0]
    except sounddevice.PortAudioError as error:
        raise GenreError(f"no microphone: {error}; name another as the system's default, or pipe: --stdin") from None


def export(chosen: argparse.Namespace) -> int:
    """Write a model as ONNX, and check it."""
    from genre_core import export as exporting
    from genre_core.files import atomic
    from genre_core.inference import load

    model = exporting.exportable(load(chosen.model or (TRAINED if TRAINED.exists() else "pretrained")))
    if chosen.out.suffix != ".onnx":
        raise GenreError(f"{chosen.out}: write to a .onnx file")
    with atomic(chosen.out) as part:
        exporting.export(model, part, features=not chosen.without_features, int8=chosen.int8)
        checked = exporting.check(model, part, Path.cwd(), features=not chosen.without_features)
        if not chosen.int8 and checked["largest_difference"] > exporting.TOLERANCE:
            raise GenreError(f"{chosen.out}: would differ from torch by {checked['largest_difference']:.1e} of a probability; not written")
    said = {"file": str(chosen.out), "bytes": chosen.out.stat().st_size, **checked}
    if chosen.json:
        say_json(said)
        return 0
    say(f"{chosen.out}: {said['bytes'] / 1e6:.2f} MB; 30 s take {said['latency_ms']:.0f} ms on one core")
    say(
        f"against torch, on {said['on']}: largest difference of a probability {said['largest_difference']:.1e}, "
        f"{said['changed_answers']} of {said['tracks']} answers change"
        + (f", accuracy {said['accuracy']:.3f} (torch {said['accuracy_torch']:.3f})" if said["accuracy"] is not None else "")
    )
    return 0


def features(chosen: argparse.Namespace) -> int:
    """Write features of files as arrays or as a table."""
    from functools import partial

    from tqdm import tqdm

    from genre_core import descriptors, tables
    from genre_core.parallel import map_tracks

    if chosen.seconds and chosen.format == "npz":
        raise GenreError("--seconds cuts the rows of --format csv; npz holds whole files")
    out = chosen.out or Path(f"features.{chosen.format}")
    if out.suffix != f".{chosen.format}":
        raise GenreError(f"--out {out}: write to a .{chosen.format} file")
    files, errors = _expand(chosen.files)
    if chosen.format == "csv" and len(files) > 1:
        descriptors.compile_once()  # see https://github.com/numba/numba/issues/10128
    work = partial(tables.of_file, form=chosen.format, seconds=chosen.seconds)
    results = map_tracks(work, files, preload=("genre_core.tables",))
    made = []
    for result in tqdm(results, total=len(files), desc="features", unit="file", disable=True if len(files) < 2 else None):
        if isinstance(result, str):
            errors.append(result)
        else:
            made.append(result)
    if not made:
        raise GenreError("; ".join(errors) or "no file was given")
    count = tables.write(out, made, chosen.format)
    if chosen.json:
        say_json({"out": str(out), "files": len(made), "rows": count, "failed": errors})
    else:
        what = f"{count} rows of {len(descriptors.COLUMNS)} columns" if chosen.format == "csv" else "log-mel and MFCC"
        say(f"{out}: {what} of {len(made)} files")
    for error in errors:
        say(f"error: {error}", sys.stderr)
    return WRONG_INPUT if errors else 0


def serve(chosen: argparse.Namespace) -> int:
    """Serve the page and the HTTP API until Ctrl-C or SIGTERM."""
    try:
        from genre_core.serving import api, guard
    except ImportError as error:
        raise GenreError(f"package {error.name} is missing: pip install '.[app]'") from None
    name, predictor = _predictor(chosen.model)
    hosts = {*guard.LOOPBACK, *chosen.allow_host, chosen.host} - {"0.0.0.0", "::"}  # noqa: S104 (no page is asked for under these)
    application = api.application(predictor, name, _introduction(name, predictor), hosts=hosts)
    with api.listen(chosen.host, chosen.port) as listener:
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        if not guard.is_loopback(chosen.host):
            say(
                f"warning: other machines can reach {host}: anybody there can use this server, without a password; "
                f"it answers to {', '.join(sorted(hosts))} (--allow-host adds a name)",
                sys.stderr,
            )
        say(f"http://{host}:{chosen.port}  (Ctrl-C ends it)")
        api.serve(application, listener)
    return 0


def completion(chosen: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    import shtab

    from genre_core.cli import parser

    sys.stdout.write(shtab.complete(parser(), shell=chosen.shell) + "\n")
    return 0
