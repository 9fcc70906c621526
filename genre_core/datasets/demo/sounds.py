"""Synthesised instruments and drums of the demo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SAMPLE_RATE = 22050  # Hz
# Sound: (frequency in Hz, seconds, timbre from -1 dark to 1 bright, generator) -> mono samples at SAMPLE_RATE.
Sound = Callable[[float, float, float, np.random.Generator], np.ndarray]


def _envelope(n: int, attack_s: float, decay_s: float, release_s: float = 0.03) -> np.ndarray:
    """Compute an envelope: linear attack, exponential decay, linear release at the end."""
    t = np.arange(n) / SAMPLE_RATE
    out = np.minimum(1.0, t / max(attack_s, 1e-4)) * np.exp(-t / decay_s)
    return out * np.minimum(1.0, (n - np.arange(n)) / (release_s * SAMPLE_RATE))


def _additive(slope: float, attack_s: float, decay_s: float, *, odd: float = 1.0, vibrato: float = 0.0, damping: float = 0.0) -> Sound:
    """Create an additive sound of up to 16 harmonics.

    Harmonic k has the level ``k ** -slope``; even harmonics are multiplied by `odd`. With `damping`, high harmonics decay faster.
    """

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n = round(seconds * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        phase = 2 * np.pi * hz * t + rng.uniform(0, 6.28)
        if vibrato:
            phase += vibrato * hz / 900 * np.sin(2 * np.pi * 5.5 * t) * np.minimum(1, t / 0.25)
        out = np.zeros(n)
        for k in range(1, int(min(16, 0.45 * SAMPLE_RATE / hz)) + 1):
            level = k ** -(slope - 0.35 * timbre) * (odd if k % 2 == 0 else 1.0)
            out += level * np.sin(k * phase) * (np.exp(-damping * k * t) if damping else 1.0)
        return out * _envelope(n, attack_s, decay_s)

    return sound


def _fm(ratio: float, index: float, decay_s: float, attack_s: float = 0.003) -> Sound:
    """Create a sound of two-operator frequency modulation (Chowning 1973)."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n = round(seconds * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        depth = index * (1 + 0.5 * timbre) * np.exp(-t / (0.6 * decay_s))
        return np.sin(2 * np.pi * hz * t + depth * np.sin(2 * np.pi * hz * ratio * t)) * _envelope(n, attack_s, decay_s)

    return sound


def _pluck(brightness: float, decay: float) -> Sound:
    """Create a plucked string (Karplus and Strong 1983)."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n, period = round(seconds * SAMPLE_RATE), max(2, round(SAMPLE_RATE / hz))
        loop = rng.uniform(-1, 1, period)
        keep = float(np.clip(brightness + 0.2 * timbre, 0.05, 0.95))
        for _ in range(2):
            loop = keep * loop + (1 - keep) * np.roll(loop, 1)
        rounds = n // period + 1
        out = np.empty(rounds * period)
        for i in range(rounds):
            out[i * period : (i + 1) * period] = loop
            loop = decay * (0.5 * loop + 0.5 * np.roll(loop, 1))
        return out[:n] * _envelope(n, 0.001, 4.0)

    return sound


def _saw(cutoff: float, attack_s: float, decay_s: float, detune: float = 0.0) -> Sound:
    """Create a band-limited sawtooth with a low-pass filter at `cutoff` Hz."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n = round(seconds * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        out = np.zeros(n)
        limit_hz = cutoff * 2**timbre
        for shift in (-detune, detune) if detune else (0.0,):
            for k in range(1, int(min(20, 0.45 * SAMPLE_RATE / hz)) + 1):
                out += np.sin(2 * np.pi * k * hz * (1 + shift) * t + k * shift * 300) / (k * (1 + (k * hz / limit_hz) ** 2))
        return out * _envelope(n, attack_s, decay_s)

    return sound


