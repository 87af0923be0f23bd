from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recsys.errors import MissingExtraError, RecsysError
from recsys.reports.drawing import (
    DPI,
    check_ready,
    legend_right,
    literal,
    name_ticks,
    new_figure,
    png,
    styles,
    write_file,
)


def test_a_plot_has_the_size_that_was_asked_for() -> None:
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
    legend_right(axes, 1)
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 1
    assert png(figure).startswith(b"\x89PNG")


def test_names_on_an_axis_stand_at_their_positions() -> None:
    axes = new_figure(3.0, 2.0).subplots()
    name_ticks(axes, ["a", "b", "c"], x=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert np.array_equal(axes.get_yticks(), [0, 1, 2])


def test_the_folder_is_made(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    check_ready(out)
    assert list(out.iterdir()) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(RecsysError, match="taken is a file"):
        check_ready(taken)
    with pytest.raises(RecsysError, match="cannot be written to"):
        check_ready(taken / "below")
    assert taken.read_text() == "mine"


def test_a_missing_library_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError) as caught:
        check_ready(tmp_path / "out")
    assert "[papers]" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    assert write_file(tmp_path / "x", "caf\udce9").read_bytes() == b"caf\\udce9"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(RecsysError, match="is a folder"):
        write_file(tmp_path / "x", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
