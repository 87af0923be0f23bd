"""What requests may hold; names and meanings are those of `Library` and of the command line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recsys.pages import MOST_WORDS, PageOptions
from recsys.playlists import PlaylistOptions
from recsys.playlists.radio import RadioOptions
from recsys.recommender import Filters, SimilarOptions
from recsys.types import TRACK_NUMBERS, KindName, PlaylistFormat

Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_WORDS)]
Search = Annotated[str, StringConstraints(max_length=MOST_WORDS)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Place = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Some = Annotated[list[Text], Field(max_length=50)]
Id = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(gt=0, lt=1e7, allow_inf_nan=False)]


class Given(BaseModel):
    """Values of a request; unknown names are refused, so that a slip is not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(Given):
    """Values in JSON, where ``true`` is no number and ``"1"`` neither."""

    model_config = ConfigDict(strict=True)


class _Ranges(Given):
    """Numbers of tracks between limits: ``0.7..``, ``..0.3``, ``0.2..0.5``."""

    energy: Text | None = None
    valence: Text | None = None
    danceability: Text | None = None
    acousticness: Text | None = None
    instrumentalness: Text | None = None
    vocals: Text | None = None
    tempo: Text | None = None
    loudness: Text | None = None

    def own_ranges(self) -> dict[str, str]:
        given = {name: getattr(self, name) for name in TRACK_NUMBERS}
        return {name: value for name, value in given.items() if value is not None}


class _Filtered(Given):
    """Tracks that must not be in a list: :class:`recsys.recommender.Filters`."""

    not_artists: Some = []
    no_same_artist: bool = False
    exclude: Some = []
    min_length_s: Seconds | None = None
    max_length_s: Seconds | None = None
    languages: Some = []
    include: Annotated[list[Literal["speech", "other"]], Field(max_length=2)] = []
    moods: Some = []
    key_match: bool = False
    use_defaults: bool = True

    def filters_with(self, ranges: dict[str, str]) -> Filters:
        return Filters(
            not_artists=tuple(self.not_artists),
            no_same_artist=self.no_same_artist,
            exclude=tuple(self.exclude),
            min_length_s=self.min_length_s,
            max_length_s=self.max_length_s,
            languages=tuple(self.languages),
            include=tuple(self.include),  # type: ignore[arg-type]  # names of kinds
            ranges=ranges,
            moods=tuple(self.moods),
            key_match=self.key_match,
            use_defaults=self.use_defaults,
        )


class FilteredBody(_Filtered):
    """Filters of a request in JSON."""

    model_config = ConfigDict(strict=True)

    ranges: Annotated[dict[Text, Text], Field(max_length=len(TRACK_NUMBERS))] = {}

    def filters(self) -> Filters:
        """Return the filters."""
        return self.filters_with(self.ranges)


# Tracks


class TracksQuery(_Ranges):
    """Which tracks, and in which order."""

    q: Search | None = None
    genre: Text | None = None
    tag: Some = []
    artist: Text | None = None
    album: Text | None = None
    folder: Place | None = None
    kind: KindName | None = None
    added_since: datetime | None = None
    mood: Some = []
    language: Some = []
    banned: bool = False
    sort: Text | None = None

    def options(self) -> PageOptions:
        """Return the options."""
        return PageOptions(
            search=self.q,
            genre=self.genre,
            tags=tuple(self.tag),
            artist=self.artist,
            album=self.album,
            folder=None if self.folder is None else Path(self.folder),
            kind=self.kind,
            added_since=self.added_since,
            moods=tuple(self.mood),
            languages=tuple(self.language),
            ranges=self.own_ranges(),
            banned=self.banned,
            sort=self.sort,
        )


