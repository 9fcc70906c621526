"""``genre listen``: show live genres of a microphone or a pipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genre_core.apps.cli import ending
from genre_core.apps.cli.common import chosen_predictor, introduction
from genre_core.errors import GenreError, one_line
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    import numpy as np


def listen(chosen: argparse.Namespace) -> int:
    """Show the genre of the last seconds until the audio ends or Ctrl-C."""
    import numpy as np

    from genre_core.inference.streaming import Listener, LiveAnswer

    name, predictor = chosen_predictor(chosen.model)
    listener = Listener(predictor.model, chosen.rate, context_seconds=chosen.context)
    size = round(chosen.every * chosen.rate)
    answers: list[LiveAnswer] = []
    if not chosen.json:
        say(introduction(name, predictor), sys.stderr)

    def show_answer() -> None:
        answer = listener.now()
        if answer is None:
            return
        answers.append(answer)
        if chosen.json:
            values = {
                "seconds": round(answer.seconds, 3),
                "genre": next(iter(answer.probabilities)),
                "sure": answer.sure,
                "probabilities": answer.probabilities,
                "latency_ms": round(answer.latency_ms, 1),
                "real_time_factor": round(answer.real_time_factor, 4),
            }
            say_json(values, indent=None)
        else:
            bars = "  ".join(f"{genre:>10} {_bar(p)} {p:.2f}" for genre, p in list(answer.probabilities.items())[:3])
            line = f"{answer.seconds:7.1f} s  {bars}  {'' if answer.sure else 'not sure'}"
            if sys.stdout.isatty():
                sys.stdout.write(f"\r\033[K{one_line(line)}")
                sys.stdout.flush()
            else:
                say(line)

    interrupted = False
    ending.leave_last_line_to_command()
    try:
        for samples in _stdin(size) if chosen.stdin else _microphone(chosen.rate, size):
            listener.push(np.asarray(samples, np.float32))
            show_answer()
    except KeyboardInterrupt:
        interrupted = True
    if sys.stdout.isatty() and not chosen.json:
        say("")
    if interrupted and not answers:
        say("interrupted", sys.stderr)
        return ending.INTERRUPTED
    if not answers:
        needed = listener.model.segment_seconds
        raise GenreError(f"{listener.seconds:.1f} s of audio received; an answer needs at least {needed:g} s")
    latency = float(np.median([answer.latency_ms for answer in answers]))
    say(f"latency {latency:.0f} ms (median), real-time factor {answers[-1].real_time_factor:.3f}", sys.stderr)
    return ending.INTERRUPTED if interrupted else 0


def _bar(share: float, width: int = 10) -> str:
    """Draw a text bar; `share` is in [0, 1]."""
    return "#" * round(share * width) + "." * (width - round(share * width))


def _stdin(size: int) -> Iterator[np.ndarray]:
    """Yield blocks of `size` samples of 16-bit PCM; the last may be shorter."""
    import numpy as np

    while data := sys.stdin.buffer.read(2 * size):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / 32768


def _microphone(rate: int, size: int) -> Iterator[np.ndarray]:
    """Yield blocks of `size` samples of the default microphone, without end."""
    try:
        import sounddevice
    except OSError as error:
        raise GenreError(f"no microphone: {error}; install the system's PortAudio (libportaudio2), or pipe: --stdin") from None
    try:
        with sounddevice.InputStream(rate, size, channels=1, dtype="float32") as stream:
            while True:
                yield stream.read(size)[0][:, 0]
    except sounddevice.PortAudioError as error:
        raise GenreError(f"no microphone: {error}; choose another default microphone in the system settings, or pipe: --stdin") from None
