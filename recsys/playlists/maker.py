"""Makes playlists; see :mod:`recsys.playlists`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.genres import HOLDS_FROM
from recsys.index.base import similarities
from recsys.playlists.draft import POOL, CandidateQueue, PlaylistDraft, PlaylistOptions, shortage
from recsys.playlists.order import (
    REACH,
    START_FROM,
    CurveWalk,
    GenreCycle,
    MoodWalk,
    cycle_genres,
)
from recsys.playlists.way import JUMP, Way
from recsys.recommender import plan_tiers, tier_candidates
from recsys.recommender.filters import left_out
from recsys.recommender.query import (
    MAX_BATCH,
    Candidate,
    Query,
    Seed,
    TagFilter,
    by_taste,
    make_query,
    nearest,
    track_filter,
)
from recsys.recommender.taxonomy import taxonomy_of
from recsys.types import Playlist

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import TrackFilter
    from recsys.recommender.presence import Presence
    from recsys.recommender.query import Search
    from recsys.taste.ranking import Taste
    from recsys.types import Analysis, Catalogue, ModelInfo, Track

DRAW_FROM = 10_000
"""Tracks from which the first is drawn; in a larger library, those nearest a random point."""

CONTINUE_FROM = 5
"""Last tracks of a list from which it is continued: it may have come a long way."""

_NAMED_SEEDS = 3


class PlaylistMaker:
    """Makes playlists from a library: its catalogue, its embeddings and the model of both.

    `taste` is the listener's, None for none; a list from one track to another does without.
    `files` leaves out what is not there.
    """

    def __init__(
        self,
        store: Catalogue,
        index: EmbeddingIndex,
        info: ModelInfo,
        taste: Taste | None = None,
        files: Presence | None = None,
    ) -> None:
        self._taste = taste
        self.files = files
        self._store = store
        self._index = index
        self._info = info
        self._taxonomy = taxonomy_of(store, index, info)

    def from_seeds(self, query: Query, options: PlaylistOptions | None = None) -> Playlist:
        """Continue from one track or several: their genre first, then the related ones.

        The seeds that are in the library open the list, in the order given. Every further track is
        the best-ranked one that the constraints allow, in the tiers of
        :meth:`recsys.recommender.Recommender.similar`. With tags, further tracks carry them, and
        are ordered by mood. QueryError for an unknown genre or mood.
        """
        options = self._checked(options)
        name = f"Like {_names(query.seeds)}"
        name += f", not like {_names(query.not_like)}" if query.not_like else ""
        return self._continue(query, options, name, query.seeds)

    def anywhere(self, options: PlaylistOptions | None = None) -> Playlist:
        """Continue from a track drawn from the library, or from the genre of the options.

        With tags it is drawn from the tracks that carry them most strongly. QueryError if there is
        no track to draw.
        """
        options = self._checked(options)
        rng, wanted = np.random.default_rng(options.seed), self._wanted(options)
        allowed = track_filter(self._store, None, options.filters, self.files)
        first = self._draw(options.genre, rng, wanted, allowed).track
        analysis = self._store.analysis(first.id)
        if analysis is None:
            raise QueryError(f"{first.path} has just left the library", "Ask again.")
        query = make_query(self._info, [(first, analysis)])
        name = f"Tag: {wanted}" if wanted else f"Drawn with seed {options.seed}"
        return self._continue(query, options, name, ())

    def of_candidates(
        self,
        candidates: Callable[[TrackFilter | None], Iterator[Candidate]],
        options: PlaylistOptions,
        name: str,
        query: Query | None = None,
    ) -> Playlist:
        """Make a list of candidates, which come best first, after the seeds of the query, if any.

        The candidates are asked for with what refuses tracks.
        """
        draft, seeds = PlaylistDraft(options), () if query is None else query.seeds
        allowed = track_filter(self._store, query, options.filters, self.files)
        opening = (seed.as_candidate() for seed in seeds if seed.in_library)
        queues = [CandidateQueue(opening, in_order=True), CandidateQueue(candidates(allowed))]
        if options.curves:
            return self._bend(draft, queues[0], candidates(allowed), allowed, name, seeds)
        while not draft.full and any(queue.extend(draft) or draft.closed for queue in queues):
            pass
        held_back = [candidate.track for queue in queues for candidate in queue.waiting]
        where = f"{options.genre or 'the library'} that fits {name!r}"
        return self._finish(draft, name, seeds, held_back, allowed, where=where)

    def extend(
        self, present: Sequence[tuple[Track, Analysis]], options: PlaylistOptions | None = None
    ) -> Playlist:
        """Continue a list from its last :data:`CONTINUE_FROM` tracks; the result is what follows.

        Length and duration count what is added. Nothing of the list and no near-duplicate of it
        comes again, and the artist gap holds across its end.
        """
        options = self._checked(options)
        played = sum(track.duration_s for track, _ in present)
        whole = replace(
            options,
            length=None if options.limit is None else options.limit + len(present),
            duration_s=None if options.duration_s is None else options.duration_s + played,
        )
        query = make_query(self._info, present[-CONTINUE_FROM:])
        before = [Candidate(track, 1.0, analysis.embedding) for track, analysis in present]
        name = f"After {_names(query.seeds[-1:])}"
        playlist = self._continue(query, whole, name, query.seeds, before)
        return replace(
            playlist,
            tracks=playlist.tracks[len(present) :],
            similarities=playlist.similarities[len(present) :],
        )

    def cycle(
        self,
        genres: Sequence[str] | str,
        start: tuple[Track, Analysis] | None = None,
        options: PlaylistOptions | None = None,
    ) -> Playlist:
        """Cycle through genres; each track is the nearest of its genre to the one before.

        The genres come in playing order, as for :func:`recsys.playlists.order.cycle_genres`, with
        ``per_genre`` tracks of each; ``auto`` begins with the largest. The cycle continues from the
        genre of the start, which opens the list if it is in the library. Without a start, the first
        track is drawn from the first genre. A genre without tracks, or without any of the mood, is
        left out, and one that has run out leaves the cycle, with a note.
        """
        options = self._checked(options)
        if options.genre is not None:
            raise QueryError(
                f"a cycle names its own genres; genre {options.genre!r} cannot be given as well",
                "Give either a genre or a cycle.",
            )
        draft, wanted = PlaylistDraft(options), self._wanted(options)
        query = make_query(self._info, [start]) if start else None
        seeds = query.seeds if query else ()
        names = genres.split(",") if isinstance(genres, str) else genres
        allowed = track_filter(self._store, query, options.filters.including(*names), self.files)
        search = self._search(wanted, allowed)
        order, notes = cycle_genres(
            self._taxonomy, self._index, genres, wanted, None if allowed is None else search
        )
        if seeds:
            first = seeds[0].as_candidate()
        else:
            first = self._draw(order[0], draft.rng, wanted, allowed)
        if not seeds or seeds[0].in_library:
            draft.add(first)
        # The cycle goes on from the genre of the start, which has had a turn if it is in the list.
        turn = 0
        if first.track.genre_group in order:
            turn = order.index(first.track.genre_group) * options.per_genre + len(draft)
        walk = GenreCycle(draft, self._tasteful(search), order)
        walk.fill(first.embedding, turn)
        return self._finish(
            draft,
            f"Cycle: {', '.join(order)}",
            seeds,
            walk.held_back(),
            allowed,
            notes=[*notes, *walk.notes()],
            where="the cycle",
        )

    def between(
        self,
        a: tuple[Track, Analysis],
        b: tuple[Track, Analysis],
        options: PlaylistOptions | None = None,
    ) -> Playlist:
        """Lead from track A to track B in small steps.

        Of the ways of the length asked for, those are taken whose least similar step is, but for
        :data:`recsys.playlists.way.SLACK`, as similar as the library allows; of them, the one whose
        steps are similar and which progresses evenly from A to B. A
        comes first and B last; one outside the library is not in the list. With a duration,
        progress follows the time played. A note names the steps that are jumps, below
        :data:`recsys.playlists.way.JUMP`. QueryError if A and B are one recording, or the length
        is too short for both.
        """
        options = self._checked(options)
        if options.curves:
            raise QueryError(
                f"a way from one track to another has no curve {options.curves[0]}",
                "Its numbers lead from the one to the other by themselves.",
            )
        query = make_query(self._info, [a, b])
        allowed = track_filter(self._store, query, options.filters, self.files)
        search = self._search(self._wanted(options), allowed)
        way = Way(query, options, self._index, search)
        way.fill()
        notes = []
        if not way.complete:
            tracks = [found.track for found in way.chosen]
            refused = _refused(allowed)
            notes.append(
                shortage(options, tracks, way.held_back, way.duplicates, way.searched, refused)
            )
        if not way.with_last:
            notes.append(
                "the last track was left out: it would be too close to its artist's others"
            )
        notes += [
            f"a jump from {one.track.display_name} to {other.track.display_name}: their similarity"
            f" is {value:.2f}, and below {JUMP:g} a step is a jump; no way without one was found"
            for one, other, value in way.jumps
        ]
        name = f"From {query.seeds[0].track.display_name} to {query.seeds[1].track.display_name}"
        return self._playlist(options, way.chosen, name, query.seeds, notes)

    def _checked(self, options: PlaylistOptions | None) -> PlaylistOptions:
        options = options or PlaylistOptions()
        if options.genre is None:
            return options
        genre = self._taxonomy.resolve(options.genre)
        return replace(options, genre=genre, filters=options.filters.including(genre))

    def _wanted(self, options: PlaylistOptions) -> TagFilter | None:
        return TagFilter(self._store, self._info, options.tags) if options.tags else None

    def _search(self, wanted: TagFilter | None, allowed: TrackFilter | None) -> Search:
        return partial(nearest, self._store, self._index, wanted=wanted, allowed=allowed)

    def _tasteful(self, search: Search) -> Search:
        """Return a search whose candidates come in the order of the taste."""
        return lambda genre, query, expected: by_taste(search(genre, query, expected), self._taste)

    def _continue(
        self,
        query: Query,
        options: PlaylistOptions,
        name: str,
        seeds: Sequence[Seed],
        before: Sequence[Candidate] = (),
    ) -> Playlist:
        draft, wanted = PlaylistDraft(options), self._wanted(options)
        allowed = track_filter(self._store, query, options.filters, self.files)
        for candidate in before:  # whatever the constraints: they are there already
            draft.add(candidate)
        opening = (seed.as_candidate() for seed in query.seeds if seed.in_library)
        # In the order given, whatever the diversity: the user chose them.
        queues = [CandidateQueue(opening, in_order=True)]
        if wanted is not None and not options.curves:
            return self._walk(query, draft, queues[0], wanted, allowed, name, seeds)
        expected = POOL + (options.limit or POOL)
        if wanted is not None:
            near = self._search(wanted, allowed)(options.genre, query.embedding, expected)
            near = by_taste(near, self._taste)
            return self._bend(draft, queues[0], near, allowed, name, seeds, len(before))
        search, taxonomy = self._search(None, allowed), self._taxonomy
        tiers = plan_tiers(taxonomy.group_of(query), taxonomy.scores(query), options.genre)
        found = [
            tier_candidates(tiers, position, search, query.embedding, expected, self._taste)
            for position in range(len(tiers))
        ]
        if options.curves:
            near = chain.from_iterable(found)
            return self._bend(draft, queues[0], near, allowed, name, seeds, len(before))
        queues += map(CandidateQueue, found)
        # The first queue that has a track to offer gives it; queues are used up in their order.
        while not draft.full and any(queue.extend(draft) or draft.closed for queue in queues):
            pass
        held_back = [candidate.track for queue in queues for candidate in queue.waiting]
        return self._finish(draft, name, seeds, held_back, allowed)

    def _walk(
        self,
        query: Query,
        draft: PlaylistDraft,
        opening: CandidateQueue,
        wanted: TagFilter,
        allowed: TrackFilter | None,
        name: str,
        seeds: Sequence[Seed],
    ) -> Playlist:
        """Continue from the seeds through tracks of a mood."""
        while not draft.full and opening.extend(draft):
            pass
        expected = REACH * (draft.options.limit or POOL)
        near = self._search(wanted, allowed)(draft.options.genre, query.embedding, expected)
        found = by_taste(near, self._taste)
        walk = MoodWalk(self._store, self._info, wanted.columns, draft, found)
        walk.fill(query.embedding, query.tag_strengths)
        where = f"{draft.options.genre or 'the library'} with the tag {wanted}"
        return self._finish(draft, name, seeds, walk.held_back, allowed, where=where)

    def _bend(
        self,
        draft: PlaylistDraft,
        opening: CandidateQueue,
        candidates: Iterator[Candidate],
        allowed: TrackFilter | None,
        name: str,
        seeds: Sequence[Seed],
        before: int = 0,
    ) -> Playlist:
        """Continue along the curves of the options, from candidates that come best first."""
        walk = CurveWalk(draft, before)
        while not draft.full and opening.extend(draft):
            pass
        where = draft.options.genre or "the library"
        if not draft.full:
            pool = walk.pool(candidates, where=where)
            walk.fill(pool, (draft.chosen or pool.candidates)[-1 if draft.chosen else 0].embedding)
        return self._finish(draft, name, seeds, walk.held_back, allowed, where=where)

    def _draw(
        self,
        genre: str | None,
        rng: np.random.Generator,
        wanted: TagFilter | None,
        allowed: TrackFilter | None,
    ) -> Candidate:
        """Draw a track that the store still has, at random."""
        if wanted is not None:
            return self._draw_carrier(genre, rng, wanted, allowed)
        reach = min(self._index.count(genre), DRAW_FROM)
        if reach:
            # A search near a random point is cheaper than reading all ids of a large library.
            towards = rng.standard_normal(self._info.dimension)
            direction = (towards / np.linalg.norm(towards)).astype(np.float32)
            found = self._index.search(genre, direction, reach)
            # Until one is found: the store may have lost tracks since the index was opened.
            for position in rng.permutation(len(found)):
                track_id = found[position].track_id
                track = self._store.track(track_id)
                if track is None:
                    continue
                embedding = self._index.vectors([track_id])[0]
                if allowed is None or allowed.admits(track, embedding):
                    return Candidate(track, 1.0, embedding)
            # Filters may leave nothing there, but some further away.
            further = next(self._search(None, allowed)(genre, direction, 2 * reach), None)
            if further is not None:
                return replace(further, similarity=1.0)
        raise QueryError(
            f"{genre or 'the library'} holds no track to begin with{left_out(_refused(allowed))}",
            "Loosen the filters; recsys feedback bans lists what is banned."
            if reach and allowed
            else "Index a folder of music.",
        )

    def _draw_carrier(
        self,
        genre: str | None,
        rng: np.random.Generator,
        wanted: TagFilter,
        allowed: TrackFilter | None,
    ) -> Candidate:
        """Draw one of the tracks that carry a mood most strongly."""
        ids, _ = wanted.strongest()
        foremost: list[Track] = []
        for start in range(0, len(ids), MAX_BATCH):
            page = ids[start : start + MAX_BATCH].tolist()
            tracks = self._store.tracks(page)
            known = (tracks[i] for i in page if i in tracks)
            fitting = (
                track
                for track in known
                if genre in (None, track.genre_group)
                and (allowed is None or allowed.admits(track, self._index.vectors([track.id])[0]))
            )
            foremost += islice(fitting, START_FROM - len(foremost))
            if len(foremost) >= START_FROM:
                break
        if not foremost:
            raise QueryError(
                f"{genre or 'the library'} holds no track with the tag {wanted}"
                f"{left_out(_refused(allowed))}",
                f"A track carries a tag from a strength of {HOLDS_FROM:g}; recsys classify shows "
                "the tags of a file.",
            )
        track = foremost[int(rng.integers(min(START_FROM, len(foremost))))]
        return Candidate(track, 1.0, self._index.vectors([track.id])[0])

    def _finish(
        self,
        draft: PlaylistDraft,
        name: str,
        seeds: Sequence[Seed],
        held_back: Collection[Track],
        allowed: TrackFilter | None,
        *,
        notes: Sequence[str] = (),
        where: str = "",
    ) -> Playlist:
        options, tracks = draft.options, [found.track for found in draft.chosen]
        all_notes = list(notes)
        if not draft.full:
            duplicates = len(draft.duplicates)
            searched = where or options.genre or "the library"
            refused = _refused(allowed)
            text = shortage(options, tracks, held_back, duplicates, searched, refused)
            all_notes.insert(0, text)
        return self._playlist(options, draft.chosen, name, seeds, all_notes)

    def _playlist(
        self,
        options: PlaylistOptions,
        chosen: Sequence[Candidate],
        name: str,
        seeds: Sequence[Seed],
        notes: Sequence[str],
    ) -> Playlist:
        steps = [
            float(similarities(found.embedding[np.newaxis], before.embedding)[0])
            for before, found in pairwise(chosen)
        ]
        return Playlist(
            name=options.name or name,
            tracks=tuple(found.track for found in chosen),
            seeds=tuple(seed.track for seed in seeds),
            seed=options.seed,
            note="; ".join(notes),
            similarities=(None, *steps)[: len(chosen)],
        )


def _refused(allowed: TrackFilter | None) -> Mapping[str, int]:
    return {} if allowed is None else allowed.filtered


def _names(seeds: Sequence[Seed]) -> str:
    named = ", ".join(seed.track.display_name for seed in seeds[:_NAMED_SEEDS])
    others = len(seeds) - _NAMED_SEEDS
    return named if others <= 0 else f"{named} and {others} more"
