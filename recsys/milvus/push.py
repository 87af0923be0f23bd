"""Copies a library to Milvus, or brings its copy up to date.

The alias of a place names the collection that readers use. Another model, other labels or another
library go into a collection of their own, and the alias changes over to it when it is complete, in
one step of Milvus: readers find the old library or the new one.

There is no lease. Two pushes of one library write the same rows; of two libraries the one that
changes the alias last stays, and a push that finds the alias changed or its collection dropped ends
with an error. Milvus refuses to drop a collection that an alias names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import SharedLibraryError, library_is_empty
from recsys.milvus.catalogue import check_dimension, current_collection
from recsys.milvus.client import LATEST, MAX_ROWS
from recsys.milvus.collection import (
    collection_name,
    is_library,
    read_header,
    row_of,
    shortened,
    storable,
)
from recsys.milvus.milvus_index import PAGE, TRACKS, MilvusIndex
from recsys.store.rows import model_dict, model_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from recsys.milvus.client import Connection
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo

GRAPH_MIN_TRACKS = 500_000
"""Tracks in one genre group from which a server searches a graph."""


@dataclass(frozen=True, slots=True)
class PushSummary:
    """The result of a push: counts of tracks."""

    place: str  # without password and token
    tracks: int  # of the copy
    written: int  # new or changed
    unchanged: int
    removed: int  # gone from the library
    shortened: int  # with a tag that was cut


def push(
    store: Store,
    connection: Connection,
    *,
    replace: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> PushSummary:
    """Copy a library to Milvus; write only the tracks that differ from those of the last push.

    A track differs when the hash of everything known of it does. A push that was killed goes on
    where it was. Readers see a library grow; where another model analysed it, other labels sort it
    or it replaces another library, they see the old one until the new one is complete.

    Parameters
    ----------
    store : Store
        The library, open for reading.
    connection : Connection
        To the place.
    replace : bool
        Replace another library, or the same one as another model analysed it.
    on_progress : callable, optional
        Called with the number of tracks compared, and the number of all.

    Returns
    -------
    PushSummary

    Raises
    ------
    QueryError
        The library holds no tracks.
    SharedLibraryError
        The place holds another library, another push replaced it meanwhile, Milvus does not
        answer, or another model or other labels took over the library meanwhile.
    """
    info, counts = store.model(), store.genre_counts()
    if info is None or not counts:
        raise library_is_empty(store.path)
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
        self._store, self._info, self._connection = store, info, connection
        self._identity = (store.library_id, *info.identity, store.genre_source())
        self._on_progress = on_progress
        self._largest = max(store.genre_counts().values())
        self._counts: Counter[str] = Counter()
        self._written = self._unchanged = self._shortened = 0

    def run(self, total: int, *, replace: bool) -> PushSummary:
        """Bring the tracks up to date; the header and the alias come last."""
        store, connection = self._store, self._connection
        before = current_collection(connection)
        if before is not None and not replace:
            self._check_same(before)
        (library, fingerprint, effort, source), revision = self._identity, store.revision
        name = collection_name(connection.place.collection, *self._identity)
        graph = connection.place.file is None and self._largest >= GRAPH_MIN_TRACKS
        index = self._index(name, replace=replace, graph=graph)
        held, digests = _held(connection, name)
        kept = self._write(index, held, digests, total)
        # Tracks that a new model has not analysed yet are in no answer of the store; readers must
        # not lose them.
        self._check_unchanged()
        gone = np.setdiff1d(held, kept, assume_unique=True)
        removed = index.remove(gone.tolist())
        index.commit(
            fingerprint=f"{library}:{fingerprint}:{effort}",
            revision=revision,
            counts=self._counts,
            highest_id=int(kept.max(initial=0)),
            about=self._about(source),
        )
        self._switch_alias(before, name)
        self._drop_others(name)
        return PushSummary(
            place=str(connection.place),
            tracks=index.count(),
            written=self._written,
            unchanged=self._unchanged,
            removed=removed,
            shortened=self._shortened,
        )

    def _about(self, source: str) -> dict[str, Any]:
        """Return the facts of the library that readers need besides its tracks."""
        return {
            "library": self._store.library_id,
            "model": model_dict(self._info),
            "genre_source": source,
            "roots": [storable(str(root)) for root in self._store.roots()],
            "preferences": self._store.preferences(),
        }

    def _check_same(self, collection: str) -> None:
        """Refuse to replace another library, or this one as another model analysed it."""
        header, place = read_header(self._connection, collection), self._connection.place
        about = {} if header is None else header.about
        if about.get("library") != self._store.library_id:
            raise SharedLibraryError(
                f"{place} holds another library",
                "Give another place (?collection=NAME on the same server), or --replace to "
                "replace that library.",
            )
        theirs, ours = model_of(about["model"]), self._info
        if theirs.identity != ours.identity:
            raise SharedLibraryError(
                f"{place} holds this library as another model analysed it: {theirs.fingerprint},"
                f" effort {theirs.effort}, and now {ours.fingerprint}, effort {ours.effort}",
                "With --replace all of it is pushed again; readers find the old one until then.",
            )

    def _switch_alias(self, before: str | None, name: str) -> None:
        """Let the alias name a collection, unless another push has changed it meanwhile."""
        connection, alias = self._connection, self._connection.place.collection
        current = current_collection(connection)
        if current == name:
            return
        if current != before:
            raise SharedLibraryError(
                f"another library was pushed to {connection.place} meanwhile",
                "Readers find that one. Push again with --replace to replace it.",
            )
        if before is None:
            connection.ask("create_alias", name, alias)
        else:
            connection.ask("alter_alias", name, alias)

    def _drop_others(self, name: str) -> None:
        """Drop the libraries that were at this place before, complete or not."""
        connection = self._connection
        for other in connection.ask("list_collections"):
            if other == name or not is_library(connection, other):
                continue
            # Another push may have changed the alias since: its collection must stay.
            if current_collection(connection) == name:
                connection.ask("drop_collection", other)

    def _index(self, name: str, *, replace: bool, graph: bool) -> MilvusIndex:
        """Return the index to be filled, new or as a push before left it."""
        if self._connection.ask("has_collection", name):
            index = MilvusIndex.open(self._connection, name, graph=graph)
            if index.dimension == self._info.dimension or not replace:
                check_dimension(index, self._info.dimension)
                return index
            self._connection.ask("drop_collection", name)
        return MilvusIndex.create(self._connection, name, self._info.dimension, graph=graph)

    def _write(
        self, index: MilvusIndex, held: IdArray, digests: npt.NDArray[np.int64], total: int
    ) -> IdArray:
        """Write the tracks that differ from those held; return the ids of all."""
        seen: list[IdArray] = []
        done = 0
        self._on_progress(0, total)
        for ids, _, _ in self._store.iter_embeddings(PAGE):
            seen.append(self._write_page(index, ids, held, digests))
            done += len(ids)
            # Tracks may have been added since they were counted.
            self._on_progress(done, max(done, total))
        return np.concatenate([np.empty(0, dtype=np.int64), *seen])

    def _write_page(
        self,
        index: MilvusIndex,
        ids: IdArray,
        held: IdArray,
        digests: npt.NDArray[np.int64],
    ) -> IdArray:
        tracks, analyses = self._store.tracks(ids.tolist()), self._store.analyses(ids.tolist())
        self._check_unchanged()
        # A track may have left the library between the two queries.
        bans = self._store.bans()
        there = [
            n for n in ids.tolist() if n in tracks and n in analyses and not bans.holds(tracks[n])
        ]
        rows = {n: row_of(tracks[n], analyses[n]) for n in there}
        self._counts.update(tracks[n].genre_group for n in there)
        self._shortened += sum(shortened(tracks[n].tags) is not tracks[n].tags for n in there)
        known = _digests_of(np.array(there, dtype=np.int64), held, digests)
        changed = [n for n, digest in zip(there, known, strict=True) if digest != rows[n]["digest"]]
        if changed:
            index.put(
                [tracks[n].genre_group for n in changed],
                np.array(changed, dtype=np.int64),
                np.stack([analyses[n].embedding for n in changed]),
                [rows[n] for n in changed],
            )
        self._written += len(changed)
        self._unchanged += len(there) - len(changed)
        return np.array(there, dtype=np.int64)

    def _check_unchanged(self) -> None:
        """Refuse to mix two models or two kinds of labels.

        Called after each page was read and before anything of it is written.
        """
        info, store = self._store.model(), self._store
        identity = info.identity if info else ()
        if self._identity != (store.library_id, *identity, store.genre_source()):
            raise SharedLibraryError(
                f"the library {store.path} was changed meanwhile: another model analyses it, or"
                " other labels sort it",
                "Push again when that is done; readers find what was there before.",
            )


def _held(connection: Connection, name: str) -> tuple[IdArray, npt.NDArray[np.int64]]:
    """Return the ids that a collection holds, ascending, and the digest of each."""
    pages = [
        np.array([(row["id"], row["digest"]) for row in page], dtype=np.int64)
        for page in connection.pages(name, TRACKS, ["id", "digest"], MAX_ROWS, **LATEST)
    ]
    held = np.concatenate([np.empty((0, 2), dtype=np.int64), *pages])
    held = held[np.argsort(held[:, 0], kind="stable")]
    return held[:, 0], held[:, 1]


def _digests_of(ids: IdArray, held: IdArray, digests: npt.NDArray[np.int64]) -> list[int | None]:
    """Return the digest of each id, None where it is not held."""
    positions = np.searchsorted(held, ids).tolist()
    return [
        int(digests[i]) if i < len(held) and held[i] == track_id else None
        for i, track_id in zip(positions, ids.tolist(), strict=True)
    ]
