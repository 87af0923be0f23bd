"""Genre groups: the model's genres and their scores, its styles, the genres of the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError
from recsys.index.sync import open_index
from recsys.playlists import AUTO, PlaylistMaker, PlaylistOptions
from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import make_query
from recsys.recommender.taxonomy import (
    OWN_WEIGHT,
    SMOOTHING,
    VOTERS,
    FileGenres,
    genre_scores,
    resolve_genre,
    similarity_of_groups,
)
from recsys.types import FloatArray, Tags, Track
from tests.planted import (
    LABELS,
    PlantedLibrary,
    Sound,
    at_cosine,
    file_outside,
    make_info,
    unit,
)

TAGS = ("rock", "chill", "jazz", "folk")
STYLES = ("rock", "jazz", "folk")

CENTRES = dict(zip(("Bossa", "Tango", "Ska", None), np.eye(16, dtype=np.float32), strict=False))
"""Genres that the files name, each in a corner of its own; None names none."""

PER_GENRE = 60


def near(centre: FloatArray, rng: np.random.Generator) -> FloatArray:
    return at_cosine(centre, unit(rng.standard_normal(16)), float(rng.uniform(0.85, 0.95)))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    """Sixty tracks of each own genre; the model says rock to all, and its tags are drawn."""
    rng = np.random.default_rng(5)
    spellings = {"Bossa": ("Bossa", "bossa", "Bossa; Jazz"), "Tango": ("Tango",), "Ska": ("SKA",)}
    sounds = []
    for i in range(PER_GENRE):
        for genre, centre in CENTRES.items():
            names = spellings.get(genre, (None,))
            strengths = rng.normal(0, 1, len(TAGS))
            sounds.append(
                Sound(
                    "rock",
                    near(centre, rng),
                    genre_tag=names[i % len(names)] if i % 5 else names[0],
                    strengths=tuple(strengths.tolist()),
                )
            )
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds, make_info(tags=TAGS))


def ask(library: PlantedLibrary, source: str, *seeds: int, **options: object) -> Answer:
    library.store.set_genre_source(source)
    recommender = Recommender(library.store, open_index(library.store), library.info)
    chosen = SimilarOptions(**{"k": 1000, "show_duplicates": True, **options})
    return recommender.similar(library.query(*seeds), chosen)


def style_of(sound: Sound) -> str:
    return max(STYLES, key=lambda style: sound.strengths[TAGS.index(style)])


@pytest.mark.parametrize("seed", [1, 2, 30, 150])
def test_styles_make_the_tiers_in_the_order_of_the_strengths(
    library: PlantedLibrary, seed: int
) -> None:
    answer = ask(library, "tags", seed)
    sound = library.sounds[seed]
    order = sorted(STYLES, key=lambda style: -sound.strengths[TAGS.index(style)])
    assert [label for label, _ in answer.genre_scores] == order
    assert sum(score for _, score in answer.genre_scores) == pytest.approx(1)
    if answer.genre_group == "unknown":
        assert max(sound.strengths[TAGS.index(style)] for style in STYLES) <= 0
        assert {row.tier for row in answer.results} == {0}
        return
    assert answer.genre_group == order[0]
    styles = {i: style_of(planted) for i, planted in library.sounds.items()}
    ranked = library.ranked_by_hand(library.query(seed), answer.genre_scores, styles)
    assert [(row.track.id, row.tier) for row in answer.results] == ranked
    assert {row.track.genre for row in answer.results} == {"rock"}


def test_moods_make_no_tier(library: PlantedLibrary) -> None:
    assert {label for label, _ in ask(library, "tags", 1).genre_scores} == set(STYLES)
    with pytest.raises(QueryError, match="unknown style 'chill'"):
        ask(library, "tags", 1, genre="chill")


def test_own_genres_join_their_spellings_under_the_commonest(library: PlantedLibrary) -> None:
    library.store.set_genre_source("own")
    names = ("Bossa", "SKA", "Tango", "untagged")
    assert library.store.genre_counts() == dict.fromkeys(names, PER_GENRE)


@pytest.mark.parametrize(("place", "label"), [(0, "Bossa"), (1, "Tango"), (2, "SKA")])
def test_a_query_goes_by_its_own_word_and_its_neighbours(
    library: PlantedLibrary, place: int, label: str
) -> None:
    seed = place + 1 + len(CENTRES) * 4
    answer = ask(library, "own", seed)
    assert answer.genre_group == label
    assert answer.genre_scores[0] == (label, pytest.approx(1.0))
    first = answer.results[: PER_GENRE - 1]
    assert {row.track.genre_group for row in first} == {label}
    assert {row.tier for row in first} == {1}


def test_votes_are_the_shares_of_the_nearest_tracks(library: PlantedLibrary) -> None:
    library.store.set_genre_source("own")
    index = open_index(library.store)
    between = unit(CENTRES["Bossa"] + 0.9 * CENTRES["Tango"])
    analysis = library.analysis(between, [0.1, 0.1, 0.1, 0.7])
    near = library.nearest_ids(None, between)[:VOTERS]
    groups = [track.genre_group for track in library.store.tracks(near).values()]
    shares = {label: groups.count(label) / VOTERS for label in library.store.genre_counts()}
    outside = Track(0, Path("/x.mp3"), Tags(genre_tag="TANGO"), 1.0, "", "rock")

    bare = FileGenres(library.store, index).scores(
        make_query(library.info, [(file_outside(Path("/x.mp3")), analysis)])
    )
    assert dict(bare) == pytest.approx(shares)
    named = FileGenres(library.store, index).scores(make_query(library.info, [(outside, analysis)]))
    expected = {label: (1 - OWN_WEIGHT) * share for label, share in shares.items()}
    expected["Tango"] += OWN_WEIGHT
    assert dict(named) == pytest.approx(expected)


def test_among_tracks_that_name_no_genre_similarity_alone_ranks(library: PlantedLibrary) -> None:
    seed = len(CENTRES)
    assert library.sounds[seed].genre_tag is None
    answer = ask(library, "own", seed)
    assert answer.genre_group == "unknown"
    assert {row.tier for row in answer.results} == {0}


def test_a_label_may_be_asked_for_in_any_spelling(library: PlantedLibrary) -> None:
    rows = ask(library, "own", 1, genre="ska music").results
    assert {row.track.genre_group for row in rows} == {"SKA"}
    with pytest.raises(QueryError, match="unknown genre 'Tanog'; did you mean 'Tango'"):
        ask(library, "own", 1, genre="Tanog")


def test_the_model_s_genres_come_back(library: PlantedLibrary) -> None:
    before = ask(library, "model", 1)
    ask(library, "own", 1)
    again = ask(library, "model", 1)
    assert [row.track.id for row in again.results] == [row.track.id for row in before.results]
    assert again.genre_scores[0][0] == "rock"


def test_a_cycle_goes_through_own_genres(library: PlantedLibrary) -> None:
    library.store.set_genre_source("own")
    maker = PlaylistMaker(library.store, open_index(library.store), library.info)
    playlist = maker.cycle("tango,bossa,ska", None, PlaylistOptions(length=9))
    assert [track.genre_group for track in playlist.tracks] == ["Tango", "Bossa", "SKA"] * 3
    auto = maker.cycle(AUTO, None, PlaylistOptions(length=8))
    assert len({track.genre_group for track in auto.tracks[:4]}) == 4


def test_parts_that_sound_alike_are_alike(tmp_path: Path) -> None:
    a, b, far = np.eye(16, dtype=np.float32)[:3]
    rng = np.random.default_rng(1)
    centres = {"blues": a, "jazz": at_cosine(a, b, 0.8), "rock": far}
    sounds = [
        Sound(genre, near(centre, rng)) for genre, centre in centres.items() for _ in range(9)
    ]
    planted = PlantedLibrary(tmp_path, sounds)
    likeness = similarity_of_groups(planted.index, ["blues", "jazz", "rock", "classical"])
    assert likeness[0, 1] > likeness[0, 2] + 0.1
    np.testing.assert_allclose(likeness, likeness.T)
    assert likeness[3].tolist() == [0.0] * 4


def test_a_model_without_styles_cannot_sort(tmp_path: Path) -> None:
    info = replace(make_info(tags=("chill", "rock")), name="moody")
    planted = PlantedLibrary(tmp_path, [Sound("jazz", unit([1] * 16))], info)
    planted.store.set_genre_source("tags")
    with pytest.raises(QueryError, match=r"moody .* has 2 tags, 1 of them styles"):
        Recommender(planted.store, planted.index, planted.info)


# Scores of the model's genres: smoothing by the confusion matrix

INFO = make_info()

weights = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01)


def normalised(row: list[float]) -> np.ndarray:
    return np.array(row) / sum(row)


def test_scores_are_the_blend_of_probability_and_confusion() -> None:
    p = np.array([0.1, 0.6, 0.25, 0.05], np.float32)
    expected = (1 - SMOOTHING) * p + SMOOTHING * p @ INFO.confusion
    scores = genre_scores(INFO, p)
    assert [genre for genre, _ in scores] == ["classical", "jazz", "blues", "rock"]
    for genre, score in scores:
        assert score == pytest.approx(expected[LABELS.index(genre)], abs=1e-6)


def test_a_certain_query_gets_its_order_from_the_confusion() -> None:
    scores = genre_scores(INFO, np.array([0, 0, 0, 1], np.float32))
    assert [genre for genre, _ in scores] == ["rock", "blues", "jazz", "classical"]


def test_the_most_probable_genre_stays_first_when_smoothing_lifts_another() -> None:
    # Everything that is blues is mostly called rock, so the blend alone would put rock first.
    confusion = [[0.1, 0, 0, 0.9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    info = make_info(confusion=confusion)
    p = np.array([0.45, 0.0, 0.15, 0.40], np.float32)
    blend = (1 - SMOOTHING) * p + SMOOTHING * p @ info.confusion
    assert blend[3] > blend[0]
    scores = genre_scores(info, p)
    assert [genre for genre, _ in scores] == ["blues", "rock", "jazz", "classical"]
    assert scores[0][1] == scores[1][1] == pytest.approx(blend[0], abs=1e-6)


@given(p=weights, rows=st.lists(weights, min_size=4, max_size=4))
def test_scores_hold_every_genre_never_rise_and_begin_with_the_most_probable(
    p: list[float], rows: list[list[float]]
) -> None:
    info = make_info(confusion=[normalised(row).tolist() for row in rows])
    probabilities = normalised(p).astype(np.float32)
    scores = genre_scores(info, probabilities)
    values = [score for _, score in scores]
    assert sorted(genre for genre, _ in scores) == sorted(LABELS)
    assert scores[0][0] == info.top_genre(probabilities)
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


@pytest.mark.parametrize("name", ["jazz", "Jazz", " JAZZ "])
def test_a_genre_is_found_whatever_its_case(name: str) -> None:
    assert resolve_genre(INFO, name) == "jazz"


def test_an_unknown_genre_is_named_with_the_nearest_and_all_others() -> None:
    with pytest.raises(QueryError) as caught:
        resolve_genre(INFO, "clasical")
    assert caught.value.message == "unknown genre 'clasical'; did you mean 'classical'?"
    assert all(label in caught.value.hint for label in LABELS)


@pytest.mark.parametrize("name", ["", "zydeco"])
def test_a_genre_like_no_other_is_not_guessed_at(name: str) -> None:
    with pytest.raises(QueryError) as caught:
        resolve_genre(INFO, name)
    assert caught.value.message == f"unknown genre {name!r}"
