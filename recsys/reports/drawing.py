"""What all pictures have in common: canvas, size, colours, and names that are drawn as they are.

Pictures are made with matplotlib's objects alone. Nothing is shown on a screen, and no state is
kept between two of them.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import tempfile
import warnings
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Where a report goes: a folder that can be written, and files that are whole or not there.


EXTRA = "papers"
"""The extra in pyproject.toml that brings what draws and what fills pages."""


def check_ready(out: Path, libraries: Iterable[str] = ("matplotlib.figure", "jinja2")) -> None:
    """Make the folder of a report, and raise now if it could not be filled later.

    Parameters
    ----------
    out : Path
        A folder, there or not yet.
    libraries : iterable of str
        What the report will need of the extra ``[papers]``.

    Raises
    ------
    MissingExtraError
        If one of the libraries is not installed.
    RecsysError
        If the folder cannot be made or written to.
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
    """Write a file in one step; text as UTF-8, and what is not text in names as escapes.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    content : bytes or str
        All of it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    RecsysError
        If it cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise RecsysError(
            f"{path} cannot be written: {error.strerror or error}", "Choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def remove_stale(out: Path, names: Iterable[str]) -> None:
    """Remove pictures of an earlier report that would be taken for part of this one.

    Parameters
    ----------
    out : Path
        Folder of the report.
    names : iterable of str
        Of pictures that this report does not have, without their extension.
    """
    for name in names:
        (out / f"{name}.png").unlink(missing_ok=True)


# Pages: templates filled with figures, each page one file that needs nothing beside it.


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template : str
        Name of the file.
    values : mapping
        All that it names; text is escaped.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    jinja2 = require("jinja2", EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recsys.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template(template).render(values)
    return page


def data_uri(picture: bytes) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


# ----------------------------------------------------------------------


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
