"""Events: what a listener said, and what was played and skipped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from recsys.errors import QueryError
from recsys.notebook import one_line


class EventKind(StrEnum):
    """What happened."""

    LIKE = "like"
    DISLIKE = "dislike"
    PLAY = "play"
    SKIP = "skip"
    BAN = "ban"
    UNBAN = "unban"


class Subject(StrEnum):
    """What it happened to."""

    TRACK = "track"
    ARTIST = "artist"
    ALBUM = "album"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Event:
    """One act of a listener.

    The sounds of an artist, album or folder are those that it had then: they stay meant when their
    tags or places change. The key also means what the artist, album or folder gets later.
    """

    kind: EventKind
    subject: Subject
    key: str  # audio hash; artist or album as in recsys.credits; absolute path of a folder
    name: str  # for display
    time: datetime  # in UTC
    source: str  # who said so: cli, python, a player
    tracks: tuple[str, ...] = ()  # audio hashes of the sounds that it stands for

    def __str__(self) -> str:
        name = one_line(self.name)
        return name if self.subject == Subject.TRACK else f"the {self.subject} {name}"

    def fields(self) -> dict[str, Any]:
        """Return the event as one line of JSON has it."""
        return {
            "time": time_text(self.time),
            "kind": str(self.kind),
            "subject": str(self.subject),
            "key": self.key,
            "name": self.name,
            "source": self.source,
            "tracks": list(self.tracks),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the event of :meth:`fields`; QueryError where they make none.

        Of a track, `key` alone is enough; `name` is the key where it is missing.
        """
        kind = _one_of(EventKind, fields.get("kind"), "kind")
        subject = _one_of(Subject, fields.get("subject", Subject.TRACK), "subject")
        key = _text(fields, "key")
        own = [key] if subject == Subject.TRACK else []
        tracks = fields.get("tracks", own)
        if not isinstance(tracks, list) or not all(isinstance(each, str) for each in tracks):
            raise QueryError(f"tracks is no list of audio hashes: {tracks!r}")
        return cls(
            kind=EventKind(kind),
            subject=Subject(subject),
            key=key,
            name=str(fields.get("name") or key),
            time=parse_time(_text(fields, "time")),
            source=str(fields.get("source") or "import"),
            tracks=tuple(dict.fromkeys([*own, *tracks])),
        )


def _one_of(kinds: type[StrEnum], value: object, name: str) -> str:
    if value not in list(kinds):
        raise QueryError(f"unknown {name} {value!r}", f"Known: {', '.join(kinds)}.")
    return str(value)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise QueryError(f"{name} is missing, or no text: {value!r}")
    return value


PLAYED_FROM = 0.5
"""Share of a track from which it counts as played; going on to another before it is a skip."""


def now() -> datetime:
    """Return the time of an event that happens now."""
    return datetime.now(UTC)


def time_text(time: datetime) -> str:
    """Return a time in UTC; texts sort as times do.

    Examples
    --------
    >>> time_text(datetime(2026, 11, 27, 12, 30, tzinfo=UTC))
    '2026-11-27T12:30:00.000000Z'
    """
    # Not strftime, which writes the year 1 with one digit.
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the time of a text in ISO 8601; QueryError for another, or without a time zone.

    Examples
    --------
    >>> parse_time("2026-11-27T13:30:00+01:00")
    datetime.datetime(2026, 11, 27, 12, 30, tzinfo=datetime.timezone.utc)
    """
    time = None
    with suppress(ValueError, OverflowError):  # of the last day, or the first, of the calendar
        given = datetime.fromisoformat(text)
        time = given.astimezone(UTC) if given.tzinfo else None
    if time is None:
        raise QueryError(
            f"not a time with a time zone: {text!r}", "For example 2026-11-27T12:30:00Z."
        )
    return time
