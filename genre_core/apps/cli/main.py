"""The ``genre`` command: its arguments, and its errors in one line."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from genre_core import __version__
from genre_core.apps.cli.common import TRAINED, WRONG_INPUT
from genre_core.errors import GenreError, one_line
from genre_core.terminal import say
from genre_core.util.memory import is_out_of_memory

_IF_REAL = f"default: {TRAINED} where it was trained on real music, else pretrained"
_FILES_HELP = "audio file of any format, or a folder of them"


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors escape control characters in file names."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(prog="genre", description="Music-genre classification with a trained model.")
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, summary: str, description: str, example: str, *, model: str = "", shown: str = "") -> argparse.ArgumentParser:
        """Add a command, with ``--model`` and ``--json`` where their help is given."""
        made = commands.add_parser(name, help=summary, description=description, epilog=f"example: {example}")
        if model:
            made.add_argument("--model", metavar="PATH|pretrained", help=f"a model file, or the packaged one for real music ({model})")
        if shown:
            made.add_argument("--json", action="store_true", help=f"print {shown}")
        return made

    predict = command(
        "predict",
        "the genre of audio files",
        "Say the genre of audio files, with calibrated probabilities. Exit code 2 if a file could not be used.",
        "genre predict song.mp3 album/ --top 3 --timeline song.png",
        model=_IF_REAL,
        shown="a list of {file, genre, sure, probabilities, seconds, model}",
    )
    predict.add_argument("files", nargs="+", metavar="FILE", help=_FILES_HELP)
    predict.add_argument(
        "--top", type=_positive, default=3, metavar="K", help="genres to show for each file, without --json (default: %(default)s)"
    )
    predict.add_argument("--timeline", type=Path, metavar="OUT.PNG", help="draw the genres over time (one file only)")

    compare = command(
        "compare",
        "two models on the same tracks",
        "Compare two files of predictions: the difference of accuracy with its interval, McNemar's test, where they differ.",
        "genre compare main metrics/test/predictions.csv",
        shown="the comparison as JSON",
    )
    compare.add_argument("a", metavar="A", help="predictions (CSV: track, true, predicted, maybe artist), a git revision or an experiment")
    compare.add_argument("b", metavar="B", help="of the second")

    audit = command(
        "audit",
        "faults of a data set",
        "Look for copies of one recording, artists on two sides of a split, and damaged audio. "
        "Exit code 0: nothing found, 1: something, 2: no such data set.",
        "genre audit my_music --out audit/ --json",
        shown="{pairs: [{a, b, score, offset_s}], tracks: [{file, problems}]}",
    )
    audit.add_argument("folder", nargs="?", default="data/raw", metavar="FOLDER", help="<genre>/<file> below it (default: %(default)s)")
    audit.add_argument("--out", type=Path, metavar="DIR", help="write report.md, report.png, tracks.csv and pairs.csv there")

    explain = command(
        "explain",
        "what carried the decision on a file",
        "Take one band after another out of a file, and see by how much the genre's probability falls.",
        "genre explain song.mp3 --out song.png",
        model=_IF_REAL,
        shown="{file, genre, probability, bands, moments}",
    )
    explain.add_argument("file", metavar="FILE", help="audio file of any format")
    explain.add_argument("--genre", metavar="GENRE", help="the genre that is asked about (default: the most probable one)")
    explain.add_argument("--out", type=Path, metavar="OUT.PNG", help="draw bands and moments over the spectrogram")

    listen = command(
        "listen",
        "live genres of a microphone or a pipe",
        "Show the three most probable genres of the last seconds, over and over. Ctrl-C, or the end of the pipe, ends it.",
        "ffmpeg -i song.mp3 -f s16le -ac 1 -ar 22050 - | genre listen --stdin --rate 22050",
        model=_IF_REAL,
        shown="a line of JSON an answer: {seconds, genre, sure, probabilities, ...}",
    )
    listen.add_argument("--stdin", action="store_true", help="raw PCM on standard input, no microphone: mono, 16 bits, little endian")
    listen.add_argument("--rate", type=_positive, default=22050, metavar="HZ", help="sample rate (default: %(default)s)")
    listen.add_argument("--every", type=_seconds, default=1.0, metavar="S", help="seconds between answers (default: %(default)s)")
    listen.add_argument("--context", type=_seconds, default=15.0, metavar="S", help="seconds that an answer is of (default: %(default)s)")

    export = command(
        "export",
        "a model as ONNX",
        "Write a model as ONNX: samples in, probabilities out; check it against torch on the test split, if there is one.",
        "genre export genre.onnx --int8; examples/onnx_predict.py runs the file without this package",
        model=f"default: {TRAINED} where it is, else pretrained",
        shown="{file, bytes, largest_difference, changed_answers, tracks, latency_ms}",
    )
    export.add_argument("out", type=Path, metavar="OUT.onnx")
    export.add_argument("--without-features", action="store_true", help="windows of normalised features in, logits out")
    export.add_argument("--int8", action="store_true", help="weights in 8 bits")

    features = command(
        "features",
        "features of audio files, as arrays or a table",
        "npz: log-mel and MFCC of each file. csv: the 57 descriptors of Kaggle's features_30_sec.csv, with its columns.",
        "genre features my_music --format csv --seconds 3 --out features_3_sec.csv",
        shown="{out, files, rows, failed}",
    )
    features.add_argument("files", nargs="+", metavar="FILE", help=f"{_FILES_HELP}; the label is its folder")
    features.add_argument("--format", choices=("npz", "csv"), default="npz", help="default: %(default)s")
    features.add_argument("--seconds", type=_seconds, metavar="S", help="csv: a row for each stretch of this length (default: one a file)")
    features.add_argument("--out", type=Path, metavar="FILE", help="default: features.npz or features.csv")

    serve = command(
        "serve",
        "a page and an HTTP API",
        "Serve a page to drop files on or to record, and an HTTP API, on this machine alone. Needs: pip install '.[app]'.",
        "genre serve --port 7860; curl --data-binary @song.mp3 http://127.0.0.1:7860/api/predict",
        model=_IF_REAL,
    )
    serve.add_argument("--host", type=_host, default="127.0.0.1", help="default: %(default)s, which other machines cannot reach")
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_host,
        metavar="NAME",
        help="another name or address under which the page may be asked for, beside localhost and --host; may be given again",
    )
    serve.add_argument("--port", type=_port, default=7860, help="default: %(default)s")

    completion = command(
        "completion",
        "completion for a shell",
        "Print a script that completes commands and options.",
        "genre completion bash > ~/.local/share/bash-completion/completions/genre",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 when audit found something, or 2 when something could not be used."""
    chosen = parser().parse_args(arguments)
    warnings.showwarning = _warn
    run = getattr(import_module(f"genre_core.apps.cli.{chosen.command}"), chosen.command)  # imports what this command needs alone
    try:
        return int(run(chosen))
    except KeyboardInterrupt:
        return 130
    except GenreError as error:
        say(f"error: {error}", sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:  # the reader of our output left: `genre predict ... | head`
        sys.stderr.close()
        return 0
    except OSError as error:  # a full disk, a folder that may not be written, a port that is taken
        say(f"error: {error}", sys.stderr)
        return WRONG_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        say("error: this needs more memory than there is; give fewer or shorter files", sys.stderr)
        return WRONG_INPUT


def _warn(message: Warning | str, *rest: object, **more: object) -> None:
    say(f"warning: {message}", sys.stderr)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _host(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no host name or address")
    return text.strip()


def _port(text: str) -> int:
    if _positive(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 600")
    return value


if __name__ == "__main__":
    sys.exit(main())
