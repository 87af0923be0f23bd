"""The tracks of a library as a list, and one of them in detail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from recsys.audio import plan_offsets
from recsys.checks import check_types
from recsys.classifier.card import ModelCard
from recsys.credits import album_keys, credited_artists
from recsys.errors import ModelError, QueryError
from recsys.genres import HOLDS_FROM
from recsys.recommender.filters import checked_ranges, is_within
from recsys.recommender.presence import is_there
from recsys.recommender.query import MAX_BATCH, TagFilter
from recsys.recommender.taxonomy import taxonomy_of
from recsys.taste import Subject
from recsys.types import TRACK_NUMBERS, Kind, Neighbour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from recsys.classify import Classification
    from recsys.index.base import EmbeddingIndex
    from recsys.store import Store
    from recsys.taste import Event
    from recsys.types import Analysis, KindName, ModelInfo, Range, Recommendation, Track


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which tracks of a library to list; all by default.

    Attributes
    ----------
    genre : str or None
        Only tracks of this genre group.
    tags : tuple of str
        Only tracks that carry all of these tags of the model.
    artist : str or None
        Only tracks with these words in the artist. Case, accents and marks do not count.
    album : str or None
        Only tracks with these words in the album.
    added_since : datetime or None
        Only tracks that the library first had then, or later; with a time zone.
    banned : bool
        Banned tracks, too.
    ranges, moods
        As in :class:`recsys.recommender.filters.Filters`.
    kind : str or None
        Only tracks of this :class:`recsys.types.Kind`.

    Raises
    ------
    QueryError
        A value is of another type, a name is empty, or a time has no zone.
    """

    genre: str | None = None
    tags: tuple[str, ...] = ()
    artist: str | None = None
    album: str | None = None
    added_since: datetime | None = None
    banned: bool = False
    ranges: Mapping[str, Range | str] = field(default_factory=dict)
    moods: tuple[str, ...] = ()
    kind: KindName | Kind | None = None

    def __post_init__(self) -> None:
        check_types(self)
        checked_ranges(self.ranges)
        for name, value in (("artist", self.artist), ("album", self.album)):
            if value is not None and not value.strip():
                raise QueryError(f"{name} is empty: {value!r}", "Give words, or leave it out.")
        if self.kind is not None and self.kind not in list(Kind):
            raise QueryError(f"unknown kind {self.kind!r}", f"Known: {', '.join(Kind)}.")
        since = self.added_since
        if since is not None and (not isinstance(since, datetime) or since.tzinfo is None):
            raise QueryError(
                f"added_since must be a datetime with a time zone, got {since!r}",
                "Give datetime.now(UTC) - timedelta(days=30), for example.",
            )


def list_tracks(
    store: Store, index: EmbeddingIndex, info: ModelInfo, options: ListOptions
) -> Iterator[Track]:
    """Iterate over tracks by id, which is the order in which they were added.

    QueryError, at once, for an unknown genre or tag.
    """
    genre = options.genre
    if genre is not None:
        genre = taxonomy_of(store, index, info).resolve(genre)
    since = options.added_since
    found = store.tracks_where(
        genre=genre,
        kind=options.kind,
        artist=options.artist,
        album=options.album,
        added_since_s=None if since is None else since.timestamp(),
    )
    bans = store.bans()
    if bans and not options.banned:
        found = (track for track in found if not bans.holds(track))
    if ranges := checked_ranges(options.ranges):
        found = (track for track in found if is_within(track, ranges))
    if not options.tags:
        return found
    return _carrying(found, TagFilter(store, info, options.tags))


def _carrying(tracks: Iterator[Track], wanted: TagFilter) -> Iterator[Track]:
    while page := list(islice(tracks, MAX_BATCH)):
        near = wanted.admitted([Neighbour(track.id, 1.0) for track in page])
        admitted = {each.track_id for each in near}
        yield from (track for track in page if track.id in admitted)


COLUMNS = (
    *("track_id", "path", "artist", "title", "album", "year", "duration_s"),
    *("genre", "label", "kind", "kind_probability", "genre_tag", "added", "missing"),
    *TRACK_NUMBERS,
    *("tempo_confidence", "key", "camelot", "key_confidence", "true_peak_dbtp", "replay_gain_db"),
)
"""What :func:`track_dict` returns, in its order."""


