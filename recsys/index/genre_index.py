"""The index in use: one part per genre, read from disk part by part.

A part that is large is not written anew for every few tracks: they go into a second segment beside
it, which is merged with the first when it has grown to an eighth of it, unless both together are
too large to be written in one go. So a track is written eight times for every doubling of a
segment, and a part has hardly more segments than its number of tracks has digits, and then one for
every two hundred thousand tracks.
"""

from __future__ import annotations

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
    NewGeneration,
    NewPart,
    PartEntry,
    open_parts,
    verify_part,
)
from recsys.index.parts import CODED, FLAT, Part
from recsys.index.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray, Neighbour

T = TypeVar("T")

FLAT_LIMIT = 50_000
"""Vectors up to which a part is searched exactly; a larger one is approximate, see
:mod:`recsys.index.parts`."""

TAIL_FROM = 5_000
"""A segment of so many tracks that lies on disk stays as it is when tracks are added."""

MERGE_SHARE = 8
"""A segment is merged with the next larger one when that is at most so many times larger."""

SEGMENT_LIMIT = 250_000
"""No two segments are merged to more tracks than this, whatever the size of the library: merging
takes 20 us of a track and holds it in memory twice."""

HELD_LIMIT = 250_000
"""Tracks that an index holds in memory alone while it is written to."""


