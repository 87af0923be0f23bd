"""A library that is open: its database, its index and its model, each loaded when it is needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recsys.errors import QueryError
from recsys.library import absolute
from recsys.store import Store

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.index.genre_index import GenreIndex
    from recsys.types import ModelInfo


def default_database() -> Path:
    """Return where the library lies unless the user says otherwise."""
    from platformdirs import user_data_path

    return user_data_path("recsys", appauthor=False) / "library.db"


class OpenedLibrary:
    """What all verbs of a library stand on; the parameters are those of the library.

    Parameters
    ----------
    database, model : str or Path, optional
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
    ) -> None:
        self.database = absolute(database) if database is not None else default_database()
        self._model = absolute(model) if model is not None else None
        self._device = device
        self._effort = effort
        self._reader: Store | None = None
        self._index: GenreIndex | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. The library can be used again after that."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._index = None

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

    def _ready(self) -> tuple[Store, GenreIndex, ModelInfo]:
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
        from recsys.features.effort import FULL, effort_of

        path, effort = self._model, self._effort
        if path is None and self.database.exists():
            path, info = self.store.model_path(), self.store.model()
            if effort is None and info is not None:
                effort = effort_of(info.fingerprint)
        return Classifier.load(path, self._device, effort or FULL)
