"""What the server answers, as types: for its OpenAPI document, and for the client.

Every one is a plain dictionary, as JSON has it.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

# Pydantic reads no TypedDict of `typing` before Python 3.12.
from typing_extensions import TypedDict

Kinds = Literal["music", "speech", "other"]


class ProblemMatch(TypedDict):
    """One thing that words may mean."""

    text: str
    seed: str


class ProblemField(TypedDict):
    """A value of a request that is not of the form asked for."""

    field: str
    detail: str


class ProblemDetails(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    reason: NotRequired[Literal["no_library", "empty", "library"]]
    fields: NotRequired[list[ProblemField]]
    matches: NotRequired[list[ProblemMatch]]


# Tracks


class Numbers(TypedDict):
    """Numbers of a track; None where they are not known."""

    energy: float | None
    valence: float | None
    danceability: float | None
    acousticness: float | None
    instrumentalness: float | None
    vocals: float | None
    tempo: float | None
    loudness: float | None
    tempo_confidence: float | None
    key: str | None
    camelot: str | None
    key_confidence: float | None
    true_peak_dbtp: float | None
    replay_gain_db: float | None


class TrackRow(Numbers):
    """A track, as every list has it."""

    track_id: int
    path: str
    artist: str | None
    title: str
    album: str | None
    year: int | None
    duration_s: float
    genre: str
    label: str
    kind: Kinds | None
    kind_probability: float | None
    genre_tag: str | None
    added: str | None
    missing: bool
    media_type: str
    direct: bool


class TrackPage(TypedDict):
    """A page of tracks."""

    tracks: list[TrackRow]
    total: int
    next: str | None


class FeedbackEvent(TypedDict):
    """Something that the listener said."""

    time: str
    kind: str
    subject: Literal["track", "artist", "album", "folder"]
    key: str
    name: str
    source: str
    tracks: list[str]


class AnalysisOf(TypedDict):
    """By what a track was analysed, and where it was decoded."""

    model: str
    fingerprint: str
    effort: str
    windows: list[float] | None
    window_s: float | None


class NeighbourRow(TrackRow):
    """A track that is near to another."""

    similarity: float


class TrackView(TrackRow):
    """What the library knows of a track."""

    tempo_by: str | None
    key_by: str | None
    loudness_by: str | None
    album_artist: str | None
    track_number: int | None
    size: int | None
    modified: str | None
    audio_hash: str
    warning: str | None
    copies: list[str]
    feedback: list[FeedbackEvent]
    banned_by: FeedbackEvent | None
    probabilities: dict[str, float]
    threshold: dict[str, float]
    genres: list[str]
    tags: dict[str, float]
    analysis: AnalysisOf
    neighbours: list[NeighbourRow]


# What is similar

ReadingOf = TypedDict(
    "ReadingOf", {"given": str, "as": str, "name": str, "tracks": int, "role": str}
)
"""How a seed was understood."""


class WordYears(TypedDict):
    """Years that words name."""

    first: int
    last: int
    unwanted: bool


class WordName(TypedDict):
    """An artist or album that words name."""

    name: str
    kind: str
    tracks: int
    unwanted: bool


class WordsReading(TypedDict):
    """How words for sound were understood."""

    given: str
    reading: str
    wanted: list[str]
    unwanted: list[str]
    years: list[WordYears]
    names: list[WordName]
    not_understood: list[str]
    text_model: NotRequired[str]


class SeedRow(TypedDict):
    """A track that was asked for; without an id, a file that was sent."""

    path: str
    track_id: int | None
    artist: str | None
    title: str
    genre_tag: str | None


class SimilarAsked(TypedDict):
    """What was asked for; the first seed stands here, too."""

    path: NotRequired[str]
    track_id: NotRequired[int | None]
    artist: NotRequired[str | None]
    title: NotRequired[str]
    genre_tag: NotRequired[str | None]
    genre: str | None
    label: str | None
    probabilities: dict[str, float]
    seeds: list[SeedRow]
    readings: list[ReadingOf]
    words: NotRequired[WordsReading]


class ScoredGenre(TypedDict):
    """How far a genre is that of a question."""

    genre: str
    score: float


class TierOf(TypedDict):
    """Genres of one rank."""

    tier: int
    kind: str
    genres: list[str]


class SimilarRow(TrackRow):
    """A track that is similar."""

    rank: int
    tier: int
    genre_score: float
    similarity: float
    score: NotRequired[float]
    taste: NotRequired[float]
    reasons: NotRequired[list[str]]


class SimilarTracks(TypedDict):
    """Tracks that are similar, the best first."""

    query: SimilarAsked
    genres: list[ScoredGenre]
    tiers: list[TierOf]
    results: list[SimilarRow]
    filtered: dict[str, int]
    notes: list[str]


# Radio


class RadioRow(TrackRow):
    """The next track of a session."""

    position: int
    similarity: float
    artist_spacing: int | None
    album_spacing: int | None
    reasons: list[str]


class RadioNext(TypedDict):
    """The next tracks of a session."""

    session: int
    name: str
    seeds: list[TrackRow]
    words: str | None
    results: list[RadioRow]
    notes: list[str]


class SessionHead(TypedDict):
    """A session in a list."""

    session: int
    started: str
    name: str
    words: str | None
    given: int


class SessionList(TypedDict):
    """Sessions, the newest first."""

    sessions: list[SessionHead]


class GivenRow(TrackRow):
    """A track that a session gave."""

    position: int


class SessionView(TypedDict):
    """A session, with the tracks that it gave last."""

    session: int
    name: str
    words: str | None
    seeds: list[TrackRow]
    like: list[TrackRow]
    not_like: list[TrackRow]
    given: int
    tracks: list[GivenRow]


# Playlists


class MadeRow(TrackRow):
    """A track of a playlist that was made."""

    similarity: float | None


class MadePlaylist(TypedDict):
    """A playlist that is not kept."""

    name: str
    seed: int
    seeds: list[TrackRow]
    tracks: list[MadeRow]
    note: str
    readings: list[ReadingOf]
    duration_s: float


class PlaylistHead(TypedDict):
    """A playlist that is kept."""

    playlist: int
    name: str
    made: str
    changed: str
    refreshes: bool


class PlaylistItem(PlaylistHead):
    """A playlist in a list."""

    tracks: int
    duration_s: float


class PlaylistList(TypedDict):
    """The playlists that are kept."""

    playlists: list[PlaylistItem]


class KeptPlaylist(PlaylistHead):
    """A playlist that is kept, with its tracks."""

    recipe: dict[str, Any] | None
    tracks: list[TrackRow]
    gone: int
    note: NotRequired[str]


# Feedback and tags


class FeedbackList(TypedDict):
    """What was said."""

    events: list[FeedbackEvent]


class JudgedIds(TypedDict):
    """Ids of the tracks that are liked, disliked or banned."""

    like: list[int]
    dislike: list[int]
    ban: list[int]


class CorrectedGenre(TypedDict):
    """A genre tag that was written; `run` takes it back, None where the file had it already."""

    run: int | None
    path: str
    status: Literal["written", "unchanged"]
    genre: list[str]
    reason: None


class TagChange(TypedDict):
    """A genre tag that was replaced."""

    path: str
    old: list[str] | None
    new: list[str]


class TagRun(TypedDict):
    """A run that wrote genre tags and can be taken back, with its first changes."""

    run: int
    time: str
    files: int
    changes: list[TagChange]


class TagOutcome(TypedDict):
    """What became of a file whose tag was to be brought back."""

    path: str
    status: Literal["restored", "unchanged", "failed"]
    genre: list[str] | None
    reason: str | None
    hint: str


class UndoneTags(TypedDict):
    """A run that was taken back."""

    run: int
    time: str
    outcomes: list[TagOutcome]


# The library


class RunError(TypedDict):
    """Why a run failed."""

    detail: str
    hint: str


class RunView(TypedDict):
    """An index run."""

    run: int
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    folders: list[str]
    also: list[str]
    started: str | None
    ended: str | None
    done: int
    total: int | None
    failed: int
    path: str | None
    summary: dict[str, Any] | None
    error: RunError | None


class RunList(TypedDict):
    """Index runs, the newest first."""

    runs: list[RunView]


class ModelOf(TypedDict):
    """The model of a library."""

    name: str | None
    fingerprint: str | None


class RootOf(TypedDict):
    """A folder of a library."""

    path: str
    available: bool


class IndexOf(TypedDict):
    """The index of a library."""

    fresh: bool
    problems: list[str]
    recall_at_20: dict[str, float]


class PassedOverOf(TypedDict):
    """What the last scan did not take as tracks."""

    extensions: dict[str, int]
    videos: int
    leftovers: dict[str, int]
    folders: dict[str, int]
    hidden: int
    hidden_music: list[str]
    excluded: int
    cue_sheets: int


class StatusView(TypedDict):
    """The figures of a library."""

    database: str
    database_bytes: int
    index_bytes: int
    model: ModelOf
    effort: str | None
    tracks: int
    genres_from: str
    genres: dict[str, int]
    nearest_genres: dict[str, list[str]]
    kinds: dict[str, int]
    tags: list[str]
    failures: int
    missing: int
    unanalysed: int
    roots: list[RootOf]
    index: IndexOf
    passed_over: PassedOverOf
    exclude: list[str]
    video: bool
    preferences: dict[str, Any]
    numbers: dict[str, list[int]]
    numbers_from: str
    feedback: NotRequired[dict[str, int]]
    run: RunView | None


class FailureRow(TypedDict):
    """A file that could not be analysed."""

    path: str
    reason: str
    hint: str
    retry: bool


class FailureKind(TypedDict):
    """Failures of one reason."""

    reason: str
    files: int
    retried: int
    examples: list[str]
    hint: str


class FailurePage(TypedDict):
    """A page of files that could not be analysed."""

    failures: list[FailureRow]
    groups: list[FailureKind]
    total: int
    next: str | None


class GenreRow(TypedDict):
    """A genre."""

    genre: str
    tracks: int
    nearest: list[str]


class GenreList(TypedDict):
    """The genres, most tracks first."""

    genres: list[GenreRow]


class TagRow(TypedDict):
    """A tag of the model."""

    tag: str
    tracks: int


class TagList(TypedDict):
    """The tags, most tracks first."""

    tags: list[TagRow]


class MoodRow(TypedDict):
    """A mood, and the numbers that make it."""

    mood: str
    tracks: int
    ranges: dict[str, str]


class MoodList(TypedDict):
    """The moods, most tracks first."""

    moods: list[MoodRow]


class LanguageRow(TypedDict):
    """A language that tags name: a code, or a name whose code is not known."""

    language: str
    tracks: int


class LanguageList(TypedDict):
    """The languages, most tracks first."""

    languages: list[LanguageRow]


class FolderRow(TypedDict):
    """A folder with tracks."""

    folder: str
    name: str
    tracks: int
    there: bool


class FolderList(TypedDict):
    """The folders in a folder."""

    folder: str | None
    parent: str | None
    folders: list[FolderRow]
    tracks: int


class NameRow(TypedDict):
    """An artist or album; the seed means it."""

    name: str
    tracks: int
    seed: str


class ArtistList(TypedDict):
    """A page of artists."""

    artists: list[NameRow]
    total: int
    next: str | None


class SuggestionList(TypedDict):
    """What may be meant by what is typed."""

    tracks: list[TrackRow]
    artists: list[NameRow]
    albums: list[NameRow]


class PreferencesView(TypedDict, total=False):
    """The filters that are the defaults of every list; those that are set."""

    not_artists: list[str]
    no_same_artist: bool
    exclude: list[str]
    min_length_s: float
    max_length_s: float
    languages: list[str]
    include: list[str]
    ranges: dict[str, str]
    moods: list[str]
    key_match: bool


class ScoredTag(TypedDict):
    """How far a file carries a tag."""

    score: float
    strength: float


class ClassifiedFile(TypedDict):
    """What a file that was sent was classified as; `upload` makes it a seed for an hour."""

    path: str
    genre: str
    genres: list[str]
    label: str
    probabilities: dict[str, float]
    tags: dict[str, ScoredTag]
    kind: Kinds | None
    kind_probability: float | None
    vocals: float | None
    warning: NotRequired[str]
    upload: str


class RegionOf(TypedDict):
    """A dense place of the map."""

    name: str
    x: float
    y: float
    tracks: int


class MapView(TypedDict):
    """The map: whether there is one, how true it is, where its regions lie."""

    state: Literal["none", "making", "ready", "failed"]
    neighbours: int
    points: int
    note: str
    share: NotRequired[float | None]
    revision: NotRequired[int]
    trustworthiness: NotRequired[float | None]
    placed: NotRequired[int]
    regions: NotRequired[list[RegionOf]]
    genres: NotRequired[list[str]]


class ServerView(TypedDict):
    """What this server is, and whether one has to log in."""

    name: str
    version: str
    login: bool
    logged_in: bool
    home: str | None
