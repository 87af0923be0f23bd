"""Texts for display: lengths, tags on one line, and the HTML of ``_repr_html_`` for notebooks."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS = 100
"""Rows that are shown: a notebook keeps its output in its file."""


LONGEST_CELL = 4096
"""Characters of a cell of HTML: paths are shown whole."""

LONGEST_TEXT = 300
"""Characters of a tag that are shown: some hold the words of a whole book."""

_LINE_BREAKS = re.compile(r"\s*[\t-\r\x1c-\x1f\x85\u2028\u2029]+\s*")

_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters, escapes of terminals among them, and marks that turn the text around them."""


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    r"""Return a text as one line that changes nothing but itself where it is printed.

    Line breaks become spaces. Control characters and the marks that turn the direction of text are
    left out. A long text is cut.

    Examples
    --------
    >>> one_line("So\r\nWhat \x1b[2J\u202etxet"), one_line("abcdef", 3)
    ('So What [2Jtxet', 'abc…')
    """
    cut = text[:longest] + "…" if len(text) > longest else text
    if cut.isprintable():
        return cut
    return _NOT_SHOWN.sub("", _LINE_BREAKS.sub(" ", cut))


def clock(duration_s: float) -> str:
    """Return a duration as players show it.

    Examples
    --------
    >>> clock(65.4), clock(3671)
    ('1:05', '1:01:11')
    """
    if not math.isfinite(duration_s):
        return "?"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a title; text is escaped, and rows after :data:`MOST_ROWS` are counted.

    Examples
    --------
    >>> html_table("R & B", ["#"], [[1]])
    '<table><caption>R &amp; B</caption><tr><th>#</th></tr><tr><td>1</td></tr></table>'
    """
    listed = list(rows)
    lines = [_row("th", columns), *(_row("td", row) for row in listed[:MOST_ROWS])]
    if len(listed) > MOST_ROWS:
        more = f"and {len(listed) - MOST_ROWS} more"
        lines.append(f'<tr><td colspan="{len(columns)}">{more}</td></tr>')
    return f"<table><caption>{_text(title)}</caption>{''.join(lines)}</table>"


def _row(cell: str, values: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{cell}>{_text(value)}</{cell}>' for value in values)}</tr>"


def _text(value: object) -> str:
    # Names of files that are not UTF-8 have lone surrogates, which a notebook cannot store.
    return (
        escape("" if value is None else one_line(str(value), LONGEST_CELL))
        .encode("utf-8", "replace")
        .decode()
    )
