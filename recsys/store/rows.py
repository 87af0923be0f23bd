"""Tracks, analyses and models as plain values: one codec for SQLite, Parquet and Milvus.

:func:`record_dict`, :func:`tags_dict`, :func:`analysis_dict` and :func:`model_dict` turn the types
of recsys into dictionaries of text, numbers and NumPy arrays, ``..._of`` turn them back. A store
adds only its own encoding of arrays, and of paths that are not UTF-8.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from recsys.errors import StoreError
from recsys.store.search import search_keys, search_texts, storable_text
from recsys.types import (
    MOOD_NUMBERS,
    NOT_MEASURED,
    UNKNOWN,
    Analysis,
    Blend,
    Effort,
    FloatArray,
    IdArray,
    Kind,
    Mix,
    ModelInfo,
    Tags,
    Track,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from recsys.types import MixKind, TrackFile

PathKey: TypeAlias = str | bytes
P = ParamSpec("P")
R = TypeVar("R")

DAMAGED_HINT = "Run `recsys doctor` to see what is damaged."

_UNIT_TOLERANCE = 1e-3
"""Of the length of an embedding, as in :mod:`recsys.index.base`."""

_INT64 = range(-(2**63), 2**63)
_TAGS = tuple(field.name for field in fields(Tags))
MIX_COLUMNS = tuple(field.name for field in fields(Mix))


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """A track to write.

    Duration and warning belong to the analysis: without one, the stored values of this
    ``audio_hash`` stay.
    """

    file: TrackFile
    tags: Tags
    audio_hash: str
    duration_s: float
    warning: str | None  # defect of the file
    analysis: Analysis | None  # by the library's current model
    track_id: int | None = None  # the track that moved to this path; None finds it by its path


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A sound that lacks tempo, key or loudness, and a file of it."""

    path: Path
    audio_hash: str
    duration_s: float  # as of the analysis; 0 where that is not known
    kinds: tuple[MixKind, ...]  # what is to be measured


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The stored state of a path: of a track, or of a failure, which has no id and no hash."""

    track_id: int | None
    size: int  # bytes, as of the last analysis, as is the time
    mtime_ns: int
    audio_hash: str | None
    genre: str | None  # None where the current model has not analysed the sound
    failure: str | None
    missing: bool  # the file was gone in the last run; the track was kept on request
    warning: str | None
    # To try again although the file has not changed: a failure whose reason was not the file's, or
    # a failure or warning of other versions of recsys and its decoders.
    retry: bool = False
    ctime_ns: int | None = None  # as of the last look at its tags; None where it is not known


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes since the revision of an index; ids ascend.

    Tracks that are new, or have another genre group or embedding, and tracks that were removed.
    """

    revision: int  # of the library, after these changes
    ids: IdArray  # (n,)
    genres: tuple[str, ...]  # genre group of each id
    embeddings: FloatArray  # (n, d)
    removed: IdArray  # (m,)