class PageQuery(TracksQuery):
    """A page of tracks, or the tracks of some ids."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Cursor | None = None
    ids: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(,[0-9]{1,15}){0,499}$")] | None = (
        None
    )


class ArtistsQuery(Given):
    """A page of artists."""

    q: Search | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Cursor | None = None


class SimilarQuery(_Ranges, _Filtered):
    """How to recommend: :class:`recsys.recommender.SimilarOptions`."""

    k: Annotated[int, Field(ge=1, le=500)] = 20
    strategy: Literal["tiers", "similarity"] = "tiers"
    genre: Text | None = None
    tags: Some = []
    max_per_artist: Annotated[int, Field(ge=1, le=10_000)] | None = None
    no_same_album: bool = False
    show_duplicates: bool = False
    explain: bool = False
    taste: bool = True

    def options(self) -> SimilarOptions:
        """Return the options."""
        return SimilarOptions(
            k=self.k,
            strategy=self.strategy,
            genre=self.genre,
            tags=tuple(self.tags),
            max_per_artist=self.max_per_artist,
            no_same_album=self.no_same_album,
            show_duplicates=self.show_duplicates,
            taste=self.taste,
            filters=self.filters_with(self.own_ranges()),
        )


class SeedsQuery(SimilarQuery):
    """What to be like, and how to recommend."""

    seed: Some = []
    like: Some = []
    not_like: Some = []
    words: Text | None = None
    upload: Text | None = None


# Radio


class RadioBody(FilteredBody):
    """The next tracks: :class:`recsys.playlists.radio.RadioOptions`."""

    length: Annotated[int, Field(ge=1, le=200)] = 10
    genre: Text | None = None
    tags: Some = []
    taste: bool = True

    def options(self) -> RadioOptions:
        """Return the options."""
        return RadioOptions(
            length=self.length,
            genre=self.genre,
            tags=tuple(self.tags),
            taste=self.taste,
            filters=self.filters(),
        )


class StartBody(RadioBody):
    """A session to start, or to go on with."""

    seeds: Some = []
    like: Some = []
    not_like: Some = []
    words: Text | None = None
    new: bool = False


class SteerBody(Body):
    """What is said of a track of a session."""

    kind: Text
    track: Id


# Playlists


class MakeBody(FilteredBody):
    """How to make a playlist: :class:`recsys.playlists.PlaylistOptions`."""

    seeds: Some = []
    like: Some = []
    not_like: Some = []
    words: Text | None = None
    cycle: Literal["auto"] | Some | None = None
    to: Text | None = None
    extend: Annotated[list[Id], Field(min_length=1, max_length=10_000)] | None = None
    length: Annotated[int, Field(ge=1, le=1000)] | None = None
    duration_s: Annotated[float, Field(gt=0, le=864_000, allow_inf_nan=False)] | None = None
    artist_gap: Annotated[int, Field(ge=0, le=1000)] | None = None
    seed: Id = 0
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    per_genre: Annotated[int, Field(ge=1, le=1000)] = 1
    genre: Text | None = None
    tags: Some = []
    curves: Some = []
    name: Name | None = None
    taste: bool = True

    def options(self) -> PlaylistOptions:
        """Return the options."""
        return PlaylistOptions(
            length=self.length,
            duration_s=self.duration_s,
            artist_gap=self.artist_gap,
            seed=self.seed,
            diversity=self.diversity,
            per_genre=self.per_genre,
            genre=self.genre,
            tags=tuple(self.tags),
            curves=tuple(self.curves),
            name=self.name,
            taste=self.taste,
            filters=self.filters(),
        )


class SaveBody(Body):
    """A playlist to keep."""

    name: Name
    tracks: Annotated[list[Id], Field(max_length=100_000)]
    recipe: MakeBody | None = None

    def recipe_fields(self) -> dict[str, Any] | None:
        """Return what was said of how to make it."""
        return None if self.recipe is None else self.recipe.model_dump(exclude_unset=True)


class FileQuery(Given):
    """A file of a playlist."""

    format: PlaylistFormat = "m3u8"
    root: Annotated[list[Place], Field(max_length=20)] = []


class FileBody(Body):
    """A playlist that is not kept, as a file."""

    name: Name = "playlist"
    tracks: Annotated[list[Id], Field(max_length=100_000)]
    format: PlaylistFormat = "m3u8"
    roots: Annotated[list[Place], Field(max_length=20)] = []


# The rest


class FeedbackBody(Body):
    """What a listener says."""

    kind: Text
    seeds: Annotated[list[Text], Field(min_length=1, max_length=50)]
    source: Text = "web"


class RunBody(Body):
    """Folders to index; none for those that the library knows."""

    folders: Annotated[list[Place], Field(max_length=50)] = []
    also: Annotated[list[Literal["tempo", "key", "loudness"]], Field(max_length=3)] = []


class GenreBody(Body):
    """A genre for the tags of a file."""

    genre: Text


class UndoBody(Body):
    """A run that wrote tags; none for the last."""

    run: Id | None = None


class LoginBody(Body):
    """A token."""

    token: Text


class Nothing(Body):
    """An empty object."""
