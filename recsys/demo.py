"""A small music library made on the spot, to try recsys on: ``python -m recsys.demo FOLDER``.

Every style is a recipe of tempo, chords, rhythm and instruments, and a seed varies key, tempo and
notes from track to track. The styles differ in the way genres do, in rhythm, timbre and harmony,
but they are no genres: their labels matter less than that tracks of one style find each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

SAMPLE_RATE = 44_100
DURATION_S = 20.0
TRACKS_PER_STYLE = 4
SUFFIXES = (".flac", ".ogg", ".mp3")
STEPS_PER_BAR = 16
DRUM_LEVEL = 1.5

Sound: TypeAlias = npt.NDArray[np.float64]
"""Mono samples, shape (n,)."""

Instrument = Callable[[float, float], Sound]
"""Frequency in Hz and length in seconds to a mono note."""


def _times(length_s: float) -> Sound:
    return np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE


def _harmonics(
    frequency: float, length_s: float, count: int, decay: float, detune: float = 0.0
) -> Sound:
    """Add up `count` harmonics with amplitudes 1/h, the higher ones dying away sooner."""
    t = _times(length_s)
    note = np.zeros_like(t)
    for h in range(1, count + 1):
        if h * frequency > SAMPLE_RATE / 2.5:
            break  # above half the rate it would come back as another tone
        for offset in (-detune, detune) if detune else (0.0,):
            wave = np.sin(2 * np.pi * h * (frequency + offset) * t + h)
            note += wave * np.exp(-decay * h * t) / h
    return note


def piano(frequency: float, length_s: float) -> Sound:
    """Strike a string."""
    return 0.5 * _harmonics(frequency, length_s, 8, 1.2)


def guitar(frequency: float, length_s: float) -> Sound:
    """Pluck a string, bright at first."""
    return 0.5 * _harmonics(frequency, length_s, 14, 0.9, detune=0.4)


def strings(frequency: float, length_s: float) -> Sound:
    """Bow a section of strings: slow attack, vibrato by detuning."""
    t = _times(length_s)
    swell = np.minimum(1, t / 0.25) * np.minimum(1, (length_s - t) / 0.2)
    sound: Sound = 0.35 * _harmonics(frequency, length_s, 10, 0.0, detune=0.9) * swell
    return sound


def distortion(frequency: float, length_s: float) -> Sound:
    """Play a low power chord on two guitars through overdriven amplifiers."""
    chord: Sound = np.zeros(round(length_s * SAMPLE_RATE))
    for ratio in (0.25, 0.375, 0.5):
        chord = chord + _harmonics(ratio * frequency, length_s, 30, 0.05, detune=0.35)
    sound: Sound = 0.6 * np.tanh(8 * chord)
    return sound


def organ(frequency: float, length_s: float) -> Sound:
    """Hold an organ's keys; they are let go at once."""
    t = _times(length_s)
    tone = np.sum([np.sin(2 * np.pi * h * frequency * t) / h for h in (1, 2, 3, 4, 6)], axis=0)
    sound: Sound = 0.3 * tone * np.minimum(1, (length_s - t) / 0.02)
    return sound


def bass(frequency: float, length_s: float) -> Sound:
    """Play a bass guitar, two octaves down."""
    return 0.9 * _harmonics(frequency / 4, length_s, 5, 1.5)


def cello(frequency: float, length_s: float) -> Sound:
    """Bow low strings, an octave down."""
    return 1.2 * strings(frequency / 2, length_s)


def kick(_: np.random.Generator) -> Sound:
    """Kick a bass drum: a tone that falls."""
    t = _times(0.25)
    sound: Sound = 1.2 * np.sin(2 * np.pi * (50 * t + 12 * (1 - np.exp(-25 * t)))) * np.exp(-12 * t)
    return sound


def snare(rng: np.random.Generator) -> Sound:
    """Hit a snare drum: noise over a short tone."""
    t = _times(0.18)
    noise = rng.standard_normal(len(t)) * np.exp(-22 * t)
    return 0.5 * noise + 0.4 * np.sin(2 * np.pi * 190 * t) * np.exp(-25 * t)


