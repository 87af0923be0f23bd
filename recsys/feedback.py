"""What a listener says of tracks, artists, albums and folders: seeds become events."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.credits import album_keys, name_key
from recsys.errors import AmbiguousQueryError, QueryError
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.query import OUTSIDE_LIBRARY
from recsys.seeds import FoundSeed, SeedFinder, seed_path
from recsys.taste import Event, EventKind, Subject
from recsys.taste.events import now
from recsys.taste.ranking import MOST_EVENTS, Judged, Taste, opinions
from recsys.types import SeedKind

if TYPE_CHECKING:
    from recsys.index.base import EmbeddingIndex
    from recsys.seeds import ResolvedSeed
    from recsys.store import Store
    from recsys.types import BanList, Track

COPIES_AMONG = 50
"""Nearest tracks among which copies of a banned one are looked for."""

_BANS = (EventKind.BAN, EventKind.UNBAN)


class FeedbackReader:
    """Makes events of what a listener names; nothing is stored."""

    def __init__(
        self, store: Store, index: EmbeddingIndex, finder: SeedFinder, *, paths: bool = True
    ) -> None:
        """Without `paths` no text is read as that of a folder, but of one that is banned."""
        self._store = store
        self._index = index
        self._finder = finder
        self._paths = paths

    def event(self, kind: EventKind, given: str | Path, time: datetime, source: str) -> Event:
        """Return the event of one seed: a track, artist, album, or for a ban a folder.

        Raises
        ------
        QueryError
            The seed is not found or ambiguous, or is a file outside the library.
        """
        subject, key, name, tracks = self._meant(kind, given)
        return Event(kind, subject, key, name, time, source, tracks)

    def _meant(
        self, kind: EventKind, given: str | Path
    ) -> tuple[Subject, str, str, tuple[str, ...]]:
        folder = seed_path(given)
        if kind in _BANS and self._means_folder(given, folder):
            tracks = tuple(self._store.hashes_under(folder))
            return Subject.FOLDER, os.fspath(folder), os.fspath(folder), tracks
        try:
            found = self._finder.find(given)
        except AmbiguousQueryError:
            raise
        except QueryError:
            ban = self._ban_named(str(given)) if kind == EventKind.UNBAN else None
            if ban is None:
                raise
            return ban.subject, ban.key, ban.name, ban.tracks
        return self._of_seed(kind, found)

    def _of_seed(
        self, kind: EventKind, found: FoundSeed
    ) -> tuple[Subject, str, str, tuple[str, ...]]:
        reading, first = found.reading, found.tracks[0][0]
        if first.id == OUTSIDE_LIBRARY and not self._store.tracks_with_hash(first.audio_hash):
            raise QueryError(
                f"{first.path} is not in the library", "Index it first: recsys index FOLDER"
            )
        hashes = tuple(dict.fromkeys(track.audio_hash for track, _ in found.tracks))
        if reading.kind == SeedKind.ARTIST:
            return Subject.ARTIST, name_key(reading.name) or "", reading.name, hashes
        if reading.kind == SeedKind.ALBUM:
            return Subject.ALBUM, album_keys(first)[0], reading.name, hashes
        copies = self._copies(found.tracks[0]) if kind in _BANS else []
        tracks = tuple(dict.fromkeys([*hashes, *copies]))
        return Subject.TRACK, first.audio_hash, first.display_name, tracks

    def _copies(self, banned: ResolvedSeed) -> list[str]:
        """Return the audio hashes of other encodings of one recording."""
        track, analysis = banned
        same = NearDuplicates()
        same.add(track, analysis.embedding)
        found, vectors = self._index.search_with_vectors(None, analysis.embedding, COPIES_AMONG)
        tracks = self._store.tracks(near.track_id for near in found)
        rows = zip(found, vectors, strict=True)
        near = [(tracks[each.track_id], vector) for each, vector in rows if each.track_id in tracks]
        return [other.audio_hash for other, vector in near if same.match(other, vector)]

    # Lifting bans

    def _means_folder(self, given: str | Path, folder: Path) -> bool:
        """Return whether a folder is meant: not one that is named as an artist, without tracks."""
        if self._is_banned_folder(folder):
            return True
        if (isinstance(given, str) and not self._paths) or not folder.is_dir():
            return False
        is_path = isinstance(given, Path) or os.sep in given
        return is_path or next(self._store.iter_tracks_under(folder), None) is not None

    def _is_banned_folder(self, folder: Path) -> bool:
        key = (Subject.FOLDER, os.fspath(folder))
        return key in {(ban.subject, ban.key) for ban in self._store.bans().in_force}

    def _ban_named(self, given: str) -> Event | None:
        """Return the ban on what has left the library, by its name."""
        names = {name_key(given), name_key(given.partition(":")[2])}  # also as artist:NAME
        named = [ban for ban in self._store.bans().in_force if name_key(ban.name) in names]
        return named[-1] if named else None

    def check_banned(self, event: Event) -> None:
        """Raise QueryError for an unban that lifts nothing."""
        bans = self._store.bans()
        if any((ban.subject, ban.key) == (event.subject, event.key) for ban in bans.in_force):
            return
        tracks = list(self._store.tracks_of_hashes(event.tracks).values())
        held = [track for track in tracks if bans.holds(track)]
        if event.subject == Subject.TRACK and held:
            return
        hint = "recsys feedback bans lists what is banned."
        if held:
            hint = f"{len(held)} of its tracks are, by bans of their own or wider ones. {hint}"
        raise QueryError(f"{event} is not banned", hint)


# JSON lines


def read_lines(
    lines: Iterable[str | bytes], reader: Callable[[], FeedbackReader]
) -> Iterator[Event]:
    """Yield the events of JSON lines; QueryError, with the number of the line, for another text.

    A line has the fields of :meth:`recsys.taste.Event.fields`, or ``track`` instead of ``key``: a
    path, an id or words, as for the commands. Only that needs the `reader`.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _event_of_line(line, reader)
        except QueryError as error:
            raise QueryError(f"line {number}: {error.message}", error.hint) from error


