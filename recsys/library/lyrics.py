"""Lyrics of a file: those in its tags, or in a file of its name that ends in ``.lrc``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.library.encodings import repaired
from recsys.library.tags import mutagen_tags

MOST_CHARACTERS = 100_000
"""Of the lyrics of a song: longer ones are cut off."""

MOST_LINES = 5_000

# Names in lower case: Vorbis comments, MP4, ASF, APE; the frames of ID3 begin so.
_NAMES = ("syncedlyrics", "lyrics", "unsyncedlyrics", "unsynced lyrics", "\xa9lyr", "wm/lyrics")
_FRAME = "uslt"

_STAMP = re.compile(r"\[(\d{1,3}):(\d{1,2}(?:[.:]\d{1,3})?)\]")
_HEADER = re.compile(r"\[[a-zA-Z#]+:.*\]\s*")


@dataclass(frozen=True, slots=True)
class LyricsLine:
    """One line, and when it is sung."""

    text: str
    start_ms: int | None = None  # None where lyrics have no times


def read_lyrics(path: Path) -> tuple[LyricsLine, ...]:
    """Return the lyrics of a file; empty without any. PassingError if it cannot be read.

    Where they have times (the form LRC), each line has one, and they are in this order.
    """
    text = next(filter(str.strip, (*_in_tags(mutagen_tags(path)), *_in_file(path))), "")
    return lines_of(text[:MOST_CHARACTERS])


def lines_of(text: str) -> tuple[LyricsLine, ...]:
    r"""Return the lines of lyrics.

    Examples
    --------
    >>> [(line.start_ms, line.text) for line in lines_of("[ar:A]\n[00:12.50]One\n[00:01]Zero")]
    [(1000, 'Zero'), (12500, 'One')]
    >>> lines_of("One\n\nTwo")[1]
    LyricsLine(text='', start_ms=None)
    """
    lines = [line.rstrip() for line in text.strip().splitlines()[:MOST_LINES]]
    timed = [timed for line in lines for timed in _timed(line)]
    if timed:
        return tuple(sorted(timed, key=lambda line: line.start_ms or 0))
    return tuple(LyricsLine(line) for line in lines if not _HEADER.fullmatch(line))


def _timed(line: str) -> Iterator[LyricsLine]:
    """Yield what has a time in a line: a refrain may have several."""
    parts = _STAMP.split(line)[1:]
    waiting: list[int] = []
    for minutes, seconds, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        waiting.append(round((60 * int(minutes) + float(seconds.replace(":", "."))) * 1000))
        if text.strip() or len(waiting) * 3 == len(parts):
            yield from (LyricsLine(text.strip(), start) for start in waiting)
            waiting = []


def _in_tags(tags: Any) -> Iterator[str]:  # noqa: ANN401 (mutagen is untyped)
    """Yield what tags have under the names of lyrics."""
    with contextlib.suppress(Exception):  # damaged tags raise almost anything
        found = {str(key).lower(): tags[key] for key in tags.keys()}  # noqa: SIM118 (of mutagen)
        for name in (*(key for key in found if key.startswith(_FRAME)), *_NAMES):
            value = found.get(name)
            value = getattr(value, "text", value)
            values = value if isinstance(value, list) else [value]
            yield from (str(each) for each in values if each)


def _in_file(path: Path) -> Iterator[str]:
    lyrics = path.with_suffix(".lrc")
    with contextlib.suppress(OSError):
        # A link may lead anywhere.
        if lyrics.is_file() and not lyrics.is_symlink():
            with lyrics.open("rb") as file:
                content = file.read(4 * MOST_CHARACTERS)
            try:
                yield content.decode("utf-8-sig")
            except UnicodeDecodeError:
                yield repaired([content.decode("latin-1")])[0]
