"""Predictions from a part of a track, and with 8-bit integers."""

import itertools

import numpy as np
import pytest

from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor, spread_pieces

RATE = 16000


def song(seconds):
    """Noise that is low at first, then mixed, and high at the end."""
    rng = np.random.default_rng(0)
    y = rng.normal(0, 0.1, RATE * seconds).astype("f4")
    third = len(y) // 3
    y[:third] = np.convolve(y[:third], np.ones(64) / 8, "same")
    y[2 * third :] = np.diff(y[2 * third :], prepend=0)
    mixed = slice(third, 2 * third)
    y[mixed] = 0.5 * (y[:third] + y[2 * third : 3 * third])
    return y


def test_pieces_are_spread_evenly_over_the_track():
    pieces = spread_pieces(240 * RATE, 60 * RATE)
    assert len(pieces) == 8
    assert {piece.stop - piece.start for piece in pieces} == {60 * RATE // 8}
    assert pieces[0].start == 0 and pieces[-1].stop == 240 * RATE
    assert all(a.stop < b.start for a, b in itertools.pairwise(pieces))
    close = spread_pieces(60 * RATE + 1, 60 * RATE)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(close))


def test_a_part_answers_as_its_samples_alone():
    y = song(90)
    predictor, whole = Predictor("pretrained", part_seconds=32), Predictor("pretrained")
    pieces = spread_pieces(len(y), 32 * RATE)
    alone = whole.predict(np.concatenate([y[piece] for piece in pieces]), RATE)
    part = predictor.predict(y, RATE)
    assert part.probabilities == alone.probabilities != whole.predict(y, RATE).probabilities
    assert part.seconds == 90
    for start, time in zip(alone.starts_seconds, part.starts_seconds, strict=True):
        piece = int(start // 4)
        assert time == pytest.approx(start - 4 * piece + pieces[piece].start / RATE)
    assert predictor.settings == {"part_seconds": 32}
    assert Predictor("pretrained", part_seconds=120).predict(y, RATE).probabilities == whole.predict(y, RATE).probabilities


def test_fast_changes_probabilities_little():
    y = song(30)
    exact, fast = Predictor("pretrained").predict(y, RATE), Predictor("pretrained", fast=True).predict(y, RATE)
    assert fast.probabilities != exact.probabilities
    assert fast.probabilities == pytest.approx(exact.probabilities, abs=0.05)


def test_a_part_shorter_than_a_segment_is_refused():
    with pytest.raises(GenreError, match="5 s is shorter than a segment"):
        Predictor("pretrained", part_seconds=5)
