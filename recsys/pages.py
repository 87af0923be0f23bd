"""The tracks of a library in pages: searched, filtered, in any order."""

from __future__ import annotations

import base64
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from recsys.checks import check_types
from recsys.errors import QueryError
from recsys.listing import ListOptions
from recsys.recommender.filters import checked_ranges
from recsys.recommender.languages import languages_in
from recsys.recommender.query import TagFilter
from recsys.recommender.taxonomy import taxonomy_of
from recsys.store.search import MOST_MATCHES, normalise, search_terms, words_of
from recsys.store.store import ORDERS
from recsys.taste import EventKind, Subject

if TYPE_CHECKING:
    from recsys.index.genre_index import GenreIndex
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo, Track

SORTS = (*ORDERS, "genre")
"""Orders of the tracks; ``-`` before one turns it round, and what has no value stays last."""

NEWEST_FIRST = "-added"

MOST_WORDS = 200
"""Characters of what is searched for."""

Kept = TypeVar("Kept")

_KEPT = 24
"""Orders that are kept: of 100,000 tracks each takes 0.8 MB, and a tenth of a second to make."""


@dataclass(frozen=True, slots=True)
class PageOptions(ListOptions):
    """Which tracks of a library, and in which order.

    Attributes
    ----------
    search : str or None
        Only tracks with these words, or words that begin so, in artist, title, album or genre tag.
    folder : Path or None
        Only tracks in this folder, or below it.
    languages : tuple of str
        Only tracks whose language tag names one of these, by a code or a name.
    sort : str or None
        One of :data:`SORTS`, with ``-`` before it for the other direction. None is the best match
        first, of at most :data:`recsys.store.search.MOST_MATCHES`, or without a search the newest
        first.

    Raises
    ------
    QueryError
        The order is not known, the search is empty or too long, or as for the other options.
    """

    search: str | None = None
    folder: Path | None = None
    languages: tuple[str, ...] = ()
    sort: str | None = None

    def __post_init__(self) -> None:
        ListOptions.__post_init__(self)
        check_types(self)
        if self.sort is not None and self.sort.removeprefix("-") not in SORTS:
            raise QueryError(f"unknown order {self.sort!r}", f"Known: {', '.join(SORTS)}.")
        if self.search is not None and len(self.search) > MOST_WORDS:
            raise QueryError(
                f"the search has {len(self.search)} characters, more than {MOST_WORDS}",
                "A few words are enough.",
            )

    def key(self) -> Hashable:
        """Return what tells it from others."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["ranges"] = tuple(sorted((k, str(v)) for k, v in self.ranges.items()))
        return tuple(values.values())


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the tracks that were asked for."""

    tracks: tuple[Track, ...]
    total: int  # of all pages
    next: str | None  # with which the page after this one is asked for; None for the last


class Orders:
    """The ids of a library in the orders that were asked for, and its artists; shared by threads.

    They are made again when the library, or what is banned, has changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key, or made for it now."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                known: Kept = self._kept[key]
                return known
        made = make()
        if isinstance(made, np.ndarray):
            made.flags.writeable = False
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def ids_of(
    store: Store, index: GenreIndex, info: ModelInfo, options: PageOptions, orders: Orders
) -> IdArray:
    """Return the ids of the tracks that options ask for, in their order.

    QueryError for an unknown genre or tag.
    """
    key = store.state, store.last_event(), options.key()
    return orders.get(key, lambda: _selected(store, index, info, options, orders))


def _selected(
    store: Store, index: GenreIndex, info: ModelInfo, options: PageOptions, orders: Orders
) -> IdArray:
    genre = options.genre
    if genre is not None:
        genre = taxonomy_of(store, index, info).resolve(genre)
    wanted = index.ids(genre)
    for ids in _conditions(store, info, options):
        wanted = np.intersect1d(wanted, ids)
    if not options.banned:
        wanted = np.setdiff1d(wanted, banned_ids(store))
    ordered = _in_order(store, index, options, orders)
    return ordered[np.isin(ordered, wanted)]


def _conditions(store: Store, info: ModelInfo, options: PageOptions) -> Iterable[IdArray]:
    """Yield the ids that each condition allows."""
    since = options.added_since
    if options.kind is not None:
        yield store.ids_where(kind=options.kind)
    if since is not None:
        yield store.ids_where(added_since_s=since.timestamp())
    if ranges := checked_ranges(options.ranges):
        yield store.ids_where(ranges=ranges)
    if options.folder is not None:
        yield store.ids_where(folder=options.folder)
    if options.artist is not None or options.album is not None:
        named = store.tracks_where(artist=options.artist, album=options.album)
        yield np.array([track.id for track in named], np.int64)
    if options.languages:
        asked = frozenset[str]().union(*map(languages_in, options.languages))
        tags = store.language_tags()
        fitting = [each for each, tag in tags if not asked.isdisjoint(languages_in(tag))]
        yield np.array(fitting, np.int64)
    if options.tags:
        yield TagFilter(store, info, options.tags).strongest()[0]


def _in_order(store: Store, index: GenreIndex, options: PageOptions, orders: Orders) -> IdArray:
    """Return the ids of all tracks, or of those that a search finds, in the order asked for."""
    search = options.search if options.search and options.search.strip() else None
    if search is not None and options.sort is None:
        found = store.find_tracks(search, MOST_MATCHES)
        return np.array([track.id for track in found], np.int64)
    sort = options.sort or NEWEST_FIRST
    ordered = orders.get((store.state, sort), lambda: _order(store, index, sort))
    if search is None:
        return ordered
    return ordered[np.isin(ordered, store.ids_where(words=search))]


def _order(store: Store, index: GenreIndex, sort: str) -> IdArray:
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name != "genre":
        return store.order(name, descending=descending)
    by_artist = store.order("artist")
    groups = sorted(index.genres, reverse=descending)
    return np.concatenate(
        [by_artist[np.isin(by_artist, index.ids(group))] for group in groups]
        or [np.empty(0, np.int64)]
    )


def banned_ids(store: Store) -> IdArray:
    """Return the ids of the banned tracks, in the order of the ids."""
    bans = store.bans()
    found: dict[int, Track] = {}
    for ban in bans.in_force:
        for each in store.tracks_of_hashes(ban.tracks):
            found |= {track.id: track for track in store.tracks_with_hash(each)}
        if ban.subject == Subject.FOLDER:
            under = (track_id for track_id, _ in store.iter_tracks_under(Path(ban.key)))
            found |= store.tracks(under)
        elif ban.subject != Subject.TRACK and search_terms(ban.name):
            found |= {track.id: track for track in store.tracks_where(artist=ban.name)}
            found |= {track.id: track for track in store.tracks_where(album=ban.name)}
    return np.array(sorted(i for i, track in found.items() if bans.holds(track)), np.int64)


def judged_ids(store: Store) -> dict[str, list[int]]:
    """Return the ids of the tracks that are liked, disliked or banned now."""
    said = {event.key: event.kind for event in store.opinions() if event.subject == Subject.TRACK}
    tracks = store.tracks_of_hashes(said)
    found = {
        str(kind): sorted(tracks[key].id for key in tracks if said[key] == kind)
        for kind in (EventKind.LIKE, EventKind.DISLIKE)
    }
    return {**found, str(EventKind.BAN): banned_ids(store).tolist()}


def page_of(store: Store, ids: IdArray, limit: int, cursor: str | None) -> Page:
    """Return the page of ids that begins at a cursor."""
    start = 0 if cursor is None else _start(ids, cursor)
    chosen = ids[start : start + limit].tolist()
    tracks = store.tracks(chosen)
    end = start + limit
    more = _cursor(end, chosen[-1]) if end < len(ids) and chosen else None
    return Page(tuple(tracks[i] for i in chosen if i in tracks), len(ids), more)


def _cursor(position: int, last: int | str) -> str:
    text = f"{position}.{last}".encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _parsed(cursor: str, most: int) -> tuple[int, str]:
    """Return the position of a cursor, at most `most`, and what was last on the page before."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position, dot, last = raw.decode("utf-8", "surrogatepass").partition(".")
        if dot:
            return max(0, min(int(position), most)), last
    except ValueError:
        pass
    raise _no_cursor(cursor)


