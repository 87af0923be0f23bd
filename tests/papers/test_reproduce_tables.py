"""Recipes over the public feature table, measured on it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys.papers.features import COLUMNS
from recsys.papers.measure import Measurement
from recsys.papers.reproduce import ReproduceOptions, Reproduction
from tests.papers.many import NEIGHBOURS, named, run
from tests.papers.small import classical, planted

TABLE = named("table", classical(features={"kind": "public-table"}))


@pytest.fixture
def feature_table(tmp_path: Path) -> Path:
    """One row a track, as in the public table of 30 s."""
    data = planted((len(COLUMNS),), per_track=1)
    path = tmp_path / "features.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *COLUMNS, "label"])
        for row, track in zip(data.inputs, data.tracks, strict=True):
            number = int(track.key.rpartition(".")[2])
            writer.writerow([f"{track.genre}.{number:05d}.wav", *row.tolist(), track.genre])
    return path


def test_recipes_over_the_table_are_measured_on_it_too(
    options: ReproduceOptions, decoded: list[Any], feature_table: Path
) -> None:
    both = replace(options, table=feature_table)
    tasks = [task.name for task in Reproduction([NEIGHBOURS, TABLE], both).tasks]
    assert tasks == [
        *("neighbours.audio.report", "neighbours.audio.honest", "table.audio.report"),
        *("table.audio.honest", "table.table.report", "table.table.honest"),
    ]
    alone = replace(both, directories=())
    found = run([NEIGHBOURS, TABLE], alone)
    assert [one[:2] for one in found] == [("table", "report"), ("table", "honest")]
    report = found[0][2]
    assert isinstance(report, Measurement)
    assert report.data == "public feature table, 24 tracks, 3 genres"
    assert report.test["accuracy"] == 1.0
    assert decoded == []


@pytest.mark.parametrize("what", ["table", "artists"])
def test_a_table_of_the_same_size_with_other_content_is_another(
    what: str, options: ReproduceOptions, feature_table: Path, tmp_path: Path
) -> None:
    artists = tmp_path / "artists.csv"
    artists.write_text("track,artist\njazz/jazz.00001,A\n")
    own = replace(options, directories=(), table=feature_table, artists=artists)
    assert len(run([TABLE], own)) == 2
    assert run([TABLE], own) == []
    path = {"table": feature_table, "artists": artists}[what]
    text = path.read_text()
    # A digit of the last row: the columns keep their names.
    other = text.replace(",A", ",B") if what == "artists" else "2".join(text.rsplit("1", 1))
    assert len(other) == len(text)
    assert other != text
    path.write_text(other)
    assert len(run([TABLE], own)) == 2


def test_a_recipe_of_some_genres_uses_those_of_the_table_alone(
    options: ReproduceOptions, feature_table: Path
) -> None:
    two = named("two", classical(features={"kind": "public-table"}, genres=["jazz", "rock"]))
    found = run([two], replace(options, directories=(), table=feature_table))
    honest = found[1][2]
    assert isinstance(honest, Measurement)
    assert honest.data == "public feature table, 16 tracks, 2 genres"
    assert list(honest.test["per_genre"]) == ["jazz", "rock"]
