"""The demo data set: ten genres of music synthesised with numpy alone, seeded, so that everything works offline.

Each genre is a `Style`: tempo, swing, chord vocabulary, drum patterns, bass line, accompaniment and lead. Each artist
draws from it a tempo range, keys, instruments, timbre, equalisation and room of its own, and sometimes borrows from
another genre. It is a toy of known make, for trying the pipeline: its scores say nothing about real music.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from genre_core import audio
from genre_core.datasets import Track, write_catalogue
from genre_core.parallel import map_tracks

SAMPLE_RATE = 22050  # Hz
STEPS = 16  # sixteenth notes a bar

CHORDS = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "9": (0, 4, 10, 14),
    "min9": (0, 3, 10, 14),
    "13": (0, 4, 10, 21),
    "power": (0, 7, 12),
    "sus": (0, 5, 7),
}
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 3, 5, 6, 7, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}


Option = TypeVar("Option")


@dataclass(frozen=True)
class Style:
    """What makes a genre. Patterns have 16 steps a bar: ``x`` a hit, ``o`` a soft one."""

    bpm: tuple[float, float]
    chords: tuple[str, ...]  # progressions: "root:quality" a bar, root in semitones above the key
    scale: str
    drums: tuple[dict[str, str], ...]
    bass: tuple[str, ...]
    bass_sound: tuple[str, ...]
    comp: tuple[str, ...]
    comp_sound: tuple[str, ...]
    lead_sound: tuple[str, ...]
    lead_density: float  # probability of a note per eighth
    swing: float = 0.5  # where the second eighth of a beat falls
    swing_16: float = 0.5  # where the second sixteenth of an eighth falls
    comp_length: float = 0.9  # of the time to the next chord
    drive: float = 0.0
    room: float = 0.15
    levels: dict[str, float] = field(default_factory=dict)  # of drums, bass, comp, lead


_NO_DRUMS: tuple[dict[str, str], ...] = ({},)

STYLES: dict[str, Style] = {
    "blues": Style(
        bpm=(66, 116),
        scale="blues",
        swing=0.65,
        chords=("0:7 5:7 0:7 0:7 5:7 5:7 0:7 0:7 7:7 5:7 0:7 7:7", "0:7 0:7 5:7 0:7 7:7 5:7 0:7 7:7"),
        drums=(
            {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x.....x.x.......", "snare": "....x.......x...", "ride": "x.x.x.x.x.x.x.x."},
            {"rim": "....o.......o..."},
        ),
        bass=("shuffle", "walk", "root"),
        bass_sound=("pluck", "round"),
        comp=("x.x.x.x.x.x.x.x.", "x...x...x...x...", "......x.......x."),
        comp_sound=("steel", "organ", "crunch"),
        lead_sound=("crunch", "harmonica", "steel"),
        lead_density=0.45,
        drive=0.15,
    ),
    "classical": Style(
        bpm=(58, 132),
        scale="major",
        chords=("0:maj 5:maj 7:maj 0:maj", "0:maj 9:min 2:min 7:7", "0:min 8:maj 3:maj 7:maj", "0:min 5:min 7:7 0:min"),
        drums=_NO_DRUMS,
        bass=("root", "long"),
        bass_sound=("strings", "piano"),
        comp=("arpeggio", "x.......x.......", "x..............."),
        comp_sound=("piano", "strings", "nylon"),
        lead_sound=("strings", "flute", "piano"),
        lead_density=0.55,
        room=0.4,
        comp_length=1.0,
    ),
    "country": Style(
        bpm=(84, 138),
        scale="pentatonic",
        swing=0.54,
        chords=("0:maj 5:maj 0:maj 7:maj", "0:maj 0:maj 5:maj 7:7", "0:maj 7:maj 5:maj 0:maj"),
        drums=(
            {"snare": "o.oox.oxo.oox.ox", "kick": "x.......x......."},
            {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        bass=("two",),
        bass_sound=("round", "pluck"),
        comp=("..x...x...x...x.", "x.x.x.xxx.x.x.xx", "....x.x.....x.x."),
        comp_sound=("steel", "nylon"),
        lead_sound=("fiddle", "steel", "voice"),
        lead_density=0.4,
    ),
    "disco": Style(
        bpm=(108, 132),
        scale="dorian",
        chords=("0:min7 5:9 0:min7 5:9", "0:min9 8:maj7 10:7 0:min7", "0:min7 3:maj7 8:maj7 10:7"),
        drums=(
            {"kick": "x...x...x...x...", "open_hat": "..x...x...x...x.", "clap": "....x.......x..."},
            {"kick": "x...x...x...x...", "hat": "xxxxxxxxxxxxxxxx", "open_hat": "..x...x...x...x.", "snare": "....x.......x..."},
        ),
        bass=("octave",),
        bass_sound=("round", "saw"),
        comp=("..xx..x...xx..x.", "x..x..x.x..x..x.", "x..............."),
        comp_sound=("clean", "strings", "epiano"),
        lead_sound=("strings", "voice", "brass"),
        lead_density=0.3,
    ),
    "hiphop": Style(
        bpm=(78, 104),
        scale="minor",
        swing_16=0.58,
        chords=("0:min7 0:min7 8:maj7 7:min7", "0:min9 0:min9 0:min9 0:min9", "0:min 3:maj7 0:min 10:7"),
        drums=(
            {"kick": "x..x..x...x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.xx"},
            {"kick": "x.....xx..x.....", "clap": "....x.......x...", "hat": "x.xxx.x.x.xxx.x."},
        ),
        bass=("sub",),
        bass_sound=("sub",),
        comp=("x...............", "x.....x...x....."),
        comp_sound=("epiano", "strings", "piano"),
        lead_sound=("rap", "rap", "voice"),
        lead_density=0.75,
        levels={"bass": 1.4, "comp": 0.6},
    ),
    "jazz": Style(
        bpm=(96, 208),
        scale="dorian",
        swing=0.64,
        chords=("2:min7 7:13 0:maj7 9:7", "0:maj7 9:min7 2:min9 7:13", "0:7 5:9 0:7 7:13"),
        drums=(
            {"ride": "x...x.x.x...x.x.", "pedal": "....x.......x..."},
            {"ride": "x...x.x.x...x.x.", "snare": "......o....o....", "pedal": "....x.......x..."},
            {"brush": "x.o.x.o.x.o.x.o."},
        ),
        bass=("walk",),
        bass_sound=("pluck",),
        comp=("x.....x.........", "......x.......x.", "..x.......x....."),
        comp_sound=("piano", "epiano", "clean"),
        lead_sound=("sax", "brass", "piano"),
        lead_density=0.6,
        comp_length=0.35,
        room=0.25,
    ),
    "metal": Style(
        bpm=(118, 190),
        scale="phrygian",
        chords=("0:power 0:power 1:power 3:power", "0:power 8:power 10:power 0:power", "0:power 3:power 5:power 6:power"),
        drums=(
            {"kick": "xxxxxxxxxxxxxxxx", "snare": "....x.......x...", "ride": "x.x.x.x.x.x.x.x."},
            {"kick": "x.xxx.xxx.xxx.xx", "snare": "....x.......x...", "crash": "x...............", "hat": "x...x...x...x..."},
        ),
        bass=("gallop", "eighths"),
        bass_sound=("saw", "pluck"),
        comp=("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "x...x.x.x...x.x."),
        comp_sound=("distorted",),
        lead_sound=("distorted", "scream"),
        lead_density=0.35,
        drive=0.5,
        comp_length=0.8,
        levels={"comp": 1.5},
    ),
    "pop": Style(
        bpm=(92, 128),
        scale="major",
        chords=("0:maj 7:maj 9:min 5:maj", "9:min 5:maj 0:maj 7:maj", "0:maj 5:maj 9:min 7:sus"),
        drums=(
            {"kick": "x.....x.x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x...x...x...x...", "clap": "....x.......x...", "hat": "..x...x...x...x."},
        ),
        bass=("eighths", "root"),
        bass_sound=("saw", "round"),
        comp=("x.......x.......", "x..x..x.x..x..x.", "arpeggio"),
        comp_sound=("pad", "piano", "nylon"),
        lead_sound=("voice", "voice", "synth"),
        lead_density=0.55,
    ),
    "reggae": Style(
        bpm=(64, 92),
        scale="minor",
        swing=0.55,
        chords=("0:min 5:min 0:min 7:min", "0:maj 5:maj 0:maj 7:maj", "9:min 7:maj 9:min 5:maj"),
        drums=(
            {"kick": "........x.......", "rim": "........x.......", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x...x...x...x...", "rim": "........x.......", "hat": "..x...x...x...x."},
        ),
        bass=("reggae",),
        bass_sound=("sub", "round"),
        comp=("..x...x...x...x.", "....x.......x..."),
        comp_sound=("clean", "organ", "piano"),
        lead_sound=("voice", "organ", "brass"),
        lead_density=0.35,
        comp_length=0.3,
        levels={"bass": 1.3},
    ),
    "rock": Style(
        bpm=(98, 152),
        scale="pentatonic",
        chords=("0:power 10:power 5:power 0:power", "0:maj 5:maj 7:maj 5:maj", "9:power 5:power 0:power 7:power"),
        drums=(
            {"kick": "x.....x.x.x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x.......x.x.....", "snare": "....x.......x...", "crash": "x...............", "ride": "x.x.x.x.x.x.x.x."},
        ),
        bass=("eighths", "root"),
        bass_sound=("saw", "round"),
        comp=("x.x.x.x.x.x.x.x.", "x.....x...x.....", "x...x.xxx...x.xx"),
        comp_sound=("crunch", "crunch", "steel"),
        lead_sound=("crunch", "voice", "voice"),
        lead_density=0.4,
        drive=0.25,
    ),
}
GENRES = tuple(STYLES)


def download(
    out: str | Path, *, seed: int, artists_per_genre: int, tracks_per_artist: int, seconds: float, workers: int = 0
) -> list[Track]:
    """Synthesise the data set as 16-bit mono WAV at 22,050 Hz and write its catalogue.

    The official split gives a fifth of each genre's artists (at least one) to test, as many to valid, the rest to train.

    Parameters
    ----------
    out : str or Path
        Folder to fill with ``<genre>/<genre>.<number>.wav``.
    seed, artists_per_genre, tracks_per_artist : int
    seconds : float > 0
        Length of each track.
    workers : int >= 0
        Processes; 0 is one a core. The bytes do not depend on it.
    """
    out = Path(out)
    held = max(1, artists_per_genre // 5)
    tracks, jobs = [], []
    for genre in GENRES:
        (out / genre).mkdir(parents=True, exist_ok=True)
        for artist in range(artists_per_genre):
            split = "test" if artist < held else "valid" if artist < 2 * held else "train"
            for number in range(tracks_per_artist):
                name = f"{genre}.{artist * tracks_per_artist + number:05d}"
                track = Track(name, f"{genre}/{name}.wav", genre, f"demo {genre} {artist:02d}", split)
                tracks.append(track)
                jobs.append((out / track.path, genre, seed, artist, number, seconds))
    for _ in map_tracks(_write, jobs, workers=workers, preload=("genre_core.datasets.demo",)):
        pass
    write_catalogue(out, tracks)
    return tracks


def _write(job: tuple[Path, str, int, int, int, float]) -> None:
    path, genre, seed, artist, number, seconds = job
    audio.write(path, synthesise(genre, seed=seed, artist=artist, track=number, seconds=seconds), SAMPLE_RATE)


def synthesise(genre: str, *, seed: int, artist: int, track: int, seconds: float) -> np.ndarray:
    """One track.

    Returns
    -------
    np.ndarray [shape=(round(seconds * 22050),), dtype=float32]
        Peaks below full scale.
    """
    index = GENRES.index(genre)
    band = Band(STYLES[genre], np.random.default_rng([seed, index, artist]))
    return band.play(np.random.default_rng([seed, index, artist, track + 1]), seconds)


class Band:
    """An artist: a style, and what this artist makes of it."""

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
        """Improvise `seconds` of music."""
        self._notes: dict[tuple[str, float, int], np.ndarray] = {}
        length = round(seconds * SAMPLE_RATE)
        step_seconds = 60 / (self.bpm * np.exp(rng.normal(0, 0.04))) / 4
        key = 40 + int(rng.choice(self.keys))
        bars = [bar.split(":") for bar in _pick(rng, self.style.chords).split()]
        first_bar = int(rng.integers(len(bars)))  # the excerpt starts anywhere in the form
        parts = {part: np.zeros(length, np.float32) for part in self.mix}
        kit = {name: make(self.kit_pitch, np.random.default_rng(7)) for name, make in KIT.items()}
        drumless = not self.drums
        for bar in range(int(seconds / (step_seconds * STEPS)) + 1):
            root, quality = int(bars[(first_bar + bar) % len(bars)][0]), CHORDS[bars[(first_bar + bar) % len(bars)][1]]

            def when(step: int, bar: int = bar) -> int:
                beat, rest = divmod(step, 4)
                eighth, sixteenth = divmod(rest, 2)
                at = (self.swing if eighth else 0.0) + sixteenth * (self.style.swing_16 / 2 if sixteenth else 0)
                jitter = rng.normal(0, 0.004)
                return int(((bar * STEPS + (beat + at) * 4) * step_seconds + jitter) * SAMPLE_RATE)

            for name, pattern in self.drums.items():
                for step, mark in enumerate(pattern):
                    if mark != ".":
                        _place(parts["drums"], kit[name], when(step), (0.4 if mark == "o" else 1.0) * rng.uniform(0.75, 1.0))
            for step, degree, steps in BASS[self.bass](quality, rng):
                note = self._note(self.bass_sound, key + root % 12 - (0 if root % 12 < 8 else 12) + degree, steps * step_seconds)
                _place(parts["bass"], note, when(step), rng.uniform(0.8, 1.0))
            self._accompany(parts["comp"], key + 12 + root % 12, quality, step_seconds, when, rng)
            self._lead(parts["lead"], key + 24, root, quality, step_seconds, when, rng)
        return self._master(parts, rng, drumless)

    def _accompany(
        self, out: np.ndarray, root: int, quality: tuple[int, ...], step: float, when: Callable[[int], int], rng: np.random.Generator
    ) -> None:
        if self.comp == "arpeggio":
            order = [quality[0], quality[2], quality[1], quality[2]]
            for eighth in range(8):
                _place(out, self._note(self.comp_sound, root + order[eighth % 4], 3 * step), when(2 * eighth), rng.uniform(0.6, 1.0))
            return
        hits = [i for i, mark in enumerate(self.comp) if mark != "."]
        for hit, following in zip(hits, [*hits[1:], STEPS + hits[0]], strict=True):
            if rng.random() < 0.06:
                continue
            at, gain = when(hit), rng.uniform(0.7, 1.0) / np.sqrt(len(quality))
            for number, interval in enumerate(quality):
                strum = int(number * 0.008 * SAMPLE_RATE)
                _place(
                    out, self._note(self.comp_sound, root + interval, (following - hit) * step * self.style.comp_length), at + strum, gain
                )

    def _lead(
        self,
        out: np.ndarray,
        key: int,
        root: int,
        quality: tuple[int, ...],
        step: float,
        when: Callable[[int], int],
        rng: np.random.Generator,
    ) -> None:
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
                _place(out, self._note(self.lead_sound, pitch, 2 * length * step), when(2 * eighth), rng.uniform(0.6, 1.0))
            eighth += length

    def _note(self, sound: str, pitch: int, seconds: float) -> np.ndarray:
        """A note, made once per track for each pitch and rounded length."""
        seconds = max(0.05, round(seconds * 50) / 50)
        index = (sound, seconds, pitch)
        if index not in self._notes:
            hz = 440 * 2 ** ((pitch - 69) / 12)
            rng = np.random.default_rng([pitch, round(seconds * 50)])
            self._notes[index] = SOUNDS[sound](hz, seconds, self.timbre, rng).astype(np.float32)
        return self._notes[index]

    def _master(self, parts: dict[str, np.ndarray], rng: np.random.Generator, drumless: bool) -> np.ndarray:
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
    return options[int(rng.integers(len(options)))]


def _place(out: np.ndarray, sound: np.ndarray, at: int, gain: float) -> None:
    """Add `sound` to `out` from sample `at` on, cut at both ends."""
    begin = max(0, -at)
    end = min(len(sound), len(out) - at)
    if end > begin:
        out[at + begin : at + end] += sound[begin:end] * np.float32(gain)


# Bass lines: (step, semitones above the root, length in steps) for one bar of a chord.
Line = list[tuple[int, int, int]]


def _walk(chord: tuple[int, ...], rng: np.random.Generator) -> Line:
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


# Sounds: (frequency in Hz, seconds, timbre -1 dark to 1 bright, generator) -> samples.
Sound = Callable[[float, float, float, np.random.Generator], np.ndarray]


def _envelope(n: int, attack_s: float, decay_s: float, release_s: float = 0.03) -> np.ndarray:
    t = np.arange(n) / SAMPLE_RATE
    out = np.minimum(1.0, t / max(attack_s, 1e-4)) * np.exp(-t / decay_s)
    return out * np.minimum(1.0, (n - np.arange(n)) / (release_s * SAMPLE_RATE))


def _additive(slope: float, attack_s: float, decay_s: float, *, odd: float = 1.0, vibrato: float = 0.0, damping: float = 0.0) -> Sound:
    """Harmonics falling with `slope`, even ones weighted by `odd`; high ones decay faster with `damping`."""

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
    """Two-operator frequency modulation (Chowning 1973)."""

    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        n = round(seconds * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        depth = index * (1 + 0.5 * timbre) * np.exp(-t / (0.6 * decay_s))
        return np.sin(2 * np.pi * hz * t + depth * np.sin(2 * np.pi * hz * ratio * t)) * _envelope(n, attack_s, decay_s)

    return sound


def _pluck(brightness: float, decay: float) -> Sound:
    """A plucked string (Karplus and Strong 1983), a period at a time."""

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
    """A band-limited sawtooth, low-passed by fading its harmonics from `cutoff` Hz on."""

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
    def sound(hz: float, seconds: float, timbre: float, rng: np.random.Generator) -> np.ndarray:
        return np.tanh(gain * 2**timbre * source(hz, seconds, timbre, rng)) * 0.7

    return sound


def _voice(buzz: float, rate_hz: float) -> Sound:
    """A sung or spoken vowel: harmonics under three formants; with `rate_hz`, syllables without a steady pitch."""

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
    t = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * pitch * (48 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)


def _noise(decay_s: float, low_hz: float, level: float, tone_hz: float = 0.0) -> Callable[[float, np.random.Generator], np.ndarray]:
    """Noise above `low_hz` with an optional tone: snares, claps, hats and cymbals."""

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
