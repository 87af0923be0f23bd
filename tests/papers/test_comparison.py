"""The table and the page of a reproduction: only what was measured is compared."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.papers.comparison import (
    CAUTIONS,
    FIELDS,
    about_data,
    as_markdown,
    compare,
    describe_skipped,
    genre_rows,
    kinds_picture,
    mostly_unknown,
    overfit_picture,
    write_page,
)
from recsys.papers.measure import Measurement
from recsys.papers.recipe import Recipe, load_recipe
from recsys.papers.reproduce import FailedMeasurement, Task
from tests.papers.small_recipes import classical, recipe


def measured(way: str, accuracy: float, **changes: Any) -> Measurement:
    whole = {
        "recipe": "x",
        "data": "audio, 24 tracks, 3 genres",
        "way": way,
        "protocol": "random" if way == "report" else "by-artist",
        "leaky": False,
        "split": "described",
        "unit": "track",
        "test": {"accuracy": accuracy, "n": 40, "interval": [accuracy - 0.1, accuracy + 0.1]},
        "loss": 1.0,
        "train_accuracy": 0.99,
        "folds": 1,
        "seed": 3,
        "minutes": 1.5,
        "notes": {},
        "history": [],
        "n_train": 30,
        "n_tracks": 60,
        "unknown_artists": 0,
    }
    return Measurement(**{**whole, **changes})


def table_of(
    own: Recipe,
    *measurements: Measurement,
    failures: tuple[str, ...] = (),
    weights: str = "published",
    quick: bool = False,
    epochs: int | None = None,
) -> pd.DataFrame:
    done = {Task(own, one.way, "audio"): one for one in measurements}
    failed = [FailedMeasurement(Task(own, way, "audio"), "it broke", "mend it") for way in failures]
    return compare(done, failed, weights=weights, quick=quick, epochs=epochs)


def row_of(own: Recipe, *measurements: Measurement, **how: Any) -> Any:
    (row,) = table_of(own, *measurements, **how).itertuples(index=False)
    return row


NOTHING = compare({}, [], weights="published", quick=False)
OWN = classical(published={"test": 0.7, "train": 0.998})
OWN_TASK = Task(OWN, "report", "audio")


def test_both_protocols_stand_next_to_the_published_figure() -> None:
    row = row_of(OWN, measured("report", 0.75), measured("honest", 0.6))
    assert (row.published, row.report, row.honest) == (0.7, 0.75, 0.6)
    assert (row.report_n, row.report_low, row.report_high) == (40, 0.65, 0.85)
    assert (row.honest_low, row.honest_high) == (0.5, 0.7)
    assert (row.seed, row.minutes, row.leaky) == (3, 3.0, False)
    assert "train 0.990" in row.note
    assert "published train 0.998" in row.note


def test_of_several_seeds_the_median_is_shown_and_their_range() -> None:
    own = recipe(published={"test": 0.7})
    done = {
        Task(own, way, "audio", seed): measured(way, accuracy, seed=seed)
        for way, accuracies in {"report": (0.477, 0.663, 0.709), "honest": (0.5, 0.3)}.items()
        for seed, accuracy in enumerate(accuracies)
    }
    (row,) = compare(done, [], weights="published", quick=False).itertuples(index=False)
    assert (row.report, row.report_least, row.report_most) == (0.663, 0.477, 0.709)
    assert row.report_low == pytest.approx(0.563)  # of the seed that is shown
    assert (row.honest, row.honest_least, row.honest_most) == (0.3, 0.3, 0.5)  # of two the lesser
    assert row.minutes == pytest.approx(5 * 1.5)
    text = as_markdown(compare(done, [], weights="published", quick=False), [])
    assert "learned from 30; 3 seeds: 0.477 to 0.709)" in text
    one = row_of(own, measured("report", 0.6))
    assert (one.report, one.report_least, one.report_seeds) == (0.6, None, None)


def test_leaks_are_marked() -> None:
    leaky = measured("report", 0.9, leaky=True, unit="segment")
    table = table_of(OWN, leaky, measured("honest", 0.6))
    assert table["leaky"].all()
    text = as_markdown(table, [])
    assert "0.900 leaky (0.800 to 1.000, 40 segments; learned from 30)" in text
    assert "0.600 (0.500 to 0.700, 40 tracks; learned from 30)" in text


def test_a_missing_way_is_not_measured() -> None:
    table = table_of(OWN, measured("report", 0.75), failures=("honest",))
    (row,) = table.itertuples(index=False)
    assert row.report == 0.75
    assert row.honest is None
    assert "could not be run, artist-grouped: it broke" in row.note
    assert as_markdown(table, []).count("not measured") == 1


def test_a_reason_is_reported_once() -> None:
    row = row_of(OWN, failures=("report", "honest"))
    assert row.note.count("it broke") == 1
    assert "paper protocol and artist-grouped: it broke" in row.note
    assert row.seed is None
    assert row.minutes is None


@pytest.mark.parametrize("name", ["vgg16-transfer", "alexnet-transfer"])
def test_random_weights_in_the_place_of_trained_ones_measure_nothing(name: str) -> None:
    own = load_recipe(name)
    pair = measured("report", 0.3), measured("honest", 0.2)
    row = row_of(own, *pair, weights="random")
    assert row.report is row.honest is row.report_n is None
    assert "not measured: needs the ImageNet weights" in row.note
    assert "ran to the end without (paper protocol 0.300, artist-grouped 0.200)" in row.note
    assert row_of(own, *pair).report == 0.3


def test_random_weights_do_not_matter_where_none_are_wanted() -> None:
    assert row_of(OWN, measured("report", 0.75), weights="random").report == 0.75


def test_a_report_about_mixed_songs_is_compared_with_mixed_songs_alone() -> None:
    own = load_recipe("multi-genre")
    plain = measured("report", 0.9)
    row = row_of(own, plain)
    assert row.report is None
    assert "not measured: needs the report's 50 songs" in row.note
    mixed = {"n": 50, "accuracy": 0.38, "interval": [0.26, 0.52], "given": {}}
    row = row_of(own, replace(plain, notes={"mixed": mixed}))
    assert (row.report, row.report_n, row.report_low) == (0.38, 50, 0.26)
    assert "songs of several genres; 40 tracks of one: 0.900" in row.note
    row = row_of(own, replace(plain, notes={"mixed": mixed}), weights="random")
    assert row.report is None


def test_a_quick_run_says_that_it_measures_nothing() -> None:
    assert row_of(OWN, measured("report", 0.7), quick=True).note.startswith("quick run")


def test_the_overfit_check_is_noted() -> None:
    check = {"tracks": 9, "segments": 27, "accuracy": 1.0, "epochs": 12}
    row = row_of(recipe(), measured("report", 0.7, notes={"memorised": check}))
    assert "overfit check: 27 segments learned to 1.000 in 12 epochs" in row.note


def test_rows_stand_report_by_report_wherever_they_failed() -> None:
    svm, variant, ann = (load_recipe(name) for name in ("svm-36", "table-1:svm", "ann"))
    own = OWN.model_copy(update={"name": "mine"})
    done = {
        Task(own, "report", "audio"): measured("report", 0.5),
        Task(ann, "report", "audio"): measured("report", 0.5),
        Task(variant, "report", "table"): measured("report", 0.5),
    }
    failures = [FailedMeasurement(Task(svm, "report", "audio"), "it broke", "")]
    rows = compare(done, failures, weights="published", quick=False)
    assert list(rows["recipe"]) == ["svm-36", "table-1:svm", "ann", "mine"]


def test_audio_and_table_are_rows_of_their_own() -> None:
    done = {
        Task(OWN, "report", source): measured("report", 0.5, data=source)
        for source in ("audio", "table")
    }
    rows = compare(done, [], weights="published", quick=False)
    assert list(rows["data"]) == ["audio", "table"]


def test_csv_and_json_hold_every_field() -> None:
    table = table_of(OWN, measured("report", 0.75), measured("honest", 0.6, n_train=30))
    (line,) = csv.DictReader(io.StringIO(table.to_csv(index=False)))
    (record,) = table.to_dict("records")
    assert tuple(line) == tuple(record) == FIELDS
    assert line == {name: "" if v is None else str(v) for name, v in record.items()}
    assert json.loads(json.dumps(record)) == record
    assert (record["report_n"], record["honest_train"], record["leaky"]) == (40, 30, False)


def test_markdown_keeps_its_columns_whatever_a_note_holds() -> None:
    table = table_of(OWN, measured("report", 0.7)).assign(note="a | b\nc", data="x | y")
    lines = as_markdown(table, [OWN]).splitlines()
    shown = [line for line in lines if line.startswith("|")]
    assert len(shown) == 3
    assert {line.replace("\\|", "").count("|") for line in shown} == {9}


def test_markdown_lists_the_readings_of_the_reports() -> None:
    text = as_markdown(NOTHING, [load_recipe("svm-36")])
    assert "- `svm-36`: Table II lists C" in text


# Notes next to the figures.


EPOCHS = [
    {"epoch": 1, "valid_loss": 0.5, "valid_accuracy": 0.8},
    {"epoch": 2, "valid_loss": 0.9, "valid_accuracy": 0.6},
]


@pytest.mark.parametrize(("epochs", "said"), [(2, True), (3, False), (9, False), (None, False)])
def test_fewer_epochs_than_the_recipes_are_reported(epochs: int | None, said: bool) -> None:
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


def test_what_was_chosen_and_among_how_many_is_reported() -> None:
    notes = {"chosen": {"C": 10, "kernel": "rbf"}, "fits": 40}
    assert (
        "chosen: C = 10, kernel = rbf (40 fits)"
        in row_of(OWN, measured("report", 0.5, notes=notes)).note
    )


@pytest.mark.parametrize(("unknown", "by_track"), [(0, False), (20, False), (21, True)])
def test_artist_grouped_figures_count_unknown_artists(unknown: int, by_track: bool) -> None:
    grouped = measured("honest", 0.5, unknown_artists=unknown, n_tracks=40, n_train=30)
    table = table_of(OWN, grouped)
    (row,) = table.itertuples(index=False)
    assert mostly_unknown(row.unknown_artists, row.tracks) is by_track
    assert ("grouped by track only" in row.note) is by_track
    assert (f"{unknown} of 40 artists unknown" in row.note) is (unknown > 0)
    mark = " by track" if by_track else ""
    text = as_markdown(table, [])
    assert f"0.500{mark} (0.400 to 0.600, 40 tracks; learned from 30)" in text


def test_what_holds_for_every_table_stands_under_it() -> None:
    text = as_markdown(NOTHING, [])
    assert all(f"- {caution}" in text for caution in CAUTIONS)
    assert "whole artists" in text


def test_the_data_is_described_once() -> None:
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


# The page.


WITH_GENRES = classical(
    published={"test": 0.5, "per_genre": {"jazz": {"precision": 0.4, "recall": 0.6, "f1": 0.48}}}
)


def told(recall: float, way: str = "report", **notes: Any) -> Measurement:
    genres = {"jazz": {"precision": 0.5, "recall": recall, "f1": 0.33}}
    test = {"accuracy": 0.5, "n": 40, "interval": [0.4, 0.6], "per_genre": genres}
    return measured(way, 0.5, test=test, notes=notes)


def page(folder: Path, done: dict[Task, Measurement], recipe: Recipe, **how: Any) -> str:
    how = {"weights": "published", "quick": False, **how}
    rows = compare(done, [], **how)
    return write_page(folder, rows, [recipe], done, **how).read_text()


def test_audio_and_table_have_genres_of_their_own() -> None:
    done = {
        Task(WITH_GENRES, "report", "audio"): told(0.25),
        Task(WITH_GENRES, "report", "table"): told(0.75),
        Task(WITH_GENRES, "honest", "table"): told(0.65, "honest"),
    }
    audio, table = genre_rows(done, weights="published")
    assert (audio["source"], audio["report"], audio["honest"]) == ("audio", (0.5, 0.25, 0.33), None)
    assert (table["source"], table["report"][1], table["honest"][1]) == ("table", 0.75, 0.65)
    assert table["published"] == (0.4, 0.6, 0.48)


def test_random_weights_in_the_place_of_trained_ones_have_no_genres() -> None:
    own = load_recipe("vgg16-transfer").model_copy(update={"published": WITH_GENRES.published})
    done = {Task(own, "report", "audio"): told(0.25)}
    assert genre_rows(done, weights="random") == []
    assert len(genre_rows(done, weights="published")) == 1


def test_the_page_has_genres_with_f1_cautions_and_the_data(tmp_path: Path) -> None:
    done = {
        Task(WITH_GENRES, "report", "audio"): told(
            0.25, data=["uneven <genres>"], skipped=1, skipped_files=[["jazz/a.wav", "is silent"]]
        )
    }
    text = page(tmp_path, done, WITH_GENRES)
    assert "0.50 / 0.25 / 0.33" in text
    assert "0.40 / 0.60 / 0.48" in text
    assert "whole artists" in text
    assert "uneven &lt;genres&gt;" in text
    assert "jazz/a.wav (is silent)" in text


def test_a_quick_run_has_no_genres(tmp_path: Path) -> None:
    done = {Task(WITH_GENRES, "report", "audio"): told(0.25)}
    assert "Per genre" in page(tmp_path, done, WITH_GENRES)
    assert "Per genre" not in page(tmp_path, done, WITH_GENRES, quick=True)


def test_an_overfit_check_has_a_curve() -> None:
    check = {"tracks": 9, "segments": 27, "accuracy": 1.0, "epochs": 3, "curve": [0.2, 0.7, 1.0]}
    done = {
        Task(recipe(), "report", "audio"): measured("report", 0.5, notes={"memorised": check}),
        Task(recipe(), "honest", "audio"): measured("honest", 0.5),
    }
    picture = overfit_picture(done)
    assert picture is not None
    (line,) = picture.figure.axes[0].lines
    assert line.get_ydata().tolist() == [0.2, 0.7, 1.0]
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert overfit_picture({OWN_TASK: measured("report", 0.5)}) is None


def test_kinds_of_images_are_compared_on_validation() -> None:
    done = {
        Task(load_recipe(name), "report", "audio"): measured(
            "report", 0.5, history=[{"epoch": 1, "valid_accuracy": best}, {"epoch": 2}]
        )
        for name, best in (("ann", 0.4), ("ann:centroid", 0.3), ("ann:chroma", 0.2), ("prcnn", 0.6))
    }
    picture = kinds_picture(done)
    assert picture is not None
    (axes,) = picture.figure.axes
    assert axes.get_title() == "ann"
    assert [text.get_text() for text in axes.get_legend().texts] == ["mel", "centroid", "chroma"]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.4], [0.3], [0.2]]
    assert kinds_picture({OWN_TASK: measured("report", 0.5)}) is None