def path_key(path: Path) -> PathKey:
    r"""Return the stored form of a path: text if it is UTF-8, else its bytes.

    Examples
    --------
    >>> path_key(Path("/music/a.mp3"))
    '/music/a.mp3'
    >>> path_key(Path(os.fsdecode(b"/music/\xff.mp3")))
    b'/music/\xff.mp3'
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def reading(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function of stored values: values that it cannot read are a StoreError.

    SQLite has no checksums: a flipped bit may turn a text into a number, or into another text.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"A stored value cannot be read ({error}).", DAMAGED_HINT) from error

    return wrapper


@reading
def key_path(key: PathKey) -> Path:
    """Return the path of a stored key; the inverse of :func:`path_key`."""
    return Path(os.fsdecode(key))


def ranges_under(root: Path) -> list[tuple[PathKey, PathKey, PathKey]]:
    """Return the key ranges of everything under a folder, for text rows and for byte rows.

    SQLite sorts text before bytes and compares both byte by byte, so that each kind has its own
    range. ``0`` follows ``/`` in ASCII, so that ``root/`` to ``root0`` is exactly the range below
    the root: ``/a/b`` does not hold ``/a/bc``. A range is ``(exact, first, end)``: keys equal to
    ``exact`` (the root itself, when it is a file) or in ``[first, end)``.
    """
    raw = os.fsencode(root)
    stem = raw.rstrip(b"/")
    first, end = stem + b"/", stem + b"0"
    ranges: list[tuple[PathKey, PathKey, PathKey]] = [(raw, first, end)]
    if isinstance(path_key(root), str):
        ranges.insert(0, (raw.decode(), first.decode(), end.decode()))
    return ranges


def storable_int(number: int | None) -> int | None:
    """Return a number of a tag, None where it does not fit 64 bits."""
    return number if number is None or number in _INT64 else None


def tags_dict(tags: Tags) -> dict[str, Any]:
    """Return tags as plain values."""
    return {
        "artist": storable_text(tags.artist),
        "album_artist": storable_text(tags.album_artist),
        "album": storable_text(tags.album),
        "title": storable_text(tags.title),
        "track_number": storable_int(tags.track_number),
        "year": storable_int(tags.year),
        "genre_tag": storable_text(tags.genre_tag),
        "language": storable_text(tags.language),
    }


def tags_of(plain: Mapping[str, Any]) -> Tags:
    """Return the tags among the values of a track; missing ones are None."""
    return Tags(**{name: plain.get(name) for name in _TAGS})


def analysis_dict(analysis: Analysis | None) -> dict[str, Any]:
    """Return the arrays of an analysis by name; all None without one."""
    if analysis is None:
        return {"probabilities": None, "embedding": None, "tag_scores": None}
    return {
        "probabilities": analysis.probabilities,
        "embedding": analysis.embedding,
        "tag_scores": analysis.tags,
    }


def analysis_of(plain: Mapping[str, Any], identity: tuple[str, Effort]) -> Analysis:
    """Return the analysis of a model from arrays or lists of numbers; tag scores may be None."""
    scores = plain["tag_scores"]
    return Analysis(
        probabilities=np.asarray(plain["probabilities"], dtype=np.float32),
        embedding=np.asarray(plain["embedding"], dtype=np.float32),
        fingerprint=identity[0],
        tags=np.asarray(() if scores is None else scores, dtype=np.float32),
        effort=identity[1],
    )


def record_dict(record: TrackRecord) -> dict[str, Any]:
    """Return a record as plain values: file, tags, arrays, and search texts."""
    file = record.file
    artist, title, album, genre, _ = texts = search_texts(record.tags, file.path)
    return {
        "path": path_key(file.path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "ctime_ns": file.ctime_ns,
        "audio_hash": record.audio_hash,
        **tags_dict(record.tags),
        "search_artist": artist,
        "search_title": title,
        "search_album": album,
        "search_genre": genre,
        "search_keys": search_keys(texts),
        "duration_s": record.duration_s,
        "warning": storable_text(record.warning),
        **analysis_dict(record.analysis),
    }


def model_dict(info: ModelInfo) -> dict[str, Any]:
    """Return a model as values for JSON."""
    return {**asdict(info), "confusion": info.confusion.tolist()}


@reading
def model_of(plain: Mapping[str, Any]) -> ModelInfo:
    """Return the model of :func:`model_dict`, also after a round trip through JSON."""
    lists = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    confusion = np.array(plain["confusion"], dtype=np.float32)
    effort = Effort(plain["effort"])
    return ModelInfo(**{**plain, **lists, "confusion": confusion, "effort": effort})


_TEXT, _NUMBER, _NONE = frozenset({str}), frozenset({int}), frozenset({type(None)})
_REAL = frozenset({float})
_KINDS = {str(kind): kind for kind in Kind}
_TRACK_KINDS = (
    *(_NUMBER, _TEXT | {bytes}, _TEXT, _NUMBER, _TEXT, frozenset({float})),
    *(_TEXT | _NONE, _TEXT),
    *(_TEXT | _NONE, _REAL | _NONE, _REAL | _NONE),  # kind to vocals
    _NUMBER | _NONE,
    *(_REAL | _NONE,) * len(MOOD_NUMBERS),
    *((_TEXT if each.endswith("_by") or each == "key" else _REAL) | _NONE for each in MIX_COLUMNS),
    *(_TEXT | _NONE,) * 4,  # artist to title
    *(_NUMBER | _NONE,) * 2,  # number and year
    *(_TEXT | _NONE,) * 2,  # genre tag and language
)
"""Types of the columns of the view ``analysed_tracks``."""

_REPLACED = {3: 0, 4: UNKNOWN, 5: 0.0, 7: UNKNOWN}
"""What stands for damaged values that a track must have: missing, genre, duration, group."""


@lru_cache  # the same for nearly all tracks, so that a check costs half a microsecond
def _wrong_kinds(kinds: tuple[type, ...]) -> tuple[int, ...]:
    """Return the columns of a track that are of another type."""
    return tuple(i for i, kind in enumerate(kinds) if kind not in _TRACK_KINDS[i])


def _mended(row: Sequence[Any], wrong: Sequence[int]) -> Sequence[Any]:
    """Return a row without the values that it cannot have: one damaged row must not cost a list.

    StoreError without an id, a path or a hash.
    """
    values = list(row)
    for i in wrong:
        if type(None) not in _TRACK_KINDS[i] and i not in _REPLACED:
            raise StoreError("A stored track has no id, path or hash.", DAMAGED_HINT)
        values[i] = _REPLACED.get(i)
    return values


def track_of(row: Sequence[Any]) -> Track:
    """Return the track of a row of the view ``analysed_tracks``, see :mod:`recsys.store.schema`."""
    if wrong := _wrong_kinds(tuple(map(type, row))):
        row = _mended(row, wrong)
    track_id, path, audio_hash, missing, genre, duration_s, warning, group, *rest = row
    kind, kind_probability, vocals, added, *rest = rest
    energy, valence, danceability, acousticness, instrumentalness, *rest = rest
    mix, tags = rest[: len(MIX_COLUMNS)], rest[len(MIX_COLUMNS) :]
    return Track(
        id=track_id,
        path=key_path(path),
        tags=Tags(*tags),
        duration_s=duration_s,
        audio_hash=audio_hash,
        genre=genre,
        warning=warning,
        missing=bool(missing),
        genre_group=group,
        kind=_KINDS.get(kind),  # None for one that is damaged, too
        kind_probability=kind_probability,
        vocals=vocals,
        added_s=added,
        energy=energy,
        valence=valence,
        danceability=danceability,
        acousticness=acousticness,
        instrumentalness=instrumentalness,
        mix=mix_of(mix),
    )


_NOTHING = (None,) * len(MIX_COLUMNS)


def mix_of(values: Sequence[Any]) -> Mix:
    """Return what was measured of the values of :data:`MIX_COLUMNS`."""
    return NOT_MEASURED if tuple(values) == _NOTHING else Mix(*values)


def blend_text(blend: Blend) -> str:
    """Return the seeds of a query as JSON, the same for equal ones."""
    roles = {"seeds": blend.seeds, "like": blend.like, "not_like": blend.not_like}
    return json.dumps({k: v for k, v in roles.items() if v}, separators=(",", ":"))


@reading
def blend_of(text: str) -> Blend:
    """Return the seeds of :func:`blend_text`."""
    return Blend(**{role: tuple(hashes) for role, hashes in json.loads(text).items()})


def array_blob(array: FloatArray) -> bytes:
    """Return an array as little-endian float32, on any machine."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


