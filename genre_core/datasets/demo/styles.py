"""Ten styles of the demo: tempo, drums, bass, chords and instruments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

STEPS = 16  # sixteenth notes per bar
CHORDS = {  # semitones above the root
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
SCALES = {  # semitones above the key
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
    """Style of a genre: options from which each artist chooses.

    Drum and accompaniment patterns have 16 steps per bar: ``x`` is a hit, ``o`` a soft hit, ``.`` a rest.

    Attributes
    ----------
    bpm : (float, float)
        Lowest and highest tempo, in beats per minute.
    chords : tuple of str
        Progressions, with one "root:quality" per bar; the root is in semitones above the key.
    scale : str
        Scale of the lead, a key of `SCALES`.
    drums : tuple of dict of str to str
        Drum patterns by the name of the drum.
    bass : tuple of str
        Bass lines, keys of `BASS` in ``band.py``.
    comp : tuple of str
        Accompaniment patterns, or "arpeggio".
    bass_sound, comp_sound, lead_sound : tuple of str
        Instruments, keys of `SOUNDS` in ``sounds.py``.
    lead_density : float
        Probability that the lead plays a note rather than a rest.
    swing, swing_16 : float
        Position of the second eighth in a beat, and of the second sixteenth in an eighth, in [0, 1].
    comp_length : float
        Length of a chord, as a share of the time to the next chord.
    drive, room : float
        Amount of distortion, and level of the reverberation.
    levels : dict of str to float
        Level of drums, bass, comp and lead; 1 if missing.
    """

    bpm: tuple[float, float]
    chords: tuple[str, ...]
    scale: str
    drums: tuple[dict[str, str], ...]
    bass: tuple[str, ...]
    bass_sound: tuple[str, ...]
    comp: tuple[str, ...]
    comp_sound: tuple[str, ...]
    lead_sound: tuple[str, ...]
    lead_density: float
    swing: float = 0.5
    swing_16: float = 0.5
    comp_length: float = 0.9
    drive: float = 0.0
    room: float = 0.15
    levels: dict[str, float] = field(default_factory=dict)


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
