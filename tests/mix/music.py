"""Music of a known tempo and key, played by the instruments of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys import demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.demo import Instrument, Sound

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}

PROGRESSIONS = {
    "major": (
        ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
        ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)),
        ((2, 5, 9), (7, 11, 14, 17), (0, 4, 7), (0, 4, 7)),
        ((0, 4, 7), (-2, 2, 5), (5, 9, 12), (0, 4, 7)),
    ),
    "minor": (
        ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
        ((0, 3, 7), (-4, 0, 3), (5, 8, 12), (7, 11, 14)),
        ((0, 3, 7), (-2, 2, 5), (-4, 0, 3), (7, 11, 14)),
        ((0, 3, 7), (-4, 0, 3), (3, 7, 10), (-2, 2, 5)),
    ),
}
"""Chords, one a bar, in semitones above the tonic.

The last of each mode is hard: a minor seventh in major, and in minor the chords of the relative
major, without a leading note.
"""


@dataclass(frozen=True, slots=True)
class Texture:
    """How a piece is played: sixteen steps a bar, x plays."""

    chords: str
    chord_with: Instrument
    lead_with: Instrument
    bass: str = "x...x...x...x..."
    bass_with: Instrument = demo.bass
    drums: tuple[tuple[str, str], ...] = ()
    lead: float = 0.2
    swing: float = 0.0
    loose: float = 0.0  # standard deviation of the onsets, in seconds


TEXTURES = {
    "ballad": Texture("x...x...x...x...", demo.piano, demo.piano, lead=0.3, loose=0.008),
    "rock": Texture(
        "x.x.x.x.x.x.x.x.",
        demo.guitar,
        demo.guitar,
        drums=(
            ("k", "x.......x.x....."),
            ("s", "....x.......x..."),
            ("h", "x.x.x.x.x.x.x.x."),
        ),
    ),
    "club": Texture(
        "..x...x...x...x.",
        demo.organ,
        demo.strings,
        drums=(
            ("k", "x...x...x...x..."),
            ("s", "....x.......x..."),
            ("h", "..x...x...x...x."),
        ),
    ),
    "swing": Texture(
        "..x.......x.....",
        demo.piano,
        demo.piano,
        drums=(("r", "x...x.x.x...x.x."), ("h", "....x.......x...")),
        swing=0.6,
        lead=0.35,
        loose=0.006,
    ),
    "broken": Texture(
        "x.....x.....x...",
        demo.piano,
        demo.organ,
        bass="x..x......x..x..",
        drums=(
            ("k", "x..x......x..x.."),
            ("s", "....x.......x..."),
            ("h", "x.xxx.x.x.xxx.x."),
        ),
    ),
    "strings": Texture(
        "x.......x.......",
        demo.strings,
        demo.strings,
        bass="x.......x.......",
        bass_with=demo.cello,
        loose=0.02,
    ),
    # Without a key: its confidence must show that.
    "drums": Texture(
        "................",
        demo.piano,
        demo.piano,
        bass="................",
        lead=0.0,
        drums=(("k", "x.....x.x......."), ("s", "....x.......x..."), ("h", "x.x.x.x.x.x.x.x.")),
    ),
    # Without a beat: notes of the scale that begin at any time.
    "free": Texture(
        "x.......x.......",
        demo.strings,
        demo.strings,
        bass="x.......x.......",
        bass_with=demo.cello,
        loose=1.0,
    ),
}
NO_KEY, NO_TEMPO = "drums", "free"


@dataclass(frozen=True, slots=True)
class Piece:
    """What is played, and so what is to be found."""

    tempo: float  # beats per minute
    tonic: int  # semitones above C
    mode: str
    texture: str
    seed: int

    @property
    def key(self) -> str:
        return f"{TONICS[self.tonic]} {self.mode}"


def pieces(count: int, seed: int = 0) -> Iterator[Piece]:
    """Yield pieces in all 24 keys and every texture in turn, tempi even from 60 to 180 bpm."""
    rng = np.random.default_rng(seed)
    tempi = rng.permutation(np.linspace(60, 180, count))
    names = list(TEXTURES)
    for number, tempo in enumerate(tempi):
        tonic, mode = number % 12, MODES[number // 12 % 2]
        texture = names[(number + number // len(names) + number // 24) % len(names)]
        yield Piece(float(tempo), tonic, mode, texture, seed * 100_000 + number)


def play(piece: Piece, duration_s: float = 30.0) -> Sound:
    """Play a piece: mono at the rate of the demo, peak 0.9."""
    rng = np.random.default_rng(piece.seed)
    texture, rate = TEXTURES[piece.texture], demo.SAMPLE_RATE
    options = PROGRESSIONS[piece.mode]
    progression = options[rng.integers(len(options))]
    tonic_hz = 440 * 2 ** ((piece.tonic - 9) / 12) / 2
    step_s = 60 / piece.tempo / 4
    mix = np.zeros(round((duration_s + 6) * rate))
    kit = {name: demo.DRUMS[name](rng) for name, _ in texture.drums}

    def add(sound: Sound, step: int) -> None:
        late = texture.swing if step % 4 == 2 else 0.0
        at_s = (step + late) * step_s + texture.loose * rng.standard_normal()
        start = max(0, round(at_s * rate))
        mix[start : start + len(sound)] += sound

    def note(instrument: Instrument, semitones: int, steps: int) -> Sound:
        length_s = round(min(steps * step_s, 3.0), 4)
        return demo._play(instrument, tonic_hz * 2 ** (semitones / 12), length_s)

    for step in range(int(duration_s / step_s)):
        bar, at = divmod(step, 16)
        chord = progression[bar % len(progression)]
        if texture.chords[at] == "x":
            rest = texture.chords[at + 1 :].find("x")
            for tone in chord:
                add(0.6 * note(texture.chord_with, tone, 16 - at if rest < 0 else rest + 1), step)
        if texture.bass[at] == "x":
            add(note(texture.bass_with, int(chord[0] if at == 0 else rng.choice(chord)), 4), step)
        if rng.random() < texture.lead:
            # Strong beats take tones of the chord, others those of the scale.
            choices = chord if at % 8 == 0 else SCALES[piece.mode]
            add(0.7 * note(texture.lead_with, int(rng.choice(choices)) + 12, 3), step)
        for name, pattern in texture.drums:
            if pattern[at] == "x":
                add(1.2 * kit[name] * rng.uniform(0.8, 1.0), step)
    mix = mix[: round(duration_s * rate)]
    sound: Sound = 0.9 * mix / np.abs(mix).max()
    return sound
