"""HTML for notebooks: what ``_repr_html_`` of tracks, answers, playlists and libraries returns."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS = 100
"""Rows that are shown: a notebook keeps its output in its file."""


def clock(duration_s: float) -> str:
    """Return a duration as players show it.

    Examples
    --------
    >>> clock(65.4), clock(3671)
    ('1:05', '1:01:11')
    """
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
    return escape("" if value is None else str(value)).encode("utf-8", "replace").decode()
