from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recsys.reports.drawing import DPI, legend_beside, literal, name_ticks, new_figure, png, styles


def test_a_picture_has_the_size_that_was_asked_for() -> None:
    with Image.open(io.BytesIO(png(new_figure(3.0, 2.0)))) as image:
        assert image.format == "PNG"
        assert image.size == (3 * DPI, 2 * DPI)


@pytest.mark.parametrize("n", [2, 10, 20, 70])
def test_no_two_genres_look_alike(n: int) -> None:
    assert len(set(styles([str(number) for number in range(n)]).values())) == n


@pytest.mark.parametrize("name", ["R&B", "$oul$", "_mixed", "100% \\rap", "音楽", "broken\udcff"])
def test_any_name_of_a_folder_can_be_drawn(name: str) -> None:
    """No formula is made of it, no legend loses it, and no warning comes of its letters."""
    figure = new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.scatter([0], [0], label=literal(name))
    name_ticks(axes, [name], x=True)
    legend_beside(axes, 1)
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 1
    assert png(figure).startswith(b"\x89PNG")


def test_names_on_an_axis_stand_at_their_places() -> None:
    axes = new_figure(3.0, 2.0).subplots()
    name_ticks(axes, ["a", "b", "c"], x=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert np.array_equal(axes.get_yticks(), [0, 1, 2])
