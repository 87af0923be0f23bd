"""The Python face of recsys: one class with the verbs of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import QueryError
from recsys.library import outermost
from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import Query, make_query
from recsys.seeds import ResolvedSeed, SeedFinder
from recsys.types import TIME_LIMIT_S
from recsys.upkeep import LibraryUpkeep

if TYPE_CHECKING:
    from recsys.classify import Classification
    from recsys.indexing import IndexPlan
    from recsys.playlists import PlaylistOptions
    from recsys.types import IndexEvent, IndexSummary, ModelInfo, Playlist


class Library(LibraryUpkeep):
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
    effort : str, optional
        How much of a track is heard: ``fast``, ``balanced`` or ``full``, see
        :data:`recsys.features.effort.EFFORTS`. By default as the library was heard; balanced for a
        new one, and full for files without a library.
    index : str or Path, optional
        Read the library from Milvus instead of from a database, ``milvus://host:19530`` or a file
        of Milvus Lite: see :meth:`push`. There it can be asked, and not changed.

    Examples
    --------
    >>> import tempfile
    >>> from recsys import Library, PlaylistOptions
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

    # Indexing

    def index(
        self,
        folders: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        keep_missing: bool = False,
        reanalyse: bool = False,
        genres: str | None = None,
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
            Allow another model or effort than that which analysed the library: everything is
            analysed again.
        genres : str, optional
            Which labels sort the library from now on: ``gtzan``, ``tags`` or ``own``, see
            :data:`recsys.types.GENRE_SOURCES`.
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
            genres=genres,
            wait_s=wait_s,
        ):
            if isinstance(event, IndexSummary):
                summary = event
            elif on_event is not None:
                on_event(event)
        if summary.found == 0:
            raise nothing_found(outermost(folders), summary)
        return summary

    def index_events(
        self,
        folders: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        keep_missing: bool = False,
        reanalyse: bool = False,
        genres: str | None = None,
        wait_s: float | None = 0.0,
        watch: bool = False,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
        """Index as a stream: as :meth:`index`, but yields what happens while it happens.

        Parameters
        ----------
        folders, workers, keep_missing, reanalyse, genres, wait_s
            As in :meth:`index`.
        watch : bool
            After the first summary, follow the folders and index what changes, for ever; every
            change ends with a summary of its own.
        time_limit_s : float
            For one file, seconds; one that takes longer fails, and is tried again by the next run.

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
            genres=genres,
            effort=self._effort,
            time_limit_s=time_limit_s,
        )
        return session.run(outermost(folders), wait_s=wait_s, watch=watch)

    def sort_by(self, source: str) -> dict[str, int]:
        """Sort the library by other labels: they make the tiers, and the index follows.

        Nothing is listened to again.

        Parameters
        ----------
        source : str
            ``gtzan``: the model's genres; ``tags``: the strongest style among its tags; ``own``:
            the genres that the files name.

        Returns
        -------
        dict of str to int
            Tracks under each label.

        Raises
        ------
        RecsysError
            If the library is empty or busy, or its model has no styles among its tags.
        """
        from recsys.indexing.session import sort_library

        self.close()
        return sort_library(self.database, source)

    # Asking

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
        from recsys.playlists import PlaylistMaker, PlaylistOptions

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
        finder = SeedFinder(
            self._catalogue(), lambda: self.classifier, is_copy=self._place is not None
        )
        return [finder.find(seed) for seed in _as_list(seeds)]

    def classify(
        self,
        files: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Iterator[Classification]:
        """Say what genres files have; a library is not needed and not changed.

        Parameters
        ----------
        files : str, Path or iterable of them
            Audio files.
        workers : int, optional
            Decoding processes; by default one per processor.
        time_limit_s : float
            For one file, seconds; one that takes longer has an ``error``.

        Yields
        ------
        Classification
            One per file, in the order given; a file that cannot be analysed has an ``error``.
        """
        from recsys.classify import classify_files

        yield from classify_files(
            [Path(file) for file in _as_list(files)],
            self.classifier,
            workers=workers,
            time_limit_s=time_limit_s,
        )


def _as_list(paths: str | Path | Iterable[str | Path]) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)
