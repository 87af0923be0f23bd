"""Whether feedback helps: simulated listeners with hidden tastes, on a library of real clips.

    python -m tests.benchmarks.simulate_listeners LIBRARY.db [--choose]

A listener wants one kind of track and tells nobody: a genre in a mood (the folder of the file, and
a tag of the model), the neighbourhood of an artist (the artists whose mean tag strengths are
nearest), or an era (a tag of the model). Tracks of one half of the library are played to the
listener, half of them wanted ones; what is wanted is liked or played to the end, what is not is
skipped or disliked, and one verdict in ten is wrong. Then the listener asks for twenty tracks like
a wanted one of the other half, from that half alone. The hit rate is the share that is wanted.

Weights are chosen on half of the tastes (``--choose``) and measured on the others, on another
division of the library. Intervals are bootstraps over listeners, of differences for the same
questions. The shipped model has learned from the clips of GTZAN, and mood and era are what it says
itself: figures compare rankings and do not say how happy a person will be.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.bootstrap import bootstrap_interval
from recsys.credits import artist_key
from recsys.index.sync import open_index
from recsys.recommender import Recommender, SimilarOptions, make_query
from recsys.store import Store
from recsys.taste import Event, EventKind, Subject
from recsys.taste.ranking import (
    HALF_LIFE_DAYS,
    Judged,
    Opinions,
    Taste,
    TasteWeights,
    opinions,
)
from recsys.types import Analysis, ModelInfo, Track

K = 20
EVENTS = (5, 20, 100)
MOODS = ("beautiful", "Mellow", "sad", "happy", "party", "chill", "easy listening", "catchy")
ERAS = ("60s", "70s", "80s", "90s", "00s")
FEWEST_WANTED = 16  # of which one half of the library has about a half
NEIGHBOURHOOD = 30  # tracks, at least, of an artist and of the artists like it
FEWEST_OF_ARTIST = 7
QUESTIONS = 4  # per listener
NOISE = 0.1
LISTENERS_PER_TASTE = 2
NOW = datetime(2026, 11, 27, tzinfo=UTC)
DAYS = 60  # over which the events are spread

GRID = {
    "sound": (0.0, 0.1, 0.2, 0.3, 0.5, 0.8),
    "artist": (0.0, 0.05, 0.1),
    "genre": (0.0, 0.05, 0.1),
    "shrinkage": (0.5, 1.0, 2.0),
    "sharpness": (1.0, 2.0, 4.0),
}
"""Values that are tried, one part at a time."""

ROUNDS = 2
HALF_LIVES = (30.0, 90.0, 180.0, 365.0, 730.0, 1e6)


@dataclass(frozen=True)
class Clips:
    """The library in memory."""

    tracks: dict[str, Track]  # by audio hash
    analyses: dict[str, Analysis]
    strengths: dict[str, np.ndarray]

    @classmethod
    def of(cls, store: Store, info: ModelInfo) -> Clips:
        """Read every track of a library."""
        tracks = {track.audio_hash: track for track in store.all_tracks()}
        ids = {track.id: track.audio_hash for track in tracks.values()}
        analyses = {ids[i]: analysis for i, analysis in store.analyses(ids).items()}
        strengths = {own: info.tag_strengths(found.tags) for own, found in analyses.items()}
        return cls(tracks, analyses, strengths)


@dataclass(frozen=True)
class HiddenTaste:
    """What a listener wants."""

    kind: str
    name: str
    wanted: frozenset[str]  # audio hashes


def tastes_of(clips: Clips, info: ModelInfo) -> list[HiddenTaste]:
    """Return the tastes that enough tracks satisfy."""
    columns = {tag: column for column, tag in enumerate(info.tags)}

    def tagged(tag: str) -> set[str]:
        return {own for own, row in clips.strengths.items() if row[columns[tag]] >= 1}

    folders = {own: track.path.parent.name for own, track in clips.tracks.items()}
    found = [
        HiddenTaste("genre with a mood", f"{mood} {genre}", frozenset(tagged(mood) & in_genre))
        for genre in sorted(set(folders.values()))
        for mood in MOODS
        if (in_genre := {own for own, folder in folders.items() if folder == genre})
    ]
    found += [HiddenTaste("era", era, frozenset(tagged(era))) for era in ERAS]
    found += _neighbourhoods(clips)
    return [taste for taste in found if len(taste.wanted) >= FEWEST_WANTED]


def _neighbourhoods(clips: Clips) -> list[HiddenTaste]:
    """Return the artists of many tracks, each with the artists nearest by tags."""
    by_artist: dict[str, list[str]] = {}
    for own, track in clips.tracks.items():
        if (artist := artist_key(track)) is not None:
            by_artist.setdefault(artist, []).append(own)
    names = sorted(by_artist)
    means = np.stack([np.mean([clips.strengths[own] for own in by_artist[n]], 0) for n in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    found = []
    for row, name in enumerate(names):
        if len(by_artist[name]) < FEWEST_OF_ARTIST:
            continue
        wanted: list[str] = []
        for other in np.argsort(-(means @ means[row]), kind="stable"):
            if len(wanted) >= NEIGHBOURHOOD:
                break
            wanted += by_artist[names[other]]
        found.append(HiddenTaste("artist's neighbourhood", name, frozenset(wanted)))
    return found


def events_of(
    taste: HiddenTaste,
    played: set[str],
    number: int,
    rng: np.random.Generator,
    *,
    days: float = DAYS,
    former: HiddenTaste | None = None,
) -> list[Event]:
    """Return what a listener says of tracks that are played, in the order of their times.

    In the first half of the days, the listener has the `former` taste, if there is one.
    """
    ages = sorted(rng.uniform(0, days, number), reverse=True)
    events = []
    for age in ages:
        time = NOW - timedelta(days=float(age))
        liking = taste if former is None or age < days / 2 else former
        half = played & liking.wanted if rng.random() < 0.5 else played - liking.wanted
        own = sorted(half)[int(rng.integers(len(half)))]
        pleased = (own in liking.wanted) != (rng.random() < NOISE)
        kinds = (EventKind.LIKE, EventKind.PLAY) if pleased else (EventKind.DISLIKE, EventKind.SKIP)
        kind = kinds[int(rng.random() < 0.6)]
        events.append(Event(kind, Subject.TRACK, own, own, time, "simulated", (own,)))
    return events


@dataclass(frozen=True)
class Question:
    """A track to ask for, by a listener who has said something."""

    taste: HiddenTaste
    listener: int
    seed: str
    played: frozenset[str]
    events: dict[int, list[Event]]  # by their number


def questions_of(
    tastes: list[HiddenTaste], played: set[str], clips: Clips, rng: np.random.Generator
) -> list[Question]:
    """Return the questions of listeners, those of one listener with the same events."""
    found = []
    for number, taste in enumerate(tastes * LISTENERS_PER_TASTE):
        seeds = sorted(taste.wanted - played)
        if len(seeds) < QUESTIONS or not played & taste.wanted:
            continue
        all_events = events_of(taste, played, max(EVENTS), rng)
        # The first ones of many, shuffled: few events spread over the same time as many.
        order = rng.permutation(len(all_events))
        events = {n: [all_events[i] for i in sorted(order[:n])] for n in EVENTS}
        found += [
            Question(taste, number, str(seed), frozenset(played), events)
            for seed in rng.choice(seeds, QUESTIONS, replace=False)
        ]
    return found


class Answerer:
    """Asks the recommender, in a library whose other half is banned."""

    def __init__(self, store: Store, clips: Clips, info: ModelInfo) -> None:
        self._store, self._clips, self._info = store, clips, info
        index = open_index(store)
        assert index is not None
        self._index = index

    def ban_only(self, played: set[str], seconds: int) -> None:
        """Ban what was played, and nothing else."""
        time = NOW + timedelta(seconds=seconds)
        rest = tuple(sorted(self._clips.tracks))
        self._store.add_events(
            [  # the ban comes last
                Event(EventKind.UNBAN, Subject.TRACK, "half", "half", time, "simulated", rest),
                Event(
                    *(EventKind.BAN, Subject.TRACK, "half", "half"),
                    time + timedelta(milliseconds=1),
                    "simulated",
                    tuple(sorted(played)),
                ),
            ]
        )

    def answer(
        self,
        question: Question,
        events: int,
        weights: TasteWeights,
        half_life_days: float = HALF_LIFE_DAYS,
    ) -> list[Track]:
        """Return the tracks that a listener gets after a number of events."""
        said = opinions(question.events[events], NOW, half_life_days) if events else None
        taste = None if said is None else self._taste(said, weights)
        recommender = Recommender(self._store, self._index, self._info, taste)
        seed = self._clips.tracks[question.seed], self._clips.analyses[question.seed]
        query = make_query(self._info, [seed])
        return [row.track for row in recommender.similar(query, SimilarOptions(k=K)).results]

    def share_of(self, artist: str, liked: list[str], seed: str, weights: TasteWeights) -> float:
        """Return the share of an artist in the answer to a track, when these tracks are liked."""
        events = [_like(own) for own in liked]
        question = Question(HiddenTaste("", "", frozenset()), 0, seed, frozenset(), {1: events})
        tracks = self.answer(question, 1 if events else 0, weights)
        return float(np.mean([artist_key(track) == artist for track in tracks]))

    def _taste(self, said: Opinions, weights: TasteWeights) -> Taste:
        judged = [
            Judged(self._clips.tracks[own], self._clips.analyses[own].embedding, opinion)
            for own, opinion in said.sounds.items()
        ]
        return Taste(judged, said.artists, weights)


@dataclass(frozen=True)
class Figures:
    """Per question."""

    hits: np.ndarray  # share of the list that is wanted
    most: np.ndarray  # the share that would be possible
    artists: np.ndarray  # number of different artists
    largest: np.ndarray  # share of the artist with most tracks


def measure(
    answerer: Answerer,
    questions: list[Question],
    events: int,
    weights: TasteWeights,
    half_life_days: float = HALF_LIFE_DAYS,
) -> Figures:
    """Ask all questions."""
    rows = []
    for question in questions:
        tracks = answerer.answer(question, events, weights, half_life_days)
        counts = Counter(artist_key(track) or track.audio_hash for track in tracks)
        wanted = sum(track.audio_hash in question.taste.wanted for track in tracks)
        most = min(K, len(question.taste.wanted - question.played) - 1)
        rows.append((wanted / K, most / K, len(counts), max(counts.values()) / len(tracks)))
    return Figures(*np.array(rows, dtype=float).T)


def half_lives(
    answerer: Answerer, questions: list[Question], weights: TasteWeights, rng: np.random.Generator
) -> Table:
    """Return hit rates by half-life, after a hundred events of two years.

    The taste of every other listener has changed a year ago.
    """
    table = Table("half-life in days", "steady taste", "changed a year ago")
    tastes = [question.taste for question in questions]
    both = []
    for changed in (False, True):
        asked = []
        for question in questions:
            former = tastes[int(rng.integers(len(tastes)))] if changed else None
            played = set(question.played)
            events = events_of(question.taste, played, 100, rng, days=730, former=former)
            asked.append(replace(question, events={100: events}))
        both.append(asked)
    for days in HALF_LIVES:
        rates = [
            measure(answerer, asked, 100, weights, half_life_days=days).hits.mean()
            for asked in both
        ]
        table.add_row(f"{days:g}", *(f"{rate:.3f}" for rate in rates))
    return table


def collapse(answerer: Answerer, clips: Clips, weights: TasteWeights) -> str:
    """Return how an artist's share grows for somebody who likes all of its tracks and no other.

    Tracks by other artists of the same folder are asked for, in the whole library.
    """
    answerer.ban_only(set(), 2)
    shares = []
    by_artist: dict[str, list[str]] = {}
    for own, track in clips.tracks.items():
        by_artist.setdefault(artist_key(track) or "", []).append(own)
    for artist, liked in sorted(by_artist.items()):
        if not artist or len(liked) < FEWEST_OF_ARTIST:
            continue
        folder = clips.tracks[liked[0]].path.parent
        others = [
            own
            for own, track in sorted(clips.tracks.items())
            if track.path.parent == folder and artist_key(track) != artist
        ]
        for seed in others[:: max(1, len(others) // QUESTIONS)][:QUESTIONS]:
            before, after = (answerer.share_of(artist, said, seed, weights) for said in ([], liked))
            shares.append((before, after))
    means, worst = np.mean(shares, axis=0), np.max(shares, axis=0)
    return (
        f"share of an artist in lists from tracks of others: {means[0]:.3f} with no event, "
        f"{means[1]:.3f} when all of its tracks are liked (largest {worst[0]:.2f}, {worst[1]:.2f}; "
        f"{len(shares)} lists)"
    )


def _like(own: str) -> Event:
    return Event(EventKind.LIKE, Subject.TRACK, own, own, NOW, "simulated", (own,))


def choose(answerer: Answerer, questions: list[Question], console: Console) -> TasteWeights:
    """Return the weights with the best mean hit rate, one part at a time."""
    best, best_rate = TasteWeights(), -1.0
    tried: dict[TasteWeights, float] = {}
    for _, (name, values) in product(range(ROUNDS), GRID.items()):
        for value in values:
            weights = replace(best, **{name: value})
            if weights not in tried:
                figures = [measure(answerer, questions, n, weights) for n in EVENTS]
                tried[weights] = float(np.mean([each.hits.mean() for each in figures]))
                largest = float(np.mean([each.largest.mean() for each in figures]))
                console.print(f"{name} {value}: {tried[weights]:.4f}, largest artist {largest:.3f}")
            if tried[weights] > best_rate:
                best, best_rate = weights, tried[weights]
    return best


def table_of(answerer: Answerer, questions: list[Question], weights: TasteWeights) -> Table:
    """Return the figures for every kind of taste and number of events."""
    table = Table(
        "", "events", "hit rate", "more than none (95%)", "possible", "artists", "largest"
    )
    listeners = np.array([question.listener for question in questions])
    kinds = np.array([question.taste.kind for question in questions])
    figures = {n: measure(answerer, questions, n, weights) for n in (0, *EVENTS)}
    for kind in ("all", *dict.fromkeys(kinds)):
        rows = np.ones(len(kinds), bool) if kind == "all" else kinds == kind
        count = len(set(listeners[rows]))
        for n, each in figures.items():
            more = each.hits[rows] - figures[0].hits[rows]
            low, high = bootstrap_interval(more, listeners[rows]) if n else (0.0, 0.0)
            table.add_row(
                f"{kind} ({count} listeners)" if n == 0 else "",
                str(n),
                f"{each.hits[rows].mean():.3f}",
                f"{more.mean():+.3f} ({low:+.3f} to {high:+.3f})" if n else "",
                f"{each.most[rows].mean():.3f}",
                f"{each.artists[rows].mean():.1f}",
                f"{each.largest[rows].mean():.3f}",
            )
        table.add_section()
    return table


def main() -> None:
    """Choose weights, if asked to, and print a table."""
    parser = argparse.ArgumentParser(description="Simulate listeners.")
    parser.add_argument("library", type=Path)
    parser.add_argument("--choose", action="store_true", help="choose the weights first")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "library.db"
        shutil.copy(options.library, copy)
        with Store.open(copy) as store:
            info = store.model()
            assert info is not None
            clips = Clips.of(store, info)
            answerer = Answerer(store, clips, info)
            rng = np.random.default_rng(options.seed)
            tastes = tastes_of(clips, info)
            order = rng.permutation(len(tastes))
            # Every other taste of each kind, so that both halves have all kinds.
            mixed = sorted((tastes[i] for i in order), key=lambda taste: taste.kind)
            weights = TasteWeights()
            for turn, chosen in enumerate((mixed[::2], mixed[1::2])):
                hashes = sorted(clips.tracks)
                played = {hashes[i] for i in rng.permutation(len(hashes))[: len(hashes) // 2]}
                questions = questions_of(chosen, played, clips, rng)
                if turn == 0 and not options.choose:
                    continue
                answerer.ban_only(played, turn)
                if turn == 0:
                    weights = choose(answerer, questions, console)
                    own = np.random.default_rng(options.seed)  # the other listeners stay the same
                    console.print(half_lives(answerer, questions, weights, own))
            values = ", ".join(f"{f.name} {getattr(weights, f.name)}" for f in fields(weights))
            console.print(f"{values}; {len(questions)} questions")
            console.print(table_of(answerer, questions, weights))
            console.print(collapse(answerer, clips, weights))


if __name__ == "__main__":
    main()
