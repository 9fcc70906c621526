"""Band of the demo: plays tracks in a style with synthesised instruments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genre_core.datasets.demo.sounds import KIT, SAMPLE_RATE, SOUNDS
from genre_core.datasets.demo.styles import CHORDS, GENRES, SCALES, STEPS, STYLES, Option, Style


class Band:
    """Artist of the demo, with its own choices from a style.

    Parameters
    ----------
    style : Style
        Style of the artist's genre.
    rng : np.random.Generator
        Source of the artist's choices.
    """

    def __init__(self, style: Style, rng: np.random.Generator) -> None:
        self.style = style
        low, high = np.log(style.bpm)
        self.bpm = float(np.exp(rng.uniform(low, high)))
        self.keys = rng.choice(12, size=3, replace=False)
        guest = STYLES[GENRES[rng.integers(len(GENRES))]] if rng.random() < 0.35 else style
        self.drums = _pick(rng, guest.drums if rng.random() < 0.5 else style.drums)
        self.bass = _pick(rng, style.bass)
        self.bass_sound = _pick(rng, style.bass_sound)
        self.comp = _pick(rng, style.comp)
        self.comp_sound = _pick(rng, (guest if rng.random() < 0.5 else style).comp_sound)
        self.lead_sound = _pick(rng, guest.lead_sound)
        self.swing = float(np.clip(style.swing + rng.normal(0, 0.015), 0.5, 0.7))
        self.timbre = float(rng.uniform(-1, 1))  # dark to bright
        self.kit_pitch = float(np.exp(rng.uniform(-0.3, 0.3)))
        self.mix = {part: style.levels.get(part, 1.0) * 10 ** (rng.normal(0, 3.0) / 20) for part in ("drums", "bass", "comp", "lead")}
        self.tilt_db = float(rng.normal(0, 2.5))  # per octave around 1 kHz, clipped at +-15 dB
        self.resonances = [(float(np.exp(rng.uniform(np.log(120), np.log(6000)))), float(rng.normal(0, 5))) for _ in range(4)]
        self.lowpass_hz = float(np.exp(rng.uniform(np.log(4500), np.log(11000))))
        self.room = float(style.room * np.exp(rng.normal(0, 0.5)))
        self.room_seconds = float(rng.uniform(0.3, 1.6))
        self.drive = float(np.clip(style.drive + rng.normal(0, 0.08), 0, 0.7))
        self.noise_db = float(rng.uniform(-75, -42))

    def play(self, rng: np.random.Generator, seconds: float) -> np.ndarray:
        """Synthesise a track.

        Parameters
        ----------
        rng : np.random.Generator
            Source of the track's choices.
        seconds : float > 0
            Length of the track.

        Returns
        -------
        np.ndarray [shape=(round(seconds * 22050),), dtype=float32]
            Mono samples at 22,050 Hz, below full scale (1.0).
        """
        self._notes: dict[tuple[str, float, int], np.ndarray] = {}
        length = round(seconds * SAMPLE_RATE)
        step_seconds = 60 / (self.bpm * np.exp(rng.normal(0, 0.04))) / 4
        key = 40 + int(rng.choice(self.keys))
        bars = [bar.split(":") for bar in _pick(rng, self.style.chords).split()]
        first_bar = int(rng.integers(len(bars)))  # the track starts at a random bar of the progression
        parts = {part: np.zeros(length, np.float32) for part in self.mix}
        kit = {name: make(self.kit_pitch, np.random.default_rng(7)) for name, make in KIT.items()}
        drumless = not self.drums
        for bar in range(int(seconds / (step_seconds * STEPS)) + 1):
            root, quality = int(bars[(first_bar + bar) % len(bars)][0]), CHORDS[bars[(first_bar + bar) % len(bars)][1]]

            def sample_of(step: int, bar: int = bar) -> int:
                beat, rest = divmod(step, 4)
                eighth, sixteenth = divmod(rest, 2)
                position_in_beat = (self.swing if eighth else 0.0) + sixteenth * (self.style.swing_16 / 2 if sixteenth else 0)
                jitter_seconds = rng.normal(0, 0.004)
                return int(((bar * STEPS + (beat + position_in_beat) * 4) * step_seconds + jitter_seconds) * SAMPLE_RATE)

            for name, pattern in self.drums.items():
                for step, mark in enumerate(pattern):
                    if mark != ".":
                        _place(parts["drums"], kit[name], sample_of(step), (0.4 if mark == "o" else 1.0) * rng.uniform(0.75, 1.0))
            for step, degree, steps in BASS[self.bass](quality, rng):
                note = self._note(self.bass_sound, key + root % 12 - (0 if root % 12 < 8 else 12) + degree, steps * step_seconds)
                _place(parts["bass"], note, sample_of(step), rng.uniform(0.8, 1.0))
            self._accompany(parts["comp"], key + 12 + root % 12, quality, step_seconds, sample_of, rng)
            self._lead(parts["lead"], key + 24, root, quality, step_seconds, sample_of, rng)
        return self._master(parts, rng, drumless)

    def _accompany(
        self,
        out: np.ndarray,
        root: int,
        quality: tuple[int, ...],
        step_seconds: float,
        sample_of: Callable[[int], int],
        rng: np.random.Generator,
    ) -> None:
        """Add one bar of accompaniment to `out`."""
        if self.comp == "arpeggio":
            order = [quality[0], quality[2], quality[1], quality[2]]
            for eighth in range(8):
                note = self._note(self.comp_sound, root + order[eighth % 4], 3 * step_seconds)
                _place(out, note, sample_of(2 * eighth), rng.uniform(0.6, 1.0))
            return
        hits = [i for i, mark in enumerate(self.comp) if mark != "."]
        for hit, following in zip(hits, [*hits[1:], STEPS + hits[0]], strict=True):
            if rng.random() < 0.06:
                continue
            start, gain = sample_of(hit), rng.uniform(0.7, 1.0) / np.sqrt(len(quality))
            for number, interval in enumerate(quality):
                strum = int(number * 0.008 * SAMPLE_RATE)
                chord_seconds = (following - hit) * step_seconds * self.style.comp_length
                _place(out, self._note(self.comp_sound, root + interval, chord_seconds), start + strum, gain)

    def _lead(
        self,
        out: np.ndarray,
        key: int,
        root: int,
        quality: tuple[int, ...],
        step_seconds: float,
        sample_of: Callable[[int], int],
        rng: np.random.Generator,
    ) -> None:
        """Add a bar of lead: a random walk with chord tones."""
        scale = np.array(SCALES[self.style.scale])
        position = int(rng.integers(len(scale)))
        eighth = 0
        while eighth < 8:
            length = int(rng.choice([1, 1, 2, 3]))
            if rng.random() < self.style.lead_density:
                position += int(rng.choice([-2, -1, -1, 1, 1, 2]))
                octave, degree = divmod(position, len(scale))
                pitch = key + 12 * int(np.clip(octave, 0, 1)) + int(scale[degree])
                if rng.random() < 0.4:
                    pitch = key + (root + int(rng.choice(quality))) % 12
                note = self._note(self.lead_sound, pitch, 2 * length * step_seconds)
                _place(out, note, sample_of(2 * eighth), rng.uniform(0.6, 1.0))
            eighth += length

    def _note(self, sound: str, pitch: int, seconds: float) -> np.ndarray:
        """Return a note; synthesise each pitch and rounded length once per track."""
        seconds = max(0.05, round(seconds * 50) / 50)
        index = (sound, seconds, pitch)
        if index not in self._notes:
            hz = 440 * 2 ** ((pitch - 69) / 12)
            rng = np.random.default_rng([pitch, round(seconds * 50)])
            self._notes[index] = SOUNDS[sound](hz, seconds, self.timbre, rng).astype(np.float32)
        return self._notes[index]

    def _master(self, parts: dict[str, np.ndarray], rng: np.random.Generator, drumless: bool) -> np.ndarray:
        """Mix the parts; add distortion, equalisation, reverberation and noise."""
        mix = np.zeros_like(parts["drums"])
        for part, signal in parts.items():
            rms = float(np.sqrt(np.mean(signal**2)))
            if rms > 1e-5 and not (part == "drums" and drumless):
                mix += signal * np.float32(self.mix[part] / rms)
        mix *= 0.2 / max(float(np.sqrt(np.mean(mix**2))), 1e-6)
        if self.drive > 0.02:
            mix = np.tanh(mix * (1 + 6 * self.drive)) / (1 + 3 * self.drive)
        n = 1 << (len(mix) + SAMPLE_RATE).bit_length()
        hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
        octaves = np.log2(np.maximum(hz, 30) / 1000)
        gain_db = np.clip(self.tilt_db * octaves, -15, 15)
        for centre_hz, peak_db in self.resonances:
            gain_db += peak_db * np.exp(-0.5 * ((octaves - np.log2(centre_hz / 1000)) / 0.4) ** 2)
        response = 10 ** (gain_db / 20) / np.sqrt(1 + (hz / self.lowpass_hz) ** 8) * (hz / np.hypot(hz, 35))
        t = np.arange(round(self.room_seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tail = np.random.default_rng(11).standard_normal(len(t)) * np.exp(-6.9 * t / self.room_seconds)
        tail *= self.room / np.sqrt(np.sum(tail**2))
        tail[0] += 1.0
        wet = np.fft.irfft(np.fft.rfft(mix, n) * np.fft.rfft(tail, n) * response, n)[: len(mix)]
        wet = wet / max(float(np.sqrt(np.mean(wet**2))), 1e-6) * 10 ** (rng.uniform(-24, -15) / 20)
        wet += rng.standard_normal(len(wet)) * 10 ** (self.noise_db / 20)
        return np.tanh(wet).astype(np.float32)


def _pick(rng: np.random.Generator, options: tuple[Option, ...]) -> Option:
    """Choose one of the options with equal probability."""
    return options[int(rng.integers(len(options)))]


def _place(out: np.ndarray, sound: np.ndarray, start: int, gain: float) -> None:
    """Add `sound` to `out` at sample `start`, cut to fit `out`."""
    begin = max(0, -start)
    end = min(len(sound), len(out) - start)
    if end > begin:
        out[start + begin : start + end] += sound[begin:end] * np.float32(gain)


# Bass line of one bar: (step, semitones above the root, length in steps) of each note.
Line = list[tuple[int, int, int]]


def _walk(chord: tuple[int, ...], rng: np.random.Generator) -> Line:
    """Create a walking bass: root, two chord tones, and a passing note."""
    third = chord[2] if len(chord) > 3 else chord[-1]
    return [(0, 0, 4), (4, chord[1], 4), (8, third, 4), (12, int(rng.choice([-1, 1, 2, 10])), 4)]


BASS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Line]] = {
    "root": lambda chord, rng: [(0, 0, 8), (8, 0, 8)],
    "long": lambda chord, rng: [(0, 0, 16)],
    "walk": _walk,
    "shuffle": lambda chord, rng: [(s, d, 2) for s, d in zip(range(0, 16, 2), (0, 0, 4, 4, 7, 7, 9, 7), strict=True)],
    "two": lambda chord, rng: [(0, 0, 4), (8, -5, 4)],
    "octave": lambda chord, rng: [(s, 12 if s % 4 else 0, 2) for s in range(0, 16, 2)],
    "eighths": lambda chord, rng: [(s, 0, 2) for s in range(0, 16, 2)],
    "gallop": lambda chord, rng: [(s, 0, 1) for s in range(16) if s % 4 != 1],
    "sub": lambda chord, rng: [(0, 0, 6), (int(rng.choice([6, 7, 10])), int(rng.choice([0, 0, 3, 7])), 5)],
    "reggae": lambda chord, rng: [
        (0, 0, 3),
        (3, 0, 2),
        (6, chord[1], 2),
        (8, 7, 3),
        (int(rng.choice([12, 14])), int(rng.choice([0, -5])), 2),
    ],
}
