"""Parser of the ``genre`` command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from genre_core import __version__
from genre_core.errors import one_line
from genre_core.project import MODEL

_DEFAULT_MODEL_HELP = f"default: {MODEL} if it was trained on real music, else pretrained"
_FILES_HELP = "audio file of any format, or a folder with audio files"
_STORE_HELP = "file that keeps the embeddings (default: genre-pipeline/embeddings.sqlite in the user's cache folder)"


class _Parser(argparse.ArgumentParser):
    """Argument parser that escapes control characters in its errors."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(prog="genre", description="Music-genre classification with a trained model.")
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, summary: str, description: str, example: str, *, model: str = "", shown: str = "") -> argparse.ArgumentParser:
        """Add a command, with ``--model`` or ``--json`` if its help is given."""
        subparser = commands.add_parser(name, help=summary, description=description, epilog=f"example: {example}")
        if model:
            subparser.add_argument(
                "--model", metavar="PATH|pretrained", help=f"a model file, or `pretrained` for the packaged model of real music ({model})"
            )
        if shown:
            subparser.add_argument("--json", action="store_true", help=f"print {shown}")
        return subparser

    predict = command(
        "predict",
        "the genre of audio files",
        "Predict the genre of audio files, with calibrated probabilities. Exit code 2 if a file could not be used.",
        "genre predict song.mp3 album/ --top 3 --timeline song.png",
        model=_DEFAULT_MODEL_HELP,
        shown="a list of {file, genre, sure, probabilities, prediction_set, coverage, seconds, damage, model, tags}",
    )
    predict.add_argument("files", nargs="+", metavar="FILE", help=_FILES_HELP)
    predict.add_argument(
        "--top", type=_positive, default=3, metavar="K", help="genres to show for each file, without --json (default: %(default)s)"
    )
    predict.add_argument(
        "--tags",
        type=_count_after_files,
        nargs="?",
        const=5,
        metavar="K",
        help="also show the K highest of 50 last.fm tags, uncalibrated (default K: 5; over all tags, their published PR-AUC is 0.29)",
    )
    predict.add_argument(
        "--jsonl",
        type=Path,
        metavar="OUT",
        help="for whole libraries: add a line of JSON to OUT as each file is done; a file that has a line is not predicted again",
    )
    predict.add_argument("--part", type=_seconds, metavar="S", help="hear only S seconds of longer files: eight pieces, spread evenly")
    predict.add_argument("--fast", action="store_true", help="compute with 8-bit integers: probabilities change by about 0.01")
    predict.add_argument("--timeline", type=Path, metavar="OUT.PNG", help="draw the genres over time (one file only)")

    tag = command(
        "tag",
        "write genres into the tags of audio files",
        "Write the predicted genre into the tags of audio files (MP3, FLAC, Ogg, MP4, WAV, AIFF), where the model is sure "
        "and the field is empty. All other fields and the audio keep their bytes. A journal allows to undo it, byte for byte. "
        "Needs the extra `tags`. Exit code 2 if a file could not be used.",
        "genre tag my_music --dry-run; genre tag my_music --map genres.csv; genre tag --undo",
        model=_DEFAULT_MODEL_HELP,
        shown="a list of {file, outcome, reason, genre, probability, genres, moods}; with --undo of {file, outcome}",
    )
    tag.add_argument("files", nargs="*", metavar="FILE", help=f"{_FILES_HELP}; with --undo (default: all files of the journal)")
    tag.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    tag.add_argument("--map", type=Path, metavar="CSV", help="names of genres in tags: columns genre,tag, for example hiphop,Hip-Hop")
    tag.add_argument("--overwrite", action="store_true", help="replace the values of fields that are not empty, too")
    tag.add_argument(
        "--moods", action="store_true", help="also write the last.fm tags that musicnn hears to the field for moods (not calibrated)"
    )
    tag.add_argument(
        "--mood-threshold", type=_probability, metavar="P", help="as --moods, with the least mean probability of a tag (default: 0.2)"
    )
    tag.add_argument("--undo", action="store_true", help="restore the files of the journal to the bytes before they were tagged")
    tag.add_argument("--journal", type=Path, metavar="PATH", help="journal of changes (default: in the user's folder for states)")

    compare = command(
        "compare",
        "two models on the same tracks",
        "Compare two files of predictions: the difference in accuracy with its interval, McNemar's test, and the tracks that differ.",
        "genre compare main metrics/test/predictions.csv",
        shown="the comparison as JSON",
    )
    compare.add_argument(
        "a", metavar="A", help="first model: predictions (CSV: track, true, predicted, optionally artist), a git revision or an experiment"
    )
    compare.add_argument("b", metavar="B", help="second model: the same choices as for A")

    audit = command(
        "audit",
        "problems in a data set",
        "Find duplicates of a recording, artists on two sides of a split, and damaged audio. "
        "Exit code 0: no problem found, 1: problems found, 2: the data set cannot be read.",
        "genre audit my_music --out audit/ --json",
        shown="{pairs: [{a, b, score, offset_s}], tracks: [{file, problems}]}, with --labels also labels: {suspects, judged, notes}",
    )
    audit.add_argument(
        "folder", nargs="?", default="data/raw", metavar="FOLDER", help="folder that holds <genre>/<file> (default: %(default)s)"
    )
    audit.add_argument("--out", type=Path, metavar="DIR", help="write report.md, report.png, tracks.csv and pairs.csv to this folder")
    audit.add_argument(
        "--labels",
        action="store_true",
        help="also list labels that look wrong; with --out in labels.csv, which the pipeline reads once corrected (segment.labels)",
    )

    explain = command(
        "explain",
        "frequency bands that the predicted genre depends on",
        "Remove one frequency band at a time from a file, and show by how much the probability of the genre falls.",
        "genre explain song.mp3 --out song.png",
        model=_DEFAULT_MODEL_HELP,
        shown="{file, genre, probability, bands, moments}",
    )
    explain.add_argument("file", metavar="FILE", help="audio file of any format")
    explain.add_argument("--genre", metavar="GENRE", help="genre to explain (default: the most probable one)")
    explain.add_argument("--out", type=Path, metavar="OUT.PNG", help="draw the bands and the probability over time on the spectrogram")

    listen = command(
        "listen",
        "live genres of a microphone or a pipe",
        "Show the three most probable genres of the last seconds, repeatedly. Stop with Ctrl-C; it also stops at the end of the pipe.",
        "ffmpeg -i song.mp3 -f s16le -ac 1 -ar 22050 - | genre listen --stdin --rate 22050",
        model=_DEFAULT_MODEL_HELP,
        shown="one line of JSON for each answer: {seconds, genre, sure, probabilities, ...}",
    )
    listen.add_argument(
        "--stdin", action="store_true", help="read raw PCM from standard input instead of the microphone: mono, 16 bits, little endian"
    )
    listen.add_argument("--rate", type=_positive, default=22050, metavar="HZ", help="sample rate (default: %(default)s)")
    listen.add_argument("--every", type=_seconds, default=1.0, metavar="S", help="seconds between answers (default: %(default)s)")
    listen.add_argument(
        "--context", type=_seconds, default=15.0, metavar="S", help="seconds of audio used for an answer (default: %(default)s)"
    )

    similar = command(
        "similar",
        "tracks of a folder that sound like a song",
        "List the tracks of a folder that sound most like a song: first those of other artists. Their embeddings are computed once, and "
        "kept in a store. Exit code 2 if a file could not be used.",
        "genre similar song.mp3 my_music --top 20 --m3u like_song.m3u8",
        shown="{file, artist, tracks, nearest: [{file, artist, similarity, same_artist}], failed}",
    )
    similar.add_argument("song", metavar="SONG", help="audio file of any format, inside or outside of the folder")
    similar.add_argument("folder", metavar="FOLDER", help="folder with audio files; its metadata.csv, or the files' tags, name the artists")
    similar.add_argument("--top", type=_positive, default=10, metavar="K", help="tracks to list (default: %(default)s)")
    similar.add_argument("--any-artist", action="store_true", help="list by similarity alone, also the tracks of the same artist")
    similar.add_argument("--m3u", type=Path, metavar="OUT.M3U8", help="write the tracks as a playlist")
    similar.add_argument("--store", type=Path, metavar="PATH", help=_STORE_HELP)

    export = command(
        "export",
        "a model as ONNX",
        "Write a model as ONNX: input samples, output probabilities. Then compare it with torch, on the test split if there is one.",
        "genre export genre.onnx --int8; examples/onnx_predict.py runs the file without this package",
        model=f"default: {MODEL} if it exists, else pretrained",
        shown="{file, bytes, largest_difference, changed_answers, tracks, latency_ms}",
    )
    export.add_argument("out", type=Path, metavar="OUT.onnx")
    export.add_argument(
        "--without-features", action="store_true", help="input windows of normalised features instead of samples, output logits"
    )
    export.add_argument("--int8", action="store_true", help="store the weights in 8 bits")

    features = command(
        "features",
        "features of audio files, as arrays or a table",
        "npz: log-mel and MFCC of each file. csv: the 57 descriptors of Kaggle's features_30_sec.csv, with its columns.",
        "genre features my_music --format csv --seconds 3 --out features_3_sec.csv",
        shown="{out, files, rows, failed}",
    )
    features.add_argument("files", nargs="+", metavar="FILE", help=f"{_FILES_HELP}; the label of a file is the name of its folder")
    features.add_argument("--format", choices=("npz", "csv"), default="npz", help="default: %(default)s")
    features.add_argument(
        "--seconds", type=_seconds, metavar="S", help="csv: one row for each excerpt of this length (default: one row for each file)"
    )
    features.add_argument("--out", type=Path, metavar="FILE", help="default: features.npz or features.csv")

    serve = command(
        "serve",
        "a web page and an HTTP API",
        "Serve a web page for files and recordings, and an HTTP API, on this machine only. Needs the extra `app`.",
        "genre serve --port 7860; curl --data-binary @song.mp3 http://127.0.0.1:7860/api/predict",
        model=_DEFAULT_MODEL_HELP,
    )
    serve.add_argument("--host", type=_host, default="127.0.0.1", help="default: %(default)s, which other machines cannot reach")
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_host,
        metavar="NAME",
        help="further name or address under which browsers may open the page, besides localhost and --host; can be repeated",
    )
    serve.add_argument("--port", type=_port, default=7860, help="default: %(default)s")

    serve.add_argument(
        "--library",
        type=Path,
        metavar="FOLDER|STORE",
        help="show the five most similar tracks of this folder with music, or of a store of `genre similar`",
    )

    cache = command(
        "cache",
        "the kept results of tracks",
        "Show or clear the folder in which the pipeline keeps features and measurements of single tracks from run to run.",
        "genre cache --clear",
        shown="{folder, results, bytes, cleared}",
    )
    cache.add_argument("--clear", action="store_true", help="remove all results; the next run computes them again")
    cache.add_argument("--folder", default="", metavar="DIR", help="default: cache.folder of params.yaml, or in the user's cache folder")

    completion = command(
        "completion",
        "a completion script for a shell",
        "Print a shell script that completes commands and options.",
        "genre completion bash > ~/.local/share/bash-completion/completions/genre",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _count_after_files(text: str) -> int:
    try:
        return _positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; write --tags after the files, or --tags 5") from None


def _host(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a host name or address")
    return text.strip()


def _port(text: str) -> int:
    if _positive(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability above 0, at most 1")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 600")
    return value
