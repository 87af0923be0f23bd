"""Genre groups: all genres, those of the model's head and their scores, those of the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError
from recsys.genres import SMOOTHING, genre_scores
from recsys.index.sync import open_index
from recsys.playlists import AUTO, PlaylistMaker, PlaylistOptions
from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import make_query
from recsys.recommender.taxonomy import (
    OWN_WEIGHT,
    VOTERS,
    FileGenres,
    resolve_genre,
    similarity_of_groups,
    taxonomy_of,
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


def test_a_track_of_a_style_comes_before_those_of_its_related_genres(tmp_path: Path) -> None:
    north, east = np.eye(16, dtype=np.float32)[:2]
    info = make_info(tags=("folk", "jazz", "Ambient music", "chill"))

    def sound(cosine: float, sure: float, **strengths: float) -> Sound:
        names = ("folk", "jazz", "ambient", "chill")
        each = tuple(strengths.get(name, -1.0) for name in names)
        return Sound("blues", at_cosine(north, east, cosine), sure, strengths=each)

    sounds = [
        *(sound(1.0, 0.45, ambient=3.0, folk=2.0), sound(0.6, 0.45, ambient=2.5, chill=9.0)),
        *(sound(0.8, 0.39, folk=1.5), sound(0.7, 0.95, ambient=3.0), sound(0.65, 0.39)),
    ]
    library = PlantedLibrary(tmp_path, sounds, info)
    library.store.set_genre_source("all")
    groups = [track.genre_group for track in library.store.all_tracks()]
    assert groups == ["ambient", "ambient", "folk", "blues", "unknown"]
    recommender = Recommender(library.store, open_index(library.store), info)
    answer = recommender.similar(library.query(1))
    assert answer.genre_group == answer.genre_scores[0][0] == "ambient"
    # 0.55 of the weight is that of the styles, by softmax; blues has 0.45 of its score.
    shares = np.exp([2.0, -1.0, 3.0]) / np.exp([2.0, -1.0, 3.0]).sum()
    assert dict(answer.genre_scores)["ambient"] == pytest.approx(0.55 * shares[2], abs=1e-6)
    assert [row.track.genre_group for row in answer.results] == [
        *("folk", "blues", "ambient", "unknown")  # the first three may all be the query's
    ]
    assert [row.tier for row in answer.results][:3] == [1, 1, 1]
    only = recommender.similar(library.query(1), SimilarOptions(genre="Ambient Music"))
    assert [row.track.id for row in only.results] == [2]
    unknown = recommender.similar(library.query(5))
    assert unknown.genre_group == "unknown"
    assert {row.tier for row in unknown.results} == {0}
    assert "The genre of the query is unknown" in unknown.notes[0]


def test_two_seeds_are_both_of_their_genres(tmp_path: Path) -> None:
    info = make_info(tags=("folk", "ambient"))
    axes = np.eye(16, dtype=np.float32)
    planted = [("blues", 0.97, (0.0, 0.0)), ("jazz", 0.97, (0.0, 0.0)), ("rock", 0.5, (0.0, 3.0))]
    sounds = [Sound(g, axes[i], sure, strengths=own) for i, (g, sure, own) in enumerate(planted)]
    library = PlantedLibrary(tmp_path, sounds, info)
    library.store.set_genre_source("all")
    recommender = Recommender(library.store, open_index(library.store), info)
    answer = recommender.similar(library.query(1, 2))
    assert set(answer.tiers[0].genres) == {"blues", "jazz"}
    assert set(recommender.similar(library.query(1, 3)).tiers[0].genres) >= {"blues", "ambient"}


def test_moods_make_no_tier(library: PlantedLibrary) -> None:
    known = {label for label, _ in ask(library, "all", 1).genre_scores}
    assert known == {*LABELS, "folk"}
    with pytest.raises(QueryError, match="unknown genre 'chill'; it is a tag"):
        ask(library, "all", 1, genre="chill")


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
    before = ask(library, "gtzan", 1)
    ask(library, "own", 1)
    again = ask(library, "gtzan", 1)
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


def test_a_model_without_styles_has_the_genres_of_its_head(tmp_path: Path) -> None:
    info = replace(make_info(tags=("chill", "rock")), name="moody")
    planted = PlantedLibrary(tmp_path, [Sound("jazz", unit([1] * 16), 0.5)], info)
    planted.store.set_genre_source("all")
    assert planted.track(1).genre_group == "jazz"
    taxonomy = taxonomy_of(planted.store, planted.index, info)
    assert taxonomy.groups == LABELS


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
