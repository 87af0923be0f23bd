"""What an explanation says of a pair, on libraries in which the right answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.explanations import DRAWN, Explanation, Origin, draw_sample, percent
from recsys.types import FloatArray
from tests.planted import PlantedLibrary, Sound, at_cosine, scattered, unit

PLAIN = Explanation("rock", 1, 0.9, 0.8, 0.5)


def explained(library: PlantedLibrary, track_id: int, k: int = 20) -> dict[int, Explanation]:
    """Return the explanations of an answer by the number of the recommended track."""
    ask = Recommender(library.store, library.index, library.info)
    options = SimilarOptions(k=k, strategy="similarity", show_duplicates=True)
    answer = ask.similar(library.query(track_id), options)
    rows = zip(answer.results, ask.explain(answer), strict=True)
    return {row.track.id: explanation for row, explanation in rows}


def random_sounds(number: int, seed: int, dimension: int = 16) -> list[Sound]:
    rows = np.random.default_rng(seed).standard_normal((number, dimension))
    return [Sound("jazz", unit(row), artist=f"A {i}") for i, row in enumerate(rows)]


def test_same_artist_and_album_are_named(tmp_path: Path) -> None:
    north, east = np.eye(16, dtype=np.float32)[:2]
    sounds = [
        Sound("jazz", north, artist="Nina", album="Live"),
        Sound("jazz", at_cosine(north, east, 0.9), artist="NINA", album="Late"),
        Sound("jazz", at_cosine(north, east, 0.8), artist="Nina", album="live"),
        Sound("jazz", at_cosine(north, east, 0.7), artist="Ella", album="Live"),
        Sound("jazz", at_cosine(north, east, 0.6)),
        Sound("jazz", at_cosine(north, east, 0.5), artist="Ella, Nina & Max"),
    ]
    said = explained(PlantedLibrary(tmp_path, sounds), 1)
    origins = {number: own.origin for number, own in said.items()}
    assert origins.pop(6) == Origin.ARTIST
    assert origins == {2: Origin.ARTIST, 3: Origin.ALBUM, 4: Origin.ANOTHER, 5: Origin.UNKNOWN}
    assert [said[number].sentences()[0] for number in (2, 3, 4, 5)] == [
        "also jazz, sounds very close, the same artist",
        "also jazz, sounds close, the same album",
        "also jazz, sounds close, another artist",
        "also jazz, sounds close",
    ]


def test_the_genre_of_a_track_comes_with_its_own_probability(tmp_path: Path) -> None:
    north, east = np.eye(16, dtype=np.float32)[:2]
    sounds = [
        Sound("jazz", north),
        Sound("jazz", at_cosine(north, east, 0.5), sure=0.6),
        Sound("rock", at_cosine(north, east, 0.3), sure=0.45),
    ]
    said = explained(PlantedLibrary(tmp_path, sounds), 1)
    assert said[2].sentences()[0] == "also jazz, sounds similar"
    assert said[2].sentences()[2].endswith("for jazz; itself 60% jazz")
    assert said[3].sentences()[0] == "rock, another genre, sounds a little similar"
    assert said[3].sentences()[2].endswith("for rock; itself 45% rock")


def test_closer_than_is_the_share_of_pairs_where_the_whole_library_is_drawn(
    tmp_path: Path,
) -> None:
    library = PlantedLibrary(tmp_path, random_sounds(60, seed=1))
    vectors = np.array([sound.embedding for sound in library.sounds.values()])
    pairs = [float(vectors[i] @ vectors[j]) for i in range(60) for j in range(i)]
    for own in explained(library, 7).values():
        assert own.closer_than is not None
        below = np.mean([pair < own.similarity - 1e-5 for pair in pairs])
        at_most = np.mean([pair < own.similarity + 1e-5 for pair in pairs])
        assert below <= own.closer_than <= at_most


def star(number: int) -> tuple[FloatArray, list[Sound]]:
    """Return a hub and tracks around it, each nearer to the hub than to any other."""
    hub, *axes = np.eye(number + 1, dtype=np.float32)
    return hub, [Sound("jazz", hub), *(Sound("jazz", at_cosine(hub, own, 0.6)) for own in axes)]


def test_the_middle_of_a_star_turns_up_in_many_lists(tmp_path: Path) -> None:
    info = replace(PlantedLibrary(tmp_path / "x", []).info, dimension=61)
    library = PlantedLibrary(tmp_path, star(60)[1], info)
    said = explained(library, 2, k=60)
    assert said[1].near_share == 1.0
    (sentence,) = (own for own in said[1].sentences() if "lists" in own)
    assert sentence.startswith("turns up in many lists: near 99.9% of the library")


def test_the_track_that_is_like_no_other_turns_up_in_few_lists(tmp_path: Path) -> None:
    away = -unit(np.ones(16))
    rng = np.random.default_rng(3)
    crowd = [Sound("jazz", unit(-away + 0.1 * rng.standard_normal(16))) for _ in range(60)]
    library = PlantedLibrary(tmp_path, [*crowd, Sound("jazz", away)])
    said = explained(library, 1, k=60)
    assert said[61].near_share == 0.0
    assert "turns up in few lists" in said[61].sentences()


def test_a_small_library_is_compared_with_nothing(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(10, np.random.default_rng(0)))
    for own in explained(library, 1).values():
        assert own.closer_than is None
        assert own.near_share is None
        assert not any("library" in sentence for sentence in own.sentences())


def test_only_tracks_that_are_there_are_drawn_and_always_the_same(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, random_sounds(400, seed=2))
    gone = list(range(1, 200))
    library.store.write([], removed=gone)
    library.index.remove(gone)
    sample, again = (draw_sample(library.store, library.index) for _ in range(2))
    drawn = set(sample._ids.tolist())
    assert len(drawn) == DRAWN
    assert drawn <= set(range(200, 401))
    assert drawn == set(again._ids.tolist())


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "few lists"), (0.03, "about as often as most"), (0.08, "near 8% of the library")],
)
def test_words_for_how_often_a_track_turns_up(share: float, words: str) -> None:
    assert words in replace(PLAIN, near_share=share, usual_share=0.025).sentences()[-1]


@pytest.mark.parametrize(("share", "text"), [(0.0004, "0.1%"), (0.5, "50%"), (0.99999, "99.9%")])
def test_percentages(share: float, text: str) -> None:
    assert percent(share) == text
