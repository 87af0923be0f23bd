"""Quality of whole libraries with known figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.quality import FIGURES, QualityOptions, evaluation, measure_quality
from recsys.quality.metrics import Figure
from recsys.quality.results import TierGain
from recsys.types import FloatArray
from tests.planted import PlantedLibrary, Sound, at_cosine, make_info
from tests.quality.labelled_libraries import (
    figure,
    measured,
    scattered_sounds,
    two_clusters,
    wide_library,
)


def test_two_clusters_are_separated(tmp_path: Path) -> None:
    """12 tracks a genre by 4 artists of 3 each: 11 others, of which 9 by other artists."""
    library = PlantedLibrary(tmp_path, two_clusters())
    quality = measured(library, labels="folder", k=10)
    for system in ("embedding", "recommender"):
        assert figure(quality, system, "genre_precision") == 1.0
        assert figure(quality, system, "genre_precision_artist_filtered") == pytest.approx(0.9)
        assert figure(quality, system, "genre_map") == 1.0
        assert figure(quality, system, "genre_map_artist_filtered") == 1.0
    assert quality.ceiling == pytest.approx(0.9)
    assert quality.purity.value == 1.0
    assert quality.label_counts == {"blues": 12, "rock": 12}
    assert quality.confusion == {
        "blues": {"blues": 12, "rock": 0},
        "rock": {"blues": 0, "rock": 12},
    }
    assert [(tier.label, tier.tracks, tier.share) for tier in quality.tiers] == [
        ("blues", 12, 1.0),
        ("rock", 12, 1.0),
    ]


def test_a_star_has_one_hub(tmp_path: Path) -> None:
    n = 41
    hub, *axes = np.eye(n, dtype=np.float32)
    around: list[FloatArray] = [at_cosine(hub, own, 0.6) for own in axes]
    library = wide_library(tmp_path, np.array([hub, *around]))
    quality = measured(library, labels="folder", k=1)
    # All name the hub; the hub names the first of those at equal similarity.
    counts = np.zeros(n)
    counts[[0, 1]] = n - 1, 1
    centred = counts - counts.mean()
    assert figure(quality, "embedding", "hubness_skewness") == pytest.approx(
        (centred**3).mean() / math.sqrt((centred**2).mean()) ** 3
    )
    assert figure(quality, "embedding", "orphans") == pytest.approx((n - 2) / n)
    assert quality.hubs[0].lists == n - 1
    assert quality.hubs[0].track_id == 1


@pytest.mark.extra
def test_ways_to_reduce_hubness_reduce_it(tmp_path: Path) -> None:
    """A cloud off the origin: those on the side of its mean are near to everybody."""
    cloud = np.random.default_rng(0).standard_normal((150, 100))
    cloud[:, 0] += 5
    unit = (cloud / np.linalg.norm(cloud, axis=1, keepdims=True)).astype(np.float32)
    quality = measured(wide_library(tmp_path, unit), labels="folder", k=5, hubness=True)
    before = figure(quality, "embedding", "hubness_skewness")
    assert before is not None
    assert before > 1
    for name in ("centred", "local_scaling", "mutual_proximity"):
        after = figure(quality, name, "hubness_skewness")
        assert after is not None
        assert after < 0.7 * before, name


@pytest.mark.extra
def test_every_figure_and_every_row_is_in_the_json(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered_sounds(40, seed=1))
    quality = measured(library, k=5, hubness=True)
    as_json = json.loads(json.dumps(quality.as_dict()))
    assert [row["name"] for row in as_json["systems"]] == [
        *("random", "embedding", "recommender"),
        *("centred", "local_scaling", "mutual_proximity"),
    ]
    for row in as_json["systems"]:
        assert set(FIGURES) <= set(row)
        for name in FIGURES:
            own = row[name]
            assert own["value"] is None or own["low"] is None or own["low"] <= own["high"]
    assert as_json["labels"]["source"] == quality.label_source == "folder"
    assert as_json["tier_purity"]["n"] == 40
    assert as_json["near_duplicates"]["treatment"] == "kept"


def test_the_same_seed_gives_the_same_answer(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered_sounds(60, seed=2))
    one, two, other = (measured(library, k=3, sample=20, seed=seed).as_dict() for seed in (7, 7, 8))
    assert one == two
    assert one["systems"] != other["systems"]
    assert (one["queries"], one["tracks"], one["sampled"]) == (20, 60, True)
    assert any("drawn with seed 7" in note for note in one["notes"])


def test_a_large_library_is_sampled_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "EXACT_UP_TO", 30)
    monkeypatch.setattr(evaluation, "DEFAULT_SAMPLE", 25)
    library = PlantedLibrary(tmp_path, scattered_sounds(40, seed=2))
    assert measured(library, k=3).queries == 25
    assert measured(library, k=3, sample=1000).queries == 40


def test_progress_ends_where_it_said_it_would(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered_sounds(30, seed=3))
    calls: dict[str, list[tuple[int, int]]] = {}
    measure_quality(
        library.store,
        library.index,
        library.info,
        QualityOptions(k=3),
        on_progress=lambda stage, done, total: calls.setdefault(stage, []).append((done, total)),
    )
    assert list(calls) == ["random", "embedding without tiers", "recommender (genre tiers)"]
    for steps in calls.values():
        assert steps[0] == (0, 30)
        assert steps[-1] == (30, 30)


def test_labels_of_the_model_are_not_its_proof(tmp_path: Path) -> None:
    quality = measured(PlantedLibrary(tmp_path, scattered_sounds(30, seed=3)), labels="model", k=3)
    assert quality.purity.value is None
    assert any("the model's own" in note for note in quality.notes)


def test_near_duplicates_are_counted_and_kept(tmp_path: Path) -> None:
    sounds = two_clusters()
    copy = sounds[0].__class__(
        genre="blues", embedding=sounds[0].embedding, audio_hash="same", path="/music/blues/c.flac"
    )
    first = sounds[1].__class__(
        genre="blues", embedding=sounds[0].embedding, audio_hash="same", path="/music/blues/d.flac"
    )
    quality = measured(PlantedLibrary(tmp_path, [*sounds, copy, first]), labels="folder", k=5)
    assert quality.near_duplicates == 2
    assert any("2 of 26 queries have one" in note for note in quality.notes)


def test_without_labels_all_else_is_measured(tmp_path: Path) -> None:
    one_genre = [s for s in two_clusters(folders=False) if s.genre == "blues"]
    quality = measured(PlantedLibrary(tmp_path, one_genre), k=5)
    assert quality.label_source == "none"
    assert quality.ceiling is None
    assert figure(quality, "embedding", "genre_precision") is None
    assert figure(quality, "embedding", "artist_map") is not None
    assert figure(quality, "embedding", "hubness_skewness") is not None
    assert quality.notes[0].startswith("No genre figures: none of the 12 tracks has a genre tag")


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (3, {"k": 2}, "holds 3 tracks, too few"),
        (8, {"k": 10}, "k is 10, but each of the 8 tracks has only 7 others"),
        (8, {"k": 3, "labels": "tag"}, "none of the 8 tracks has a genre tag"),
    ],
)
def test_libraries_that_cannot_be_measured(
    tmp_path: Path, number: int, options: dict[str, object], message: str
) -> None:
    library = PlantedLibrary(tmp_path, scattered_sounds(number, seed=1))
    with pytest.raises(QueryError, match=message) as caught:
        measured(library, **options)
    assert caught.value.hint


@pytest.mark.parametrize(
    "options", [{"k": 0}, {"labels": "year"}, {"sample": 10, "k": 10}, {"seed": -1}]
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(QueryError) as caught:
        QualityOptions(**options)  # type: ignore[arg-type]
    assert caught.value.hint


STYLED = make_info(tags=("rock", "jazz", "chill"))


def alike_within(genre: str, other: str) -> list[Sound]:
    """Return tracks of one genre: pairs that sound alike, by embedding and by tags."""
    corners = np.eye(16, dtype=np.float32)
    return [
        Sound(
            (genre, other)[number % 2],
            at_cosine(corners[number // 2], corners[8], 0.95),
            artist=f"Artist {number}",
            path=f"/music/{(genre, other)[number // 8]}/{number}.flac",
            strengths=tuple(float(4 * (number // 2 % 3 == column)) for column in range(3)),
        )
        for number in range(16)
    ]


def test_the_meaning_is_that_of_the_difference_between_tiers_and_similarity(
    tmp_path: Path,
) -> None:
    library = PlantedLibrary(tmp_path, alike_within("jazz", "rock"), STYLED)
    quality = measured(library, labels="folder", k=3)
    by_name = {gain.name: gain.difference.value for gain in quality.gains}
    assert list(by_name) == ["genre_precision_artist_filtered", "tag_ndcg"]
    for name, value in by_name.items():
        alone, tiers = (figure(quality, system, name) for system in ("embedding", "recommender"))
        assert alone is not None
        assert tiers is not None
        assert value == pytest.approx(tiers - alone)
    assert " Genre tiers are " in quality.meaning
    assert quality.as_dict()["meaning"] == quality.meaning


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(0.01, 0.03)], "better than"),
        ([(-0.03, -0.01)], "worse than"),
        ([(-0.01, 0.02)], "not measurably different from"),
        ([(0.01, 0.03), (-0.03, -0.01)], "in part better and in part worse than"),
        ([(-0.01, 0.02), (-0.03, -0.01)], "worse than"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(
    tmp_path: Path, intervals: list[tuple[float, float]], verdict: str
) -> None:
    library = PlantedLibrary(tmp_path, scattered_sounds(20, seed=1))
    gains = tuple(TierGain("tag_ndcg", Figure(sum(own) / 2, *own, 20)) for own in intervals)
    quality = replace(measured(library, k=3), gains=gains)
    assert f"Genre tiers are {verdict} similarity alone here: " in quality.meaning
    assert "in tag nDCG@3" in quality.meaning
    without = replace(quality, gains=(), lift=None).meaning
    assert without.startswith("Nothing here tells")


def test_the_lift_is_over_a_random_order(tmp_path: Path) -> None:
    """Of 21 tracks by other artists nine have the label of the query: all are found."""
    quality = measured(PlantedLibrary(tmp_path, two_clusters()), labels="folder", k=10)
    assert quality.lift is not None
    assert quality.lift.name == "genre_precision_artist_filtered"
    assert quality.lift.value == pytest.approx(0.9)
    assert quality.lift.chance == pytest.approx(9 / 21, abs=0.05)
    assert quality.lift.difference.value == pytest.approx(0.9 - quality.lift.chance)
    assert quality.meaning.startswith(
        "Of 10 recommended tracks by other artists 9.0 have the label"
    )
    assert "times as many" in quality.meaning
    low = replace(quality.lift, difference=replace(quality.lift.difference, low=-0.1))
    assert "not measurably better than chance" in replace(quality, lift=low).meaning
    assert quality.as_dict()["lift"]["times"] == pytest.approx(0.9 / quality.lift.chance, abs=1e-5)
