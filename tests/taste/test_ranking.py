"""The re-ranker: what moves a track, how far, and that it stays inside its tier."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.radio import Radio, RadioOptions
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.query import TASTE_REACH
from recsys.taste import Event, EventKind, Subject
from recsys.taste.ranking import (
    HALF_LIFE_DAYS,
    MOST_JUDGED,
    Judged,
    Opinion,
    Taste,
    TasteWeights,
    opinions,
)
from recsys.types import FloatArray
from tests.planted import PlantedLibrary, Sound, at_cosine, scattered, unit

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NORTH, EAST, UP = np.eye(16, dtype=np.float32)[:3]
ALONE = TasteWeights(sound=0.3, artist=0.0, genre=0.0, shrinkage=0.5, sharpness=2.0)


def event(kind: str, key: str, *, days: float = 0.0, subject: str = "track") -> Event:
    time = NOW - timedelta(days=days)
    tracks = (key,) if subject == "track" else ()
    return Event(EventKind(kind), Subject(subject), key, key, time, "test", tracks)


def taste_of(library: PlantedLibrary, weights: TasteWeights | None = None, **said: float) -> Taste:
    """Return the taste that comes of weights of tracks, given as ``t1=0.5`` for track 1."""
    judged = []
    for name, weight in said.items():
        track, analysis = library.seed(int(name[1:]))
        opinion = Opinion(weight, "liked" if weight > 0 else "skipped")
        judged.append(Judged(track, analysis.embedding, opinion))
    return Taste(judged, {}, weights)


def moved(taste: Taste, library: PlantedLibrary, *ids: int) -> list[float]:
    tracks = [library.track(i) for i in ids]
    embeddings = np.stack([library.sounds[i].embedding for i in ids])
    return [float(value) for value in taste.of(tracks, embeddings)]


# What events say


def test_an_event_counts_half_after_its_half_life() -> None:
    said = opinions([event("like", "a"), event("like", "b", days=HALF_LIFE_DAYS)], NOW).sounds
    assert said["a"] == Opinion(1.0, "liked")
    assert said["b"] == Opinion(0.5, "liked")


def test_the_last_like_or_dislike_replaces_the_others() -> None:
    events = [event("like", "a", days=2), event("like", "a", days=1), event("dislike", "a")]
    assert opinions(events, NOW).sounds == {"a": Opinion(-1.0, "disliked")}


def test_plays_and_skips_add_up_to_no_more_than_a_like() -> None:
    said = opinions([event("play", "a"), event("play", "a", days=0.001)], NOW).sounds
    assert said["a"].weight == pytest.approx(0.5, abs=1e-4)
    many = [event("skip", "a", days=n / 100) for n in range(20)]
    assert opinions(many, NOW).sounds["a"] == Opinion(-1.0, "skipped")
    balanced = [event("play", "a"), event("skip", "a")]
    assert opinions(balanced, NOW).sounds["a"].weight == pytest.approx(0.0)


def test_an_artist_counts_more_than_a_track_but_not_as_all_of_them() -> None:
    tracks = tuple("abcdefghijklmnop")
    like = replace(event("like", "sting", subject="artist"), tracks=tracks)
    said = opinions([like], NOW)
    assert [*said.sounds.values()] == [Opinion(1 / 4, "liked", "the artist sting")] * 16
    assert said.artists == {"sting": pytest.approx(1.0)}


def test_bans_say_nothing_of_other_tracks() -> None:
    assert opinions([event("ban", "a"), event("unban", "b")], NOW).sounds == {}


def test_the_tracks_of_which_most_was_said_count() -> None:
    events = [event("play", f"played {n}") for n in range(MOST_JUDGED)] + [event("like", "liked")]
    said = opinions(events, NOW).sounds
    assert len(said) == MOST_JUDGED
    assert "liked" in said


# How far a track moves


def test_the_sound_moves_a_track_by_the_formula(tmp_path: Path) -> None:
    cosines = (1.0, 0.8, 0.5, 0.0, -0.5)
    sounds = [Sound("jazz", at_cosine(NORTH, EAST, c) if abs(c) < 1 else NORTH) for c in cosines]
    library = PlantedLibrary(tmp_path, sounds)
    like = moved(taste_of(library, ALONE, t1=0.8), library, 1, 2, 3, 4, 5)
    by_hand = [0.3 * 0.8 * k / (0.5 + 0.8 * k) for k in (1.0, 0.64, 0.25, 0.0, 0.0)]
    assert like == pytest.approx(by_hand, abs=1e-3)
    dislike = moved(taste_of(library, ALONE, t1=-0.8), library, 1, 2, 3, 4, 5)
    assert dislike == pytest.approx([-value for value in by_hand], abs=1e-3)


def test_contradictions_cancel_out_and_no_sum_exceeds_the_weight(tmp_path: Path) -> None:
    sounds = [Sound("jazz", NORTH, audio_hash=f"h{n}") for n in range(30)]
    library = PlantedLibrary(tmp_path, sounds)
    assert moved(taste_of(library, ALONE, t1=1.0, t2=-1.0), library, 3) == [0.0]
    (most,) = moved(taste_of(library, ALONE, **{f"t{n}": 1.0 for n in range(1, 30)}), library, 30)
    assert 0.29 < most < 0.3


def test_artist_and_genre_move_what_shares_them(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH, artist="Sting"),
        Sound("rock", UP, artist="STING"),
        Sound("jazz", UP, artist="Other"),
        Sound("rock", UP),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    weights = TasteWeights(sound=0.0, artist=0.1, genre=0.02, shrinkage=1.0)
    assert moved(taste_of(library, weights, t1=1.0), library, 2, 3, 4) == [0.05, 0.01, 0.0]


# What becomes of answers


def jazz(cosine: float, other: FloatArray = EAST, **fields: object) -> Sound:
    return Sound("jazz", at_cosine(NORTH, other, cosine), **fields)


def ranked(library: PlantedLibrary, taste: Taste | None, **options: object) -> list[int]:
    recommender = Recommender(library.store, library.index, library.info, taste)
    answer = recommender.similar(library.query(1), SimilarOptions(**options))
    return [row.track.id for row in answer.results]


def test_liked_neighbours_move_up_and_skipped_ones_down(tmp_path: Path) -> None:
    sounds = [Sound("jazz", NORTH), jazz(0.78, UP), jazz(0.75), jazz(0.7), Sound("jazz", EAST)]
    library = PlantedLibrary(tmp_path, sounds)
    assert ranked(library, None) == [2, 3, 4, 5]
    assert ranked(library, taste_of(library, t5=1.0)) == [3, 4, 2, 5]
    assert ranked(library, taste_of(library, t5=-1.0)) == [2, 3, 4, 5]
    assert ranked(library, taste_of(library, t2=-1.0)) == [3, 4, 2, 5]


def test_similarities_stay_those_of_the_embeddings(tmp_path: Path) -> None:
    sounds = [Sound("jazz", NORTH), jazz(0.8, UP), jazz(0.7), Sound("jazz", EAST)]
    library = PlantedLibrary(tmp_path, sounds)
    taste = taste_of(library, t4=1.0)
    recommender = Recommender(library.store, library.index, library.info, taste)
    answer = recommender.similar(library.query(1))
    for row in answer.results:
        cosine = float(library.sounds[row.track.id].embedding @ NORTH)
        assert row.similarity == pytest.approx(cosine, abs=1e-3)
        assert row.taste == moved(taste, library, row.track.id)[0]


def test_a_track_stays_in_its_tier_however_much_it_is_liked(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(95, np.random.default_rng(3), artists=20))
    parts = library.store, library.index, library.info
    query, options = library.query(1), SimilarOptions(k=95, show_duplicates=True)
    plain = Recommender(*parts).similar(query, options)
    liked = {f"t{row.track.id}": 1.0 for row in plain.results if row.tier > 1}
    strong = TasteWeights(sound=5.0, artist=5.0, genre=5.0)
    answer = Recommender(*parts, taste_of(library, strong, **liked)).similar(query, options)
    assert {row.track.id: row.tier for row in answer.results} == {
        row.track.id: row.tier for row in plain.results
    }
    tiers = [row.tier for row in answer.results]
    assert tiers == sorted(tiers)
    scores = [(row.tier, -(row.similarity + row.taste)) for row in answer.results]
    assert scores == sorted(scores)
    assert len(scores) < TASTE_REACH  # so that all of a tier were compared


def test_the_nearest_track_of_all_leads_unless_it_is_disliked(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH),
        Sound("rock", at_cosine(NORTH, UP, 0.8), sure=0.99),
        jazz(0.6),
        jazz(0.55),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    assert ranked(library, None) == [2, 3, 4]
    assert ranked(library, taste_of(library, t3=0.1))[0] == 2
    assert ranked(library, taste_of(library, t2=-1.0))[:2] == [3, 4]


def test_a_taste_of_nothing_changes_nothing(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(300, np.random.default_rng(4), artists=9))
    parts = library.store, library.index, library.info
    nothing = Taste([], {}, None)
    assert ranked(library, nothing, k=250) == ranked(library, None, k=250)
    options = PlaylistOptions(length=60)
    for seed in (5, 9):
        one, other = (
            PlaylistMaker(*parts, taste).from_seeds(library.query(seed), options)
            for taste in (None, nothing)
        )
        assert one == other


def test_playlists_and_radio_follow_the_taste_too(tmp_path: Path) -> None:
    sounds = [Sound("jazz", NORTH), jazz(0.78, UP), jazz(0.75), jazz(0.7), Sound("jazz", EAST)]
    library = PlantedLibrary(tmp_path, sounds)
    taste = taste_of(library, t5=1.0)
    parts = library.store, library.index, library.info
    playlist = PlaylistMaker(*parts, taste).from_seeds(library.query(1), PlaylistOptions(length=4))
    assert [track.id for track in playlist.tracks] == [1, 3, 4, 2]
    radio = Radio(*parts, taste).following(1, library.query(1), [], RadioOptions(length=3))
    assert [row.track.id for row in radio.results] == [3, 4, 2]
    cycle = PlaylistMaker(*parts, taste).cycle("jazz", library.seed(1), PlaylistOptions(length=2))
    assert [track.id for track in cycle.tracks] == [1, 3]


def test_the_reason_names_the_strongest_one(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH, artist="A", title="One"),
        Sound("jazz", at_cosine(NORTH, EAST, 0.9), artist="B", title="Two"),
        Sound("rock", UP, artist="A", title="Three"),
        Sound("rock", unit(UP - NORTH), artist="C", title="Four"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    taste = taste_of(library, t1=1.0)

    def reason(number: int, taste: Taste = taste) -> tuple[str, str] | None:
        return taste.reason(library.track(number), library.sounds[number].embedding)

    sound, others = 0.3 * 1 / 1.5, 0.05 * 1 / 1.5
    assert reason(1) == ("you liked it", f"moved up by {sound + 2 * others:.2f}")
    words, figure = reason(2) or ("", "")
    assert words == "you liked A - One, which sounds like it"
    assert figure.startswith("moved up by 0.")
    assert reason(3) == ("you liked or played A", f"moved up by {others:.2f}")
    assert reason(4) is None
    words, figure = reason(2, taste_of(library, t1=-1.0)) or ("", "")
    assert words == "you skipped A - One, which sounds like it"
    assert figure.startswith("moved down by 0.")
    track, analysis = library.seed(1)
    album = Taste([Judged(track, analysis.embedding, Opinion(1.0, "liked", "the album X"))])
    assert (reason(1, album) or ("",))[0] == "you liked the album X"
    assert (reason(2, album) or ("",))[0] == "you liked the album X, which sounds like it"
