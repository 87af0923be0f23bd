from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.papers.explore import (
    MEANS,
    MOST_ROWS,
    boundary_picture,
    box_picture,
    correlation_picture,
    feature_name,
    pca_picture,
)
from recsys.papers.features import COLUMNS
from recsys.reports.drawing import png, styles
from tests.papers.tables import planted, table_of, with_columns


def test_the_heat_map_shows_the_planted_correlations() -> None:
    table = planted({"a": 20, "b": 20})
    chroma = table.frame["chroma_stft_mean"]
    table = with_columns(table, rms_mean=3.0 * chroma + 1.0, harmony_mean=-chroma, mfcc20_mean=1.0)
    picture = correlation_picture(table)
    axes = picture.figure.axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert drawn.shape == (28, 28)
    place = {label.get_text(): number for number, label in enumerate(axes.get_xticklabels())}
    assert list(place) == [label.get_text() for label in axes.get_yticklabels()]
    assert drawn[place["chroma"], place["RMS"]] == pytest.approx(1.0)
    assert drawn[place["chroma"], place["harmonic part"]] == pytest.approx(-1.0)
    assert np.isnan(drawn[place["MFCC 20"]]).all()
    assert "never changes here: MFCC 20." in picture.caption
    assert png(picture.figure)


def test_every_mean_has_a_name_of_its_own() -> None:
    assert len({feature_name(column) for column in MEANS}) == len(MEANS) == 28


def test_boxes_stand_at_the_values_of_their_genre() -> None:
    table = planted({"zouk": 5, "ambient": 3, "solo": 1})
    picture = box_picture(table, "tempo", "tempo", "Tempo", "beats per minute")
    axes = picture.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("ambient (3)", "solo (1)", "zouk (5)")
    ]
    assert axes.get_ylabel() == "tempo (beats per minute)"
    middles = [path.vertices[:, 1].mean() for path in (box.get_path() for box in axes.patches)]
    assert np.allclose(middles, [110.0, 120.0, 100.0])
    assert "9 rows of planted.csv" in picture.caption


def offsets(axes: Any, label: str) -> np.ndarray:
    (found,) = (dots for dots in axes.collections if dots.get_label() == label)
    return np.asarray(found.get_offsets())


def test_components_explain_what_was_planted() -> None:
    """All columns are one of two independent numbers: two components explain everything."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((30, 2))
    hidden[:, 0] += np.repeat([-20, 20], 15)
    values = hidden[:, np.arange(len(COLUMNS)) % 2]
    picture = pca_picture(table_of(values, ["left"] * 15 + ["right"] * 15))
    axes = picture.figure.axes[0]
    shares = [
        float(text.split("(")[1].split("%")[0]) for text in (axes.get_xlabel(), axes.get_ylabel())
    ]
    assert sum(shares) == pytest.approx(100.0, abs=0.11)
    assert "100.0% of their variance" in picture.caption
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    rotated, scales, _ = np.linalg.svd(scaled, full_matrices=False)
    drawn = np.vstack([offsets(axes, "left (15)"), offsets(axes, "right (15)")])
    assert np.allclose(np.abs(drawn), np.abs(rotated[:, :2] * scales[:2]))


@pytest.mark.parametrize("draw", [correlation_picture, pca_picture, boundary_picture])
def test_two_tracks_are_too_few(draw: Any) -> None:
    with pytest.raises(ModelError, match=r"three|3") as caught:
        draw(planted({"a": 1, "b": 1}))
    assert caught.value.hint


def test_tracks_that_are_all_alike_have_no_components() -> None:
    with pytest.raises(ModelError, match="all 4 rows are alike"):
        pca_picture(table_of(np.ones((4, len(COLUMNS))), ["a"] * 4))


def test_the_ground_has_the_colour_of_the_genre_that_is_there() -> None:
    table = planted({"a": 12, "b": 12, "c": 12})
    picture = boundary_picture(table)
    axes = picture.figure.axes[0]
    assert axes.get_xlabel() == "zero-crossing rate (share of samples)"
    assert axes.get_ylabel() == "spectral centroid (Hz)"
    ground = axes.collections[0]
    plane = np.asarray(ground.get_array())
    x, y = (np.linspace(*limits, plane.shape[0]) for limits in (axes.get_xlim(), axes.get_ylim()))
    for number, genre in enumerate("abc"):
        points = offsets(axes, f"{genre} (12)")
        column, row = np.abs(x - points[:, :1]).argmin(axis=1), np.abs(y - points[:, 1:]).argmin(1)
        assert (plane[row, column] == number).all()
        colour = ground.cmap(ground.norm(number), bytes=True)[:3]
        assert "#" + bytes(colour).hex() == styles(["a", "b", "c"])[genre].colour
    assert "fitted to all 36 rows" in picture.caption
    assert "100.0% of those same rows" in picture.caption


def test_one_genre_has_no_boundary() -> None:
    with pytest.raises(ModelError, match="there are 1 and 9"):
        boundary_picture(planted({"a": 9}))


def test_very_many_rows_are_drawn_from_and_that_is_reported() -> None:
    picture = boundary_picture(planted({"a": MOST_ROWS, "b": 10}), seed=5)
    assert f"fitted to {MOST_ROWS} (drawn with seed 5) of {MOST_ROWS + 10} rows" in picture.caption


def test_more_genres_than_colours_are_hatched() -> None:
    table = planted({f"genre {number:02d}": 4 for number in range(12)})
    picture = boundary_picture(table)
    assert "Hatched areas" in picture.caption
    axes = picture.figure.axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 12
    assert any(getattr(own, "hatches", None) == ["//"] for own in axes.collections)
    assert png(picture.figure)