def _no_cursor(cursor: str) -> QueryError:
    return QueryError(
        f"{cursor[:40]!r} is no cursor of a page", "Give the `next` of the page before."
    )


def _start(ids: IdArray, cursor: str) -> int:
    """Return where the page begins: after the last track of the page before, if that is there.

    So tracks that come or go meanwhile are neither told twice nor passed over.
    """
    position, last = _parsed(cursor, len(ids))
    try:
        found = np.flatnonzero(ids == int(last))
    except (ValueError, OverflowError):
        raise _no_cursor(cursor) from None
    return int(found[0]) + 1 if len(found) else position


@dataclass(frozen=True, slots=True)
class ArtistPage:
    """Some of the artists of a library, with their numbers of tracks."""

    artists: tuple[tuple[str, int], ...]
    total: int  # of all pages
    next: str | None  # with which the page after this one is asked for; None for the last


def artists_of(
    store: Store, words: str | None, limit: int, cursor: str | None, orders: Orders
) -> ArtistPage:
    """Return a page of the artists, with these words in their names or words that begin so."""
    key = "artists", store.state, words
    found = orders.get(key, lambda: _named(store, words))
    start = 0
    if cursor is not None:
        position, last = _parsed(cursor, len(found))
        after = (i + 1 for i, (name, _) in enumerate(found) if name == last)
        start = next(after, position)
    chosen = found[start : start + limit]
    end = start + len(chosen)
    more = _cursor(end, chosen[-1][0]) if chosen and end < len(found) else None
    return ArtistPage(chosen, len(found), more)


def _named(store: Store, words: str | None) -> tuple[tuple[str, int], ...]:
    found = store.artists(words)
    asked = _asked(words or "")
    return tuple(each for each in found if _begins(asked, each[0]))


# What may be asked for


def language_counts(store: Store) -> dict[str, int]:
    """Return the languages that tags name, by their codes, with their numbers of tracks."""
    counts = Counter(code for _, tag in store.language_tags() for code in languages_in(tag))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What may be meant by what is typed."""

    tracks: tuple[Track, ...]
    artists: dict[str, int]  # with their numbers of tracks among the best matches, most first
    albums: dict[str, int]


def suggestions(store: Store, words: str, limit: int) -> Suggestions:
    """Return the tracks, artists and albums with these words, or words that begin so."""
    found = store.find_tracks(words, MOST_MATCHES)
    asked = _asked(words)

    def named(names: Iterable[str | None]) -> dict[str, int]:
        counts = Counter(name for name in names if name)
        fitting = {name: count for name, count in counts.items() if _begins(asked, name)}
        return dict(sorted(fitting.items(), key=lambda item: (-item[1], item[0]))[:limit])

    return Suggestions(
        tuple(found[:limit]),
        named(track.artist for track in found),
        named(track.tags.album for track in found),
    )


def _asked(words: str) -> list[str]:
    return [part for term in search_terms(words) for part in words_of(term)]


def _begins(asked: Iterable[str], name: str) -> bool:
    words = words_of(normalise(name))
    return all(any(word.startswith(each) for word in words) for each in asked)