class GenreIndex:
    """An :class:`~recsys.index.base.EmbeddingIndex` of NumPy arrays and FAISS codes.

    Parameters
    ----------
    dimension : int
        Length of the embeddings.
    flat_limit : int
        Vectors up to which a segment of a part is exact.
    tail_from : int
        Vectors from which a saved segment is left alone when tracks are added.
    segment_limit : int
        Vectors from which a segment does not grow any more.

    Attributes
    ----------
    spill_into : Path or None
        For whoever changes a large index and then saves it: the directory that it will be saved
        to, and to which nobody else writes meanwhile. Segments go there as soon as more than
        `held_limit` tracks are in memory alone; :meth:`save` finishes what that has begun, and
        until then the index that lies there stays as it is.
    held_limit : int
        See `spill_into`.
    """

    def __init__(
        self,
        dimension: int,
        *,
        flat_limit: int = FLAT_LIMIT,
        tail_from: int = TAIL_FROM,
        segment_limit: int = SEGMENT_LIMIT,
    ) -> None:
        self.dimension = checked_dimension(dimension)
        self.fingerprint = ""
        self.revision = 0
        self._flat_limit = flat_limit
        self._tail_from = tail_from
        self._segment_limit = segment_limit
        self._slots: dict[str, list[Slot]] = {}
        self._generation: NewGeneration | None = None
        self.spill_into: Path | None = None
        self.held_limit = HELD_LIMIT
        self._on_damage: Callable[[GenreIndex], None] | None = None

    @property
    def genres(self) -> tuple[str, ...]:
        """The parts that hold something, sorted."""
        return tuple(sorted(genre for genre in self._slots if self.count(genre)))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        return max([0, *(slot.highest_id for slot in self._segments(None))])

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        return sum(map(len, self._segments(genre)))

    def _segments(self, genre: str | None) -> list[Slot]:
        """Return the places of a part, or of all of them by genre."""
        if genre is not None:
            return self._slots.get(genre, [])
        return [slot for name in sorted(self._slots) for slot in self._slots[name]]

    def part_info(self) -> tuple[PartEntry, ...]:
        """Return what each part is: size, kind and, of approximate ones, the measured recall.

        A part of several segments has an entry for each. Those that were changed since they were
        saved have no file yet.
        """
        return tuple(
            slot.entry or slot.use(self.dimension).entry(genre)
            for genre in self.genres
            for slot in self._segments(genre)
            if len(slot)
        )

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
            self._growing(genre).add(ids[chosen], vectors[chosen])
        self._spill()

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        unique = np.unique(np.fromiter(ids, dtype=np.int64))
        return self._mending(lambda: self._discard(unique))

    def _discard(self, ids: IdArray) -> int:
        removed = 0
        for slot in self._segments(None):
            # Ids only ever rise, so that new tracks need not be looked for in what there is.
            possible = ids[ids <= slot.highest_id]
            if len(possible):
                if slot.use(self.dimension).holds(possible).any():
                    removed += slot.change(self.dimension).remove(possible)
                self._spill(slot)
        return removed

    def _growing(self, genre: str) -> Part:
        """Return the segment of a part that takes new tracks."""
        slots = self._slots.setdefault(genre, [])
        if not slots or len(slots[-1]) >= self._most_that_grows(slots[-1]):
            slots.append(Slot())
        return slots[-1].change(self.dimension)

    def _most_that_grows(self, slot: Slot) -> int:
        """Return the size from which a segment is left as it is."""
        limit = self._segment_limit
        if slot.put_away:  # what was put away would be read and written for every few tracks
            return 0
        return limit if slot.entry is None else min(limit, self._tail_from)

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
        return self.search_with_vectors(genre, query, k)[0]

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search_with_vectors`."""
        query = checked_query(query, self.dimension, k)
        return self._mending(lambda: self._search(genre, query, k))

    def _search(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        slots = [slot for slot in self._segments(genre) if len(slot)]
        if not slots:
            return [], np.empty((0, self.dimension), np.float32)
        found = [slot.use(self.dimension).candidates(query, k) for slot in slots]
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
        for slot in sorted(self._segments(None), key=lambda slot: slot.part is None):
            if not missing.any():
                break
            part = slot.use(self.dimension)
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
        not written again. What is written is let go of, and read where it lies from then on.
        """
        generation, self._generation = self._begun(directory), None
        with generation.given_up_on_errors():
            for genre in self.genres:
                self._merge(genre, generation)
            entries = [slot.entry for slot in self._segments(None) if slot.entry is not None]
            generation.finish(
                dimension=self.dimension,
                fingerprint=fingerprint,
                revision=revision,
                parts=entries,
            )
        for slot in self._segments(None):
            slot.put_away = False
        self.fingerprint, self.revision = fingerprint, revision

    def _spill(self, slot: Slot | None = None) -> None:
        """Let go of a segment that was only looked at, and of the largest if they are too many."""
        if self.spill_into is None:
            return
        if slot is not None:
            slot.let_go()
        unsaved = [
            (len(slot), genre, slot)
            for genre, slots in self._slots.items()
            for slot in slots
            if slot.entry is None
        ]
        total = sum(count for count, _, _ in unsaved)
        unsaved.sort(key=lambda one: one[0])
        while total > self.held_limit:
            count, genre, changed = unsaved.pop()
            generation = self._generation = self._begun(self.spill_into)
            with generation.given_up_on_errors():
                self._write(generation, genre, changed)
            changed.put_away = True
            total -= count

    def _begun(self, directory: Path) -> NewGeneration:
        """Return the generation that is being written there, or else a new one."""
        begun = self._generation
        return begun if begun and begun.directory == directory else NewGeneration(directory)

    def _write(self, generation: NewGeneration, genre: str, slot: Slot) -> None:
        part = slot.use(self.dimension).settle(self._flat_limit)
        slot.entry, slot.mapped = generation.write(NewPart(part.entry(genre), part.write))
        slot.part, slot.home = None, generation.directory

    def _merge(self, genre: str, generation: NewGeneration) -> None:
        """Merge the segments of a part that are not much smaller than the next larger one.

        Whatever is not merged any further and does not lie there as it is, is written at once: two
        segments are in memory at a time.
        """
        slots = self._slots[genre]
        slots.sort(key=len, reverse=True)
        for place in range(len(slots) - 1, -1, -1):
            smaller = slots[place]
            larger = slots[place - 1] if place else None
            if larger is not None and self._belong_together(larger, smaller):
                part = smaller.use(self.dimension)
                larger.change(self.dimension).add(part.ids, part.rows)
                del slots[place]
            elif len(smaller) and not smaller.lies_in(generation.directory):
                self._write(generation, genre, smaller)

    def _belong_together(self, larger: Slot, smaller: Slot) -> bool:
        both = len(larger) + len(smaller)
        return MERGE_SHARE * len(smaller) >= len(larger) and both <= self._segment_limit

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        flat_limit: int = FLAT_LIMIT,
        tail_from: int = TAIL_FROM,
        segment_limit: int = SEGMENT_LIMIT,
        on_damage: Callable[[GenreIndex], None] | None = None,
    ) -> Self:
        """Open a saved index; parts are read when they are first needed.

        Parameters
        ----------
        directory : Path
            Where it was saved.
        flat_limit, tail_from, segment_limit : int
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
        odd = next((entry.kind for entry, _ in parts if entry.kind not in (FLAT, CODED)), None)
        if odd is not None:
            raise GenreIndexError(
                f"{directory} holds an index of another kind: {odd}.", REBUILD_HINT
            )
        index = cls(
            manifest.dimension,
            flat_limit=flat_limit,
            tail_from=tail_from,
            segment_limit=segment_limit,
        )
        index.fingerprint, index.revision = manifest.fingerprint, manifest.revision
        for entry, mapped in sorted(parts, key=lambda part: -part[0].count):
            index._slots.setdefault(entry.genre, []).append(Slot(None, entry, mapped, directory))
        index._on_damage = on_damage
        return index

    def verify(self) -> list[str]:
        """Return what is wrong with the parts as they lie on disk, in sentences."""
        problems = []
        for slot in self._segments(None):
            try:
                if slot.entry is not None and slot.mapped is not None:
                    verify_part(slot.entry, slot.mapped)
                    Part.read(slot.entry, slot.mapped, self.dimension)
                    slot.let_go()  # who looks at all of it does not hold all of it
            except GenreIndexError as error:
                problems.append(error.message)
        return problems
