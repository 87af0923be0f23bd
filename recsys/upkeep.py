"""The verbs that look after a library: how good and how whole it is, and its genre tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.library import absolute
from recsys.opened import OpenedLibrary

if TYPE_CHECKING:
    from recsys.audit import AuditOptions, AuditReport, Outcome, Retagger
    from recsys.audit.journal import Run
    from recsys.library_status import Diagnosis, LibraryStatus
    from recsys.milvus.catalogue import SharedStatus
    from recsys.milvus.push import PushSummary
    from recsys.quality import Quality, QualityOptions
    from recsys.types import Failure


class LibraryUpkeep(OpenedLibrary):
    """Quality, audits, status and repairs of a library."""

    def quality(
        self,
        options: QualityOptions | None = None,
        *,
        workers: int | None = None,
        on_progress: Callable[[str, int, int], object] | None = None,
    ) -> Quality:
        """Measure how good the recommendations from this library are.

        Parameters
        ----------
        options : QualityOptions, optional
            What the tracks are judged by, length of the lists, number of queries, baselines.
        workers : int, optional
            Decoding processes, where hand-made features are compared; by default one per
            processor.
        on_progress : callable, optional
            Told what is being done, how much of it is done, and how much there is.

        Returns
        -------
        Quality

        Raises
        ------
        RecsysError
            If the library is empty or too small, or has no labels of the kind asked for.
        """
        from recsys.quality import measure_quality

        store, index, info = self._stored()
        return measure_quality(
            store, index, info, options, workers=workers, on_progress=on_progress or _ignore
        )

    # Genre tags

    def audit(self, options: AuditOptions | None = None) -> AuditReport:
        """Find tracks whose genre tag and model disagree with confidence. Nothing is changed.

        Parameters
        ----------
        options : AuditOptions, optional
            Which tracks, and how sure the model must be.

        Raises
        ------
        RecsysError
            If the library is empty, nothing of it lies under a path, or an option makes no sense.
        """
        from recsys.audit import AuditOptions, audit

        return audit(self.store, options or AuditOptions())

    def retagger(self) -> Retagger:
        """Return what writes suggestions of :meth:`audit` into the files, as one run."""
        from recsys.audit import Retagger

        return Retagger(self.database)

    def tag_runs(self) -> list[Run]:
        """Return the runs that wrote genre tags and were not taken back, the earliest first."""
        from recsys.audit.journal import Journal

        return Journal(self.database).runs()

    def tag_journal_notes(self) -> tuple[str, ...]:
        """Return what is to be said of lines of the journal of tags that were passed over."""
        from recsys.audit.journal import Journal

        return Journal(self.database).notes()

    def undo_tags(
        self, run: int | None = None, paths: Sequence[str | Path] = ()
    ) -> tuple[Run, Iterator[Outcome]]:
        """Put back the genre tags that stood in the files before a run.

        Parameters
        ----------
        run : int, optional
            Its number; by default the last that was not taken back.
        paths : sequence of str or Path
            Only these files, or files under these folders.

        Returns
        -------
        run : Run
            What will be taken back.
        outcomes : iterator of Outcome
            One per file, when it is done.

        Raises
        ------
        RecsysError
            If there is no such run, or another process is writing to the library.
        """
        from recsys.audit import undo_run

        return undo_run(self.database, run, [absolute(path) for path in paths])

    # The library itself

    def status(self) -> LibraryStatus:
        """Describe the library: tracks, genres, failures, model, sizes, index.

        Raises
        ------
        StoreError
            If there is no library.
        """
        from recsys.library_status import library_status

        return library_status(self.store)

    def shared_status(self) -> SharedStatus:
        """Describe a library that is read from Milvus: tracks, genres, model, folders.

        Raises
        ------
        RecsysError
            If nothing lies there, or this library is not read from Milvus.
        """
        return self._shared_catalogue().status()

    def tag_counts(self) -> dict[str, int]:
        """Return how many tracks carry each tag of the library's model, most first.

        Raises
        ------
        RecsysError
            If there is no library, or its model has no tags.
        """
        from recsys.library_status import tag_counts

        return tag_counts(self.store)

    def push(
        self,
        place: str | Path,
        *,
        replace: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> PushSummary:
        """Copy the library to Milvus, or bring up to date what lies there of it.

        Parameters
        ----------
        place : str or Path
            ``milvus://host:19530``, or a file of Milvus Lite ending in ``.db``, see
            :func:`recsys.milvus.place.parse_place`.
        replace : bool
            Let it take the place of another library, or of the same one as another model heard it.
        on_progress : callable, optional
            Told how many tracks were compared, and of how many.

        Raises
        ------
        RecsysError
            If the library is empty, something else lies there, or Milvus cannot be reached.
        """
        from recsys.milvus.connection import Connection
        from recsys.milvus.place import parse_place
        from recsys.milvus.push import push

        store, target = self.store, parse_place(place)
        with Connection(target, create=True) as connection:
            return push(store, connection, replace=replace, on_progress=on_progress or _ignore)

    def failures(self) -> list[Failure]:
        """Return the files that could not be analysed, with their reasons, by path."""
        return sorted(self.store.failures(), key=lambda failure: failure.file.path)

    def forget(self, folder: str | Path) -> int:
        """Remove every track and failure under a folder from the library; return how many.

        No file is touched. For disks that are gone for good.

        Raises
        ------
        RecsysError
            If nothing in the library lies there, or another process is writing to it.
        """
        from recsys.library_status import forget_folder

        self.close()
        return forget_folder(self.database, absolute(folder))

    def doctor(self, *, rebuild: bool = False, vacuum: bool = False) -> Diagnosis:
        """Check the database against itself and against the index, and repair what is asked for.

        Parameters
        ----------
        rebuild : bool
            Make the index files again from the database.
        vacuum : bool
            Drop analyses that no track uses any more, and give the space back.

        Raises
        ------
        StoreError
            If the database cannot be opened, or another process is writing to it.
        """
        from recsys.library_status import examine_library

        self.close()
        return examine_library(self.database, rebuild=rebuild, vacuum=vacuum)


def _ignore(*_: object) -> None:
    """Take note of nothing."""
