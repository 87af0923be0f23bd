"""Tracks are ranked by the wishes of a phrase, in a library whose right answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.recommender import Filters, SimilarOptions
from recsys.words import LibrarySounds, WordAnswer, WordRanking, WordSearch
from tests.planted import PlantedLibrary, Sound, at_cosine, make_info, unit

TAGS = ("sad", "Mellow", "instrumental", "female vocalists", "male vocalists", "80s", "jazz")
SAD, MELLOW, INSTRUMENTAL, FEMALE, MALE, EIGHTIES, JAZZ = range(len(TAGS))


def strengths(**values: float) -> tuple[float, ...]:
    by_name = {tag.split()[0].lower(): column for column, tag in enumerate(TAGS)}
    row = [0.0] * len(TAGS)
    for name, value in values.items():
        row[by_name[name.removeprefix("the")]] = value
    return tuple(row)


def spread(number: int) -> np.ndarray:
    """Return a direction that is far from those of all other numbers."""
    return unit(np.eye(16)[number])


def planted(folder: Path, sounds: Sequence[Sound]) -> PlantedLibrary:
    return PlantedLibrary(folder, sounds, make_info(tags=TAGS))


def search(library: PlantedLibrary) -> WordSearch:
    sounds = LibrarySounds.of(library.store, library.info)
    return WordSearch(library.store, library.index, library.info, sounds)


def ask(library: PlantedLibrary, phrase: str, **options: object) -> WordAnswer:
    found = search(library)
    return found.similar(found.read(phrase), SimilarOptions(**options))  # type: ignore[arg-type]


def ids(answer: WordAnswer) -> list[int]:
    return [row.track.id for row in answer.results]


def test_a_single_tag_ranks_by_its_strength(tmp_path: Path) -> None:
    values = (0.3, 2.0, -1.0, 1.0)
    library = planted(
        tmp_path,
        [Sound("rock", spread(i), strengths=strengths(sad=v)) for i, v in enumerate(values)],
    )
    assert ids(ask(library, "sad")) == [2, 4, 1, 3]


def test_one_strong_tag_does_not_hide_a_missing_one(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), strengths=strengths(sad=3.0, mellow=-1.0)),
            Sound("rock", spread(1), strengths=strengths(sad=0.8, mellow=0.8)),
        ],
    )
    answer = ask(library, "sad and mellow")
    assert ids(answer) == [2, 1]
    # The mean, and how far the less fulfilled wish is below 1.
    assert [row.score for row in answer.results] == pytest.approx([0.8 - 0.2, 1.0 - 2.0], abs=1e-5)


def test_what_is_unwanted_counts_where_it_is_strong(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), strengths=strengths(mellow=1.5, sad=2.0)),
            Sound("rock", spread(1), strengths=strengths(mellow=1.0, sad=-2.0)),
            Sound("rock", spread(2), strengths=strengths(mellow=1.2, sad=0.9)),
        ],
    )
    assert ids(ask(library, "mellow but not sad")) == [2, 3, 1]
    # "Not too sad" leaves what is a little sad alone.
    assert ids(ask(library, "mellow, not too sad"))[0] == 3


def test_without_vocals_is_instrumental(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), strengths=strengths(instrumental=1.5, female=2.0)),
            Sound("rock", spread(1), strengths=strengths(instrumental=1.4)),
            Sound("rock", spread(2), strengths=strengths(male=1.4)),
        ],
    )
    assert ids(ask(library, "no vocals")) == [2, 1, 3]
    assert ids(ask(library, "vocals")) == [1, 3, 2]  # the strongest voice counts


def test_a_genre_is_a_tier_and_comes_first_whatever_its_tags(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), strengths=strengths(sad=3.0, jazz=3.0)),
            Sound("jazz", spread(1), strengths=strengths(sad=-1.0, jazz=1.0)),
            Sound("jazz", spread(2), strengths=strengths(sad=1.0, jazz=1.0)),
        ],
    )
    answer = ask(library, "sad jazz")
    assert ids(answer) == [3, 2, 1]
    assert [row.tier for row in answer.results] == [1, 1, 2]
    assert [tier.genres for tier in answer.tiers] == [("jazz",), ()]
    # Without one there are no tiers.
    assert [row.tier for row in ask(library, "sad").results] == [0, 0, 0]


def test_the_strategy_similarity_has_no_tiers(tmp_path: Path) -> None:
    sounds = [
        Sound("rock", spread(0), strengths=strengths(sad=3.0, jazz=3.0)),
        Sound("jazz", spread(1), strengths=strengths(sad=-1.0, jazz=1.0)),
    ]
    library = planted(tmp_path, sounds)
    assert ids(ask(library, "sad jazz")) == [2, 1]
    answer = ask(library, "sad jazz", strategy="similarity")
    assert ids(answer) == [1, 2]
    assert [tier.kind for tier in answer.tiers] == ["similarity"]


def test_years_that_nothing_tells_do_not_count(tmp_path: Path) -> None:
    library = planted(
        tmp_path, [Sound("rock", spread(i), strengths=strengths(sad=i)) for i in range(3)]
    )
    answer = ask(library, "sad, from 2015")
    assert ids(answer) == [3, 2, 1]
    assert answer.notes[0] == "2015 does not count: no file has a year, and the model no tag for it"
    with pytest.raises(QueryError, match="2015 does not count"):
        ask(library, "2015")


def test_a_genre_that_the_model_has_no_tag_for(tmp_path: Path) -> None:
    library = planted(
        tmp_path, [Sound(genre, spread(i)) for i, genre in enumerate(("rock", "blues"))]
    )
    assert ids(ask(library, "blues")) == [2, 1]
    assert ids(ask(library, "no blues")) == [1, 2]


def test_years_of_the_files_decide_and_else_the_tag(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), year=1991, strengths=strengths(the80s=3.0)),
            Sound("rock", spread(1), year=1984, strengths=strengths(the80s=-3.0)),
            Sound("rock", spread(2), strengths=strengths(the80s=1.5)),
            Sound("rock", spread(3), strengths=strengths(the80s=-1.0)),
        ],
    )
    answer = ask(library, "from the 80s")
    assert ids(answer) == [2, 3, 1, 4]
    assert answer.results[0].score == pytest.approx(2.0)
    assert ids(ask(library, "1991"))[0] == 1
    assert ids(ask(library, "not from the 80s"))[0] == 4  # the year 1991 is two from the 80s
    assert ids(ask(library, "80s or 1991"))[:2] == [1, 2]


def test_a_name_pulls_what_is_near_it(tmp_path: Path) -> None:
    centre = spread(0)
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(5), strengths=strengths(mellow=2.0)),
            Sound("rock", at_cosine(centre, spread(6), 0.7), strengths=strengths(mellow=1.5)),
            Sound("rock", centre, artist="Zsa Zsa", title="One"),
            Sound("rock", at_cosine(centre, spread(7), 0.9), artist="Zsa Zsa", title="Two"),
        ],
    )
    assert set(ids(ask(library, "zsa zsa"))[:2]) == {3, 4}
    assert ids(ask(library, "zsa zsa but more mellow"))[0] == 2
    assert set(ids(ask(library, "mellow, not zsa zsa"))) == {1, 2}


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("two moons", "like Two Moons"),
        ('"two moons"', "like Two Moons"),
        ("the mond", "like Mond"),
        ("sad mond", "sad, like Mond"),
        ("moons", "like titles with 'moons'"),
        ("moon", "nothing; not understood: moon"),
    ],
)
def test_names_of_the_library_are_found(tmp_path: Path, phrase: str, said: str) -> None:
    library = planted(tmp_path, [Sound("rock", spread(0), artist="Mond", title="Two Moons")])
    assert str(search(library).read(phrase)) == said


def test_options_hold(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound(
                *("rock", spread(0)),
                artist="A",
                duration_s=100.0,
                strengths=strengths(sad=2.0, mellow=2.0),
            ),
            Sound("rock", spread(1), artist="A", strengths=strengths(sad=1.9)),
            Sound("jazz", spread(2), artist="B", strengths=strengths(sad=1.8)),
            Sound("rock", spread(0), duration_s=100.0, strengths=strengths(sad=1.7)),
        ],
    )
    assert ids(ask(library, "sad", k=2)) == [1, 2]
    assert ids(ask(library, "sad", max_per_artist=1)) == [1, 3]
    assert ids(ask(library, "sad", genre="jazz")) == [3]
    answer = ask(library, "sad", tags=("mellow",))
    assert (ids(answer), answer.filtered["tag"]) == ([1], 3)
    assert ids(ask(library, "sad", show_duplicates=True)) == [1, 2, 3, 4]


def test_seeds_give_the_tracks_that_words_rank(tmp_path: Path) -> None:
    centre = spread(0)
    library = planted(
        tmp_path,
        [
            Sound("rock", centre, strengths=strengths(sad=3.0)),
            Sound("rock", at_cosine(centre, spread(6), 0.6), strengths=strengths(sad=-1.0)),
            Sound("rock", at_cosine(centre, spread(7), 0.6), strengths=strengths(sad=1.0)),
            Sound("rock", spread(5), strengths=strengths(sad=1.2)),
        ],
    )
    found = search(library)
    answer = found.similar(found.read("sad"), SimilarOptions(), library.query(1))
    assert ids(answer) == [3, 4, 2]  # not the seed itself
    similar = {row.track.id: row.similarity for row in answer.results}
    assert similar[3] == pytest.approx(0.6, abs=0.01)


def test_equal_scores_come_by_id_and_the_reasons_name_every_wish(tmp_path: Path) -> None:
    library = planted(
        tmp_path, [Sound("rock", spread(i), strengths=strengths(sad=1.0)) for i in range(3)]
    )
    found = search(library)
    answer = found.similar(found.read("sad, no female voice"), SimilarOptions(), explain=True)
    assert ids(answer) == [1, 2, 3]
    assert answer.results[0].reasons == (
        *("fits: sad, without female voice", "score 1.00"),
        *("sad +1.0", "without female voice +1.0"),
    )


def test_it_is_shown_with_its_reading(tmp_path: Path) -> None:
    answer = ask(planted(tmp_path, [Sound("rock", spread(0), title="<b>")]), "sad zither")
    assert repr(answer) == "<WordAnswer: 1 track, read as: sad; not understood: zither>"
    assert "Read as: sad; not understood: zither" in answer._repr_html_()
    assert "<b>" not in answer._repr_html_()


def test_a_phrase_is_a_text(tmp_path: Path) -> None:
    library = planted(tmp_path, [Sound("rock", spread(0))])
    with pytest.raises(QueryError, match="words must be a text, got 80"):
        search(library).read(80)  # type: ignore[arg-type]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [Sound("rock", spread(i), strengths=strengths(sad=-v)) for i, v in enumerate((0, 3))],
    )
    answer = ask(library, "sad")
    assert (
        answer.notes[-1] == "2 of these 2 tracks do not fit the words: their scores are below -0.5"
    )
    found = search(library)
    with pytest.raises(QueryError, match=r"no track of .* fits 'sad', read as: sad"):
        next(found.candidates(found.read("sad")))


def test_nothing_understood_is_an_error(tmp_path: Path) -> None:
    library = planted(tmp_path, [Sound("rock", spread(0))])
    with pytest.raises(QueryError, match="nothing was understood of 'zither'"):
        ask(library, "zither")


def test_a_model_without_tags_is_an_error(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("rock", spread(0))])
    with pytest.raises(QueryError, match="has no tags, and words need them"):
        LibrarySounds.of(library.store, library.info)


def test_the_score_is_that_of_a_loop_over_the_tracks(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(12, len(TAGS)))
    library = planted(
        tmp_path, [Sound("rock", spread(i), strengths=tuple(row)) for i, row in enumerate(rows)]
    )
    found = search(library)
    reading = found.read("very sad and a little mellow, not female")
    sounds = LibrarySounds.of(library.store, library.info)
    ranking = WordRanking(sounds, library.index, library.info, reading)
    for row, score in zip(rows, ranking.scores, strict=True):
        wishes = [(row[SAD], 1.5), (row[MELLOW], 0.5), (1 - max(row[FEMALE], 0), 1.0)]
        clipped = [(min(max(value, -3), 3), weight) for value, weight in wishes]
        mean = sum(v * w for v, w in clipped) / 3.0
        assert score == pytest.approx(mean + min(0, *(v - w for v, w in clipped)), abs=1e-4)


def test_filters_hold(tmp_path: Path) -> None:
    library = planted(
        tmp_path,
        [
            Sound("rock", spread(0), artist="A", strengths=strengths(sad=2.0)),
            Sound("rock", spread(1), artist="B", strengths=strengths(sad=1.5)),
        ],
    )
    answer = ask(library, "sad", filters=Filters(not_artists=("a",)))
    assert (ids(answer), answer.filtered) == ([2], {"not_artist": 1})


def test_all_but_an_artist_can_be_asked_for(tmp_path: Path) -> None:
    sounds = [Sound("rock", spread(i), artist=name) for i, name in enumerate(("Ann", "Ben", "Ann"))]
    library = planted(tmp_path, sounds)
    answer = ask(library, 'not "Ann"')
    assert (ids(answer), answer.results[0].score) == ([2], 1.0)


def test_a_title_that_is_named_comes_before_its_nearest(tmp_path: Path) -> None:
    centre = spread(0)
    sounds = [
        Sound("rock", at_cosine(centre, spread(1), cosine), artist=f"A{i}", title=f"T{i}")
        for i, cosine in enumerate((0.99, 0.85, 0.9, 0.1))
    ]
    library = planted(tmp_path, [*sounds, Sound("rock", centre, artist="Zed", title="Qumran")])
    assert ids(ask(library, "qumran", show_duplicates=True)) == [5, 1, 3, 2, 4]


def test_one_year_that_is_unwanted_is_not_told_by_the_tag_of_its_decade(tmp_path: Path) -> None:
    sounds = [
        Sound("rock", spread(0), strengths=strengths(the80s=2.0)),
        Sound("rock", spread(1), strengths=strengths(the80s=-1.0)),
    ]
    answer = ask(planted(tmp_path, sounds), "80s but not 1985")
    assert ids(answer) == [1, 2]
    assert answer.results[0].score >= 1
