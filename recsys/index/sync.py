"""Updates the index of a library from its database.

The database is the truth and the index a cache: a damaged, missing or outdated index on disk is
updated or rebuilt from the database, which takes a few seconds at worst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.errors import GenreIndexError, StoreError
from recsys.index.base import DamagedPartError
from recsys.index.genre_index import GenreIndex, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import ModelInfo

FEW_CHANGES = 1000
REBUILD_SHARE = 0.25
"""Above both this number and this share of changed tracks, rebuilding the index is faster than
updating it."""

MOST_CHANGES = 100_000
"""Limit of the changes held in memory, whatever the size of the library."""


def index_directory(db_path: Path) -> Path:
    """Return the index directory of a library: ``library.db`` has ``library.index/``."""
    return db_path.with_name(db_path.stem + ".index")


def open_index(store: Store) -> GenreIndex:
    """Open the index of a library, up to date with it. Nothing is written.

    An outdated index is updated in memory; one that is missing, damaged or of another model is
    rebuilt in memory, as soon as the damage shows. See :func:`save_index`.

    Raises
    ------
    StoreError
        The library is empty: it has no model yet.
    """
    model = required_model(store)
    index = _loaded(store, model, on_damage=lambda damaged: _fill(damaged, store))
    if index is None:
        index = GenreIndex(model.dimension)
        _fill(index, store)
    else:
        _update(index, store)
    index.fingerprint = _fingerprint(store, model)
    return index


def refresh_index(store: Store, index: GenreIndex) -> GenreIndex:
    """Return an index that was opened earlier, up to date with its library.

    Without changes it is the same object, at the cost of one small query. Where the index on disk
    is up to date it is reopened, so that its files are mapped; else the changes are applied.

    Raises
    ------
    StoreError
        The library is empty: it has no model.
    """
    model = required_model(store)
    if index.fingerprint != _fingerprint(store, model):
        return open_index(store)
    if index.revision == store.revision:
        return index
    if index_is_current(store) or not _can_be_updated(index, store, model):
        return open_index(store)
    _update(index, store)
    return index


def save_index(store: Store, index: GenreIndex) -> None:
    """Write the changed parts of an index; the caller holds the library's lock."""
    index.save(
        index_directory(store.path),
        fingerprint=_fingerprint(store, required_model(store)),
        revision=index.revision,
    )


def bring_up_to_date(store: Store) -> GenreIndex:
    """Bring the index on disk up to date with its library; the caller holds the library's lock.

    Raises
    ------
    StoreError
        The library is empty: it has no model yet.
    """
    index = _loaded(store, required_model(store))
    if index is None:
        return rebuild_index(store)
    try:
        _update(index, store)
        save_index(store, index)
    except DamagedPartError:
        return rebuild_index(store)
    return index


def rebuild_index(store: Store) -> GenreIndex:
    """Fill a new index from the library and save it; the caller holds the library's lock."""
    index = GenreIndex(required_model(store).dimension)
    _fill(index, store)
    save_index(store, index)
    return index


def index_is_current(store: Store) -> bool:
    """Return whether the index on disk is up to date with the library.

    Only the manifest is read. A library without a model needs no index.
    """
    model = store.model()
    if model is None:
        return True
    try:
        saved = read_manifest(index_directory(store.path))
    except GenreIndexError:
        return False
    return (saved.fingerprint, saved.revision) == (_fingerprint(store, model), store.revision)


def measured_recall(store: Store) -> dict[str, float]:
    """Return the recall@20 measured for each genre group whose search is approximate."""
    try:
        parts = read_manifest(index_directory(store.path)).parts
    except GenreIndexError:
        return {}
    return {part.genre: part.recall_at_20 for part in parts if part.recall_at_20 is not None}


def index_problems(store: Store) -> list[str]:
    """Return the problems of the index on disk, as sentences; empty when it is up to date."""
    model = store.model()
    if model is None:
        return []
    try:
        index = GenreIndex.load(index_directory(store.path))
    except GenreIndexError as error:
        return [error.message]
    if not _is_of(index, store, model):
        return ["The index was made with another model, or for another library."]
    if problems := index.verify():
        return problems
    behind = store.revision - index.revision
    if behind < 0:
        return ["The index is of a later state than the library, which may be an older copy."]
    if behind:
        changes = store.change_count(index.revision)
        return [
            f"The index is {_counted(behind, 'revision')} behind the library"
            f" ({_counted(changes, 'change')})."
        ]
    wanted = store.genre_counts()
    return [
        f"The index holds {index.count(genre)} tracks of {genre}, the library"
        f" {wanted.get(genre, 0)}."
        for genre in sorted(wanted.keys() | set(index.genres))
        if index.count(genre) != wanted.get(genre, 0)
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def required_model(store: Store) -> ModelInfo:
    """Return the model of a library; StoreError for one that is empty."""
    model = store.model()
    if model is None:
        raise StoreError(
            f"The library {store.path} is empty: nothing was analysed yet.",
            "Fill it with `recsys index FOLDER`.",
        )
    return model


def _fingerprint(store: Store, model: ModelInfo) -> str:
    # Of the library too: a database that was deleted and made again counts tracks and revisions
    # from the start, and the old index must not be taken for its own.
    return f"{store.library_id}:{model.fingerprint}:{model.effort}"


def _loaded(
    store: Store, model: ModelInfo, on_damage: Callable[[GenreIndex], None] | None = None
) -> GenreIndex | None:
    """Return the index on disk if it can be updated."""
    try:
        index = GenreIndex.load(index_directory(store.path), on_damage=on_damage)
    except GenreIndexError:
        return None
    return index if _can_be_updated(index, store, model) else None


def _is_of(index: GenreIndex, store: Store, model: ModelInfo) -> bool:
    expected = (_fingerprint(store, model), model.dimension)
    return (index.fingerprint, index.dimension) == expected


def _can_be_updated(index: GenreIndex, store: Store, model: ModelInfo) -> bool:
    behind = store.revision - index.revision
    if behind < 0 or not _is_of(index, store, model):
        return False
    most = min(MOST_CHANGES, max(FEW_CHANGES, REBUILD_SHARE * index.count()))
    # Most indexes are up to date, and counting changes takes a query.
    return behind == 0 or store.change_count(index.revision) <= most


def _update(index: GenreIndex, store: Store) -> None:
    if store.revision == index.revision:
        return
    changes = store.changes_since(index.revision)
    index.remove(changes.removed)
    index.extend(changes.genres, changes.ids, changes.embeddings)
    index.revision = changes.revision


def _fill(index: GenreIndex, store: Store) -> None:
    # The revision first: rows written meanwhile may be in the batches or not; they are applied
    # again, harmlessly, when the index is next updated.
    index.revision = store.revision
    for ids, genres, embeddings in store.iter_embeddings():
        index.extend(genres, ids, embeddings)
