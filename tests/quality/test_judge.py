"""Systems against the definition, written as loops over tracks of a planted library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recsys.quality import evaluation
from recsys.quality.evaluation import Judgement, QualityTask, judge
from recsys.quality.systems import (
    best_first,
    embedding,
    hand_made,
    random_order,
    tag_genre,
    tiers,
)
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.taxonomy import taxonomy_of
from recsys.types import Track
from tests.planted import PlantedLibrary
from tests.quality.labelled_libraries import scattered_sounds, task_of

K = 5


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    return PlantedLibrary(tmp_path_factory.mktemp("judged"), scattered_sounds(70, seed=4))


@pytest.fixture(scope="module")
def task(library: PlantedLibrary) -> QualityTask:
    return task_of(library, K)


def ranked_by_cosine(library: PlantedLibrary, track_id: int) -> list[Track]:
    nearest = library.nearest_ids(None, library.sounds[track_id].embedding)
    return [library.track(other) for other in nearest if other != track_id]


def artist_of(track: Track) -> str | None:
    return track.artist


def oracle(library: PlantedLibrary, ranking: Callable[[int], list[Track]]) -> dict[str, float]:
    """Return the figures by their definitions, one query after the other."""
    precision, filtered, mean_precision, artists = [], [], [], []
    for track_id in library.sounds:
        own = library.track(track_id)
        genre = own.path.parent.name
        ranked = ranking(track_id)
        others = [t for t in ranked if own.artist is None or t.artist != own.artist]
        precision.append(sum(t.path.parent.name == genre for t in ranked[:K]) / K)
        filtered.append(sum(t.path.parent.name == genre for t in others[:K]) / K)
        hits = [rank for rank, t in enumerate(others, 1) if t.path.parent.name == genre]
        if hits:
            mean_precision.append(np.mean([n / rank for n, rank in enumerate(hits, 1)]))
        same = [rank for rank, t in enumerate(ranked, 1) if own.artist and t.artist == own.artist]
        if same:
            found = [rank for rank in same if rank <= K]
            total = sum(n / rank for n, rank in enumerate(found, 1))
            artists.append(total / min(K, len(same)))
    return {
        "genre_precision": float(np.mean(precision)),
        "genre_precision_artist_filtered": float(np.mean(filtered)),
        "genre_map_artist_filtered": float(np.mean(mean_precision)),
        "artist_map": float(np.mean(artists)),
    }


def check(judged: Judgement, wanted: dict[str, float]) -> None:
    for name, value in wanted.items():
        assert judged.quality.figures[name].value == pytest.approx(value), name


def test_embedding_without_tiers_is_what_its_definition_says(
    library: PlantedLibrary, task: QualityTask
) -> None:
    judged = judge(embedding(task.columns.embeddings), task)
    check(judged, oracle(library, lambda track_id: ranked_by_cosine(library, track_id)))


def by_recommender(library: PlantedLibrary, strategy: str) -> Callable[[int], list[Track]]:
    ask = Recommender(library.store, library.index, library.info)
    options = SimilarOptions(k=1000, strategy=strategy, show_duplicates=True)

    def ranking(track_id: int) -> list[Track]:
        return [row.track for row in ask.similar(library.query(track_id), options).results]

    return ranking


def test_embedding_without_tiers_is_the_strategy_similarity(
    library: PlantedLibrary, task: QualityTask
) -> None:
    judged = judge(embedding(task.columns.embeddings), task)
    check(judged, oracle(library, by_recommender(library, "similarity")))


def test_the_recommender_is_ranked_as_the_recommender_ranks(
    library: PlantedLibrary, task: QualityTask
) -> None:
    """Among the tracks are some whose genre is unknown, which are ranked by similarity alone."""
    ranking = by_recommender(library, "tiers")
    taxonomy = taxonomy_of(library.store, library.index, library.info)
    system = tiers(task.columns, library.store, library.info, taxonomy)
    order = best_first(system.scores(task.rows))
    for row, found in zip(task.rows.tolist(), order.tolist(), strict=True):
        others = [int(task.columns.ids[other]) for other in found if other != row]
        assert others == [track.id for track in ranking(int(task.columns.ids[row]))]
    check(judge(system, task), oracle(library, ranking))


def test_blocks_change_nothing(
    library: PlantedLibrary, task: QualityTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = [
        embedding(task.columns.embeddings),
        random_order(len(task.columns), 3),
    ]
    whole = [judge(system, task).quality for system in systems]
    monkeypatch.setattr(evaluation, "BLOCK_ELEMENTS", 3 * len(task.columns))
    for system, before in zip(systems, whole, strict=True):
        after = judge(system, task).quality
        assert after.figures == before.figures
        assert after.occurrences == before.occurrences


def test_lists_count_every_place_once(task: QualityTask) -> None:
    judged = judge(embedding(task.columns.embeddings), task)
    n = len(task.columns)
    assert judged.counts.sum() == n * K
    assert sum(judged.quality.occurrences) == n * K
    assert not (judged.lists == task.rows[:, np.newaxis]).any()
    orphans = judged.quality.figures["orphans"].value
    coverage = judged.quality.figures["coverage"].value
    assert orphans is not None
    assert coverage == pytest.approx(1 - orphans)


def test_among_a_sample_only_the_sample_turns_up(library: PlantedLibrary) -> None:
    task = task_of(library, K, sample=20)
    judged = judge(embedding(task.columns.embeddings), task)
    assert judged.lists.shape == (20, K)
    assert judged.counts.sum() == 20 * K
    assert judged.counts[task.rows].sum() == 20 * K
    assert len(judged.quality.occurrences) == 20
    whole = judge(embedding(task.columns.embeddings), task_of(library, K))
    assert (judged.lists == whole.lists[task.rows]).all()


def test_tracks_without_features_neither_ask_nor_answer(task: QualityTask) -> None:
    features = np.random.default_rng(0).standard_normal((len(task.columns), 4)).astype(np.float32)
    features[:10] = np.nan
    judged = judge(hand_made(features, skipped=10, limited=False), task)
    n = len(task.columns)
    assert judged.quality.heading(n).endswith(f"(among {n - 10} of {n} tracks)")
    assert judge(embedding(task.columns.embeddings), task).quality.heading(n)[-1] != ")"
    assert judged.rows.tolist() == list(range(10, len(task.columns)))
    assert judged.lists.min() >= 10
    assert judged.quality.figures["genre_precision"].n == len(task.columns) - 10
    assert "10 tracks" in judged.quality.note


def test_nothing_known_gives_nothing_measured(task: QualityTask) -> None:
    features = np.full((len(task.columns), 4), np.nan, dtype=np.float32)
    judged = judge(hand_made(features, skipped=70, limited=False), task)
    assert {own.value for own in judged.quality.figures.values()} == {None}


def test_random_lists_are_as_good_as_chance(task: QualityTask) -> None:
    codes = task.labels.codes
    n = len(codes)
    chance = np.mean([(np.sum(codes == own) - 1) / (n - 1) for own in codes])
    found = [
        judge(random_order(n, seed), task).quality.figures["genre_precision"].value
        for seed in range(20)
    ]
    assert np.mean(np.array(found, dtype=float)) == pytest.approx(chance, abs=0.02)


def test_scores_tie_by_number_and_keep_six_decimals() -> None:
    scores = np.array([[0.5, 0.5000001, 0.500001, -3.0, 2000.0, 1500.0]])
    assert best_first(scores).tolist() == [[4, 5, 2, 0, 1, 3]]


def test_tag_genre_puts_the_same_tag_first(task: QualityTask) -> None:
    tagged = task.columns.__class__(
        **{
            **{name: getattr(task.columns, name) for name in task.columns.__slots__},
            "tags": np.arange(len(task.columns)) % 3 - 1,  # the first third has none
        }
    )
    scores = tag_genre(tagged, 0, judged_by_tags=False).scores(np.array([1, 0]))
    assert ((scores[0] >= 1) == (tagged.tags == 0)).all()
    assert (scores[1] < 1).all()