def _distorted(source: Sound, gain: float) -> Sound:
    """Create a sound that distorts `source` by tanh."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        return np.tanh(gain * 2**timbre * source(hz, seconds, timbre, rng)) * 0.7

    return sound


def _voice(buzz: float, rate_hz: float) -> Sound:
    """Create a vowel of three formants; with `rate_hz`, a sequence of syllables."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n = round(seconds * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        glide = 1 + (0.15 * np.sin(2 * np.pi * rate_hz * t + rng.uniform(0, 6.28)) if rate_hz else 0.012 * np.sin(2 * np.pi * 5.5 * t))
        base = hz / 2 if rate_hz else hz
        phase = 2 * np.pi * np.cumsum(base * glide) / SAMPLE_RATE
        formants = np.array([(700, 1150, 2600), (400, 2000, 2600), (450, 850, 2500), (300, 2300, 3000)][int(rng.integers(4))]) * 2 ** (
            0.2 * timbre
        )
        out = np.zeros(n)
        for k in range(1, int(min(24, 0.45 * SAMPLE_RATE / base)) + 1):
            out += np.sin(k * phase) * k**-0.7 * np.sum(np.exp(-0.5 * ((k * base - formants) / (150 + 0.1 * formants)) ** 2) + 0.02)
        out += buzz * rng.standard_normal(n) * 0.1
        return out * _envelope(n, 0.02, 0.15 if rate_hz else 1.5)

    return sound


SOUNDS: dict[str, Sound] = {
    "round": _additive(2.0, 0.005, 0.7),
    "pluck": _pluck(0.35, 0.99),
    "saw": _saw(900, 0.003, 0.8),
    "sub": _additive(3.2, 0.004, 0.9),
    "steel": _pluck(0.85, 0.996),
    "nylon": _pluck(0.45, 0.992),
    "clean": _distorted(_pluck(0.7, 0.994), 0.8),
    "crunch": _distorted(_pluck(0.8, 0.997), 4.0),
    "distorted": _distorted(_saw(2500, 0.002, 2.5, detune=0.003), 9.0),
    "scream": _distorted(_voice(1.0, 3.0), 6.0),
    "organ": _additive(0.9, 0.01, 30.0, odd=1.3),
    "piano": _additive(1.5, 0.002, 1.0, damping=0.7),
    "epiano": _fm(1.0, 1.6, 1.2),
    "strings": _additive(1.1, 0.12, 30.0, vibrato=4.0),
    "pad": _saw(1500, 0.1, 30.0, detune=0.004),
    "synth": _saw(3500, 0.01, 1.5, detune=0.002),
    "flute": _additive(2.2, 0.06, 30.0, vibrato=3.0),
    "fiddle": _additive(0.9, 0.05, 30.0, vibrato=6.0),
    "harmonica": _additive(0.8, 0.04, 30.0, odd=0.5, vibrato=2.0),
    "sax": _additive(0.9, 0.03, 3.0, odd=0.6, vibrato=3.0),
    "brass": _fm(1.0, 3.0, 2.0, attack_s=0.04),
    "voice": _voice(0.3, 0.0),
    "rap": _voice(1.0, 3.5),
}


def _kick(pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Synthesise a kick drum: a sine with a falling frequency."""
    t = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * pitch * (48 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)


def _noise(decay_s: float, low_hz: float, level: float, tone_hz: float = 0.0) -> Callable[[float, np.random.Generator], np.ndarray]:
    """Create a drum of noise above `low_hz`, with an optional tone."""

    def drum(pitch: float, rng: np.random.Generator) -> np.ndarray:
        n = int(min(6 * decay_s, 1.5) * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        spectrum = np.fft.rfft(rng.standard_normal(n))
        hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
        noise = np.fft.irfft(spectrum * (hz > low_hz * pitch), n)
        tone = np.sin(2 * np.pi * tone_hz * pitch * t) * np.exp(-t / (0.5 * decay_s)) if tone_hz else 0.0
        return level * (noise * 0.6 + tone) * np.exp(-t / decay_s)

    return drum


KIT: dict[str, Callable[[float, np.random.Generator], np.ndarray]] = {
    "kick": _kick,
    "snare": _noise(0.07, 700, 0.8, tone_hz=190),
    "clap": _noise(0.06, 1200, 0.8),
    "rim": _noise(0.015, 2000, 0.5, tone_hz=900),
    "hat": _noise(0.02, 6500, 0.4),
    "open_hat": _noise(0.12, 6000, 0.4),
    "pedal": _noise(0.03, 5000, 0.3),
    "ride": _noise(0.25, 5500, 0.25, tone_hz=3100),
    "crash": _noise(0.5, 3000, 0.5),
    "brush": _noise(0.1, 2500, 0.25),
}
