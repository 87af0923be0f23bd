"""The index in use: FAISS, one part per genre, read from disk part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from recsys.errors import GenreIndexError
from recsys.index.base import (
    REBUILD_HINT,
    DamagedPartError,
    best,
    checked_dimension,
    checked_query,
    checked_vectors,
    unknown_ids,
)
from recsys.index.manifest import (
    NewPart,
    PartEntry,
    is_there,
    open_parts,
    verify_part,
    write_generation,
)
from recsys.index.parts import FLAT, IVF, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray, Neighbour

T = TypeVar("T")

FLAT_LIMIT = 200_000
"""Vectors up to which a part is searched exactly; a larger one is approximate, see
:mod:`recsys.index.parts`."""


@dataclass(slots=True)
class _Slot:
    """A place for a part: as it lies on disk, or in use, or both.

    ``entry`` is None as soon as the part differs from what lies in ``GenreIndex._directory``.
    """

    part: Part | None = None
    entry: PartEntry | None = None
    mapped: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        if self.part is not None:
            return len(self.part)
        return self.entry.count if self.entry else 0

    @property
    def highest_id(self) -> int:
        if self.entry is not None:
            return self.entry.highest_id
        return -1 if self.part is None else int(self.part.ids.max(initial=-1))


class GenreIndex:
    """An :class:`~recsys.index.base.EmbeddingIndex` over FAISS.

    Parameters
    ----------
    dimension : int
        Length of the embeddings.
    flat_limit : int
        Vectors up to which a part is exact.
    """

    def __init__(self, dimension: int, *, flat_limit: int = FLAT_LIMIT) -> None:
        self.dimension = checked_dimension(dimension)
        self.fingerprint = ""
        self.revision = 0
        self._flat_limit = flat_limit
        self._slots: dict[str, _Slot] = {}
        self._directory: Path | None = None
        self._on_damage: Callable[[GenreIndex], None] | None = None

    @property
    def genres(self) -> tuple[str, ...]:
        """The parts that hold something, sorted."""
        return tuple(sorted(genre for genre, slot in self._slots.items() if len(slot)))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        return max([0, *(slot.highest_id for slot in self._slots.values())])

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        if genre is not None:
            return len(self._slots.get(genre, ()))
        return sum(map(len, self._slots.values()))

    def part_info(self) -> tuple[PartEntry, ...]:
        """Return what each part is: size, kind and, of approximate ones, the measured recall.

        Parts that were changed since they were saved have no file yet.
        """
        return tuple(self._describe(genre) for genre in self.genres)

    def _describe(self, genre: str) -> PartEntry:
        slot = self._slots[genre]
        return slot.entry or self._part(genre).entry(genre)

    # Changes

    def add(self, genre: str, ids: IdArray, embeddings: FloatArray) -> None:
        """See :meth:`recsys.index.base.EmbeddingIndex.add`."""
        self.extend([genre] * len(ids), ids, embeddings)

    def extend(self, genres: Sequence[str], ids: IdArray, embeddings: FloatArray) -> None:
        """Put tracks into the parts of their genres; quicker than one ``add`` per genre.

        Parameters
        ----------
        genres : sequence of str
            One per id.
        ids, embeddings
            As in :meth:`recsys.index.base.EmbeddingIndex.add`.
        """
        rows = np.arange(len(ids))
        held, vectors = checked_vectors(ids, embeddings, self.dimension)
        if len(held) < len(rows):
            last = dict(zip(np.asarray(ids).tolist(), genres, strict=True))
            genres = [last[track_id] for track_id in held.tolist()]
        names = np.asarray(genres, dtype=object)
        self._mending(lambda: self._put(names, held, vectors))

    def _put(self, genres: npt.NDArray[np.object_], ids: IdArray, vectors: FloatArray) -> None:
        self._discard(ids)
        for genre in dict.fromkeys(genres.tolist()):
            chosen = genres == genre
            self._changing(genre).add(ids[chosen], vectors[chosen])

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        unique = np.unique(np.fromiter(ids, dtype=np.int64))
        return self._mending(lambda: self._discard(unique))

    def _discard(self, ids: IdArray) -> int:
        removed = 0
        for genre in self.genres:
            # Ids only ever rise, so that new tracks need not be looked for in what there is.
            possible = ids[ids <= self._slots[genre].highest_id]
            if len(possible) and self._part(genre).holds(possible).any():
                removed += self._changing(genre).remove(possible)
        return removed

    def _changing(self, genre: str) -> Part:
        """Return a part that is about to change."""
        part = self._part(genre)
        slot = self._slots[genre]
        slot.entry = slot.mapped = None
        return part

    def _part(self, genre: str) -> Part:
        """Return a part in use, read from disk, or made when there is none."""
        slot = self._slots.setdefault(genre, _Slot())
        if slot.part is None:
            if slot.entry is not None and slot.mapped is not None:
                slot.part = Part.read(slot.entry, slot.mapped, self.dimension)
            else:
                slot.part = Part.empty(self.dimension)
        return slot.part

    def _mending(self, work: Callable[[], T]) -> T:
        """Do some work; when a part turns out to be damaged, fill the index anew and do it again.

        Begun changes are lost by the filling, so that all of the work has to be done again.
        """
        try:
            return work()
        except DamagedPartError:
            if self._on_damage is None:
                raise
            fill, self._on_damage = self._on_damage, None
            self._slots = {}
            fill(self)
            return work()

    # Questions

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search`."""
        query = checked_query(query, self.dimension, k)
        return self._mending(lambda: self._search(genre, query, k))

    def _search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        parts = self.genres if genre is None else (genre,)
        found = [self._part(name).candidates(query, k) for name in parts if self.count(name)]
        if not found:
            return []
        ids = np.concatenate([part_ids for part_ids, _ in found])
        return best(ids, np.concatenate([vectors for _, vectors in found]), query, k)

    def vectors(self, ids: Sequence[int]) -> FloatArray:
        """See :meth:`recsys.index.base.EmbeddingIndex.vectors`."""
        wanted = np.asarray(ids, dtype=np.int64)
        return self._mending(lambda: self._vectors(wanted))

    def _vectors(self, wanted: IdArray) -> FloatArray:
        result = np.empty((len(wanted), self.dimension), dtype=np.float32)
        missing = np.ones(len(wanted), dtype=bool)
        # Parts in use first: the ids mostly come from a search, and reading others costs time.
        for genre in sorted(self.genres, key=lambda name: self._slots[name].part is None):
            if not missing.any():
                break
            part = self._part(genre)
            here = missing & part.holds(wanted)
            if here.any():
                result[here] = part.vectors(wanted[here])
                missing &= ~here
        if missing.any():
            raise unknown_ids(wanted[missing])
        return result

    # On disk

    def save(self, directory: Path, *, fingerprint: str, revision: int) -> None:
        """See :meth:`recsys.index.base.EmbeddingIndex.save`.

        Parts that did not change since they were saved to, or loaded from, the same directory are
        not written again.
        """
        kept = [] if directory != self._directory else self._unchanged(directory)
        names = {entry.genre for entry in kept}
        new = [self._new_part(genre) for genre in self.genres if genre not in names]
        manifest = write_generation(
            directory,
            dimension=self.dimension,
            fingerprint=fingerprint,
            revision=revision,
            kept=kept,
            new=new,
        )
        self.fingerprint, self.revision = fingerprint, revision
        self._directory = directory
        for entry in manifest.parts:
            self._slots[entry.genre].entry = entry

    def _unchanged(self, directory: Path) -> list[PartEntry]:
        entries = (slot.entry for slot in self._slots.values())
        return [entry for entry in entries if entry is not None and is_there(directory, entry)]

    def _new_part(self, genre: str) -> NewPart:
        slot = self._slots[genre]
        slot.part = self._part(genre).settle(self._flat_limit)
        return NewPart(slot.part.entry(genre), slot.part.write)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        flat_limit: int = FLAT_LIMIT,
        on_damage: Callable[[GenreIndex], None] | None = None,
    ) -> Self:
        """Open a saved index; parts are read when they are first needed.

        Parameters
        ----------
        directory : Path
            Where it was saved.
        flat_limit : int
            As in :class:`GenreIndex`.
        on_damage : callable, optional
            Called with the index, emptied, when a part turns out to be damaged, to fill it again;
            without it that is an error.

        Raises
        ------
        GenreIndexError
            The index is missing, of another version, or damaged as far as that shows without
            reading the parts.
        """
        manifest, parts = open_parts(directory)
        odd = next((entry.kind for entry, _ in parts if entry.kind not in (FLAT, IVF)), None)
        if odd is not None:
            raise GenreIndexError(
                f"{directory} holds an index of another kind: {odd}.", REBUILD_HINT
            )
        index = cls(manifest.dimension, flat_limit=flat_limit)
        index.fingerprint, index.revision = manifest.fingerprint, manifest.revision
        index._slots = {entry.genre: _Slot(None, entry, mapped) for entry, mapped in parts}
        index._directory, index._on_damage = directory, on_damage
        return index

    def verify(self) -> list[str]:
        """Return what is wrong with the parts as they lie on disk, in sentences."""
        problems = []
        for slot in self._slots.values():
            try:
                if slot.entry is not None and slot.mapped is not None:
                    verify_part(slot.entry, slot.mapped)
                    Part.read(slot.entry, slot.mapped, self.dimension)
            except GenreIndexError as error:
                problems.append(error.message)
        return problems
