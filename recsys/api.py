"""The Python face of recsys: one class with the verbs of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recsys.errors import QueryError
from recsys.library import absolute, outermost
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import Query, make_query
from recsys.seeds import ResolvedSeed, SeedFinder
from recsys.store import Store

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.classify import Classification
    from recsys.index.genre_index import GenreIndex
    from recsys.indexing import IndexPlan
    from recsys.library_status import Diagnosis, LibraryStatus
    from recsys.types import Failure, IndexEvent, IndexSummary, ModelInfo, Playlist


def default_database() -> Path:
    """Return where the library lies unless the user says otherwise."""
    from platformdirs import user_data_path

    return user_data_path("recsys", appauthor=False) / "library.db"


class Library:
    """A music library: index folders, then ask for similar tracks and playlists.

    Parameters
    ----------
    database : str or Path, optional
        The file that holds the library; made by the first :meth:`index`. By default
        ``library.db`` in the user's data folder.
    model : str or Path, optional
        Checkpoint to analyse with; by default the library's own, or else the shipped one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Examples
    --------
    >>> import tempfile
    >>> from recsys import Library
    >>> from recsys.demo import make_library
    >>> music = tempfile.mkdtemp()
    >>> paths = make_library(music, styles=("chamber", "overdrive"), per_style=2, duration_s=6)
    >>> with Library(f"{music}/library.db") as library:
    ...     summary = library.index([music])
    ...     answer = library.similar(paths[0], k=2)
    ...     playlist = library.playlist("chamber no. 1", PlaylistOptions(length=3, seed=7))
    ...     heard = list(library.classify(paths))
    >>> summary.indexed, summary.failed
    (4, 0)
    >>> [row.rank for row in answer.results]
    [1, 2]
    >>> playlist.tracks[0].path == paths[0], len(playlist.tracks)
    (True, 3)
    >>> round(sum(heard[0].probabilities.values()), 3)
    1.0
    """

    def __init__(
        self,
        database: str | Path | None = None,
        *,
        model: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        self.database = absolute(database) if database is not None else default_database()
        self._model = absolute(model) if model is not None else None
        self._device = device
        self._reader: Store | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. The library can be used again after that."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # Indexing

    def index(
        self,
        folders: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        keep_missing: bool = False,
        reanalyse: bool = False,
        wait_s: float | None = 0.0,
        on_event: Callable[[IndexEvent | IndexPlan], None] | None = None,
    ) -> IndexSummary:
        """Bring the library up to date with some folders.

        Parameters
        ----------
        folders : str, Path or iterable of them
            Folders to look into, with everything below them.
        workers : int, optional
            Decoding processes; by default one per processor.
        keep_missing : bool
            Keep tracks whose files are gone.
        reanalyse : bool
            Allow another model than the one that analysed the library: everything is analysed
            again.
        wait_s : float or None
            How long to wait while another process indexes the same library, seconds; None
            waits for ever.
        on_event : callable, optional
            Called with an event per file, after its result is stored, and once with the plan.

        Returns
        -------
        IndexSummary

        Raises
        ------
        RecsysError
            If a folder is not there, no audio is found, the library is busy, or it was
            analysed with another model.
        """
        from recsys.indexing.session import nothing_found
        from recsys.types import IndexSummary

        summary = IndexSummary()
        for event in self.index_events(
            folders,
            workers=workers,
            keep_missing=keep_missing,
            reanalyse=reanalyse,
            wait_s=wait_s,
        ):
            if isinstance(event, IndexSummary):
                summary = event
            elif on_event is not None:
                on_event(event)
        if summary.found == 0:
            raise nothing_found(folders, summary)
        return summary

    def index_events(
        self,
        folders: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        keep_missing: bool = False,
        reanalyse: bool = False,
        wait_s: float | None = 0.0,
        watch: bool = False,
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
        """Index as a stream: as :meth:`index`, but yields what happens while it happens.

        Parameters
        ----------
        folders, workers, keep_missing, reanalyse, wait_s
            As in :meth:`index`.
        watch : bool
            After the first summary, follow the folders and index what changes, for ever; every
            change ends with a summary of its own.

        Yields
        ------
        IndexEvent
            One per file.
        IndexPlan
            Once per pass, before the files that take time.
        IndexSummary
            At the end of a pass.
        """
        from recsys.indexing.session import IndexSession

        session = IndexSession(
            self.database,
            model=self._model,
            device=self._device,
            workers=workers,
            keep_missing=keep_missing,
            reanalyse=reanalyse,
        )
        return session.run(outermost(folders), wait_s=wait_s, watch=watch)

    # Asking

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
        from recsys.index_sync import open_index

        info = self.store.model()
        index = open_index(self.store) if info is not None else None
        if info is None or index is None or index.count() == 0:
            raise QueryError(
                f"the library {self.database} holds no tracks yet",
                "Index a folder first: recsys index ~/Music",
            )
        return self.store, index, info

    def similar(
        self,
        seeds: str | Path | Sequence[str | Path],
        options: SimilarOptions | None = None,
        *,
        k: int | None = None,
        explain: bool = False,
    ) -> Answer:
        """Find tracks like one track, or like several taken together.

        Parameters
        ----------
        seeds : str, Path or sequence of them
            Paths of audio files, in the library or not, or words that match artist or title.
        options : SimilarOptions, optional
            Number of results, strategy and filters.
        k : int, optional
            Number of results, for short.
        explain : bool
            Give every row its reasons, in words.

        Returns
        -------
        Answer
            The ranked tracks, and how the ranking came about.

        Raises
        ------
        RecsysError
            If a seed is not found or is ambiguous, or the library is empty.
        """
        options = options or SimilarOptions()
        if k is not None:
            options = replace(options, k=k)
        store, index, info = self._ready()
        recommender = Recommender(store, index, info)
        answer = recommender.similar(self._query(seeds, info), options)
        return recommender.with_reasons(answer) if explain else answer

    def playlist(
        self,
        seeds: str | Path | Sequence[str | Path] = (),
        options: PlaylistOptions | None = None,
        *,
        cycle: Sequence[str] | str | None = None,
        to: str | Path | None = None,
    ) -> Playlist:
        """Make a playlist.

        Parameters
        ----------
        seeds : str, Path or sequence of them
            What it starts from; empty for a start drawn by the random seed.
        options : PlaylistOptions, optional
            Length or duration, constraints, random seed, diversity.
        cycle : sequence of str or "auto", optional
            Cycle through these genres, or through all of the library's.
        to : str or Path, optional
            Lead smoothly from the one seed to this track.

        Returns
        -------
        Playlist
            With a note when the library could not fill the request.

        Raises
        ------
        RecsysError
            If a seed or genre is not found, or the options contradict each other.
        """
        options = options or PlaylistOptions()
        store, index, info = self._ready()
        maker = PlaylistMaker(store, index, info)
        found = self._find(seeds)
        if to is not None:
            if cycle is not None or len(found) != 1:
                raise QueryError(
                    "a way from one track to another needs exactly one start and no cycle",
                    "Give --from A --to B.",
                )
            return maker.between(found[0], self._find(to)[0], options)
        if cycle is not None:
            if len(found) > 1:
                raise QueryError("a cycle starts from one track at most", "Give one seed or none.")
            return maker.cycle(cycle, found[0] if found else None, options)
        if not found:
            return maker.anywhere(options)
        return maker.from_seeds(make_query(info, found), options)

    def _query(self, seeds: str | Path | Sequence[str | Path], info: ModelInfo) -> Query:
        found = self._find(seeds)
        if not found:
            raise QueryError("no seed given", "Give a track of the library, a file, or words.")
        return make_query(info, found)

    def _find(self, seeds: str | Path | Sequence[str | Path]) -> list[ResolvedSeed]:
        finder = SeedFinder(self.store, lambda: self.classifier)
        return [finder.find(seed) for seed in _as_list(seeds)]

    @cached_property
    def classifier(self) -> Classifier:
        """The model: the one that was asked for, or the library's own, or the shipped one.

        Raises
        ------
        ModelError
            If it cannot be loaded, or the device is not there.
        """
        from recsys.classifier.inference import Classifier

        path = self._model
        if path is None and self.database.exists():
            path = self.store.model_path()
        return Classifier.load(path, self._device)

    def classify(
        self, files: str | Path | Iterable[str | Path], *, workers: int | None = None
    ) -> Iterator[Classification]:
        """Say what genres files have; a library is not needed and not changed.

        Parameters
        ----------
        files : str, Path or iterable of them
            Audio files.
        workers : int, optional
            Decoding processes; by default one per processor.

        Yields
        ------
        Classification
            One per file, in the order given; a file that cannot be analysed has an ``error``.
        """
        from recsys.classify import classify_files

        yield from classify_files(
            [Path(file) for file in _as_list(files)], self.classifier, workers=workers
        )

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


def _as_list(paths: str | Path | Iterable[str | Path]) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)
