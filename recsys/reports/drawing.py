"""Shared by all pages and plots of reports: files, templates, canvas, colours, names.

Plots are made with matplotlib's objects, not with pyplot: no window, no global state.
"""

from __future__ import annotations

import base64
import io
import tempfile
import warnings
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import atomic
from recsys.errors import RecsysError, require
from recsys.notebook import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXTRA = "papers"
"""The extra in pyproject.toml with matplotlib and jinja2."""

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

DARK = 0.55
"""Share of a row from which on its number is white."""


# The folder of a report


def check_ready(out: Path, libraries: Iterable[str] = ("matplotlib.figure", "jinja2")) -> None:
    """Make the folder of a report; raise now, before the work, if it could not be written later.

    MissingExtraError if one of the libraries is not installed, RecsysError if the folder cannot be
    made or written to.
    """
    for library in libraries:
        require(library, EXTRA)
    if out.exists() and not out.is_dir():
        raise RecsysError(f"{out} is a file", "Give a folder for the report.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise RecsysError(
            f"the report cannot be written to {out}: {error.strerror or error}",
            "Choose another folder.",
        ) from error


def write_file(path: Path, content: bytes | str) -> Path:
    """Write a file atomically, text as UTF-8, and return its path; RecsysError if it cannot be.

    A file that is there and begins otherwise is not recsys's, and is not replaced.
    """
    data = atomic.encoded(content) if isinstance(content, str) else content
    atomic.check_replaceable(path, f"such a {path.suffix} file of recsys", atomic.begins_as(data))
    try:
        atomic.write_bytes(path, data)
    except OSError as error:
        raise RecsysError(
            f"{path} cannot be written: {error.strerror or error}", "Choose another folder."
        ) from error
    return path


def remove_stale(out: Path, names: Iterable[str]) -> None:
    """Remove plots of an earlier report, which would seem to be part of this one."""
    for name in names:
        (out / f"{name}.png").unlink(missing_ok=True)


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package; every page is one file that needs nothing else."""
    jinja2 = require("jinja2", EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recsys.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_as_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template(template).render(values)
    return page


def _as_text(value: object) -> object:
    """Return a text without control characters, which tags may hold."""
    return one_line(value, len(value)) if type(value) is str else value


def data_uri(picture: bytes) -> str:
    """Return a PNG as a data URI, so that the page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


# Plots


@dataclass(frozen=True, slots=True)
class GenreStyle:
    """How a genre is drawn: a matplotlib colour and a marker."""

    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its file name without extension, its heading and its caption."""

    name: str
    title: str
    caption: str
    figure: Figure

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.name}.png"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that lays itself out."""
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


def counts_figure(
    rows: Sequence[str],
    columns: Sequence[str],
    confusion: Mapping[str, Mapping[str, int]],
    *,
    row_title: str,
    column_title: str,
    share_title: str,
) -> tuple[Figure, Axes]:
    """Draw a table of counts by row and column: numbers, and the share of the row as colour."""
    counts = np.array([[confusion[row][column] for column in columns] for row in rows])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(3.2 + 0.55 * len(columns), 2.2 + 0.45 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > DARK else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    name_ticks(axes, columns, x=True)
    name_ticks(axes, rows, x=False)
    axes.set_xlabel(literal(column_title))
    axes.set_ylabel(literal(row_title))
    figure.colorbar(image, ax=axes, label=share_title)
    return figure, axes


def literal(text: str) -> str:
    r"""Protect a name: matplotlib takes $...$ for a formula and leaves out labels with a leading _.

    Examples
    --------
    >>> literal("a$b$")
    'a\\$b\\$'
    >>> literal("_mixed")
    ' _mixed'
    """
    printable = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("$", r"\$")
    return f" {printable}" if printable.startswith("_") else printable


def styles(genres: Sequence[str]) -> dict[str, GenreStyle]:
    """Return a colour and a marker for each genre, in this order."""
    colours = islice(cycle(PALETTE), len(genres))
    markers = islice(cycle(MARKERS), len(genres))
    return {
        genre: GenreStyle(colour, marker)
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


def legend_right(axes: Axes, n: int, title: str = "") -> None:
    """Add a legend of `n` entries to the right of the axes, where it covers nothing."""
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
