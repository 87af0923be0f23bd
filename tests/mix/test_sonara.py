"""Tempo and key of synthesised music, by sonara."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sonara  # noqa: F401 (tests of an extra are those that import it)

from recsys import demo
from recsys.keys import key_of
from recsys.mix.measuring import measure
from recsys.mix.tempo import same_tempo
from recsys.types import Mix, MixKind
from tests.mix.music import NO_TEMPO, Piece, play
from tests.sounds import write

BOTH = (MixKind.TEMPO, MixKind.KEY)


def measured(folder: Path, piece: Piece) -> Mix:
    sound = play(piece, 16.0).astype(np.float32)
    return measure(write(folder / "a.wav", sound, demo.SAMPLE_RATE), BOTH)


@pytest.mark.parametrize(
    "piece",
    [
        Piece(118.0, 0, "major", "ballad", 1),
        Piece(104.0, 9, "minor", "ballad", 12),
        Piece(126.0, 5, "minor", "swing", 14),
        Piece(112.0, 7, "major", "swing", 4),
    ],
    ids=lambda piece: f"{piece.tempo:g} {piece.key}",
)
def test_music_has_its_tempo_and_its_key(tmp_path: Path, piece: Piece) -> None:
    mix = measured(tmp_path, piece)
    assert mix.tempo is not None
    assert mix.certain_tempo is not None
    assert same_tempo(mix.tempo, piece.tempo)
    assert mix.key == key_of(piece.key)
    assert mix.tempo_by is not None
    assert mix.tempo_by.startswith("sonara ")


def test_music_without_a_beat_has_no_tempo(tmp_path: Path) -> None:
    mix = measured(tmp_path, Piece(100.0, 2, "major", NO_TEMPO, 5))
    assert mix.tempo is None
    assert mix.tempo_by is not None


def test_drums_alone_have_no_certain_key(tmp_path: Path) -> None:
    mix = measured(tmp_path, Piece(100.0, 2, "major", "drums", 6))
    assert mix.certain_key is None
    assert mix.certain_tempo is not None


def test_a_short_or_silent_sound_has_neither(tmp_path: Path) -> None:
    for sound in (np.zeros(44_100 * 8), np.sin(np.arange(44_100 * 2) / 20)):
        mix = measure(write(tmp_path / "a.wav", sound.astype(np.float32), 44_100), BOTH)
        assert (mix.tempo, mix.key) == (None, None)
        assert mix.tempo_by == mix.key_by
        assert mix.key_by is not None