def _event_of_line(line: str | bytes, reader: Callable[[], FeedbackReader]) -> Event:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"no JSON: {error}", "Give one JSON object per line.") from error
    if not isinstance(fields, dict):
        raise QueryError(f"no JSON object: {fields!r}", "Give one JSON object per line.")
    _check_characters(fields)
    if "key" in fields or "track" not in fields:
        return Event.from_fields(fields)
    checked = Event.from_fields({**fields, "key": "-", "subject": Subject.TRACK, "tracks": []})
    return reader().event(checked.kind, str(fields["track"]), checked.time, checked.source)


def _check_characters(fields: dict[str, object]) -> None:
    """Raise QueryError for characters that neither a path nor a text can have."""
    text = json.dumps(fields, ensure_ascii=False)
    try:
        os.fsencode(text)  # bytes of a path that are not UTF-8 are half of a surrogate pair
    except UnicodeEncodeError as error:
        wrong = text[error.start]
        raise QueryError(f"not a character: {wrong!a}", "Write the text as UTF-8.") from error
    if "\\u0000" in text:
        raise QueryError("a text with the character 0", "Leave the character out.")


# Seeds that are banned


def without_banned(found: FoundSeed, bans: BanList) -> FoundSeed:
    """Return a seed without its banned tracks; where it has no others they stay, with a note."""
    kept = tuple(each for each in found.tracks if not bans.holds(each[0]))
    banned, name = len(found.tracks) - len(kept), found.reading.name
    if not banned:
        return found
    note = f"{name} is banned: it says what is wanted, and is in no answer"
    if kept:
        note = f"{banned} of the tracks of {name} are banned and left out"
    notes = "; ".join(filter(None, [found.reading.note, note]))
    reading = replace(found.reading, tracks=len(kept) or len(found.tracks), note=notes)
    return replace(found, reading=reading, tracks=kept or found.tracks)


def as_outside(found: FoundSeed, refuses: Callable[[Track], bool]) -> FoundSeed:
    """Return a seed whose refused tracks count as files outside the library: no list has them."""
    tracks = tuple(
        (replace(track, id=OUTSIDE_LIBRARY) if refuses(track) else track, analysis)
        for track, analysis in found.tracks
    )
    return replace(found, tracks=tracks)


# The taste


@dataclass(frozen=True, slots=True)
class KnownTaste:
    """The taste of a listener, as of a state of the library."""

    taste: Taste | None  # None where the events say nothing
    last_event: int
    revision: int
    sounds: frozenset[str]  # of which something was said, by audio hash

    @classmethod
    def of(cls, store: Store) -> KnownTaste:
        """Return what the events of a library say."""
        last_event, revision = store.last_event(), store.revision
        said = opinions(store.events(MOST_EVENTS), now())
        tracks = store.tracks_of_hashes(said.sounds)
        analyses = store.analyses([track.id for track in tracks.values()])
        judged = [
            Judged(tracks[sound], analyses[tracks[sound].id].embedding, opinion)
            for sound, opinion in said.sounds.items()
            if sound in tracks and tracks[sound].id in analyses
        ]
        taste = Taste(judged, said.artists) if judged or said.artists else None
        return cls(taste, last_event, revision, frozenset(said.sounds))

    def refreshed(self, store: Store) -> KnownTaste:
        """Return the taste as it is now: this one unless a change may have touched it."""
        # The revision first: what is written after it is looked at the next time.
        revision = store.revision
        if store.last_event() == self.last_event:
            if revision == self.revision:
                return self
            if not store.may_have_changed(self.sounds, self.revision):
                return replace(self, revision=revision)
        return KnownTaste.of(store)
