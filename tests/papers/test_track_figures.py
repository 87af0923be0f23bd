from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.papers.explore import (
    TRACK_PICTURES,
    Excerpt,
    pairs_picture,
    read_excerpt,
    track_pictures,
)
from recsys.reports.drawing import png
from tests.sounds import staircase, write

RATE = 22_050
A_440 = 9
"""The place of A among the pitch classes, which begin with C."""


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    """Two seconds of silence, then two of a tone of 440 Hz; from second 10 of a track."""
    t = np.arange(4 * RATE) / RATE
    tone = np.where(t < 2, 0.0, 0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    drawn = track_pictures(Excerpt("$tone$", tone, RATE, 10.0))
    return {picture.name: picture for picture in drawn}


def test_names_and_labels(pictures: dict[str, Any]) -> None:
    assert list(pictures) == list(TRACK_PICTURES)
    for picture in pictures.values():
        axes = picture.figure.axes[0]
        assert axes.get_xlabel() == "time in the track (s)"
        assert axes.get_ylabel()
        assert "4.0 s of $tone$, from 10.0 s on" in picture.caption
        assert png(picture.figure)
        seconds = [label.get_text() for label in axes.get_xticklabels()]
        assert {"11", "12", "13"} <= {text.removesuffix(".0") for text in seconds}


def test_the_waveform_is_silent_first(pictures: dict[str, Any]) -> None:
    axes = pictures["track-waveform"].figure.axes[0]
    assert axes.get_xlim() == pytest.approx((10.0, 14.0))
    assert axes.get_ylim() == pytest.approx((-0.525, 0.525), abs=0.001)


def mesh(picture: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values drawn, and the middles of their cells in time and height."""
    found = picture.figure.axes[0].collections[0]
    corners = found.get_coordinates()
    times = (corners[0, 1:, 0] + corners[0, :-1, 0]) / 2
    heights = (corners[1:, 0, 1] + corners[:-1, 0, 1]) / 2
    return np.asarray(found.get_array()), times, heights


def test_chroma_shows_the_pitch_class(pictures: dict[str, Any]) -> None:
    values, times, _ = mesh(pictures["track-chroma"])
    assert (values[:, times > 12.2].argmax(axis=0) == A_440).all()
    labels = pictures["track-chroma"].figure.axes[0].get_yticklabels()
    assert labels[A_440].get_text() == "A"


def test_mel_shows_the_frequency_and_when_it_begins(pictures: dict[str, Any]) -> None:
    values, times, heights = mesh(pictures["track-mel"])
    loud = values[:, (times > 12.2) & (times < 13.8)]
    assert heights[loud.mean(axis=1).argmax()] == pytest.approx(440, abs=40)
    assert values[:, times < 11.8].max() <= -79.9
    assert values.max() == pytest.approx(0.0)


def test_the_centroid_of_a_tone_is_its_frequency(pictures: dict[str, Any]) -> None:
    times, values = pictures["track-centroid"].figure.axes[0].lines[0].get_data()
    assert np.isnan(values[times < 11.8]).all()
    np.testing.assert_allclose(values[(times > 12.2) & (times < 13.8)], 440, atol=15)


def test_pairs_are_those_of_the_report_or_the_first_two_genres() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)

    def titles(*genres: str) -> list[str]:
        found = pairs_picture({genre: Excerpt(f"{genre}/1", noise, RATE, 0.0) for genre in genres})
        return [axes.get_title() for axes in found.figure.axes if axes.get_title()]

    assert titles("rock", "jazz", "country") == ["country/1", "rock/1"]
    assert titles("classical", "blues", "rock", "country") == [
        *("country/1", "rock/1", "classical/1", "blues/1"),
    ]
    assert titles("tone", "noise", "waltz") == ["noise/1", "tone/1"]
    with pytest.raises(ModelError, match="two genres"):
        titles("rock")


def test_mfcc_has_twenty_rows_counted_from_one(pictures: dict[str, Any]) -> None:
    values, _, _ = mesh(pictures["track-mfcc"])
    assert len(values) == 20
    assert pictures["track-mfcc"].figure.axes[0].get_yticklabels()[0].get_text() == "1"


def test_an_excerpt_is_the_middle_of_a_track(tmp_path: Path) -> None:
    excerpt = read_excerpt(write(tmp_path / "a.wav", staircase(40.0)), "a")
    assert (len(excerpt.samples), excerpt.offset_s) == (30 * RATE, pytest.approx(5.0))


def test_a_short_track_is_not_repeated(tmp_path: Path) -> None:
    excerpt = read_excerpt(write(tmp_path / "a.wav", staircase(2.0)), "a")
    assert (len(excerpt.samples), excerpt.offset_s) == (2 * RATE, 0.0)
