"""What is in a library, so that two can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.store import Store


def contents(database: Path, below: Path | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return rows and failures by path, below a folder if one is given."""

    def name(path: Path) -> str:
        return str(path if below is None else path.relative_to(below))

    with Store.open(database, read_only=True) as store:
        assert store.integrity_problems() == []
        rows: dict[str, Any] = {}
        for track in store.all_tracks():
            analysis = store.analysis(track.id)
            assert analysis is not None
            assert name(track.path) not in rows
            numbers = (analysis.probabilities, analysis.embedding, analysis.tags)
            told = (track.tags, track.audio_hash, track.genre, track.warning)
            rows[name(track.path)] = (told, track.duration_s, np.concatenate(numbers))
        failures = {name(failure.file.path): failure.reason for failure in store.failures()}
    return rows, failures


def assert_same(
    one: Path, other: Path, folders: tuple[Path, Path] | None = None, *, besides: str = ""
) -> None:
    """Two libraries hold the same tracks and failures, numbers to 1e-4.

    What they hold of one path, `besides`, is not compared.
    """
    first, second = folders or (None, None)
    rows, failures = contents(one, first)
    others, other_failures = contents(other, second)
    for held in (rows, failures, others, other_failures):
        held.pop(besides, None)
    assert failures == other_failures
    assert rows.keys() == others.keys()
    for path, (told, duration_s, numbers) in rows.items():
        other_told, other_duration_s, other_numbers = others[path]
        assert told == other_told
        assert duration_s == pytest.approx(other_duration_s, abs=1e-6)
        np.testing.assert_allclose(numbers, other_numbers, atol=1e-4)