def hat(rng: np.random.Generator) -> Sound:
    """Hit a closed hi-hat: noise without its low end."""
    t = _times(0.06)
    return 0.35 * np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-60 * t)


def ride(rng: np.random.Generator) -> Sound:
    """Hit a ride cymbal: it rings longer than a hi-hat."""
    t = _times(0.4)
    return 0.18 * np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-9 * t)


def crash(rng: np.random.Generator) -> Sound:
    """Hit a crash cymbal: loud noise that stays."""
    t = _times(0.9)
    return 0.5 * rng.standard_normal(len(t)) * np.exp(-4 * t)


DRUMS = {"c": crash, "k": kick, "s": snare, "h": hat, "r": ride}


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How a kind of music is made."""

    tempo: tuple[float, float]  # slowest and fastest, beats per minute
    chords: tuple[tuple[int, ...], ...]  # semitones above the key, one chord a bar
    drums: dict[str, str]  # drum to pattern of sixteen steps a bar; x strikes
    comping: str  # steps on which the chord is played
    chord_with: Instrument
    lead_with: Instrument
    bass_with: Instrument = bass
    lead: float = 0.2  # chance of a lead note on a step
    walking: bool = False  # bass on every beat, instead of with the chord
    swing: float = 0.0  # delay of every second eighth, in steps


_MINOR = ((0, 3, 7), (-4, 0, 3), (3, 7, 10), (-2, 2, 5))
_MAJOR = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))
_SEVENTHS = ((2, 5, 9, 12), (7, 11, 14, 17), (0, 4, 7, 11), (0, 4, 7, 11))
_BLUES = ((0, 4, 10), (5, 9, 15), (0, 4, 10), (7, 11, 17))

STYLES = {
    "chamber": Arrangement(
        (56, 76), _MAJOR, {}, "x.......x.......", piano, strings, bass_with=cello, lead=0.25
    ),
    "nocturne": Arrangement((60, 90), _MINOR, {}, "x...x...x...x...", piano, piano, lead=0.35),
    "walking bass": Arrangement(
        (120, 170),
        _SEVENTHS,
        {"r": "x...x.x.x...x.x.", "h": "....x.......x..."},
        "..x.......x.....",
        piano,
        piano,
        lead=0.35,
        walking=True,
        swing=0.6,
    ),
    "shuffle": Arrangement(
        (66, 92),
        _BLUES,
        {"k": "x.......x.......", "s": "....x.......x...", "h": "x.x.x.x.x.x.x.x."},
        "x.....x...x.....",
        guitar,
        guitar,
        lead=0.3,
        walking=True,
        swing=0.6,
    ),
    "overdrive": Arrangement(
        (150, 190),
        ((0,), (0,), (-4,), (-2,)),
        {"k": "x.xxx.xxx.xxx.xx", "s": "....x.......x...", "c": "x...x...x...x..."},
        "x.xxx.xxx.xxx.xx",
        distortion,
        distortion,
        lead=0.05,
    ),
    "four on the floor": Arrangement(
        (116, 126),
        _MINOR,
        {"k": "x...x...x...x...", "s": "....x.......x...", "h": "..x...x...x...x."},
        "x..x..x.x..x..x.",
        organ,
        strings,
        lead=0.08,
        walking=True,
    ),
    "breakbeat": Arrangement(
        (82, 96),
        _MINOR,
        {"k": "x..x......x..x..", "s": "....x.......x...", "h": "x.xxx.x.x.xxx.x."},
        "x...............",
        piano,
        bass,
        lead=0.1,
    ),
    "offbeat": Arrangement(
        (70, 84),
        _MAJOR,
        {"k": "........x.......", "s": "........x.......", "h": "x.x.x.x.x.x.x.x."},
        "....x.......x...",
        organ,
        guitar,
        lead=0.08,
    ),
}


def render(style: Arrangement, rng: np.random.Generator, duration_s: float = DURATION_S) -> Sound:
    """Play a style: mono at :data:`SAMPLE_RATE`, peak 0.9. Key, tempo and lead notes are drawn."""
    step_s = 60 / rng.uniform(*style.tempo) / 4
    key = 220 * 2 ** (rng.integers(-5, 6) / 12)
    mix = np.zeros(round((duration_s + 5) * SAMPLE_RATE))  # room for the last notes to fade
    kit = {name: DRUMS[name](rng) for name in style.drums}
    for number in range(int(duration_s / step_s)):
        bar, step = divmod(number, STEPS_PER_BAR)
        chord = style.chords[bar % len(style.chords)]
        start = round((number + (style.swing if step % 4 == 2 else 0.0)) * step_s * SAMPLE_RATE)
        for note in _notes(style, chord, step, key, step_s, rng):
            mix[start : start + len(note)] += note
        for name, pattern in style.drums.items():
            if pattern[step] == "x":
                hit = DRUM_LEVEL * kit[name] * rng.uniform(0.8, 1.0)
                mix[start : start + len(hit)] += hit
    mix = mix[: round(duration_s * SAMPLE_RATE)]
    sound: Sound = 0.9 * mix / np.abs(mix).max()
    return sound


@lru_cache(maxsize=256)  # few notes, played often
def _play(instrument: Instrument, frequency: float, length_s: float) -> Sound:
    return instrument(frequency, length_s)


def _notes(
    style: Arrangement,
    chord: tuple[int, ...],
    step: int,
    key: float,
    step_s: float,
    rng: np.random.Generator,
) -> list[Sound]:
    """Return the notes that begin on one step."""
    notes = []
    if style.comping[step] == "x":
        rest = style.comping[step + 1 :].find("x")
        length_s = step_s * (STEPS_PER_BAR - step if rest < 0 else rest + 1)
        notes += [
            0.6 * _play(style.chord_with, key * 2 ** (tone / 12), min(length_s, 3.0))
            for tone in chord
        ]
    bass_plays = step % 4 == 0 if style.walking else style.comping[step] == "x"
    if bass_plays:
        tone = int(rng.choice(chord)) if style.walking else chord[0]
        notes.append(_play(style.bass_with, key * 2 ** (tone / 12), 4 * step_s))
    if rng.random() < style.lead:
        tone = int(rng.choice(chord)) + 12
        notes.append(0.7 * _play(style.lead_with, key * 2 ** (tone / 12), 3 * step_s))
    return notes


def make_library(
    folder: str | Path,
    seed: int = 0,
    *,
    styles: Iterable[str] = tuple(STYLES),
    per_style: int = TRACKS_PER_STYLE,
    duration_s: float = DURATION_S,
) -> list[Path]:
    """Write a tagged library in FLAC, Ogg Vorbis and MP3; return its files, style by style.

    Files of the same names are overwritten. `styles` are keys of :data:`STYLES`; the same seed
    gives the same music.
    """
    rng = np.random.default_rng(seed)
    paths: list[Path] = []
    for style in styles:
        for number in range(1, per_style + 1):
            artist = f"The {style.title()} {'Band' if number % 2 else 'Collective'}"
            suffix = SUFFIXES[len(paths) % len(SUFFIXES)]
            path = Path(folder) / artist / f"{number:02} {style} no. {number}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, render(STYLES[style], rng, duration_s), SAMPLE_RATE)
            _tag(path, artist, f"{style.capitalize()} no. {number}", number)
            paths.append(path)
    return paths


def _tag(path: Path, artist: str, title: str, number: int) -> None:
    import mutagen

    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    file.update(artist=artist, title=title, album=f"{artist} plays", tracknumber=str(number))
    file.save()


def main(arguments: list[str]) -> int:
    """Make the library in the named folder."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m recsys.demo FOLDER\n")
        return 2
    paths = make_library(Path(arguments[0]))
    sys.stdout.write(
        f"Made {len(paths)} tracks in {len(STYLES)} styles and {len(SUFFIXES)} encodings "
        f"under {arguments[0]}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
