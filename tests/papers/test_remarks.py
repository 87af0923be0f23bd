"""What is said beside the figures: nothing may be taken for what it is not."""

from __future__ import annotations

import pytest

from recsys.papers.comparison import (
    CAUTIONS,
    about_data,
    as_markdown,
    describe_skipped,
    mostly_unknown,
)
from recsys.papers.reproduce import Task
from tests.papers.small import classical, recipe
from tests.papers.test_comparison import NOTHING, OWN, measured, row_of, table_of

EPOCHS = [
    {"epoch": 1, "valid_loss": 0.5, "valid_accuracy": 0.8},
    {"epoch": 2, "valid_loss": 0.9, "valid_accuracy": 0.6},
]


@pytest.mark.parametrize(("epochs", "said"), [(2, True), (3, False), (9, False), (None, False)])
def test_fewer_epochs_than_the_recipes_are_told(epochs: int | None, said: bool) -> None:
    row = row_of(recipe(), measured("report", 0.5), epochs=epochs)
    assert (f"at most {epochs} epochs instead of 3" in row.note) is said
    assert "instead of" not in row_of(OWN, measured("report", 0.5), epochs=1).note


@pytest.mark.parametrize(("keep", "kept"), [("last", 0.6), ("best", 0.8)])
def test_published_figures_have_their_neighbours(keep: str, kept: float) -> None:
    training = {"epochs": 2, "keep": keep}
    published = {"test": 0.5, "valid": 0.7, "loss": 2.1, "also": ["40 fits"]}
    own = recipe(training=training, published=published)
    note = row_of(own, measured("report", 0.5, history=EPOCHS)).note
    assert f"valid {kept:.3f}; published valid 0.700" in note
    assert "loss 1.000; published loss 2.100" in note
    assert "published also: 40 fits" in note


def test_what_was_chosen_and_among_how_many_is_told() -> None:
    notes = {"chosen": {"C": 10, "kernel": "rbf"}, "fits": 40}
    assert (
        "chosen: C = 10, kernel = rbf (40 fits)"
        in row_of(OWN, measured("report", 0.5, notes=notes)).note
    )


@pytest.mark.parametrize(("unknown", "by_track"), [(0, False), (20, False), (21, True)])
def test_honest_says_where_it_knows_no_artists(unknown: int, by_track: bool) -> None:
    honest = measured("honest", 0.5, unknown_artists=unknown, n_tracks=40, n_train=30)
    table = table_of(OWN, honest)
    (row,) = table.itertuples(index=False)
    assert mostly_unknown(row.unknown_artists, row.tracks) is by_track
    assert ("honest by track only" in row.note) is by_track
    assert (f"{unknown} of 40 artists unknown" in row.note) is (unknown > 0)
    mark = " by track" if by_track else ""
    text = as_markdown(table, [])
    assert f"0.500{mark} (0.400 to 0.600, 40 tracks; learned from 30)" in text


def test_what_holds_for_every_table_stands_under_it() -> None:
    text = as_markdown(NOTHING, [])
    assert all(f"- {caution}" in text for caution in CAUTIONS)
    assert "too narrow" in text


def test_the_data_is_told_about_once() -> None:
    notes = {"data": ["uneven"], "skipped": 1, "skipped_files": [["jazz/a.wav", "is silent"]]}
    done = {
        Task(OWN, "report", "audio"): measured("report", 0.5, data="audio", notes=notes),
        Task(OWN, "honest", "audio"): measured("honest", 0.5, data="audio", notes=notes),
        Task(OWN, "report", "table"): measured(
            "report", 0.5, data="table", notes={"data": ["uneven"]}
        ),
    }
    lines = about_data(done)
    assert lines == [
        "audio: uneven",
        "audio: 1 file skipped: jazz/a.wav (is silent)",
        "table: uneven",
    ]
    text = as_markdown(NOTHING, [], done)
    assert all(f"- {line}" in text for line in lines)
    assert about_data({Task(classical(), "report", "audio"): measured("report", 0.5)}) == []


def test_of_many_skipped_files_some_are_named() -> None:
    files = [(f"{number}.wav", "is silent") for number in range(7)]
    words = describe_skipped(files)
    assert words.startswith("7 files skipped: 0.wav (is silent)")
    assert words.endswith("4.wav (is silent) and 2 more")
    assert describe_skipped([]) == ""
