"""The implementation: FAISS, one file per genre group and a manifest that names the files.

A part is searched where it is mapped into memory. Its file holds

- the ids: int64, shape (n,);
- the embeddings: a FAISS index of kind ``SQfp16``, which ends in the float16 rows, shape (n, d);
- above :data:`FLAT_LIMIT` tracks, codes: a FAISS index of kind ``PQ{d}x4fs``, 4 bits per dimension.

A flat part compares the query with every row. A part with codes scans them first, an eighth of the
bytes of float32, and compares the best candidates with their float16 rows (``IndexRefine``). The
number of candidates is measured when the codes are trained.

A change writes the parts that it touches under new names; then the manifest is replaced atomically,
and only then are the old files removed. A crash leaves either the old or the new index intact.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import sys
import zlib
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from recsys import atomic
from recsys.checks import regular
from recsys.errors import GenreIndexError
from recsys.index.base import (
    REBUILD_HINT,
    DamagedPartError,
    best,
    checked_dimension,
    checked_query,
    checked_vectors,
    unit_from_half,
    unknown_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray, Neighbour

P = ParamSpec("P")
T = TypeVar("T")

MANIFEST = "manifest.json"
FORMAT = 1
METRIC = "cosine"

FLAT = "SQfp16"
CODES = "PQ{}x4fs"
"""FAISS factory strings. Of those measured on clustered genres of 26,000, 78,000 and 260,000
tracks, one 4-bit quantiser per dimension is the fastest with a recall above 0.99: 16 times as fast
as flat search at 78,000. Half as many quantisers need eight times the candidates, and cells (IVF)
lose a twentieth of the neighbours when a quarter of them is searched."""

FLAT_LIMIT = 50_000
"""Tracks up to which a part has no codes."""

NUMPY_ROWS = 100_000
"""Rows of a part that NumPy compares before FAISS is loaded, which takes 0.1 s, longer than the one
search of a command."""

CHECKED_BYTES = 32 * 2**20
"""Files up to this size are checked against their checksum at first use, 1 ms per MiB; larger ones
only by :meth:`GenreIndex.verify`."""

MARGIN = 1e-3
"""Candidates within this similarity of the last one wanted are compared as well. Rounding to
float16 changes the length of a row by up to 2^-11, and FAISS ranks by inner product."""

HALF_TOLERANCE = 0.01
"""Tolerance of the length of a row: that of embeddings, and the rounding to float16."""

SPARE = 16
"""Candidates beyond those wanted, so that the last one is usually outside the margin."""

SEED = 20
TRAINED_ON = 10_000
TRAINING_STEPS = 10
"""Vectors and k-means steps of the training of codes; more gain nothing."""

LEAST_TRAINING = 39 * 2**4
"""With fewer training vectors FAISS warns, so they are repeated."""

GROWTH = 1.5
"""Growth of a part since its codes were trained after which they are trained again."""

RECALL_AT = 20
RECALL_WANTED = 0.99
RECALL_QUERIES = 100
CHUNK = 10_000
"""Rows converted to float32 at a time."""

MOST_WAITING = 1000
"""Tracks that are added to a part before they are merged: copying a large part for a few new ones
takes longer than to compare these one by one."""

_OUR_FILES = re.compile(
    rf"part-[0-9a-f]{{16}}-\d{{4,}}\.bin|{re.escape(atomic.PREFIX)}[0-9a-f]{{16}}\.tmp"
)
_ATTEMPTS = 5
_ID, _HALF = np.dtype("<i8"), np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class PartEntry:
    """A part as the manifest describes it."""

    genre: str
    count: int  # tracks in it
    highest_id: int  # of its tracks
    factory: str  # FAISS factory string
    file: str  # name in the directory
    size: int  # bytes
    crc32: int
    rows_at: int  # offset of the float16 rows
    # With codes only:
    trained_on: int | None = None  # tracks of the part when they were trained
    k_factor: int | None = None  # candidates compared with their rows, per requested track
    recall_at_20: float | None = None  # against flat search on a seeded sample, then

    def __post_init__(self) -> None:
        """Raise ValueError for what no index has: an older manifest has no checksum."""
        if not isinstance(self.genre, str) or not _OUR_FILES.fullmatch(self.file):
            raise ValueError(f"part {self.genre!r} in {self.file!r}")
        for name, least in (("count", 1), ("highest_id", 0), ("size", 1), ("rows_at", 1)):
            if not _is_whole(getattr(self, name), least):
                raise ValueError(f"{name} of {self.genre} is {getattr(self, name)!r}")
        if self.k_factor is not None and not _is_whole(self.k_factor, 1):
            raise ValueError(f"k_factor of {self.genre} is {self.k_factor!r}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Model and revision of a saved index, and its parts."""

    dimension: int
    fingerprint: str
    revision: int
    snapshot: str  # new after every save
    parts: tuple[PartEntry, ...]  # sorted by genre

    def __post_init__(self) -> None:
        """Raise ValueError for what no index has."""
        if not (_is_whole(self.dimension, 1) and _is_whole(self.revision, 0)):
            raise ValueError(f"dimension {self.dimension!r}, revision {self.revision!r}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a saved index; GenreIndexError if it is missing, damaged or foreign."""
    path = directory / MANIFEST
    try:
        fields = json.loads(regular(path).read_text(encoding="utf-8"))
        found = (fields["format"], fields["metric"])
        if found != (FORMAT, METRIC):
            raise GenreIndexError(
                f"{path} has format {found[0]} and metric {found[1]}, not {FORMAT} and {METRIC}:"
                " it was written by another version of recsys.",
                REBUILD_HINT,
            )
        # Without a checksum it is of an earlier recsys.
        if fields.pop("crc32", None) not in (None, _checksum_of(fields)):
            raise GenreIndexError(f"{path} is damaged: its checksum does not match.", REBUILD_HINT)
        del fields["format"], fields["metric"]
        parts = tuple(PartEntry(**part) for part in fields.pop("parts"))
        return Manifest(**fields, parts=parts)
    except FileNotFoundError as error:
        raise GenreIndexError(f"There is no index in {directory}.", REBUILD_HINT) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GenreIndexError(f"{path} cannot be read ({error!r}).", REBUILD_HINT) from error


def _checksum_of(fields: dict[str, Any]) -> int:
    """Return the checksum of a manifest, whatever its spaces and the order of its fields."""
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())