def track_dict(track: Track) -> dict[str, Any]:
    """Return a track as plain values, the same in lists, files and JSON."""
    return {
        "track_id": track.id,
        "path": str(track.path),
        "artist": track.artist,
        "title": track.title,
        "album": track.tags.album,
        "year": track.tags.year,
        "duration_s": round(track.duration_s, 3),
        "genre": track.genre,
        "label": track.genre_group,
        "kind": None if track.kind is None else str(track.kind),
        "kind_probability": _rounded(track.kind_probability),
        "genre_tag": track.tags.genre_tag,
        "added": added_text(track),
        "missing": not is_there(track.path),
        **track.numbers,
        **track.mix.fields(),
    }


def kind_fields(found: Track | Classification) -> dict[str, str | float | None]:
    """Return the kind of a track or file as plain values; all None where it is not known."""
    return {
        "kind": None if found.kind is None else str(found.kind),
        "kind_probability": _rounded(found.kind_probability),
        "vocals": _rounded(found.vocals),
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def added_text(track: Track) -> str | None:
    """Return when the library first had a track, ISO 8601 in UTC; None if that is not known."""
    if track.added_s is None:
        return None
    return datetime.fromtimestamp(track.added_s, UTC).isoformat(timespec="seconds")


# One track


@dataclass(frozen=True, slots=True)
class AnalysedWindows:
    """Where a track was decoded for its analysis."""

    starts_s: tuple[float, ...]
    length_s: float


@dataclass(frozen=True, slots=True)
class TrackDetails:
    """What a library knows about one track."""

    track: Track
    probabilities: dict[str, float]  # by genre of the model, the most probable first
    tags: dict[str, float]  # strengths (z-scores) of the tags that it carries, strongest first
    neighbours: tuple[Recommendation, ...]  # nearest first, near-duplicates left out
    model: str  # name
    fingerprint: str  # of the model
    effort: str
    windows: AnalysedWindows | None  # None where the model's card does not tell
    size: int | None  # of the file in bytes, when it was last read
    modified_s: float | None  # of the file, seconds since the epoch
    copies: tuple[Path, ...]  # other files of the same sound that are there
    feedback: tuple[Event, ...]  # what was said of it, its artists and its album, by time
    ban: Event | None  # the ban that it is under


def _feedback_on(store: Store, track: Track) -> list[Event]:
    keys = {
        Subject.TRACK: {track.audio_hash},
        Subject.ARTIST: credited_artists(track),
        Subject.ALBUM: set(album_keys(track)),
    }
    events = (
        event
        for subject, own in keys.items()
        for key in own
        for event in store.events_of(key)
        if event.subject == subject
    )
    return sorted(events, key=lambda event: event.time)


def details_of(
    store: Store,
    info: ModelInfo,
    track: Track,
    analysis: Analysis,
    neighbours: Sequence[Recommendation],
) -> TrackDetails:
    """Return what the library knows about a track."""
    genres = zip(info.labels, analysis.probabilities.tolist(), strict=True)
    strengths = zip(info.tags, info.tag_strengths(analysis.tags).tolist(), strict=True)
    carried = {tag: strength for tag, strength in strengths if strength >= HOLDS_FROM}
    file = store.lookup(track.path)
    return TrackDetails(
        track=track,
        probabilities=dict(sorted(genres, key=lambda item: -item[1])),
        tags=dict(sorted(carried.items(), key=lambda item: -item[1])),
        neighbours=tuple(neighbours),
        model=info.name,
        fingerprint=info.fingerprint,
        effort=str(info.effort),
        windows=_windows_of(store, info, track),
        size=file.size if file else None,
        modified_s=file.mtime_ns / 1e9 if file else None,
        copies=tuple(
            path for _, path in store.paths_of_hash(track.audio_hash, {track.id}) if is_there(path)
        ),
        feedback=tuple(_feedback_on(store, track)),
        ban=store.bans().ban_of(track),
    )


def _windows_of(store: Store, info: ModelInfo, track: Track) -> AnalysedWindows | None:
    """Return the windows that are planned for the duration of a track."""
    try:
        card = ModelCard.from_json(store.model_card() or "{}").at_effort(info.effort)
    except ModelError:  # of an extra that is not installed
        return None
    features = card.features
    starts = plan_offsets(
        track.duration_s, features.window_s, features.max_windows, features.overlap
    )
    return AnalysedWindows(tuple(starts), features.window_s)