@reading
def blob_array(blob: bytes) -> FloatArray:
    """Return a writable array of a stored one, shape (n,)."""
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def is_intact(
    probabilities: bytes,
    embedding: bytes,
    tag_scores: bytes | None,
    model: ModelInfo | None = None,
) -> bool:
    """Return whether the stored arrays of an analysis are numbers, and of the model's lengths."""
    blobs = (probabilities, embedding, tag_scores or b"")
    if any(not isinstance(blob, bytes) or len(blob) % 4 for blob in blobs):
        return False
    if model is not None:
        lengths = (len(model.labels), model.dimension, len(model.tags))
        if any(len(blob) != 4 * length for blob, length in zip(blobs, lengths, strict=True)):
            return False
        if not are_units(np.frombuffer(embedding, dtype="<f4")[np.newaxis])[0]:
            return False
    return bool(np.isfinite(np.frombuffer(b"".join(blobs), dtype="<f4")).all())


def are_units(embeddings: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which embeddings, shape (n, d), are unit vectors; the index refuses all others."""
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
        units: npt.NDArray[np.bool_] = np.abs(lengths - 1) <= _UNIT_TOLERANCE  # NaN is none
    return units


def has_length(blob: object, length: int) -> bool:
    """Return whether a stored value is an array of this length, in any row of a damaged file."""
    return isinstance(blob, bytes) and len(blob) == 4 * length


def blob_matrix(blobs: Sequence[bytes], dimension: int) -> FloatArray:
    """Stack embeddings or tag scores, float32 (n, dimension); StoreError for another length."""
    odd = next((len(blob) for blob in blobs if len(blob) != 4 * dimension), None)
    if odd is not None:
        raise StoreError(
            f"A stored array has {odd} bytes instead of {4 * dimension}.", DAMAGED_HINT
        )
    return blob_array(b"".join(blobs)).reshape(len(blobs), dimension)
