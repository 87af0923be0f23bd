from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from recsys.errors import QueryError
from recsys.quality.labels import Columns, choose_labels, read_columns
from recsys.types import Tags
from tests.stored import analysed, new_library, record

Row = tuple[str, str | None, str | None]


def columns_of(folder: Path, rows: Sequence[Row]) -> Columns:
    """Return the columns of tracks given by path, artist and genre tag."""
    with new_library(folder) as store:
        store.write(
            [
                record(path, analysed("jazz"), tags=Tags(artist=artist, genre_tag=tag))
                for path, artist, tag in rows
            ]
        )
        return read_columns(store)


def by_genre(tag: str | None = None) -> list[Row]:
    return [(f"/m/{g}/{i}.mp3", f"{g} {i % 3}", tag) for g in ("blues", "rock") for i in range(6)]


def test_tags_come_first_and_spellings_are_one(tmp_path: Path) -> None:
    tags = ["Hip-Hop", "hip hop", "hip hop", "HipHop; Rap", "Jazz", "JAZZ"]
    columns = columns_of(tmp_path, [(f"/m/{i}.mp3", "A", tag) for i, tag in enumerate(tags)])
    labels = choose_labels(columns, "auto")
    assert labels.source == "tag"
    assert sorted(labels.names) == ["JAZZ", "hip hop"]
    assert [labels.names[code] for code in labels.codes] == ["hip hop"] * 4 + ["JAZZ"] * 2


def test_folders_of_several_artists_are_genres(tmp_path: Path) -> None:
    labels = choose_labels(columns_of(tmp_path, by_genre()), "auto")
    assert (labels.source, labels.names) == ("folder", ("blues", "rock"))
    assert "none of the 12 tracks has a genre tag" in labels.reason


def test_one_tag_for_all_is_passed_over(tmp_path: Path) -> None:
    labels = choose_labels(columns_of(tmp_path, by_genre("Other")), "auto")
    assert labels.source == "folder"
    assert "'Other'" in labels.reason


def test_few_tags_are_passed_over_and_can_be_asked_for(tmp_path: Path) -> None:
    rows = [*by_genre(), ("/m/rock/x.mp3", "X", "Jazz"), ("/m/rock/y.mp3", "Y", "Blues")]
    columns = columns_of(tmp_path, rows)
    assert "only 2 of 14 tracks have a genre tag" in choose_labels(columns, "auto").reason
    asked = choose_labels(columns, "tag")
    assert (asked.source, asked.labelled) == ("tag", 2)


@pytest.mark.parametrize("artist", ["A", None])
def test_folders_of_artists_are_no_genres(tmp_path: Path, artist: str | None) -> None:
    rows = [
        (f"/m/{n}/{i}.mp3", artist and f"{artist}{n}", None) for n in range(4) for i in range(3)
    ]
    labels = choose_labels(columns_of(tmp_path, rows), "auto")
    assert labels.source == "none"  # all are jazz to the model as well
    assert "their names are no genres" in labels.reason
    assert "all 12 tracks that have a genre by the model have the same one, 'jazz'" in labels.reason
    assert labels.labelled == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tag", "none of the 12 tracks has a genre tag"),
        ("model", "all 12 tracks that have a genre by the model have the same one, 'jazz'"),
    ],
)
def test_labels_that_say_nothing_are_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        choose_labels(columns_of(tmp_path, by_genre()), source)
    assert "--labels" in caught.value.hint
