"""The Python interface of recsys: one class with the verbs of the command line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from recsys.checks import is_whole
from recsys.errors import (
    NotFoundError,
    OlderLibraryError,
    QueryError,
    StoreError,
    library_is_empty,
    require,
    shell,
)
from recsys.kinds import head_name
from recsys.library import absolute, outermost
from recsys.recommender import Answer, Filters, Recommender, SimilarOptions
from recsys.recommender.filters import TrackFilter, shortest_wanted
from recsys.recommender.presence import Presence
from recsys.recommender.query import OUTSIDE_LIBRARY, Query, make_query
from recsys.seed_words import WordReader
from recsys.seeds import FoundSeed, FoundSeeds, SeedFinder
from recsys.store import Store
from recsys.store.connection import default_database
from recsys.store.search import MOST_MATCHES
from recsys.taste import Event, EventKind
from recsys.taste.events import now
from recsys.types import (
    MEASURED,
    MOOD_NUMBERS,
    NOT_MUSIC,
    TIME_LIMIT_S,
    Blend,
    Effort,
    ModelInfo,
    RadioDetails,
    RadioSession,
    SavedPlaylist,
    SeedKind,
    Track,
)

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from recsys.audit import AuditOptions, AuditReport, Retagger, RetagOutcome
    from recsys.audit.retagging import Run
    from recsys.classifier.inference import Classifier
    from recsys.classify import Classification
    from recsys.discography import ArtistEntry, Discography, KeptDiscography
    from recsys.feedback import FeedbackReader, KnownTaste
    from recsys.index.base import EmbeddingIndex
    from recsys.index.genre_index import GenreIndex
    from recsys.indexing import IndexOptions, IndexPlan
    from recsys.indexing.session import SessionEvent
    from recsys.library_status import Diagnosis, FailureGroup, LibraryStatus
    from recsys.listing import ListOptions, TrackDetails
    from recsys.milvus.catalogue import MilvusCatalogue, SharedStatus
    from recsys.milvus.push import PushSummary
    from recsys.mood.fit import MoodFit, MoodFitOptions
    from recsys.pages import ArtistPage, Orders, Page, PageOptions, Suggestions
    from recsys.playlists import PlaylistMaker, PlaylistOptions
    from recsys.playlists.radio import Radio, RadioAnswer, RadioOptions
    from recsys.quality import Quality, QualityOptions
    from recsys.taste.ranking import Taste
    from recsys.types import (
        Catalogue,
        DeviceName,
        EffortName,
        Failure,
        GenreSourceName,
        IdArray,
        IndexEvent,
        IndexSummary,
        Playlist,
        Range,
        Reading,
    )
    from recsys.words import LibrarySounds, TextPhrase, TextTower, WordPhrase

MOST_OF_SEED = 50
"""Tracks that stand for an artist or album of very many, drawn evenly."""

MOST_NAME = 500
"""Letters of the name of a playlist."""

_MOST_ID = 2**63
"""Above all ids of a database."""

Seed: TypeAlias = str | Path | int | Track
"""A path, an id, words, or a track of an answer."""

Seeds: TypeAlias = Seed | Sequence[Seed]
"""What a query starts from."""

Options = TypeVar("Options", "SimilarOptions", "PlaylistOptions", "RadioOptions")
Listed = TypeVar("Listed", bound="ListOptions")


@dataclass(slots=True)
class _Reader:
    """What one thread reads a library with; nothing of it is shared, so nothing is locked.

    The files of the index are mapped into memory, which the threads share.
    """

    store: Store | None = None
    index: GenreIndex | None = None
    shared: MilvusCatalogue | None = None
    taste: KnownTaste | None = None
    sounds: LibrarySounds | None = None
    sounds_of: object = None  # the state of the library that they are of

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
        if self.shared is not None:
            self.shared.close()


class Library:
    """A music library: index folders, then query similar tracks and playlists.

    Parameters
    ----------
    database : str or Path, optional
        The library; made by the first :meth:`index`. By default ``library.db`` in the user's data
        folder.
    model : str or Path, optional
        Checkpoint to analyse with; by default the library's own, or else the shipped one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    effort : str, optional
        How many windows of a track are analysed: ``fast``, ``balanced`` or ``full``, see
        :data:`recsys.mel.EFFORTS`. By default the library's own; balanced for a new one, and full
        for files without a library.
    index : str or Path, optional
        Read the library from Milvus instead of from a database, ``milvus://host:19530`` or a file
        of Milvus Lite: see :meth:`push`. Such a library is read-only.
    paths : bool
        Whether a text may be the path of a seed. Without, only a Path can name a file: for texts
        of people who must not read any file of this machine.

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
    ...     files = list(library.classify(paths))
    >>> summary.indexed, summary.failed
    (4, 0)
    >>> [row.rank for row in answer.results]
    [1, 2]
    >>> playlist.tracks[0].path == paths[0], len(playlist.tracks)
    (True, 3)
    >>> round(sum(files[0].probabilities.values()), 3)
    1.0
    """

    def __init__(
        self,
        database: str | Path | None = None,
        *,
        model: str | Path | None = None,
        device: DeviceName = "auto",
        effort: EffortName | None = None,
        index: str | Path | None = None,
        paths: bool = True,
    ) -> None:
        if effort is not None and effort not in list(Effort):
            raise QueryError(f"unknown effort {effort!r}", f"Efforts: {', '.join(Effort)}.")
        if database is not None and index is not None:
            raise QueryError(
                f"a library is read from its database or from Milvus, not both: {database}",
                "Leave out one of the two.",
            )
        self._place = index
        self._paths = paths
        self._is_closed = False
        self._own = threading.local()
        self._database = absolute(database) if database is not None else default_database()
        self._model = absolute(model) if model is not None else None
        self._device = device
        self._effort = effort

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._is_closed else ""
        return f"<Library {self._place or self._database}{closed}>"

    def _repr_html_(self) -> str:
        from recsys.errors import RecsysError
        from recsys.notebook import html_table

        try:
            counts = self._catalogue().genre_counts()
        except RecsysError:  # closed, or not there yet: nothing to show but its name
            return html_table(repr(self), (), ())
        rows = sorted(counts.items(), key=lambda item: -item[1])
        title = f"{self._place or self._database}: {sum(counts.values())} tracks"
        return html_table(title, ("Genre", "Tracks"), rows)

    def close(self) -> None:
        """Close the library; it cannot be used after that. Closing twice is fine.

        A query that runs in another thread meanwhile ends, or fails with the same error.
        """
        if not self._is_closed:
            self._release()
            self._is_closed = True
            # The readers of other threads close with the last query that uses them.
            self._own = threading.local()

    def _release(self) -> None:
        """Close what this thread reads the library with."""
        self._reader.close()
        self._own.reader = None

    def _check_open(self) -> None:
        if self._is_closed:
            raise QueryError(
                f"this library was closed: {self._place or self._database}",
                "Ask inside of its `with` block, or open another Library.",
            )

    @property
    def _reader(self) -> _Reader:
        """What this thread reads the library with; QueryError after :meth:`close`."""
        self._check_open()
        reader: _Reader | None = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = _Reader()
        return reader

    @property
    def database(self) -> Path:
        """The database file.

        Raises
        ------
        QueryError
            If the library is on Milvus, where it is read-only, or was closed.
        """
        self._check_open()
        if self._place is not None:
            raise QueryError(
                f"{self._shared_catalogue().path} is a read-only copy of a library",
                "Change the library itself, then update the copy with recsys milvus push.",
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
        reader = self._reader
        if reader.store is None:
            reader.store = _opened(self.database)
        return reader.store

    @cached_property
    def classifier(self) -> Classifier:
        """The model: the requested one, or the library's own, or the shipped one.

        Raises
        ------
        ModelError
            If it cannot be loaded, or the device is not there.
        """
        from recsys.classifier.inference import Classifier

        path, info = self._model, None
        effort: str | None = self._effort
        if path is None and self._place is not None:
            info = self._shared_catalogue().model()
        elif path is None and self.database.exists():
            path, info = self.store.model_path(), self.store.model()
        if effort is None and info is not None:
            effort = info.effort
        return Classifier.load(path, self._device, effort or Effort.FULL)

    # Indexing

    def index(
        self,
        folders: str | Path | Iterable[str | Path] | None = None,
        options: IndexOptions | None = None,
        *,
        on_event: Callable[[IndexEvent | IndexPlan], None] | None = None,
    ) -> IndexSummary:
        """Bring the library up to date with some folders or files.

        Parameters
        ----------
        folders : str, Path or iterable of them, optional
            Folders to scan, with everything below them, and single audio files. By default the
            folders that the library knows: all that were indexed before.
        options : IndexOptions, optional
            Workers, time limit, missing files, labels of the genre groups.
        on_event : callable, optional
            Called with an event per file, after its result is stored, and once with the plan.

        Returns
        -------
        IndexSummary

        Raises
        ------
        RecsysError
            If a folder is not there or none is known, no audio is found, the library is busy, or
            it was analysed with another model.
        """
        from recsys.indexing import IndexPlan
        from recsys.indexing.session import nothing_found
        from recsys.types import IndexEvent, IndexSummary

        roots = self._roots_of(folders)
        summary = IndexSummary()
        for event in self.index_events(roots, options):
            if isinstance(event, IndexSummary):
                summary = event
            elif on_event is not None and isinstance(event, IndexEvent | IndexPlan):
                on_event(event)
        if summary.found == 0 and not summary.removed:
            raise nothing_found(roots, summary)
        return summary

    def index_events(
        self,
        folders: str | Path | Iterable[str | Path] | None = None,
        options: IndexOptions | None = None,
        *,
        watch: bool = False,
    ) -> Iterator[SessionEvent]:
        """Index as :meth:`index`, but as a stream of events.

        Parameters
        ----------
        folders, options
            As in :meth:`index`.
        watch : bool
            After the first summary, watch the folders and index changes for ever; every change
            ends with a summary of its own.

        Yields
        ------
        IndexEvent
            One per file.
        IndexPlan
            Once per pass, before the files that take time.
        SlowFile
            Every few seconds for a file whose analysis takes long.
        IndexSummary
            At the end of a pass.
        MixPlan, MixEvent, MixSummary
            After the summary, what :attr:`IndexOptions.also` asks for, see :mod:`recsys.mix.run`.
        """
        from recsys.indexing import IndexOptions
        from recsys.indexing.session import IndexSession

        session = IndexSession(
            self.database, self._model, self._device, self._effort, options or IndexOptions()
        )
        roots = self._roots_of(folders)
        self._release()
        return session.run(roots, watch=watch)

    def folders(self) -> list[Path]:
        """Return the folders that were indexed, in the order of their names.

        Returns
        -------
        list of Path
            Empty where there is no library yet.
        """
        return self.store.roots() if self.database.exists() else []

    def _roots_of(self, folders: str | Path | Iterable[str | Path] | None) -> list[Path]:
        """Return folders without those inside another; by default those that are known."""
        roots = outermost(self.folders() if folders is None else folders)
        if not roots and folders is None:
            raise QueryError(
                f"the library {self.database} knows no folder yet", "Name one: recsys index ~/Music"
            )
        return roots

    def sort_by(self, source: GenreSourceName) -> dict[str, int]:
        """Sort the library into other genre groups, which make the tiers; nothing is analysed.

        Parameters
        ----------
        source : str
            ``all``: every genre that the model knows, see :mod:`recsys.genres`; ``gtzan``: those of
            its classifier head alone; ``own``: the genre tags of the files.

        Returns
        -------
        dict of str to int
            Tracks in each genre group.

        Raises
        ------
        RecsysError
            If the library is empty or busy.
        """
        from recsys.indexing.session import sort_library

        self._release()
        return sort_library(self.database, source)

    # Queries

    def similar(
        self,
        seeds: Seeds = (),
        options: SimilarOptions | None = None,
        *,
        k: int | None = None,
        explain: bool = False,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
    ) -> Answer:
        """Find tracks similar to one track, or to the mean of several, or that fit words for sound.

        Parameters
        ----------
        seeds : str, Path, int, Track or sequence of them
            Paths of audio files, in the library or not, ids, names as recsys prints them, or words
            of artist, title, album and genre tag: see :mod:`recsys.seeds`. An artist or album
            stands for its tracks.
        options : SimilarOptions, optional
            Number of results, strategy and filters.
        k : int, optional
            Number of results; overrides that of the options.
        explain : bool
            Add the reasons of each result, as sentences.
        like, not_like : str, Path or sequence of them
            Further seeds, towards which and away from which the query leans, see
            :func:`recsys.recommender.query.make_query`. Near-duplicates of what is not liked are
            left out.
        words : str, optional
            A phrase such as "slow sad piano without vocals from the 80s", see :mod:`recsys.words`;
            read by the library's model where that has a text model, or else by its tags. Without
            seeds, the whole library is ranked by it; with seeds, their nearest tracks.

        Returns
        -------
        Answer
            The ranked tracks, the scores behind the ranking, and notes. With words, a
            :class:`recsys.words.WordAnswer`.

        Raises
        ------
        RecsysError
            If a seed is not found or is ambiguous, or the library is empty.
        """
        given = options or SimilarOptions()
        options = self._with_defaults(given if k is None else replace(given, k=k))
        store, index, info = self._ready()
        files = self._presence()
        found = self._find_all(seeds, like, not_like, files)
        answer: Answer
        if words is not None:
            near = found.query(info) if found.given else None
            answer = self._phrase(words, files).similar(options, near, explain=explain)
            notes = [] if near is None else _notes(near.readings)
            notes += [*self.notes_on(given.filters), *_on_files(files)]
            return replace(answer, notes=(*notes, *answer.notes))
        recommender = Recommender(store, index, info, self._taste(wanted=options.taste), files)
        query = found.query(info)
        answer = recommender.similar(query, options)
        notes = [*_notes(query.readings), *self.notes_on(given.filters), *_on_files(files)]
        if notes:
            answer = replace(answer, notes=(*notes, *answer.notes))
        return recommender.with_reasons(answer) if explain else answer

    def playlist(
        self,
        seeds: Seeds = (),
        options: PlaylistOptions | None = None,
        *,
        cycle: Sequence[str] | str | None = None,
        to: Seed | None = None,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
    ) -> Playlist:
        """Make a playlist.

        Parameters
        ----------
        seeds : str, Path or sequence of them
            What it starts from, as in :meth:`similar`; empty for a start drawn by the random seed.
            The most typical track of an artist or album opens the list.
        options : PlaylistOptions, optional
            Length or duration, constraints, random seed, diversity.
        cycle : sequence of str or "auto", optional
            Cycle through these genres, or through all of the library's.
        to : str or Path, optional
            Lead smoothly from the one seed to this track.
        like, not_like : str, Path or sequence of them
            As in :meth:`similar`, for a list from seeds.
        words : str, optional
            A phrase, as in :meth:`similar`. Only tracks that fit it, in the order of their scores,
            after the seeds.

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

        given = options or PlaylistOptions()
        store, index, info = self._ready()
        files = self._presence()
        maker = PlaylistMaker(store, index, info, self._taste(wanted=given.taste), files)
        everything = self._find_all(seeds, like, not_like, files, listed=True)
        options = self._with_defaults(given)
        if words is None:
            playlist = self._made(maker, info, everything, options, cycle, to)
        elif to is not None or cycle is not None:
            raise QueryError(
                "words for sound cannot be combined with a cycle or a way to a track",
                "Leave out the words, or give tracks alone with them.",
            )
        else:
            playlist = self._playlist_by_words(maker, words, everything, options, info)
        return _with_notes(playlist, [*self.notes_on(given.filters), *_on_files(files)])

    def _made(
        self,
        maker: PlaylistMaker,
        info: ModelInfo,
        everything: FoundSeeds,
        options: PlaylistOptions,
        cycle: Sequence[str] | str | None,
        to: Seed | None,
    ) -> Playlist:
        found = everything.seeds or everything.like
        leans = everything.like or everything.not_like
        if leans and (to is not None or cycle is not None or not found):
            raise QueryError(
                "a list leans towards or away from tracks only if it starts from seeds",
                "Give one seed or more, and neither a cycle nor a goal.",
            )
        if to is not None:
            if cycle is not None or len(found) != 1:
                raise QueryError(
                    "a way from one track to another needs exactly one start and no cycle",
                    "Give --from A --to B.",
                )
            goal = self._find(to, maker.files, listed=True)
            playlist = maker.between(found[0].tracks[0], goal[0].tracks[0], options)
            return _with_readings(playlist, [each.reading for each in (*found, *goal)])
        if cycle is not None:
            if len(found) > 1:
                raise QueryError("a cycle starts from one track at most", "Give one seed or none.")
            playlist = maker.cycle(cycle, found[0].tracks[0] if found else None, options)
            return _with_readings(playlist, everything.readings)
        if not found:
            return maker.anywhere(options)
        return self._from_seeds(maker, info, everything, options)

    def _from_seeds(
        self, maker: PlaylistMaker, info: ModelInfo, found: FoundSeeds, options: PlaylistOptions
    ) -> Playlist:
        query = found.query(info)
        query = self._opened(query, found, options, maker.files)
        playlist = maker.from_seeds(query, options)
        return _with_readings(playlist, query.readings)

    def _playlist_by_words(
        self,
        maker: PlaylistMaker,
        words: str,
        found: FoundSeeds,
        options: PlaylistOptions,
        info: ModelInfo,
    ) -> Playlist:
        phrase = self._phrase(words, maker.files)
        options = replace(options, filters=options.filters.including(options.genre, *phrase.groups))
        query = found.query(info) if found.given else None
        playlist = maker.of_candidates(
            partial(phrase.candidates, options.genre, options.tags, query),
            options,
            words,
            None if query is None else self._opened(query, found, options, maker.files),
        )
        playlist = _with_notes(playlist, [f"read as: {phrase.reading}"])
        return _with_readings(playlist, () if query is None else query.readings)

    def _opened(
        self, query: Query, found: FoundSeeds, options: PlaylistOptions, files: Presence | None
    ) -> Query:
        """Return a query whose seeds are those that open a list.

        All tracks of an artist would fill it; one opens it, all of them say what is near.
        """
        shortest_s = shortest_wanted(seed.track for seed in query.seeds)
        allowed = TrackFilter(
            options.filters, banned=self._catalogue().bans(), files=files, shortest_s=shortest_s
        )
        firsts = set()
        for each in found.seeds or found.like:
            fitting = (
                track.path
                for track, analysis in each.tracks
                if allowed.objection(track, analysis.embedding) is None
            )
            firsts.add(next(fitting, each.tracks[0][0].path))
        unwanted = {seed.track.path for seed in query.not_like}
        openers = tuple(seed for seed in query.seeds if seed.track.path in firsts - unwanted)
        return replace(query, seeds=openers or query.seeds[:1])

    def extend(
        self,
        tracks: Sequence[str | Path | int | Track],
        options: PlaylistOptions | None = None,
    ) -> Playlist:
        """Continue a list of tracks.

        Parameters
        ----------
        tracks : sequence of str, Path, int or Track
            The files of the list, or ids, in playing order. Those that are not in the library are
            passed over, with a note.
        options : PlaylistOptions, optional
            As for :meth:`playlist`. Length and duration count what is added.

        Returns
        -------
        Playlist
            What follows, without the list. Its seeds are the last tracks of the list.

        Raises
        ------
        RecsysError
            If no track of the list is in the library, or the library is empty.
        """
        from recsys.playlists import PlaylistMaker, PlaylistOptions

        given = options or PlaylistOptions()
        options = self._with_defaults(given)
        store, index, info = self._ready()
        paths = [self._path_of(each) for each in _as_sequence(tracks)]
        # A list may name a file by another way than the library, through a link.
        named = [store.track_by_path(p) or store.track_by_path(p.resolve()) for p in paths]
        known = [track for track in named if track is not None]
        analyses = store.analyses([track.id for track in known])
        present = [(track, analyses[track.id]) for track in known if track.id in analyses]
        if not present:
            raise QueryError(
                f"none of the {len(paths)} tracks of the list is in the library {store.path}",
                "Index their folder first; map other paths with --root FROM=TO.",
            )
        files = self._presence()
        maker = PlaylistMaker(store, index, info, self._taste(wanted=options.taste), files)
        playlist = maker.extend(present, options)
        notes = [*self.notes_on(given.filters), *_on_files(files)]
        if strange := len(paths) - len(present):
            notes.append(f"{strange} of {len(paths)} tracks of the list are not in the library")
        return _with_notes(playlist, notes)

    def _path_of(self, listed: Seed) -> Path:
        """Return the file of a track of a list."""
        if isinstance(listed, Track):
            return listed.path
        if is_whole(listed):
            return self.track(int(listed)).path  # type: ignore[arg-type]
        if not isinstance(listed, str | Path):
            raise QueryError(f"{listed!r} is no track of a list", "Give paths, ids or Tracks.")
        return absolute(listed)

    def radio(
        self,
        seeds: Seeds = (),
        options: RadioOptions | None = None,
        *,
        session: int | None = None,
        new: bool = False,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
        dry_run: bool = False,
    ) -> RadioAnswer:
        """Give the next tracks of an endless list, and store that they were given.

        Parameters
        ----------
        seeds : str, Path or sequence of them
            Tracks of the library. Their latest session goes on; without one, a session starts.
            Empty for the latest session of all.
        options : RadioOptions, optional
            Number of tracks and filters.
        session : int, optional
            The session to go on with, instead of seeds.
        new : bool
            Start a session even if the seeds have one.
        like, not_like : str, Path or sequence of them
            Tracks of the library, as in :meth:`similar`. They are seeds of the session, too.
        words : str, optional
            A phrase, as in :meth:`similar`, alone or with seeds. The session keeps it, and gives
            the tracks that fit it, the best first.
        dry_run : bool
            Store nothing: neither a session, nor that tracks were given.

        Returns
        -------
        RadioAnswer
            Never a track that the session gave before; with notes on rules that were relaxed.
            Session 0 is one that a dry run did not start.

        Raises
        ------
        RecsysError
            If a seed is not found or not in the library, the session does not exist, or its
            seeds have left the library.
        """
        from recsys.playlists.radio import Radio, RadioOptions

        given_options = options or RadioOptions()
        options = self._with_defaults(given_options)
        database = self.database  # QueryError on Milvus, where nothing can be stored
        store, index, info = self._stored()
        files = self._presence()
        radio = Radio(store, index, info, self._taste(wanted=options.taste), files)
        found = self._find_all(seeds, like, not_like, files)
        with Store.open(database, read_only=dry_run) as writer:
            if words is not None:  # an error must not start a session
                near = found.query(info) if found.given else None
                self._phrase(words, files).candidates(options.genre, options.tags, near)
            _check_session(session, is_given=found.given or words is not None or new)
            begun = _stored_blend(found.query(info)) if found.given else None
            number = session
            if number is None:
                number = self._radio_session(writer, begun, words, new=new)
            if number is None and not dry_run:
                number = writer.start_radio(begun or Blend(), words)
            while True:
                known = (begun or Blend(), [], words) if number is None else writer.radio(number)
                if known is None:
                    raise no_session(number or 0)
                name = number or 0
                answer = self._radio_answer(radio, name, known, info, options)
                given = [row.track.audio_hash for row in answer.results]
                # Another process may have extended the session meanwhile.
                if dry_run or writer.extend_radio(name, len(known[1]), given):
                    notes = [*_notes(found.readings), *self.notes_on(given_options.filters)]
                    notes += _on_files(files)
                    return replace(answer, notes=(*notes, *answer.notes))

    def _radio_answer(
        self,
        radio: Radio,
        session: int,
        known: tuple[Blend, Sequence[str], str | None],
        info: ModelInfo,
        options: RadioOptions,
    ) -> RadioAnswer:
        """Return what follows in a session of these seeds, tracks given so far, and words."""
        blend, played, words = known
        if words is None:
            query = self._radio_query(session, blend, info, radio.files)
            return radio.following(session, query, played, options)
        near = None
        if blend.seeds or blend.like:
            near = self._radio_query(session, blend, info, radio.files)
        return self._radio_by_words(radio, session, words, near, played, options)

    def _radio_by_words(
        self,
        radio: Radio,
        session: int,
        words: str,
        query: Query | None,
        played: Sequence[str],
        options: RadioOptions,
    ) -> RadioAnswer:
        phrase = self._phrase(words, radio.files)
        options = replace(options, filters=options.filters.including(options.genre, *phrase.groups))
        candidates = partial(phrase.candidates, options.genre, options.tags, query)
        answer = radio.among(session, query, candidates, played, options)
        return replace(answer, words=words, notes=(f"read as: {phrase.reading}", *answer.notes))

    def _radio_session(
        self, writer: Store, begun: Blend | None, words: str | None, *, new: bool
    ) -> int | None:
        """Return the session to go on with, None for a new one."""
        if begun is None and words is None:
            latest = None if new else writer.latest_radio()
            if latest is None:
                raise QueryError("no seed given", "Start a session: recsys radio TRACK")
            return latest
        return None if new else writer.latest_radio(begun or Blend(), words)

    def _radio_query(
        self, session: int, blend: Blend, info: ModelInfo, files: Presence | None
    ) -> Query:
        finder = self._finder(files)
        groups = [finder.of_hashes(each) for each in (blend.seeds, blend.like, blend.not_like)]
        if len(groups[0]) < len(blend.seeds):
            raise QueryError(
                f"a seed of session {session} has left the library",
                "Start another: recsys radio TRACK",
            )
        return make_query(info, *groups)

    def instant_mix(self, seeds: Seeds, options: RadioOptions | None = None) -> list[Track]:
        """Return the first tracks of a radio from seeds; nothing is stored.

        As many as asked for, where the library has them: first the spacings of artists and albums
        are relaxed, as :data:`recsys.playlists.radio.SPACINGS` has them, then near-duplicates are
        taken. No track of the seeds, no track twice, and the filters hold.

        Parameters
        ----------
        seeds : str, Path, int, Track or sequence of them
            Tracks of the library, as in :meth:`radio`.
        options : RadioOptions, optional
            Number of tracks and filters.

        Raises
        ------
        RecsysError
            If a seed is not found, or the library is empty.
        """
        from recsys.playlists.radio import Radio, RadioOptions

        given = options or RadioOptions()
        options = self._with_defaults(given)
        store, index, info = self._stored()
        files = self._presence()
        query = self._find_all(seeds, (), (), files).query(info)
        radio = Radio(store, index, info, self._taste(wanted=options.taste), files)
        tracks = list(radio.following(0, query, (), options).tracks)
        if len(tracks) < options.length:
            known = {track.audio_hash for track in tracks}
            known |= {seed.track.audio_hash for seed in query.seeds}
            wider = SimilarOptions(
                k=options.length + len(known),
                genre=options.genre,
                tags=options.tags,
                show_duplicates=True,
                filters=given.filters,
                taste=options.taste,
            )
            for row in self.similar(seeds, wider).results:
                if row.track.audio_hash not in known and len(tracks) < options.length:
                    known.add(row.track.audio_hash)
                    tracks.append(row.track)
        return tracks

    def radio_sessions(self, newest: int = 50) -> list[RadioSession]:
        """Return the newest radio sessions, the last that was started first.

        Raises
        ------
        StoreError
            If there is no library.
        """
        store = self.store
        return [RadioSession(*row) for row in store.radios(newest)]

    def radio_session(self, session: int, newest: int = 100) -> RadioDetails:
        """Return a radio session: its seeds, and the tracks that it gave last.

        Parameters
        ----------
        session : int
            Its id, :attr:`recsys.playlists.radio.RadioAnswer.session`.
        newest : int
            Number of tracks, the last ones that were given.

        Raises
        ------
        RecsysError
            If there is no such session, or no library.
        """
        store = self.store
        known = store.radio(session)
        if known is None:
            raise no_session(session)
        blend, given, words = known
        first = max(0, len(given) - newest)
        groups = (blend.seeds, blend.like, blend.not_like)
        tracks = store.tracks_of_hashes({*given[first:], *chain.from_iterable(groups)})
        seeds, like, not_like, last = (
            [tracks.get(sound) for sound in group] for group in (*groups, given[first:])
        )
        return RadioDetails(
            id=session,
            words=words,
            seeds=tuple(filter(None, seeds)),
            like=tuple(filter(None, like)),
            not_like=tuple(filter(None, not_like)),
            given=len(given),
            tracks=tuple((i, track) for i, track in enumerate(last, start=first + 1) if track),
        )

    def steer_radio(
        self, session: int, kind: str, track: Seed, *, source: str = "python"
    ) -> list[Event]:
        """Say something of a track of a radio session: its next tracks go by it at once.

        Parameters
        ----------
        session : int
        kind : str
            ``like`` leans the session towards the track, ``dislike`` and ``skip`` away from it;
            ``play`` does not.
        track : str, Path, int or Track
        source : str
            Who says so.

        Returns
        -------
        list of Event
            What was stored, as by :meth:`record`.

        Raises
        ------
        RecsysError
            If there is no such session or track, or the kind is another.
        """
        from recsys.playlists.radio import STEERING, steered

        if kind not in STEERING:
            raise QueryError(f"{kind!r} steers no radio", f"Known: {', '.join(STEERING)}.")
        if self.store.radio(session) is None:
            raise no_session(session)
        events = self.record(kind, track, source=source)
        sounds = events[0].tracks[:1]
        with Store.open(self.database) as writer:
            writer.steer_radio(session, lambda blend: steered(blend, kind, sounds))
        return events

    # Saved playlists

    def playlists(self) -> list[SavedPlaylist]:
        """Return the saved playlists, by name.

        Raises
        ------
        StoreError
            If there is no library.
        """
        return self.store.playlists()

    def saved_playlist(self, playlist: int) -> tuple[SavedPlaylist, list[Track]]:
        """Return a saved playlist, and those of its tracks that the library still has.

        Raises
        ------
        RecsysError
            If there is none of this id, or no library.
        """
        found = self.store.saved_playlist(playlist) if abs(playlist) < _MOST_ID else None
        if found is None:
            raise NotFoundError(
                f"there is no playlist {playlist}", "Library.playlists() lists them."
            )
        tracks = self.store.tracks_of_hashes(found.tracks)
        return found, [tracks[sound] for sound in found.tracks if sound in tracks]

    def save_playlist(
        self,
        name: str,
        tracks: Sequence[str | Path | int | Track],
        *,
        recipe: Mapping[str, object] | None = None,
        playlist: int | None = None,
    ) -> int:
        """Keep a playlist in the library; return its id.

        Parameters
        ----------
        name : str
        tracks : sequence of str, Path, int or Track
            Files of the library, or ids, in playing order. It keeps them when they are moved or
            retagged.
        recipe : mapping, optional
            Values for JSON that say how it is made again, for whoever reads them.
        playlist : int, optional
            The id of the one to replace.

        Raises
        ------
        RecsysError
            If a track is not in the library, the name is empty, or there is none to replace.
        """
        name = _playlist_name(name)
        before = None if playlist is None else self.saved_playlist(playlist)[0]
        given = [self._path_of(each) for each in _as_sequence(tracks)]
        found = [self.store.track_by_path(path) for path in given]
        strange = [path for path, track in zip(given, found, strict=True) if track is None]
        if strange:
            raise QueryError(f"{strange[0]} is not in the library", "Index it first.")
        changed = now().isoformat(timespec="seconds")
        saved = SavedPlaylist(
            id=0 if before is None else before.id,
            name=name,
            made=changed if before is None else before.made,
            changed=changed,
            recipe=recipe,
            tracks=tuple(track.audio_hash for track in found if track is not None),
        )
        with Store.open(self.database) as writer:
            return writer.save_playlist(saved)

    def edit_playlist(
        self,
        playlist: int,
        *,
        name: str | None = None,
        add: Sequence[Track] = (),
        remove: Iterable[int] = (),
    ) -> None:
        """Rename a saved playlist, or change its tracks; those that are gone stay in it.

        Parameters
        ----------
        playlist : int
        name : str, optional
        add : sequence of Track
            At its end.
        remove : iterable of int
            Positions from 0 on, in the tracks that :meth:`saved_playlist` returns.

        Raises
        ------
        RecsysError
            If there is none of this id, or the name is empty.
        """
        saved, tracks = self.saved_playlist(playlist)
        there = {track.audio_hash for track in tracks}
        shown = [i for i, sound in enumerate(saved.tracks) if sound in there]
        dropped = {shown[i] for i in remove if 0 <= i < len(shown)}
        kept = [sound for i, sound in enumerate(saved.tracks) if i not in dropped]
        changed = replace(
            saved,
            name=saved.name if name is None else _playlist_name(name),
            changed=now().isoformat(timespec="seconds"),
            tracks=(*kept, *(track.audio_hash for track in add)),
        )
        with Store.open(self.database) as writer:
            writer.save_playlist(changed)

    def forget_playlist(self, playlist: int) -> None:
        """Delete a saved playlist; QueryError if there is none of this id."""
        with Store.open(self.database) as writer:
            if abs(playlist) >= _MOST_ID or not writer.forget_playlist(playlist):
                raise NotFoundError(
                    f"there is no playlist {playlist}", "Library.playlists() lists them."
                )

    # Blends: queries that are saved under a name

    def save_blend(self, name: str, query: Query) -> None:
        """Save the seeds of a query under a name, in place of one of that name.

        ``blend:NAME`` is then a seed. It stands for these tracks, moved or retagged, and leans as
        the query does.

        Parameters
        ----------
        name : str
            Case, accents and marks do not count.
        query : Query
            That of an answer, :attr:`recsys.recommender.Answer.query`.

        Raises
        ------
        RecsysError
            If a seed is not in the library, the name is empty, or the library cannot be written.
        """
        if not any(map(str.isalnum, name)):
            raise QueryError(f"a blend needs a name with letters, not {name!r}", "Name it: sunday.")
        blend = _stored_blend(query)
        with Store.open(self.database) as writer:
            writer.save_blend(name, blend)

    def blends(self) -> dict[str, Blend]:
        """Return the saved queries by their names.

        Returns
        -------
        dict of str to Blend

        Raises
        ------
        StoreError
            If there is no library.
        """
        return self.store.blends()

    def forget_blend(self, name: str) -> None:
        """Delete a saved query.

        Parameters
        ----------
        name : str

        Raises
        ------
        RecsysError
            If there is none of this name, or the library cannot be written.
        """
        with Store.open(self.database) as writer:
            if not writer.forget_blend(name):
                raise QueryError(f"there is no blend {name!r}", "recsys blends lists them.")

    # Defaults of every list

    def preferences(self) -> Filters:
        """Return the filters that are the defaults of :meth:`similar`, :meth:`playlist`, radio.

        Returns
        -------
        Filters
            Empty for a new library.

        Raises
        ------
        StoreError
            If there is no library.
        """
        return Filters.of(self._catalogue().preferences())

    def set_preferences(self, filters: Filters) -> None:
        """Store filters as the defaults of every list, instead of those before.

        They apply together with the filters of a call, see
        :meth:`recsys.recommender.filters.Filters.over`.

        Parameters
        ----------
        filters : Filters
            ``Filters()`` clears them.

        Raises
        ------
        RecsysError
            If there is no library, or it cannot be written.
        """
        self._with_moods(filters)  # an unknown mood would fail every list from now on
        with Store.open(self.database) as writer:
            writer.set_preferences(filters.asked())

    def left_out_by(self, filters: Filters) -> dict[str, int]:
        """Count the tracks of the library that filters leave out, by reason.

        Parameters
        ----------
        filters : Filters

        Returns
        -------
        dict of str to int
            By the names in :data:`recsys.recommender.filters.FILTERS`.

        Raises
        ------
        StoreError
            If there is no library.
        """
        allowed = TrackFilter(self._with_moods(filters))
        for ids, _, embeddings in self.store.iter_embeddings():
            tracks = self.store.tracks(ids.tolist())
            for track_id, embedding in zip(ids.tolist(), embeddings, strict=True):
                if track_id in tracks:
                    allowed.admits(tracks[track_id], embedding)
        return dict(allowed.filtered)

    def notes_on(self, filters: Filters) -> list[str]:
        """Return notes on artists, folders and numbers of which the library has nothing.

        Parameters
        ----------
        filters : Filters

        Returns
        -------
        list of str
            With names that are spelt nearly alike.
        """
        store, notes = self._catalogue(), []
        for name in filters.not_artists:
            only = TrackFilter(Filters((name,)))
            if not any(map(only.objection, store.find_tracks(name, MOST_MATCHES))):
                offered = WordReader(store).offered(name)
                notes.append(f"no track of the library is by {name!r}{offered}")
        for folder in filters.exclude:
            if not isinstance(folder, Path) or self._place is not None:
                continue
            if next(self.store.iter_tracks_under(folder), None) is None:
                notes.append(f"the library has no track under {folder}")
        if self._place is None:
            notes += self._notes_on_numbers(self._with_moods(filters))
        return notes

    def _notes_on_numbers(self, filters: Filters) -> Iterator[str]:
        """Yield notes on what no track has: numbers, keys, kinds."""
        wanted = {*filters.ranges}
        measured = wanted & {*MEASURED} | ({"key"} if filters.key_match else set())
        if measured:
            counts = self.store.mix_counts()
            for kind in sorted(measured):
                if not counts[kind]:
                    yield f"no track has a {kind} yet: recsys index --also {kind}"
        info = self.store.model()
        if info is None:
            return
        lacking = [name for name in MOOD_NUMBERS if name in wanted]
        if lacking:
            known = self.store.moods().known(info)
            lacking = [name for name in lacking if name not in known]
        tells_kinds = head_name(info) is not None
        lacking += ["vocals"] if "vocals" in wanted and not tells_kinds else []
        if lacking:
            yield f"the model {info.name} lacks the tags for {', '.join(lacking)}: no track has it"
        if filters.include and not tells_kinds:
            yield f"the model {info.name} tells no speech and other sounds from music"

    def _with_defaults(self, options: Options) -> Options:
        """Return options whose filters are those of the call and the defaults of the library."""
        defaults = self._catalogue().preferences()
        filters = options.filters.over(Filters.of(defaults)) if defaults else options.filters
        filters = self._with_moods(filters)
        return replace(options, filters=filters)

    def _with_moods(self, filters: Filters) -> Filters:
        """Return filters whose moods are ranges; QueryError for a mood that is not known."""
        if not filters.moods:
            return filters
        from recsys.mood.numbers import mood_numbers

        # A copy on Milvus has the numbers of its library, but not its table.
        moods = mood_numbers(None) if self._place is not None else self.store.moods()
        return filters.with_moods(moods.table.ranges(filters.moods))

    # Moods

    def moods(self) -> dict[str, dict[str, Range]]:
        """Return the moods of the library's table, each a region of the numbers of tracks.

        Returns
        -------
        dict of str to dict of str to Range
            Ranges by the number, by the name of the mood.

        Raises
        ------
        StoreError
            If there is no library.
        """
        return self.store.moods().table.moods

    def use_moods(self, table: str | Path | None = None) -> int:
        """Give the library a table of moods of its own, and compute its numbers by it.

        Heads that were fitted go on making the numbers; the table then names moods alone.

        Parameters
        ----------
        table : str or Path, optional
            A file like the ``moods.toml`` of recsys; by default that one again, and no heads.

        Returns
        -------
        int
            Tracks whose numbers have been computed anew.

        Raises
        ------
        RecsysError
            If there is no library, or the file is no such table.
        """
        from recsys.mood.numbers import settings_text
        from recsys.mood.table import read_table

        text = None if table is None else read_table(absolute(table))
        heads = None if table is None else self.store.moods().heads
        with Store.open(self.database) as writer:
            return writer.set_moods(settings_text(text, heads))

    def fit_moods(
        self,
        options: MoodFitOptions | None = None,
        *,
        on_start: Callable[[int], object] = lambda _: None,
        on_track: Callable[[bool], object] = lambda _: None,
    ) -> MoodFit:
        """Let VibeNet judge some tracks, and make the numbers of all by heads fitted to that.

        The library keeps the heads; nothing changes before they are complete.

        Parameters
        ----------
        options : MoodFitOptions, optional
            Number of tracks, random seed, decoding processes.
        on_start, on_track : callable
            Called with the number of tracks, and after each with whether it failed.

        Returns
        -------
        MoodFit
            With the rank correlations to VibeNet, cross-validated by artist.

        Raises
        ------
        RecsysError
            If VibeNet (the extra ``vibenet``) is not installed, or too few tracks can be judged.
        """
        from recsys.mood.fit import MoodFitOptions, fit_heads, sample_of
        from recsys.mood.numbers import settings_text

        options = options or MoodFitOptions()
        _, _, info = self._stored()
        tracks = sample_of(self.store, options)
        moods = self.store.moods()
        found = fit_heads(info, moods, tracks, options, on_start=on_start, on_track=on_track)
        with Store.open(self.database) as writer:
            writer.set_moods(settings_text(moods.text, found.heads))
        return found

    # What the listener says

    def like(self, tracks: Seeds, *, source: str = "python") -> list[Event]:
        """Like tracks, artists or albums: what is like them moves up in answers.

        Parameters
        ----------
        tracks : str, Path, int, Track or sequence of them
            As the seeds of :meth:`similar`; they must be in the library.
        source : str
            Who says so.

        Returns
        -------
        list of Event
            One per seed.

        Raises
        ------
        RecsysError
            If a seed is not found or is ambiguous; then nothing is stored.
        """
        return self.record(EventKind.LIKE, tracks, source=source)

    def dislike(self, tracks: Seeds, *, source: str = "python") -> list[Event]:
        """Dislike tracks, artists or albums: what is like them moves down; see :meth:`like`."""
        return self.record(EventKind.DISLIKE, tracks, source=source)

    def ban(self, tracks: Seeds, *, source: str = "python") -> list[Event]:
        """Ban tracks, artists, albums or folders: no answer holds them until :meth:`unban`.

        Parameters
        ----------
        tracks, source
            As in :meth:`like`, or folders.
        """
        return self.record(EventKind.BAN, tracks, source=source)

    def unban(self, tracks: Seeds, *, source: str = "python") -> list[Event]:
        """Lift bans; that of a track is an exception from bans on its artist, album or folder.

        Parameters
        ----------
        tracks, source
            As in :meth:`ban`.

        Raises
        ------
        RecsysError
            If one of them is not banned.
        """
        return self.record(EventKind.UNBAN, tracks, source=source)

    def record(
        self,
        kind: str,
        tracks: Seeds,
        *,
        source: str = "python",
        time: datetime | None = None,
    ) -> list[Event]:
        """Store that something was played, skipped, liked, disliked, banned or unbanned.

        Parameters
        ----------
        kind : str
            ``play``, ``skip``, ``like``, ``dislike``, ``ban`` or ``unban``.
        tracks : str, Path or sequence of them
            As in :meth:`like`.
        source : str
            Who says so, for example a player.
        time : datetime, optional
            With a time zone; by default now. The same event twice is stored once.

        Returns
        -------
        list of Event
            One per seed.

        Raises
        ------
        RecsysError
            If the kind is not known, or as in :meth:`like` and :meth:`unban`.
        """
        if kind not in list(EventKind):
            raise QueryError(f"unknown event {kind!r}", f"Known: {', '.join(EventKind)}.")
        if time is not None and time.tzinfo is None:
            raise QueryError(f"a time without a time zone: {time}", "Give one, such as UTC.")
        time = time or now()
        reader = self._feedback_reader()
        events = [reader.event(EventKind(kind), each, time, source) for each in _as_seeds(tracks)]
        if kind == EventKind.UNBAN:
            for event in events:
                reader.check_banned(event)
        with Store.open(self.database) as writer:
            writer.add_events(events)
        return events

    def take_back(self, kind: str, track: Seed | Event | Sequence[Event]) -> int:
        """Forget every like of a track, say; return how many events that were.

        Parameters
        ----------
        kind : str
            ``like`` or ``dislike``.
        track : str, Path, int, Track, Event or sequence of Event
            One track of the library; or events, for what they are about: all or none is forgotten.

        Raises
        ------
        RecsysError
            If the track is not found, or the kind is another.
        """
        if kind not in (EventKind.LIKE, EventKind.DISLIKE):
            raise QueryError(f"{kind!r} is not taken back so", "Known: like, dislike.")
        if isinstance(track, str | int | Path | Track):
            events = [self._feedback_reader().event(EventKind(kind), _as_seed(track), now(), "")]
        else:
            about = [track] if isinstance(track, Event) else track
            events = [replace(event, kind=EventKind(kind)) for event in about]
        with Store.open(self.database) as writer:
            return writer.forget_events(events)

    def feedback(self) -> list[Event]:
        """Return all events, in the order of their times.

        Raises
        ------
        RecsysError
            If there is no library, or it is on Milvus.
        """
        return self.store.events()

    def judged_ids(self) -> dict[str, list[int]]:
        """Return the ids of the tracks that are now under a ``like``, ``dislike`` or ``ban``.

        Raises
        ------
        StoreError
            If there is no library.
        """
        from recsys.pages import judged_ids

        return judged_ids(self.store)

    def bans(self) -> list[Event]:
        """Return the bans in force, in the order of their times.

        Raises
        ------
        RecsysError
            If there is no library, or it is on Milvus.
        """
        return list(self.store.bans().in_force)

    def undo_feedback(self) -> list[Event]:
        """Forget what was said last: all events of the last call of :meth:`like` and the others.

        Returns
        -------
        list of Event
            Those that are gone; called again, it goes on with those before.

        Raises
        ------
        RecsysError
            If nothing was said, there is no library, or it is on Milvus.
        """
        with Store.open(self.database) as writer:
            events = writer.undo_events()
        if not events:
            raise QueryError("there is no event to undo", "recsys feedback list shows them.")
        return events

    def import_feedback(self, lines: Iterable[str | bytes]) -> tuple[int, int]:
        """Store the events of JSON lines, all or none; those that are known are passed over.

        Parameters
        ----------
        lines : iterable of str or bytes
            Objects with the fields of :meth:`recsys.taste.Event.fields`. Instead of ``key``, they
            may have ``track``: a path, an id or words, as in :meth:`like`.

        Returns
        -------
        found, new : int
            Numbers of events.

        Raises
        ------
        RecsysError
            If a line is no event, or its track is not found or is ambiguous.
        """
        from recsys.feedback import read_lines

        database = self.database
        events = list(read_lines(lines, self._feedback_reader))
        with Store.open(database) as writer:
            return len(events), writer.add_events(events)

    def _feedback_reader(self) -> FeedbackReader:
        from recsys.feedback import FeedbackReader

        _ = self.database  # QueryError on Milvus, where nothing can be stored
        store, index, _ = self._stored()
        finder = SeedFinder(store, lambda: self.classifier, paths=self._paths)
        return FeedbackReader(store, index, finder, paths=self._paths)

    def classify(
        self,
        files: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Iterator[Classification]:
        """Classify audio files: genres, probabilities and tags. No library is needed or changed.

        Parameters
        ----------
        files : str, Path or iterable of them
            Audio files, or folders with audio files under them.
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

        self._check_open()
        yield from classify_files(
            [Path(file) for file in _as_list(files)],
            self.classifier,
            workers=workers,
            time_limit_s=time_limit_s,
        )

    # Tracks

    def track(self, track_id: int) -> Track:
        """Return the track of an id, as the JSON of the commands has them.

        Raises
        ------
        QueryError
            If the library has no such track.
        """
        if not is_whole(track_id):
            raise QueryError(
                f"an id is a whole number, got {track_id!r}",
                "Library.similar finds names and files.",
            )
        known = abs(track_id) < _MOST_ID  # more is no number of a database
        track = self._catalogue().track(int(track_id)) if known else None
        if track is None:
            raise NotFoundError(
                f"no track has the id {track_id}", "Library.tracks() lists them all."
            )
        return track

    def tracks(self, options: ListOptions | None = None) -> Iterator[Track]:
        """Iterate over the tracks, in the order in which they were added; a page is in memory.

        Parameters
        ----------
        options : ListOptions, optional
            Genre, tags, artist, album, and since when; by default all tracks.

        Raises
        ------
        RecsysError
            If the library is empty, or a genre or tag is not known.
        """
        from recsys.listing import ListOptions, list_tracks

        store, index, info = self._stored()
        return list_tracks(store, index, info, self._listed(options or ListOptions()))

    def page(
        self, options: PageOptions | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Return some of the tracks: searched, filtered, in any order; then the next ones.

        Parameters
        ----------
        options : PageOptions, optional
            Which tracks, and their order; by default all, the newest first.
        limit : int
            Number of tracks.
        cursor : str, optional
            :attr:`recsys.pages.Page.next` of the page before.

        Raises
        ------
        RecsysError
            If the library is empty, a genre or tag is not known, or the cursor is none.
        """
        from recsys.pages import page_of

        ids = self.track_ids(options)
        return page_of(self.store, ids, limit, cursor)

    def track_ids(self, options: PageOptions | None = None) -> IdArray:
        """Return the ids of the tracks that :meth:`page` pages through, shape (n,), in order."""
        from recsys.pages import PageOptions, ids_of

        store, index, info = self._stored()
        return ids_of(store, index, info, self._listed(options or PageOptions()), self._orders)

    @cached_property
    def _orders(self) -> Orders:
        from recsys.pages import Orders

        return Orders()

    def tracks_of(self, ids: Iterable[int]) -> list[Track]:
        """Return the tracks of some ids, in their order; those that are gone are left out."""
        wanted = [each for each in ids if abs(each) < _MOST_ID]
        tracks = self._catalogue().tracks(wanted)
        return [tracks[each] for each in wanted if each in tracks]

    def suggest(self, words: str, limit: int = 8) -> Suggestions:
        """Return the tracks, artists and albums that words, or their beginnings, may mean.

        Parameters
        ----------
        words : str
            As they are typed.
        limit : int
            Number of each.

        Raises
        ------
        StoreError
            If there is no library.
        """
        from recsys.pages import suggestions

        return suggestions(self.store, words, limit)

    def artists(
        self, words: str | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> ArtistPage:
        """Return a page of the artists with their numbers of tracks, in the order of their names.

        Parameters
        ----------
        words : str, optional
            Only those with these words in their names, or words that begin so.
        limit : int
            Artists of a page.
        cursor : str, optional
            ``next`` of the page before.

        Raises
        ------
        RecsysError
            If there is no library, or the cursor is none.
        """
        from recsys.pages import artists_of

        return artists_of(self.store, words, limit, cursor, self._orders)

    def folders_in(self, folder: str | Path | None = None) -> tuple[dict[Path, int], int]:
        """Return the folders in a folder with their numbers of tracks, and the number of all.

        Parameters
        ----------
        folder : str or Path, optional
            By default those that were indexed.

        Raises
        ------
        StoreError
            If there is no library.
        """
        store = self.store
        if folder is None:
            counts = {root: store.count_under(root) for root in store.roots()}
            return counts, sum(counts.values())
        folder = absolute(folder)
        return dict(store.folders_in(folder)), store.count_under(folder)

    def discography(self) -> Discography:
        """Return the artists and albums of the library; empty for a library without tracks.

        Raises
        ------
        StoreError
            If there is no library.
        """
        return self._discography.of(self.store)

    @cached_property
    def _discography(self) -> KeptDiscography:
        from recsys.discography import KeptDiscography

        return KeptDiscography()

    def path_between(self, start: Track, end: Track, count: int = 25) -> list[Track]:
        """Return tracks that lead from one to another, both among them.

        Parameters
        ----------
        start, end : Track
            Of the library. The same track twice is a path of one.
        count : int
            Number of tracks at most.

        Raises
        ------
        RecsysError
            If the number is less than two.
        """
        from recsys.playlists import PlaylistOptions

        if start.id == end.id:
            return [start]
        if count < 2:
            raise QueryError("a path from one track to another has two tracks at least")
        between: list[Track] = []
        if count > 2:
            # Two encodings of one recording have nothing between them, which is an error there.
            with suppress(QueryError):
                way = self.playlist(start, PlaylistOptions(length=count, artist_gap=0), to=end)
                between = [track for track in way.tracks if track.id not in (start.id, end.id)]
        return [start, *between[: count - 2], end]

    def similar_artists(self, artist: str, k: int = 20) -> list[tuple[ArtistEntry, float]]:
        """Return the artists who sound most like one, with the similarity of their nearest track.

        Parameters
        ----------
        artist : str
            The id of an artist in :meth:`discography`.
        k : int
            Number of artists.

        Raises
        ------
        RecsysError
            If there is no such artist, or the library is empty.
        """
        known = self.discography()
        if artist not in known.artists:
            raise QueryError(f"there is no artist {artist!r}", "Library.discography() has them.")
        own = known.album_tracks(known.artists[artist])
        # The first names only the one: what is not theirs is left out below.
        options = SimilarOptions(
            k=MOST_OF_SEED + 4 * k,
            strategy="similarity",
            max_per_artist=1,
            show_duplicates=True,
            taste=False,
        )
        found: dict[str, float] = {}
        for row in self.similar(some_of(own), options).results:
            found.setdefault(known.artist_of.get(row.track.id, artist), row.similarity)
        found.pop(artist, None)
        return [(known.artists[each], value) for each, value in found.items()][:k]

    def genres(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Return each genre with its number of tracks and the nearest other genres, most first.

        Raises
        ------
        RecsysError
            If the library is empty.
        """
        from recsys.library_status import nearest_genres

        _, index, _ = self._stored()
        counts = {genre: index.count(genre) for genre in index.genres}
        music = [genre for genre in counts if genre not in NOT_MUSIC]
        near = nearest_genres(index, music)
        return [
            (genre, counts[genre], near.get(genre, ()))
            for genre in sorted(counts, key=lambda genre: (-counts[genre], genre))
        ]

    def languages(self) -> dict[str, int]:
        """Return the languages of tags with their numbers of tracks, most first.

        Returns
        -------
        dict of str to int
            By code (``de``), or by the name in the tag where no code is known for it.

        Raises
        ------
        RecsysError
            If the library is empty.
        """
        from recsys.pages import language_counts

        store, _, _ = self._stored()
        return language_counts(store)

    def waveform(self, track_id: int) -> bytes:
        """Return the waveform of a track: :data:`recsys.mix.waveform.PEAKS` peaks, a byte each.

        It is made when it is first asked for, in a process of its own, and stored.

        Raises
        ------
        RecsysError
            If there is no such track, or its file cannot be decoded.
        """
        track = self.track(track_id)
        peaks = self.store.waveform(track.audio_hash)
        if peaks is None:
            from recsys.mix.waveform import LIMIT_S, peaks_of
            from recsys.workers import apply

            peaks = apply(peaks_of, track.path, time_limit_s=LIMIT_S)
            with Store.open(self.database) as writer:
                writer.keep_waveform(track.audio_hash, peaks)
        return peaks

    def spectrogram(self, track_id: int) -> NDArray[np.uint8]:
        """Return the mel spectrogram of a whole track, made in a process of its own.

        Returns
        -------
        ndarray of uint8, shape (96, 600)
            Grey levels: bands low to high, frames; 255 for the loudest point of the track, 0 for
            80 dB below it or less.

        Raises
        ------
        RecsysError
            If there is no such track, or its file cannot be decoded.
        """
        from recsys.mix.spectrogram import LIMIT_S, SpectrogramOf, spectrogram_of
        from recsys.workers import apply

        track = self.track(track_id)
        wanted = SpectrogramOf(track.path, track.duration_s)
        return apply(spectrogram_of, wanted, time_limit_s=LIMIT_S)

    def _listed(self, options: Listed) -> Listed:
        """Return options whose moods are ranges."""
        ranges = self._with_moods(Filters(ranges=options.ranges, moods=options.moods)).ranges
        return replace(options, ranges=ranges, moods=())

    def tag_strengths(self, ids: Iterable[int]) -> dict[int, dict[str, float]]:
        """Return the strengths (z-scores) of all tags of some tracks, by track and tag.

        Parameters
        ----------
        ids : iterable of int
            Those without a track, or whose track has no tags, are left out.

        Raises
        ------
        RecsysError
            If the library is empty.
        """
        store, _, info = self._stored()
        return {
            track_id: dict(zip(info.tags, info.tag_strengths(scores).tolist(), strict=True))
            for track_id, scores in store.tag_scores(ids).items()
        }

    def show(self, seed: Seed, *, k: int = 5) -> TrackDetails:
        """Return what the library knows about a track: genres, tags, file, nearest tracks.

        Parameters
        ----------
        seed : str, Path, int or Track
            A track of the library, as in :meth:`similar`.
        k : int
            Number of nearest tracks.

        Raises
        ------
        RecsysError
            If it is not found, is ambiguous, or means an artist or album.
        """
        from recsys.listing import details_of

        options = SimilarOptions(k=k, strategy="similarity")
        store, index, info = self._stored()
        (found,) = self._find([seed])
        track, analysis = found.tracks[0]
        if found.reading.kind in (SeedKind.ARTIST, SeedKind.ALBUM):
            raise QueryError(
                f"{found.reading.given!r} is the {found.reading.kind} {found.reading.name}, "
                "not one track",
                "List its tracks: "
                + shell("recsys", "list", f"--{found.reading.kind}", found.reading.name),
            )
        if track.id == OUTSIDE_LIBRARY:
            raise QueryError(
                f"{track.path} is not in the library",
                "Index it first: recsys index FILE; or see recsys classify FILE.",
            )
        recommender = Recommender(store, index, info, files=self._presence())
        near = recommender.similar(make_query(info, found.tracks), options)
        return details_of(store, info, track, analysis, near.results)

    def export(
        self, path: str | Path, options: ListOptions | None = None, *, overwrite: bool = False
    ) -> int:
        """Write tracks with embeddings, probabilities and tag scores to a file; return the number.

        Parameters
        ----------
        path : str or Path
            The file; its extension chooses the format: ``.csv``, ``.npz`` (NumPy) or ``.parquet``,
            which needs pyarrow.
        options : ListOptions, optional
            Which tracks, as in :meth:`tracks`.
        overwrite : bool
            Replace the file if it exists.

        Raises
        ------
        RecsysError
            If the library is empty, or the file exists or cannot be written.
        """
        from recsys.export import check_export, export_tracks
        from recsys.listing import ListOptions, list_tracks

        target = absolute(path)
        check_export(target, overwrite=overwrite)
        store, index, info = self._stored()
        tracks = list_tracks(store, index, info, self._listed(options or ListOptions()))
        return export_tracks(store, info, tracks, target, overwrite=overwrite)

    # Quality

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
            Labels, length of the lists, number of queries, baselines.
        workers : int, optional
            Decoding processes, where hand-made features are compared; by default one per
            processor.
        on_progress : callable, optional
            Called with the name of the step, the number of items done, and their total.

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

    # Genre tags of the files

    def audit(self, options: AuditOptions | None = None) -> AuditReport:
        """Find tracks whose genre tag disagrees with a confident model. Nothing is changed.

        Parameters
        ----------
        options : AuditOptions, optional
            Which tracks, and how confident the model must be.

        Raises
        ------
        RecsysError
            If the library is empty, has nothing under a path, or an option makes no sense.
        """
        from recsys.audit import AuditOptions, audit

        return audit(self.store, options or AuditOptions())

    def retagger(self) -> Retagger:
        """Return the writer of suggestions of :meth:`audit` into the files, as one run."""
        from recsys.audit import Retagger

        return Retagger(self.database)

    def tag_runs(self) -> list[Run]:
        """Return the runs that wrote genre tags and were not undone, the earliest first."""
        from recsys.audit.retagging import Journal

        return Journal(self.database).runs()

    def tag_journal_notes(self) -> tuple[str, ...]:
        """Return notes on lines of the tag journal that could not be read."""
        from recsys.audit.retagging import Journal

        return Journal(self.database).notes()

    def correct_genre(self, track_id: int, genre: str) -> RetagOutcome:
        """Write a genre into the tags of a track's file, in place of those that it has.

        A journal keeps them: :meth:`undo_tags` brings them back.

        Parameters
        ----------
        track_id : int
            The track.
        genre : str
            As it is to stand in the file.

        Returns
        -------
        RetagOutcome
            With the run to undo; the status is ``unchanged`` where the file has the genre already.

        Raises
        ------
        RecsysError
            If there is no such track, the text is no genre, the file is gone, was changed since it
            was indexed, is read-only or of a format without tags, or another process is writing
            to the library.
        """
        return self.retagger().correct(self.track(track_id).path, genre)

    def undo_tags(
        self, run: int | None = None, paths: Sequence[str | Path] = ()
    ) -> tuple[Run, Iterator[RetagOutcome]]:
        """Restore the genre tags of the files from before a run.

        Parameters
        ----------
        run : int, optional
            Its id; by default the last run that was not undone.
        paths : sequence of str or Path
            Only these files, or files under these folders.

        Returns
        -------
        run : Run
            The run to undo.
        outcomes : iterator of RetagOutcome
            One per file, after it is restored.

        Raises
        ------
        RecsysError
            If there is no such run, or another process is writing to the library.
        """
        from recsys.audit import undo_run

        return undo_run(self.database, run, [absolute(path) for path in paths])

    # The library itself

    def status(self) -> LibraryStatus:
        """Return tracks, genres, failures, model, sizes and index of the library.

        Raises
        ------
        StoreError
            If there is no library.
        """
        from recsys.library_status import library_status

        return library_status(self.store)

    def shared_status(self) -> SharedStatus:
        """Return tracks, genres, model and folders of a library on Milvus.

        Raises
        ------
        RecsysError
            If there is none, or this library is not read from Milvus.
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
        """Copy the library to Milvus, or update the copy there.

        Parameters
        ----------
        place : str or Path
            ``milvus://host:19530``, or a file of Milvus Lite ending in ``.db``, see
            :func:`recsys.milvus.client.parse_place`.
        replace : bool
            Replace another library there, or the same one analysed by another model.
        on_progress : callable, optional
            Called with the number of tracks compared, and their total.

        Raises
        ------
        RecsysError
            If the library is empty, something else is there, or Milvus cannot be reached.
        """
        from recsys.milvus.client import Connection, parse_place
        from recsys.milvus.push import push

        store, target = self.store, parse_place(place)
        with Connection(target, create=True) as connection:
            return push(store, connection, replace=replace, on_progress=on_progress or _ignore)

    def failures(self) -> list[Failure]:
        """Return the files that could not be analysed, with their reasons, by path."""
        return sorted(self.store.failures(), key=lambda failure: failure.file.path)

    def failure_groups(self) -> list[FailureGroup]:
        """Return the files that could not be analysed by the kind of reason, most files first."""
        from recsys.library_status import failure_groups

        return failure_groups(self.failures())

    def forget(self, folder: str | Path) -> int:
        """Remove the tracks and failures under a folder from the library; return their number.

        For disks that are gone for good. No file is changed.

        Raises
        ------
        RecsysError
            If the library has nothing there, or another process is writing to it.
        """
        from recsys.library_status import forget_folder

        self._release()
        return forget_folder(self.database, absolute(folder))

    def doctor(self, *, rebuild: bool = False, vacuum: bool = False) -> Diagnosis:
        """Check the database and the index, and repair them on request.

        Parameters
        ----------
        rebuild : bool
            Delete analyses that are damaged, which the next run makes again, and rebuild the index
            files from the database.
        vacuum : bool
            Delete analyses that no track uses, and free their space.

        Raises
        ------
        StoreError
            If the database cannot be opened, or another process is writing to it.
        """
        from recsys.library_status import examine_library

        self._release()
        return examine_library(self.database, rebuild=rebuild, vacuum=vacuum)

    # Catalogue, index and model behind a query

    def _catalogue(self) -> Catalogue:
        """Return the library, in its database or on Milvus, without its index."""
        return self.store if self._place is None else self._shared_catalogue()

    def _shared_catalogue(self) -> MilvusCatalogue:
        reader = self._reader
        if reader.shared is None:
            from recsys.milvus.catalogue import MilvusCatalogue
            from recsys.milvus.client import Connection, parse_place

            if self._place is None:
                raise QueryError(
                    f"{self._database} is read from its file, not from Milvus",
                    "Name the library on Milvus: --index milvus://HOST:19530.",
                )
            connection = Connection(parse_place(self._place))
            try:
                reader.shared = MilvusCatalogue.open(connection)
            except BaseException:
                connection.close()
                raise
        return reader.shared

    def _ready(self) -> tuple[Catalogue, EmbeddingIndex, ModelInfo]:
        """Return catalogue, index and model as they are now."""
        if self._place is None:
            return self._stored()
        # Kept from one query to the next: connecting costs more than the query.
        is_new = self._reader.shared is None
        shared = self._shared_catalogue()
        if not is_new:
            shared = self._reader.shared = shared.refreshed()
        return shared, shared.index, shared.model()

    def _stored(self) -> tuple[Store, GenreIndex, ModelInfo]:
        """Return database, index and model as they are now."""
        from recsys.index.sync import open_index, refresh_index

        reader, store = self._reader, self.store
        info, index = store.model(), reader.index
        if info is not None:
            # Kept from one query to the next: opening costs more than the query.
            index = open_index(store) if index is None else refresh_index(store, index)
        reader.index = index
        if info is None or index is None or index.count() == 0:
            raise library_is_empty(self.database)
        return store, index, info

    def _find(
        self, seeds: Seeds, files: Presence | None = None, *, listed: bool = False
    ) -> list[FoundSeed]:
        """Return the seeds; one that is banned, or whose file is gone, is `listed` nowhere."""
        finder = self._finder(files)
        found = [finder.find(seed) for seed in _as_seeds(seeds)]
        bans = self._catalogue().bans()
        if not found or not (bans or (listed and files is not None)):
            return found
        from recsys.feedback import as_outside, without_banned

        if bans:
            found = [without_banned(each, bans) for each in found]
        if not listed:
            return found
        return [
            as_outside(each, lambda t: bans.holds(t) or (files is not None and not files.holds(t)))
            for each in found
        ]

    def _presence(self) -> Presence | None:
        """Return what knows the files that are there now; None on Milvus, whose are elsewhere."""
        if self._place is not None:
            return None
        store = self.store
        return Presence(lambda: [*store.roots(), *store.volumes()])

    def _phrase(self, words: str, files: Presence | None = None) -> WordPhrase | TextPhrase:
        """Read a phrase, in the library as it is now: by the model's own text model, or by tags."""
        from recsys.words import LibrarySounds, TextPhrase, WordPhrase, WordSearch

        store, index, info = self._ready()
        if (tower := self._text_tower(info)) is not None:
            return TextPhrase(store, index, info, tower, words, files)
        # Kept from one phrase to the next: reading all tags costs more than ranking by them.
        state: object = store
        if self._place is None:
            state = self.store.data_version, info.identity
        reader = self._reader
        if reader.sounds is None or reader.sounds_of != state:
            reader.sounds, reader.sounds_of = LibrarySounds.of(store, info), state
        search = WordSearch(store, index, info, reader.sounds, files)
        return WordPhrase(search, search.read(words))

    def _text_tower(self, info: ModelInfo) -> TextTower | None:
        """Return the text model of the library's model, if that has one: only ONNX models do.

        A library on Milvus does not know the files of its model.
        """
        store = None if self._place is not None else self.store
        if store is None or store.model_path() is None:
            return None
        # Own genres over an ONNX model have its embeddings, and so its text model.
        card = json.loads(store.model_card() or "{}")
        if card.get("architecture") != "onnx":
            return None
        require("pydantic", "onnx")
        from recsys.classifier.onnx_text import text_model_of

        config = card["config"]
        return text_model_of(Path(config["file"]), config["fingerprint"], info.dimension)

    def _find_all(
        self,
        seeds: Seeds,
        like: Seeds,
        not_like: Seeds,
        files: Presence | None,
        *,
        listed: bool = False,
    ) -> FoundSeeds:
        finder = self._finder(files)
        return FoundSeeds(
            tuple(self._find(seeds, files, listed=listed)),
            tuple(self._find(like, files, listed=listed)),
            tuple(finder.find(seed) for seed in _as_seeds(not_like)),
        )

    def _finder(self, files: Presence | None = None) -> SeedFinder:
        return SeedFinder(
            self._catalogue(),
            lambda: self.classifier,
            is_copy=self._place is not None,
            files=files,
            paths=self._paths,
        )

    def _taste(self, *, wanted: bool) -> Taste | None:
        """Return the taste of the listener, None in a library without events."""
        if not wanted or self._place is not None:
            return None
        if self.store.last_event() == 0:
            return None
        from recsys.feedback import KnownTaste

        reader, store = self._reader, self.store
        known = reader.taste
        reader.taste = KnownTaste.of(store) if known is None else known.refreshed(store)
        return reader.taste.taste


def no_session(session: int) -> NotFoundError:
    """Return the error for a radio session that does not exist."""
    return NotFoundError(f"there is no radio session {session}", "Start one: recsys radio TRACK")


def _playlist_name(text: str) -> str:
    """Return the name of a playlist; QueryError for none, or one of another length."""
    name = text.strip()
    if not 0 < len(name) <= MOST_NAME:
        raise QueryError(
            f"a playlist needs a name of 1 to {MOST_NAME} letters, not of {len(name)}",
            "Name it: sunday.",
        )
    return name


def _opened(database: Path) -> Store:
    """Open a library for reading; migrate one of an older recsys if it can be written."""
    try:
        return Store.open(database, read_only=True)
    except OlderLibraryError as older:
        try:
            Store.open(database).close()
        except StoreError:
            if os.access(database, os.W_OK) and os.access(database.parent, os.W_OK):
                raise  # a full disk, another writer: what the older recsys wrote is not to blame
            raise older from None
    return Store.open(database, read_only=True)


def _stored_blend(query: Query) -> Blend:
    """Return the seeds of a query, which must be in the library."""
    for seed in (*query.seeds, *query.not_like):
        if not seed.in_library:
            raise QueryError(
                f"{seed.track.path} is not in the library", "Index it first: recsys index FOLDER"
            )
    return query.blend


def _notes(readings: Iterable[Reading]) -> list[str]:
    return [reading.note for reading in readings if reading.note]


def _on_files(files: Presence | None) -> list[str]:
    """Return notes on files that are not there."""
    return [] if files is None else list(files.notes())


def _with_readings(playlist: Playlist, readings: Iterable[Reading]) -> Playlist:
    """Return a playlist that says how its seeds were read."""
    readings = tuple(readings)
    return replace(_with_notes(playlist, _notes(readings)), readings=readings)


def _with_notes(playlist: Playlist, notes: Sequence[str]) -> Playlist:
    """Return a playlist with notes before its own."""
    return replace(playlist, note="; ".join(filter(None, [*notes, playlist.note])))


def _check_session(session: int | None, *, is_given: bool) -> None:
    """Raise QueryError for a session that is none, or that is given with seeds of its own."""
    if session is not None and not is_whole(session):
        raise QueryError(
            f"session must be a whole number, got {session!r}", "Its type is int | None."
        )
    if session is not None and is_given:
        raise QueryError(
            f"session {session} has its seeds already", "Leave out the track, --words and --new."
        )


def some_of(ids: Sequence[int]) -> list[int]:
    """Return ids, or of very many some that lie evenly among them."""
    step = max(1, -(-len(ids) // MOST_OF_SEED))
    return list(ids[::step])


def _as_seeds(seeds: Seeds) -> list[str | Path]:
    """Return seeds as the command line has them; QueryError for what cannot be one."""
    given = [seeds] if isinstance(seeds, Seed) else _as_sequence(seeds)
    return [_as_seed(each) for each in given]


def _as_sequence(given: Iterable[Seed]) -> list[Seed]:
    """Return what was given as a list; bytes are no list of ids, nor a text one of letters."""
    if isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable):
        raise _no_seed(given)
    return list(given)


def _as_seed(seed: Seed) -> str | Path:
    if isinstance(seed, Track):
        # A file outside the library has no id.
        return seed.path if seed.id == OUTSIDE_LIBRARY else f"id:{seed.id}"
    if is_whole(seed):
        return f"id:{seed}"
    if not isinstance(seed, str | Path):
        raise _no_seed(seed)
    return seed


def _no_seed(given: object) -> QueryError:
    return QueryError(
        f"{given!r} is no seed", "Give a path, an id, words, or a Track; or a list of them."
    )


def _as_list(paths: str | Path | Iterable[str | Path]) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _ignore(*_: object) -> None:
    """Ignore progress."""