class Part:
    """The tracks of one genre: mapped from a file, with the changes made since.

    Changes are merged when the part is next saved, or searched: a few added tracks wait beside it,
    and are searched there. So filling an index copies every row once, and an update has one changed
    part in memory at a time. The entry is None for an empty part, and once changes were merged. The
    file is mapped at once, and stays readable when it is replaced.
    """

    def __init__(
        self, dimension: int, entry: PartEntry | None = None, directory: Path | None = None
    ) -> None:
        self._dimension = dimension
        self.entry = entry
        self._directory = directory
        self._file = _map(directory / entry.file, entry) if entry and directory else None
        self._is_read = entry is None
        self._ids: IdArray = np.empty(0, np.int64)
        self._rows: npt.NDArray[np.float16] = np.empty((0, dimension), _HALF)
        # Changes since the last merge: rows that stay (None for all), and tracks to append.
        self._stays: npt.NDArray[np.bool_] | None = None
        self._added: list[tuple[IdArray, npt.NDArray[np.float16]]] = []
        self._count = entry.count if entry else 0
        self.highest_id = entry.highest_id if entry else -1
        self._trained_on = entry.trained_on if entry else None
        self._k_factor = entry.k_factor if entry else None
        self._recall = entry.recall_at_20 if entry else None
        self._compared = 0  # rows, by all searches so far
        self._sorted: tuple[IdArray, IdArray] | None = None  # order by id, and the ids in it
        # FAISS indexes, made on demand: over the rows, and of the codes.
        self._flat: Any = None
        self._fast: Any = None

    def __len__(self) -> int:
        return self._count

    # Reading the file

    def read(self) -> None:
        """Check the file and map its arrays, once; DamagedPartError if it was changed."""
        if self._is_read or self.entry is None or self._file is None:
            return
        entry = self.entry
        if entry.size <= CHECKED_BYTES:
            self._check_sum(entry)
        content = np.frombuffer(self._file, np.uint8)
        rows_end = entry.rows_at + entry.count * self._dimension * _HALF.itemsize
        ids_end = entry.count * _ID.itemsize
        codes_size = entry.size - rows_end
        if entry.rows_at < ids_end or codes_size < 0 or (codes_size > 0) != bool(entry.k_factor):
            sizes = f"{entry.size} bytes are not {entry.count} vectors of dimension"
            raise _damaged(entry, f"{sizes} {self._dimension}")
        self._ids = content[:ids_end].view(_ID)
        rows = content[entry.rows_at : rows_end].view(_HALF)
        self._rows = rows.reshape(entry.count, self._dimension)
        self._is_read = True

    def _check_sum(self, entry: PartEntry) -> None:
        if zlib.crc32(self._file or b"") != entry.crc32:
            raise _damaged(entry, "its checksum does not match")

    def verify(self) -> None:
        """Read the whole file; DamagedPartError if it was changed."""
        if self.entry is None or self._file is None:
            return
        self._check_sum(self.entry)
        self.read()
        self._flat_index()
        if self._k_factor is not None:
            self._fast_index()
        if hasattr(mmap, "MADV_DONTNEED"):  # do not keep all of it in memory
            self._file.madvise(mmap.MADV_DONTNEED)

    def _stored_index(self, start: int, end: int) -> Any:  # noqa: ANN401 (FAISS has no types)
        """Return the FAISS index in a stretch of the file; its rows are not copied."""
        faiss = _faiss()
        assert self.entry is not None
        content = np.frombuffer(self._file or b"", np.uint8)[start:end]
        try:
            index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(content), len(content)))
        except (RuntimeError, MemoryError, OverflowError) as error:
            raise _damaged(self.entry, str(error)) from error
        # FAISS reads any index of the right format; this one must fit the rest of the file.
        if (index.ntotal, index.d) != (self.entry.count, self._dimension):
            raise _damaged(self.entry, f"{index.ntotal} vectors of dimension {index.d}")
        return index

    def _flat_index(self) -> Any:  # noqa: ANN401
        """Return the flat index."""
        if self._flat is None and self.entry is not None:
            start = self.entry.count * _ID.itemsize
            self._flat = self._stored_index(start, self.entry.rows_at + self._rows.nbytes)
        elif self._flat is None:
            faiss = _faiss()
            kind = faiss.ScalarQuantizer.QT_fp16
            self._flat = faiss.IndexScalarQuantizer(
                self._dimension, kind, faiss.METRIC_INNER_PRODUCT
            )
            faiss.copy_array_to_vector(_bytes(self._rows), self._flat.codes)
            self._flat.ntotal = len(self._rows)
        return self._flat

    def _fast_index(self) -> Any:  # noqa: ANN401
        """Return the index of the codes."""
        if self._fast is None and self.entry is not None:
            start = self.entry.rows_at + self._rows.nbytes
            self._fast = self._stored_index(start, self.entry.size)
        return self._fast

    # Changes

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        """Add tracks that the part does not have."""
        self._added.append((ids, vectors.astype(_HALF)))
        self._count += len(ids)
        self.highest_id = max(self.highest_id, int(ids.max(initial=-1)))

    def remove(self, ids: IdArray) -> int:
        """Remove tracks; unknown ids are ignored. Returns the number of removed tracks."""
        # Ids only rise: new tracks need not be looked up, nor the file read for them.
        possible = ids[ids <= self.highest_id]
        if not len(possible):
            return 0
        if self._added:
            self._merge()
        positions = self._positions(possible)
        gone = np.unique(positions[positions >= 0])
        if not len(gone):
            return 0
        if self._stays is None:
            self._stays = np.ones(len(self._ids), dtype=bool)
        self._stays[gone] = False
        self._count -= len(gone)
        return len(gone)

    @property
    def _is_changed(self) -> bool:
        return self._stays is not None or bool(self._added)

    def _merge(self) -> None:
        """Apply the changes to the arrays, which are the file's no more."""
        self.read()
        if not self._is_changed:
            return
        if self.entry is not None:
            if self._k_factor is not None:
                self._fast_index()  # while the entry still says where the codes are
            self.entry = None
        stays = slice(None) if self._stays is None else self._stays
        ids, rows = zip((self._ids[stays], self._rows[stays]), *self._added, strict=True)
        if self._fast is not None:
            if self._stays is not None:
                _remove_codes(self._fast, np.flatnonzero(~self._stays))
            for chunk in rows[1:]:
                self._fast.add(chunk.astype(np.float32))
        self._ids, self._rows = np.concatenate(ids), np.concatenate(rows)
        self._stays, self._added = None, []
        self._sorted = self._flat = self._file = None

    # Queries

    def ids(self) -> IdArray:
        """Return the ids of its tracks, in the order of the rows."""
        self._merge()
        return self._ids

    def positions(self, ids: IdArray) -> IdArray:
        """Return the row of each track, -1 for unknown ids."""
        self._merge()
        return self._positions(ids)

    def _positions(self, ids: IdArray) -> IdArray:
        self.read()
        if self._sorted is None:  # kept, because parts are queried more often than changed
            order = np.argsort(self._ids, kind="stable")
            self._sorted = order, self._ids[order]
        order, sorted_ids = self._sorted
        if not len(order):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(sorted_ids, ids), len(order) - 1)
        positions = np.where(sorted_ids[at] == ids, order[at], -1)
        return positions if self._stays is None else np.where(self._stays[positions], positions, -1)

    def vectors(self, positions: IdArray) -> FloatArray:
        """Return embeddings by row, shape (n, dimension), of unit length.

        DamagedPartError where a row is far from it: files that are too large to be checked at first
        use would otherwise give similarities that are no numbers.
        """
        rows = self._rows[positions].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        if not (np.abs(lengths - 1) <= HALF_TOLERANCE).all():
            raise DamagedPartError("A row of the index is no unit vector.", REBUILD_HINT)
        return unit_from_half(self._rows[positions])

    def candidates(self, query: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
        """Return ids and embeddings of the best ``k`` tracks and of all that may tie with them."""
        self.read()
        waiting = self._count - len(self._ids)
        if self._stays is not None or waiting > MOST_WAITING or not len(self._ids):
            self._merge()
        ids, vectors, worst = self._merged_candidates(query, k)
        if not self._added:
            return ids, vectors
        if len(self._added) > 1:
            added_ids, added_rows = zip(*self._added, strict=True)
            self._added = [(np.concatenate(added_ids), np.concatenate(added_rows))]
        ((new_ids, rows),) = self._added
        near = np.flatnonzero(np.einsum("ij,j->i", rows.astype(np.float32), query) >= worst)
        if not len(near):
            return ids, vectors
        new_vectors = unit_from_half(rows[near])
        return np.concatenate((ids, new_ids[near])), np.concatenate((vectors, new_vectors))

    def _merged_candidates(self, query: FloatArray, k: int) -> tuple[IdArray, FloatArray, float]:
        """Return the candidates among the merged tracks, and what others must reach to be one."""
        total = len(self._ids)
        wanted = min(k, total)
        asked = min(total, wanted + SPARE)
        while True:
            scores, positions = self._nearest(query, asked)
            # Fewer candidates could miss one that ties with the last once it is compared exactly.
            if asked == total or scores[wanted - 1] - scores[-1] > MARGIN:
                worst = -np.inf if wanted < k else float(scores[wanted - 1]) - MARGIN
                return self._ids[positions], self.vectors(positions), worst
            asked = min(total, 2 * asked)

    def _nearest(self, query: FloatArray, k: int) -> tuple[FloatArray, IdArray]:
        """Return the highest inner products, highest first, and their rows."""
        self._compared += len(self._ids)
        if "faiss" not in sys.modules and self._compared <= NUMPY_ROWS:
            return self._nearest_by_numpy(query, k)
        index = self._flat_index()
        if self._k_factor is not None and k * self._k_factor < len(self._ids):
            index = _faiss().IndexRefine(self._fast_index(), index)
            index.k_factor = self._k_factor
        with _one_thread():
            scores, positions = index.search(query[np.newaxis], k)
        return scores[0], positions[0]

    def _nearest_by_numpy(self, query: FloatArray, k: int) -> tuple[FloatArray, IdArray]:
        scores = np.empty(len(self._ids), np.float32)
        for start in range(0, len(self._ids), CHUNK):
            rows = self._rows[start : start + CHUNK].astype(np.float32)
            # einsum uses one thread: waiting for others costs more than they save.
            scores[start : start + CHUNK] = np.einsum("ij,j->i", rows, query)
        positions = np.argpartition(-scores, k - 1)[:k]
        positions = positions[np.argsort(-scores[positions], kind="stable")]
        return scores[positions], positions

    # Codes and files

    def lies_in(self, directory: Path) -> bool:
        """Return whether a file there has the part unchanged."""
        if self.entry is None or self._is_changed or self._directory != directory:
            return False
        try:
            return (directory / self.entry.file).stat().st_size == self.entry.size
        except OSError:
            return False

    def write(self, path: Path, genre: str, flat_limit: int) -> PartEntry:
        """Write the part to a file."""
        self._merge()
        self._set_codes(flat_limit)
        with path.open("wb") as file:
            writer = _Writer(file)
            writer(_bytes(self._ids.astype(_ID, copy=False)).tobytes())
            writer.index(self._flat_index())
            rows_at = writer.size - self._rows.nbytes
            if self._k_factor is not None:
                writer.index(self._fast_index())
            file.flush()
            os.fsync(file.fileno())
        codes = CODES.format(self._dimension)
        return PartEntry(
            genre=genre,
            count=len(self),
            highest_id=int(self._ids.max()),
            factory=FLAT if self._k_factor is None else f"{codes},Refine({FLAT})",
            file=path.name,
            size=writer.size,
            crc32=writer.crc32,
            rows_at=rows_at,
            trained_on=self._trained_on,
            k_factor=self._k_factor,
            recall_at_20=self._recall,
        )

    def _set_codes(self, flat_limit: int) -> None:
        """Train codes for a large part; drop those of a small one."""
        if len(self) <= flat_limit:
            self._fast = self._trained_on = self._k_factor = self._recall = None
        elif self._trained_on is None or len(self) > GROWTH * self._trained_on:
            self._train()
            self._measure()

    def _train(self) -> None:
        faiss = _faiss()
        codes = CODES.format(self._dimension)
        fast = faiss.index_factory(self._dimension, codes, faiss.METRIC_INNER_PRODUCT)
        fast.pq.cp.seed, fast.pq.cp.niter = SEED, TRAINING_STEPS
        by_id = np.argsort(self._ids)  # the same tracks give the same codes in any order
        if len(self) > TRAINED_ON:
            rng = np.random.default_rng(SEED)
            by_id = by_id[np.sort(rng.choice(len(self), TRAINED_ON, replace=False))]
        rows = self._rows[by_id].astype(np.float32)
        fast.train(np.resize(rows, (max(len(rows), LEAST_TRAINING), self._dimension)))
        for start in range(0, len(self), CHUNK):
            fast.add(self._rows[start : start + CHUNK].astype(np.float32))
        self._fast, self._trained_on = fast, len(self)

    def _measure(self) -> None:
        """Choose the number of candidates per requested track, and measure the recall."""
        by_id = np.argsort(self._ids)
        total, k = len(self), min(RECALL_AT, len(self))
        rng = np.random.default_rng(SEED)
        chosen = by_id[np.sort(rng.choice(total, min(RECALL_QUERIES, total), replace=False))]
        queries = self._rows[chosen].astype(np.float32)
        # The part's own tracks as queries: their nearest is themselves, for both searches.
        exact = self._flat_index().search(queries, k)[1]
        self._k_factor = 2
        while True:
            found = [self._nearest(query, k)[1] for query in queries]
            hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
            self._recall = float(np.mean(hits)) / k
            if self._recall >= RECALL_WANTED or self._k_factor * k >= total:
                return
            self._k_factor *= 2


def _mending(
    method: Callable[Concatenate[GenreIndex, P], T],
) -> Callable[Concatenate[GenreIndex, P], T]:
    """Wrap a method: where a part is damaged, it rebuilds the index once and runs again."""

    @wraps(method)
    def wrapper(self: GenreIndex, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except DamagedPartError:
            if self._on_damage is None:
                raise
            # Only once: what was rebuilt from the database has no file that could be damaged.
            fill, self._on_damage = self._on_damage, None
            self._parts = {}
            fill(self)
            return method(self, *args, **kwargs)

    return wrapper


class GenreIndex:
    """An :class:`~recsys.index.base.EmbeddingIndex` kept in the files of a directory.

    Embeddings are rounded to float16 and returned with unit length; similarities differ from those
    of float32 by 1e-5 (128 dimensions). Parts of up to `flat_limit` tracks are searched exactly.
    """

    def __init__(self, dimension: int, *, flat_limit: int = FLAT_LIMIT) -> None:
        self.dimension = checked_dimension(dimension)
        self.fingerprint = ""
        self.revision = 0
        self._flat_limit = flat_limit
        self._parts: dict[str, Part] = {}
        self._on_damage: Callable[[GenreIndex], None] | None = None

    @property
    def genres(self) -> tuple[str, ...]:
        """The genre groups with tracks, sorted."""
        return tuple(sorted(genre for genre, part in self._parts.items() if len(part)))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        return max((part.highest_id for part in self._parts.values() if len(part)), default=0)

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        return sum(map(len, self._chosen(genre)))

    @_mending
    def ids(self, genre: str | None = None) -> IdArray:
        """Return the ids of the tracks of a genre, or of all."""
        parts = [part.ids() for part in self._chosen(genre)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _chosen(self, genre: str | None) -> list[Part]:
        """Return the part of a genre, or all of them, without empty ones."""
        names = self.genres if genre is None else (genre,)
        return [self._parts[name] for name in names if len(self._parts.get(name, ()))]

    # Changes

    def add(self, genre: str, ids: IdArray, embeddings: FloatArray) -> None:
        """See :meth:`recsys.index.base.EmbeddingIndex.add`."""
        self.extend([genre] * len(ids), ids, embeddings)

    @_mending
    def extend(self, genres: Sequence[str], ids: IdArray, embeddings: FloatArray) -> None:
        """Add tracks of several genres, one genre per id; else as :meth:`add`."""
        held, vectors = checked_vectors(ids, embeddings, self.dimension)
        if len(held) < len(genres):  # an id was given twice
            last = dict(zip(np.asarray(ids).tolist(), genres, strict=True))
            genres = [last[track_id] for track_id in held.tolist()]
        self._discard(held)
        names = np.asarray(genres, dtype=object)
        for genre in dict.fromkeys(genres):
            chosen = names == genre
            part = self._parts.setdefault(genre, Part(self.dimension))
            part.add(held[chosen], vectors[chosen])

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        return self._discard(np.unique(np.fromiter(ids, dtype=np.int64)))

    @_mending
    def _discard(self, ids: IdArray) -> int:
        return sum(part.remove(ids) for part in self._chosen(None))

    # Queries

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search`."""
        return self.search_with_vectors(genre, query, k)[0]

    @_mending
    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search_with_vectors`."""
        query = checked_query(query, self.dimension, k)
        found = [part.candidates(query, k) for part in self._chosen(genre)]
        if not found:
            return [], np.empty((0, self.dimension), np.float32)
        ids, vectors = zip(*found, strict=True)
        return best(np.concatenate(ids), np.concatenate(vectors), query, k)

    @_mending
    def vectors(self, ids: Sequence[int]) -> FloatArray:
        """See :meth:`recsys.index.base.EmbeddingIndex.vectors`."""
        wanted = np.asarray(ids, dtype=np.int64)
        result = np.empty((len(wanted), self.dimension), dtype=np.float32)
        missing = np.ones(len(wanted), dtype=bool)
        for part in self._chosen(None):
            if not missing.any():
                break
            positions = part.positions(wanted)
            here = positions >= 0
            result[here] = part.vectors(positions[here])
            missing &= ~here
        if missing.any():
            raise unknown_ids(wanted[missing])
        return result

    # Files

    def save(self, directory: Path, *, fingerprint: str, revision: int) -> None:
        """Write the parts that differ from their files there, then the manifest.

        A reader finds either the old or the new index. Other files in the directory stay.
        GenreIndexError if it cannot be written; the old index is then intact.
        """
        snapshot = os.urandom(8).hex()  # no name is reused: a reader may have the file mapped
        try:
            directory.mkdir(parents=True, exist_ok=True)
            entries: list[PartEntry] = []
            for number, genre in enumerate(self.genres):
                part = self._parts[genre]
                entry = part.entry
                if entry is None or not part.lies_in(directory):
                    path = directory / f"part-{snapshot}-{number:04}.bin"
                    entry = part.write(path, genre, self._flat_limit)
                    # From now on it is mapped from the file, not kept in memory.
                    self._parts[genre] = Part(self.dimension, entry, directory)
                entries.append(entry)
            manifest = Manifest(self.dimension, fingerprint, revision, snapshot, tuple(entries))
            _replace_manifest(directory, manifest)
        except OSError as error:
            raise GenreIndexError(
                f"The index in {directory} cannot be written ({error}).",
                "Check the permissions and the free space there; the library itself is safe.",
            ) from error
        finally:
            _remove_unreferenced(directory)
        self.fingerprint, self.revision = fingerprint, revision

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        flat_limit: int = FLAT_LIMIT,
        on_damage: Callable[[GenreIndex], None] | None = None,
    ) -> Self:
        """Open a saved index; parts are read on demand.

        `on_damage` is called with the emptied index when a part turns out to be damaged, to fill it
        again; without it, damage is an error. GenreIndexError if the index is missing, of another
        version, or damaged as far as the manifest shows.
        """
        manifest = read_manifest(directory)
        for _ in range(_ATTEMPTS):
            try:
                parts = {
                    entry.genre: Part(manifest.dimension, entry, directory)
                    for entry in manifest.parts
                }
                break
            except FileNotFoundError as error:
                # A writer may have replaced the index after the manifest was read.
                before, manifest = manifest, read_manifest(directory)
                if manifest.snapshot == before.snapshot:
                    raise GenreIndexError(
                        f"{error.filename} is missing, a part of the index.", REBUILD_HINT
                    ) from error
        else:
            raise GenreIndexError(
                f"The index in {directory} was replaced {_ATTEMPTS} times while it was opened.",
                "Run the command again.",
            )
        index = cls(manifest.dimension, flat_limit=flat_limit)
        index.fingerprint, index.revision = manifest.fingerprint, manifest.revision
        index._parts, index._on_damage = parts, on_damage
        return index

    def verify(self) -> list[str]:
        """Return the problems of the files of the parts, as sentences."""
        problems = []
        for part in self._parts.values():
            try:
                part.verify()
            except DamagedPartError as error:
                problems.append(error.message)
        return problems


class _Writer:
    """Writes to a file, with its size and checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.crc32 = 0
        self._error: OSError | None = None

    def __call__(self, data: bytes) -> int:
        self._file.write(data)
        self.size += len(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        return len(data)

    def index(self, index: Any) -> None:  # noqa: ANN401
        """Write a FAISS index without a copy in memory."""
        faiss = _faiss()
        faiss.write_index(index, faiss.PyCallbackIOWriter(self))


def _faiss() -> Any:  # noqa: ANN401 (the stubs of FAISS lack half of what is used here)
    # Imported on demand: loading it takes 0.1 s, a quarter of a short command.
    import faiss

    return faiss


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS use one thread.

    A single query gains nothing from a second one; waiting for it takes 16 ms instead of 0.2 ms
    when the processors are busy.
    """
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _remove_codes(fast: Any, gone: IdArray) -> None:  # noqa: ANN401
    """Remove rows of codes; the others keep their order."""
    faiss = _faiss()
    fast.remove_ids(faiss.IDSelectorBatch(gone))
    # FAISS leaves the codes of removed rows in the last block and adds by OR, which would mix them.
    packer, none = fast.get_CodePacker(), np.zeros(fast.code_size, np.uint8)
    for row in range(fast.ntotal, fast.ntotal2):
        packer.pack_1_c(faiss.swig_ptr(none), row, fast.codes.get())


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _damaged(entry: PartEntry, problem: str) -> DamagedPartError:
    return DamagedPartError(
        f"The index part {entry.file} ({entry.genre}) is damaged: {problem}.", REBUILD_HINT
    )


def _map(path: Path, entry: PartEntry) -> mmap.mmap:
    """Map a file into memory; FileNotFoundError if it is gone, GenreIndexError if it was cut."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise GenreIndexError(f"{path} cannot be read ({error}).", REBUILD_HINT) from error
    if len(mapped) != entry.size:
        raise GenreIndexError(
            f"{path} is damaged: {len(mapped)} bytes instead of {entry.size}.", REBUILD_HINT
        )
    return mapped


def _replace_manifest(directory: Path, manifest: Manifest) -> None:
    fields = {"format": FORMAT, "metric": METRIC, **asdict(manifest)}
    fields["crc32"] = _checksum_of(fields)
    atomic.write_text(directory / MANIFEST, json.dumps(fields, indent=1))


def _remove_unreferenced(directory: Path) -> None:
    """Remove replaced parts, and files of a killed or failed save; no others."""
    # The parts of a damaged manifest stay, because it may be repaired. A mapped file that cannot be
    # removed (Windows) is left to a later save.
    with suppress(OSError, GenreIndexError):
        is_there = (directory / MANIFEST).exists()
        current = {part.file for part in read_manifest(directory).parts} if is_there else set()
        for path in directory.iterdir():
            if _OUR_FILES.fullmatch(path.name) and path.name not in current:
                path.unlink()
