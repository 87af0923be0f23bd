"""A library that is open: its database, its index and its model, each loaded when it is needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recsys.errors import QueryError
from recsys.library import absolute
from recsys.store import Store

if TYPE_CHECKING:
    from recsys.catalogue import Catalogue
    from recsys.classifier.inference import Classifier
    from recsys.index.base import EmbeddingIndex
    from recsys.index.genre_index import GenreIndex
    from recsys.milvus.catalogue import MilvusCatalogue
    from recsys.types import ModelInfo


def default_database() -> Path:
    """Return where the library lies unless the user says otherwise."""
    from platformdirs import user_data_path

    return user_data_path("recsys", appauthor=False) / "library.db"


class OpenedLibrary:
    """What all verbs of a library stand on; the parameters are those of the library.

    Parameters
    ----------
    database, model, index : str or Path, optional
    device : str
    effort : str, optional
    """

    def __init__(
        self,
        database: str | Path | None = None,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        effort: str | None = None,
        index: str | Path | None = None,
    ) -> None:
        if database is not None and index is not None:
            raise QueryError(
                f"a library is read from its database or from Milvus, not both: {database}",
                "Leave out one of the two.",
            )
        self._place = index
        self._database = absolute(database) if database is not None else default_database()
        self._model = absolute(model) if model is not None else None
        self._device = device
        self._effort = effort
        self._reader: Store | None = None
        self._index: GenreIndex | None = None
        self._shared: MilvusCatalogue | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, or the connection. The library can be used again after that."""
        if self._reader is not None:
            self._reader.close()
        if self._shared is not None:
            self._shared.close()
        self._reader = self._index = self._shared = None

    @property
    def database(self) -> Path:
        """The file that holds the library.

        Raises
        ------
        QueryError
            If it lies on Milvus, where it is only read.
        """
        if self._place is not None:
            raise QueryError(
                f"{self._shared_catalogue().path} is a copy of a library, for reading alone",
                "Do this where the library is, and bring the copy up to date with recsys push.",
            )
        return self._database

    @property
    def store(self) -> Store:
        """The database, open for reading.

        Raises
        ------
        StoreError
            If there is no library yet, or its file is not one.
        """
        if self._reader is None:
            self._reader = Store.open(self.database, read_only=True)
        return self._reader

    def _catalogue(self) -> Catalogue:
        """Return the library without its index, from wherever it lies."""
        return self.store if self._place is None else self._shared_catalogue()

    def _shared_catalogue(self) -> MilvusCatalogue:
        if self._shared is None:
            from recsys.milvus.catalogue import MilvusCatalogue
            from recsys.milvus.connection import Connection
            from recsys.milvus.place import parse_place

            if self._place is None:
                raise QueryError(
                    f"{self._database} is read from its file, and not from Milvus",
                    "Say where it lies there: --index milvus://HOST:19530.",
                )
            connection = Connection(parse_place(self._place))
            try:
                self._shared = MilvusCatalogue.open(connection)
            except BaseException:
                connection.close()
                raise
        return self._shared

    def _ready(self) -> tuple[Catalogue, EmbeddingIndex, ModelInfo]:
        """Return what every question needs, as it is now."""
        if self._place is None:
            return self._stored()
        # Kept from one question to the next: connecting costs more than asking.
        is_new = self._shared is None
        shared = self._shared_catalogue()
        self._shared = shared if is_new else shared.refreshed()
        return self._shared, self._shared.index, self._shared.model()

    def _stored(self) -> tuple[Store, GenreIndex, ModelInfo]:
        """Return a library that lies in its database, with the index beside it."""
        from recsys.index_sync import open_index, refresh_index

        info, index = self.store.model(), self._index
        if info is not None:
            # Kept from one question to the next: opening costs more than asking.
            index = open_index(self.store) if index is None else refresh_index(self.store, index)
        self._index = index
        if info is None or index is None or index.count() == 0:
            raise QueryError(
                f"the library {self.database} holds no tracks yet",
                "Index a folder first: recsys index ~/Music",
            )
        return self.store, index, info

    @cached_property
    def classifier(self) -> Classifier:
        """The model: the one that was asked for, or the library's own, or the shipped one.

        Raises
        ------
        ModelError
            If it cannot be loaded, or the device is not there.
        """
        from recsys.classifier.inference import Classifier
        from recsys.types import Effort

        path, effort, info = self._model, self._effort, None
        if path is None and self._place is not None:
            info = self._shared_catalogue().model()
        elif path is None and self.database.exists():
            path, info = self.store.model_path(), self.store.model()
        if effort is None and info is not None:
            effort = info.effort
        return Classifier.load(path, self._device, effort or Effort.FULL)
