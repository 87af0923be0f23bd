"""A library as it was at one moment, however long it is read."""

from __future__ import annotations

from typing import Self

from recsys.store import Store


class Snapshot(Store):
    """A library at one moment: ``with Snapshot.open(path, read_only=True) as store: ...``.

    All that is read inside is of the moment of entering, whatever others write meanwhile: the
    model, the labels and the tracks belong together. It holds nobody up. Until it is closed,
    SQLite keeps what others write beside the database (``-wal``) instead of inside it.
    """

    def __enter__(self) -> Self:
        try:
            self._rows("BEGIN")
            # The moment is that of the first question, not that of BEGIN.
            _ = self.revision
        except BaseException:
            self.close()
            raise
        return self
