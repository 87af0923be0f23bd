"""What all pictures have in common: canvas, size, colours, and names that are drawn as they are.

Pictures are made with matplotlib's objects alone. Nothing is shown on a screen, and no state is
kept between two of them.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

from recsys.extras import require
from recsys.reports.output import EXTRA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
"""Dots per inch: 8 inches fill a page on a screen."""

PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Ten colours that people with any colour vision tell apart (M. A. Petroff, "Accessible color
sequences for data visualization", arXiv:2107.02270)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Seven shapes for ten colours: the first seventy genres differ in one or both."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a genre is drawn: a matplotlib colour and a marker."""

    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure and the words that go with it.

    Attributes
    ----------
    name : str
        Of its file, without the extension.
    title : str
        Heading on the page.
    caption : str
        What is to be seen, of how many tracks, and how it was made.
    figure : Figure
        Ready to be written.
    """

    name: str
    title: str
    caption: str
    figure: Figure

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.name}.png"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that lays itself out.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    canvas = require("matplotlib.backends.backend_agg", EXTRA).FigureCanvasAgg
    figure: Figure = require("matplotlib.figure", EXTRA).Figure(
        figsize=(width, height), dpi=DPI, layout="constrained"
    )
    canvas(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A genre in a script that the font lacks is drawn as boxes; the pages have it in full.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def literal(text: str) -> str:
    r"""Protect a name of unknown origin from being read as a formula or left out of a legend.

    Examples
    --------
    >>> literal("a$b$")
    'a\\$b\\$'
    >>> literal("_mixed")
    ' _mixed'
    """
    printable = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("$", r"\$")
    return f" {printable}" if printable.startswith("_") else printable


def styles(genres: Sequence[str]) -> dict[str, Style]:
    """Give each genre, in this order, a colour and a marker of its own."""
    colours = islice(cycle(PALETTE), len(genres))
    markers = islice(cycle(MARKERS), len(genres))
    return {
        genre: Style(colour, marker)
        for genre, colour, marker in zip(genres, colours, markers, strict=True)
    }


def name_ticks(axes: Axes, names: Sequence[str], *, x: bool) -> None:
    """Write names along one axis, at 0, 1, 2 and so on; long rows of them are turned."""
    shown = [literal(name) for name in names]
    if not x:
        axes.set_yticks(range(len(names)), shown)
        return
    if len(names) > 6 or max(map(len, names)) > 10:
        axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), shown)


def legend_beside(axes: Axes, n: int, title: str = "") -> None:
    """Put a legend of `n` entries to the right of the axes, where it covers nothing."""
    axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        frameon=False,
        markerscale=1.8,
        ncols=1 + (n - 1) // 24,
        fontsize="small" if n > 12 else "medium",
    )
