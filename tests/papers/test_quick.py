"""What a quick run takes of the music."""

from __future__ import annotations

from pathlib import Path

from recsys.classifier.training.datasets import LabelledFile
from recsys.papers.reproduce import spread


def files(genre: str, count: int) -> list[LabelledFile]:
    return [LabelledFile(Path(f"{genre}.{n}.wav"), genre, f"{genre}.{n}") for n in range(count)]


def test_tracks_come_from_all_over_a_genre() -> None:
    """In GTZAN, the first 28 of reggae are of one artist."""
    chosen = [file.key for file in spread(files("reggae", 100), 8)]
    assert chosen == [f"reggae/reggae.{n}" for n in (0, 12, 25, 37, 50, 62, 75, 87)]


def test_small_genres_are_taken_whole() -> None:
    rock, jazz = files("rock", 3), files("jazz", 9)
    mixed = [*rock[:2], *jazz, rock[2]]
    chosen = spread(mixed, 8)
    assert [file for file in chosen if file.genre == "rock"] == rock
    assert len(chosen) == 3 + 8
    assert spread([], 8) == []
