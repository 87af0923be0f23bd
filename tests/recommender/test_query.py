"""Queries of one seed and of several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.recommender.query import make_query
from recsys.types import Analysis, Tags, Track
from tests.planted import file_outside, make_info, unit

INFO = make_info(dimension=2)


def analysis(probabilities: list[float], embedding: list[float]) -> Analysis:
    return Analysis(np.array(probabilities, np.float32), unit(embedding), INFO.fingerprint)


def track(track_id: int, path: str = "/m/a.flac") -> Track:
    return Track(track_id, Path(path), Tags(), 100.0, f"hash {track_id}", "jazz")


def test_seeds_weigh_the_same() -> None:
    query = make_query(
        INFO,
        [
            (track(1), analysis([0.8, 0.1, 0.1, 0.0], [1, 0])),
            (track(2), analysis([0.2, 0.1, 0.7, 0.0], [0, 1])),
        ],
    )
    assert query.probabilities == pytest.approx([0.5, 0.1, 0.4, 0.0])
    assert query.embedding == pytest.approx([np.sqrt(0.5)] * 2)
    assert query.embedding.dtype == query.probabilities.dtype == np.float32
    assert query.genre == "blues"
    assert query.exclude_ids == {1, 2}
    assert [seed.track.id for seed in query.seeds] == [1, 2]


def test_a_mean_below_every_threshold_is_unknown() -> None:
    seeds = [
        (track(1), analysis([1, 0, 0, 0], [1, 0])),
        (track(2), analysis([0, 1, 0, 0], [1, 0])),
        (track(3), analysis([0, 0, 1, 0], [1, 0])),
    ]
    assert make_query(INFO, seeds).genre == "unknown"


def test_embeddings_that_cancel_out_leave_the_direction_of_the_first() -> None:
    seeds = [
        (track(1), analysis([1, 0, 0, 0], [0.6, 0.8])),
        (track(2), analysis([1, 0, 0, 0], [-0.6, -0.8])),
    ]
    assert make_query(INFO, seeds).embedding == pytest.approx([0.6, 0.8], abs=5e-4)


def test_a_file_outside_the_library_excludes_its_path_and_no_id() -> None:
    outside = file_outside(Path("/m/x.mp3"))
    query = make_query(INFO, [(outside, analysis([0, 0, 0, 1], [1, 0]))])
    assert not query.seeds[0].in_library
    assert query.exclude_ids == frozenset()
    assert query.exclude_paths == {Path("/m/x.mp3")}


def test_paths_are_excluded_with_links_resolved_too(tmp_path: Path) -> None:
    tmp_path = tmp_path.resolve()
    (tmp_path / "real").mkdir()
    song = tmp_path / "real" / "a.mp3"
    song.touch()
    (tmp_path / "link").symlink_to("real")
    given = tmp_path / "link" / "a.mp3"
    query = make_query(INFO, [(file_outside(given), analysis([0, 0, 0, 1], [1, 0]))])
    assert query.exclude_paths == {given, song}


def test_no_seed_is_an_error() -> None:
    with pytest.raises(QueryError, match="0 seeds"):
        make_query(INFO, [])


def test_analyses_of_another_model_are_refused() -> None:
    other = Analysis(np.array([1, 0, 0, 0], np.float32), unit([1, 0]), "other-model")
    with pytest.raises(QueryError, match="other-model"):
        make_query(INFO, [(track(1), other)])


@pytest.mark.parametrize(("genres", "dimension"), [(3, 2), (4, 3)])
def test_analyses_of_another_shape_are_refused(genres: int, dimension: int) -> None:
    odd = Analysis(np.full(genres, 1 / genres, np.float32), unit([1] * dimension), INFO.fingerprint)
    with pytest.raises(QueryError, match=rf"\({genres},\), \({dimension},\)"):
        make_query(INFO, [(track(1), odd)])
