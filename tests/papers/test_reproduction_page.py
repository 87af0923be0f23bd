"""The page of a reproduction: only what was measured stands beside what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recsys.papers.comparison import compare, genre_rows, write_page
from recsys.papers.measure import Measurement
from recsys.papers.recipe import Recipe, load_recipe
from recsys.papers.reproduce import Task
from tests.papers.small import classical
from tests.papers.test_comparison import measured

OWN = classical(
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
        Task(OWN, "report", "audio"): told(0.25),
        Task(OWN, "report", "table"): told(0.75),
        Task(OWN, "honest", "table"): told(0.65, "honest"),
    }
    audio, table = genre_rows(done, weights="published")
    assert (audio["source"], audio["report"], audio["honest"]) == ("audio", (0.5, 0.25, 0.33), None)
    assert (table["source"], table["report"][1], table["honest"][1]) == ("table", 0.75, 0.65)
    assert table["published"] == (0.4, 0.6, 0.48)


def test_random_weights_in_the_place_of_trained_ones_have_no_genres() -> None:
    own = load_recipe("vgg16-transfer").model_copy(update={"published": OWN.published})
    done = {Task(own, "report", "audio"): told(0.25)}
    assert genre_rows(done, weights="random") == []
    assert len(genre_rows(done, weights="published")) == 1


def test_the_page_has_genres_with_f1_cautions_and_the_data(tmp_path: Path) -> None:
    done = {
        Task(OWN, "report", "audio"): told(
            0.25, data=["uneven <genres>"], skipped=1, skipped_files=[["jazz/a.wav", "is silent"]]
        )
    }
    text = page(tmp_path, done, OWN)
    assert "0.50 / 0.25 / 0.33" in text
    assert "0.40 / 0.60 / 0.48" in text
    assert "too narrow" in text
    assert "uneven &lt;genres&gt;" in text
    assert "jazz/a.wav (is silent)" in text


def test_a_quick_run_has_no_genres(tmp_path: Path) -> None:
    done = {Task(OWN, "report", "audio"): told(0.25)}
    assert "Per genre" in page(tmp_path, done, OWN)
    assert "Per genre" not in page(tmp_path, done, OWN, quick=True)
