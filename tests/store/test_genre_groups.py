"""Which labels sort the tracks: chosen at any time, followed by the index, kept by new tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import StoreError
from recsys.index.sync import open_index, save_index
from recsys.store import Store
from recsys.types import Analysis, Tags
from tests.stored import LABELS, analysed, model_info, new_library, record

INFO = replace(
    model_info("tagging"),
    thresholds=(0.65,) * len(LABELS),
    tags=("chill", "rock", "jazz"),
    tag_means=(0.0, 2.0, -2.0),
    tag_deviations=(1.0, 1.0, 1.0),
)


def analysis(genre: str, axis: int, *logits: float) -> Analysis:
    scores = (1 / (1 + np.exp(-np.array(logits)))).astype(np.float32)
    return replace(analysed(genre, axis, "tagging"), tags=scores)


def unsure(genre: str, axis: int, *logits: float) -> Analysis:
    sure = analysis(genre, axis, *logits)
    rest = 0.4 / (len(sure.probabilities) - 1)
    probabilities = np.where(sure.probabilities == sure.probabilities.max(), 0.6, rest)
    return replace(sure, probabilities=probabilities.astype(np.float32))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Of "/b", "/e" and "/f" the model is not sure: "/b" carries jazz, "/e" rock, "/f" nothing."""
    opened = new_library(tmp_path)
    opened.set_model(INFO, "{}")
    opened.write(
        [
            record("/a", analysis("rock", 0, 9, 3, -3), tags=Tags(genre_tag="Hip Hop")),
            record("/b", unsure("rock", 1, 9, 1, 0), tags=Tags(genre_tag="HipHop; Soul")),
            record("/c", analysis("jazz", 2, 9, 1, 0), tags=Tags(genre_tag="HipHop")),
            record("/d", analysis("blues", 3, 9, 3, -3)),
            record("/e", unsure("blues", 4, 9, 3, -3)),
            record("/f", unsure("blues", 5, 9, 2, -2)),
        ]
    )
    return opened


def parts(store: Store) -> list[str]:
    return [track.genre_group for track in store.all_tracks()]


BY = {
    "all": ["rock", "jazz", "jazz", "blues", "rock", "unknown"],
    "gtzan": ["rock", "rock", "jazz", "blues", "blues", "blues"],
    "own": ["HipHop", "HipHop", "HipHop", "untagged", "untagged", "untagged"],
}


def test_a_new_library_is_sorted_by_all_genres_that_the_model_knows(store: Store) -> None:
    assert store.genre_source() == "all"
    assert parts(store) == BY["all"]
    assert [track.genre for track in store.all_tracks()] == BY["gtzan"]


@pytest.mark.parametrize("source", ["own", "all", "gtzan"])
def test_the_index_follows_and_the_model_s_genre_stays(store: Store, source: str) -> None:
    save_index(store, open_index(store))
    store.set_genre_source(source)
    assert parts(store) == BY[source]
    assert [track.genre for track in store.all_tracks()] == BY["gtzan"]
    index = open_index(store)
    expected = {part: BY[source].count(part) for part in BY[source]}
    assert {part: index.count(part) for part in index.genres} == expected == store.genre_counts()


def test_the_choice_is_kept(store: Store) -> None:
    store.set_genre_source("own")
    store.close()
    with Store.open(store.path, read_only=True) as again:
        assert (again.genre_source(), parts(again)) == ("own", BY["own"])


def test_libraries_call_the_genres_of_the_head_as_they_did(store: Store) -> None:
    store.set_genre_source("gtzan")
    assert store._value("SELECT genre_source FROM library") == "model"
    assert store.genre_source() == "gtzan"
    with pytest.raises(StoreError, match="'model'"):
        store.set_genre_source("model")


def test_new_and_retagged_tracks_are_sorted_as_they_come(store: Store) -> None:
    store.set_genre_source("own")
    save_index(store, open_index(store))
    before = store.revision
    store.write([record("/e", analysis("jazz", 0, 9, 9, 9), tags=Tags(genre_tag="hip-hop"))])
    store.write([record("/d", None, tags=Tags(genre_tag="Musique Soul"))])
    store.write([record("/g", analysis("jazz", 0, 9, 9, 9), tags=Tags(genre_tag="musique soul"))])
    expected = ["HipHop"] * 3 + ["Musique Soul", "HipHop", "untagged", "Musique Soul"]
    assert parts(store) == expected
    assert store.revision > before
    assert open_index(store).count("Musique Soul") == 2
    store.set_genre_source("all")
    store.write([record("/h", unsure("rock", 0, 0, -9, 0))])
    assert parts(store)[-1] == "jazz"


def test_new_tags_of_a_file_change_nothing_where_they_do_not_sort(store: Store) -> None:
    before = store.revision
    store.write([record("/a", None, tags=Tags(genre_tag="Polka"))])
    assert store.revision == before


def test_the_commonest_spelling_names_a_genre_when_the_library_is_sorted(store: Store) -> None:
    store.set_genre_source("own")
    tags = Tags(genre_tag="hip-hop")
    store.write([record(f"/{i}", analysis("jazz", 0, 0, 0, 0), tags=tags) for i in range(5)])
    assert set(parts(store)) == {"HipHop", "untagged"}
    store.set_genre_source("own")
    assert set(parts(store)) == {"hip-hop", "untagged"}


def test_a_tag_that_is_no_text_is_sorted_alike_at_once_and_later(store: Store) -> None:
    store.set_genre_source("own")
    odd = Tags(genre_tag="Ro\udcffck")
    store.write([record("/x", analysis("jazz", 0, 0, 0, 0), tags=odd)])
    at_once = parts(store)[-1]
    store.set_genre_source("own")
    assert parts(store)[-1] == at_once != "untagged"


def test_an_unknown_source(store: Store) -> None:
    with pytest.raises(StoreError, match="'moods'"):
        store.set_genre_source("moods")
    assert store.genre_source() == "all"
