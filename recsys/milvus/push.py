"""Copies a library to Milvus, or brings up to date what lies there of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import QueryError, SharedLibraryError
from recsys.milvus.catalogue import LIBRARY_NOTE, about_note
from recsys.milvus.connection import LATEST, MOST_ROWS
from recsys.milvus.index import MilvusIndex
from recsys.milvus.layout import (
    GRAPH_FROM,
    PAGE,
    Lease,
    Notes,
    check_dimension,
    collection_name,
    storable,
)
from recsys.milvus.rows import row_of, shortened
from recsys.store.rows import model_dict, model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from recsys.milvus.connection import Connection
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo


BEGUN_NOTE = "begun"
"""The collections of a place that hold a library, or were made to."""


@dataclass(frozen=True, slots=True)
class PushSummary:
    """What a push did.

    Attributes
    ----------
    place : str
        Where to, as it may be shown.
    tracks : int
        Tracks that lie there now.
    written, unchanged, removed : int
        Tracks that were new or had changed, that lay there as they are, and that had left the
        library.
    shortened : int
        Tracks with a tag too long to be kept as a whole.
    """

    place: str
    tracks: int
    written: int
    unchanged: int
    removed: int
    shortened: int


def push(
    store: Store,
    connection: Connection,
    *,
    replace: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> PushSummary:
    """Make a place hold what a library holds.

    Every track is compared with what lies there, by a digest of all that is known of it, and only
    those that differ are written: a push that was broken off goes on where it was. Readers find
    the library as it was, growing towards what it is; where another model analysed it, other
    labels sort it or it takes the place of another library, they find the old one until the new
    one is whole.

    Parameters
    ----------
    store : Store
        The library, open for reading.
    connection : Connection
        To the place.
    replace : bool
        Let it take the place of another library, or of the same one as another model heard it.
    on_progress : callable, optional
        Told how many tracks were compared, and of how many.

    Returns
    -------
    PushSummary

    Raises
    ------
    QueryError
        The library holds no tracks.
    SharedLibraryError
        Something else lies there, somebody else pushes to it, Milvus does not answer, or another
        model or other labels took over the library meanwhile.
    """
    info, counts = store.model(), store.genre_counts()
    if info is None or not counts:
        raise QueryError(
            f"the library {store.path} holds no tracks yet",
            "Index a folder first: recsys index ~/Music",
        )
    return _Push(store, info, connection, on_progress or _ignore).run(
        sum(counts.values()), replace=replace
    )


def _ignore(_done: int, _total: int) -> None:
    pass


class _Push:
    def __init__(
        self,
        store: Store,
        info: ModelInfo,
        connection: Connection,
        on_progress: Callable[[int, int], object],
    ) -> None:
        self._store, self._info = store, info
        self._connection, self._notes = connection, Notes(connection)
        self._identity = (store.library_id, *info.identity, store.genre_source())
        self._lease = Lease(self._notes, connection.place)
        self._on_progress = on_progress
        self._largest = max(store.genre_counts().values())
        self._written = self._unchanged = self._shortened = 0

    def run(self, total: int, *, replace: bool) -> PushSummary:
        """Do all of it while nobody else pushes there."""
        self._notes.make()
        with self._lease:
            return self._run(total, replace=replace)

    def _run(self, total: int, *, replace: bool) -> PushSummary:
        """Bring the tracks up to date; what readers go by is written last."""
        store, base = self._store, self._connection.place.collection
        before = self._notes.read(LIBRARY_NOTE).get(LIBRARY_NOTE)
        if before is not None and not replace:
            self._check_same(before["collection"])
        (library, fingerprint, effort, source), revision = self._identity, store.revision
        name = collection_name(base, *self._identity)
        begun = self._notes.read(BEGUN_NOTE).get(BEGUN_NOTE, [])
        self._notes.write(BEGUN_NOTE, sorted({*begun, name}))
        graph = self._connection.place.file is None and self._largest >= GRAPH_FROM
        index = self._index(name, replace=replace, graph=graph)
        held, digests = _held(self._connection, name)
        kept = self._write(index, held, digests, total)
        self._lease.renew(now=True)
        # What another model has not heard yet would seem to be gone.
        self._check_unchanged()
        gone = np.setdiff1d(held, kept, assume_unique=True)
        removed = index.remove(gone.tolist())
        self._notes.write(about_note(name), self._about(source))
        index.commit(fingerprint=f"{library}:{fingerprint}:{effort}", revision=revision)
        self._lease.renew(now=True)
        pushes = 1 + (before["pushes"] if before else 0)
        self._notes.write(LIBRARY_NOTE, {"collection": name, "pushes": pushes})
        self._drop_others(begun, name)
        return PushSummary(
            place=str(self._connection.place),
            tracks=index.count(),
            written=self._written,
            unchanged=self._unchanged,
            removed=removed,
            shortened=self._shortened,
        )

    def _about(self, source: str) -> dict[str, Any]:
        """Return what readers must know of the library beside its tracks."""
        return {
            "library": self._store.library_id,
            "model": model_dict(self._info),
            "genre_source": source,
            "roots": [storable(str(root)) for root in self._store.roots()],
        }

    def _check_same(self, collection: str) -> None:
        """Refuse to put a library into the place of another.

        Raises
        ------
        SharedLibraryError
            Another library lies there, or this one as another model heard it.
        """
        note = about_note(collection)
        about = self._notes.read(note).get(note)
        place = self._connection.place
        if about is None or about["library"] != self._store.library_id:
            raise SharedLibraryError(
                f"{place} holds another library",
                "Give another place (?collection=NAME on the same server), or --replace to put "
                "this library in the place of that one.",
            )
        theirs, ours = model_of(about["model"]), self._info
        if theirs.identity != ours.identity:
            raise SharedLibraryError(
                f"{place} holds this library as another model analysed it: {theirs.fingerprint},"
                f" effort {theirs.effort}, and now {ours.fingerprint}, effort {ours.effort}",
                "With --replace all of it is moved once more; readers find the old one until then.",
            )

    def _index(self, name: str, *, replace: bool, graph: bool) -> MilvusIndex:
        """Return the index to be filled, whether it was begun before or not."""
        if self._connection.ask("has_collection", name):
            index = MilvusIndex.open(self._connection, name)
            if index.dimension == self._info.dimension or not replace:
                check_dimension(index, self._info.dimension)
                return index
            self._connection.ask("drop_collection", name)
        return MilvusIndex.create(self._connection, name, self._info.dimension, graph=graph)

    def _write(
        self, index: MilvusIndex, held: IdArray, digests: npt.NDArray[np.int64], total: int
    ) -> IdArray:
        """Write the tracks that differ from what is held; returns the ids of all."""
        seen: list[IdArray] = []
        done = 0
        self._on_progress(0, total)
        for ids, _, _ in self._store.iter_embeddings(PAGE):
            self._lease.renew()
            seen.append(self._write_page(index, ids, held, digests))
            done += len(ids)
            # Tracks may come and go meanwhile: the count was true when it was taken.
            self._on_progress(done, max(done, total))
        return np.concatenate([np.empty(0, dtype=np.int64), *seen])

    def _write_page(
        self,
        index: MilvusIndex,
        ids: IdArray,
        held: IdArray,
        digests: npt.NDArray[np.int64],
    ) -> IdArray:
        tracks, heard = self._store.tracks(ids.tolist()), self._store.analyses(ids.tolist())
        self._check_unchanged()
        # What left the library between two of these questions is not there any more.
        there = [number for number in ids.tolist() if number in tracks and number in heard]
        rows = {number: row_of(tracks[number], heard[number]) for number in there}
        self._shortened += sum(shortened(tracks[n].tags) is not tracks[n].tags for n in there)
        known = _digests_of(np.array(there, dtype=np.int64), held, digests)
        changed = [n for n, digest in zip(there, known, strict=True) if digest != rows[n]["digest"]]
        if changed:
            index.put(
                [tracks[number].part for number in changed],
                np.array(changed, dtype=np.int64),
                np.stack([heard[number].embedding for number in changed]),
                [rows[number] for number in changed],
            )
        self._written += len(changed)
        self._unchanged += len(there) - len(changed)
        return np.array(there, dtype=np.int64)

    def _check_unchanged(self) -> None:
        """Refuse to go on with a library that is not what readers are to be told.

        Readers are told of one model and one kind of labels: every track has to be of these. It is
        asked after each page was read and before anything of it is written.

        Raises
        ------
        SharedLibraryError
            Another model or other labels took over since the push began.
        """
        info, store = self._store.model(), self._store
        identity = info.identity if info else ()
        if self._identity != (store.library_id, *identity, store.genre_source()):
            raise SharedLibraryError(
                f"the library {store.path} was changed meanwhile: another model heard it, or other"
                " labels sort it",
                "Push again when that is done; readers find what was there before.",
            )

    def _drop_others(self, begun: Sequence[str], name: str) -> None:
        """Drop what is left of libraries that lay here before, or were begun."""
        for other in begun:
            if other != name and self._connection.ask("has_collection", other):
                self._connection.ask("drop_collection", other)
        self._notes.write(BEGUN_NOTE, [name])


def _held(connection: Connection, name: str) -> tuple[IdArray, npt.NDArray[np.int64]]:
    """Return the ids that a collection holds, ascending, and the digest of each."""
    pages = [
        np.array([(row["id"], row["digest"]) for row in page], dtype=np.int64)
        for page in connection.pages(name, "", ["id", "digest"], MOST_ROWS, **LATEST)
    ]
    held = np.concatenate([np.empty((0, 2), dtype=np.int64), *pages])
    held = held[np.argsort(held[:, 0], kind="stable")]
    return held[:, 0], held[:, 1]


def _digests_of(ids: IdArray, held: IdArray, digests: npt.NDArray[np.int64]) -> list[int | None]:
    """Return the digest of each id, None where it is not held."""
    places = np.searchsorted(held, ids)
    return [
        int(digests[place]) if place < len(held) and held[place] == number else None
        for place, number in zip(places.tolist(), ids.tolist(), strict=True)
    ]
