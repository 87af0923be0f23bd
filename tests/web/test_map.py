"""The map: how true it is, where new tracks and names go, and what the page gets of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.errors import MissingExtraError, QueryError
from recsys.web import maps, projection
from recsys.web.children import child
from recsys.web.projection import Projection, map_file, placed, project, regions, trustworthiness
from tests.planted import PlantedLibrary, scattered, unit
from tests.web.conftest import API, Serving, get, post
from tests.web.live import until

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray


def clusters(number: int = 3, per: int = 20) -> FloatArray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((number, 16))
    rows = [c + 0.2 * rng.standard_normal(16) for c in centres for _ in range(per)]
    return np.stack([unit(row) for row in rows])


def judged_by_hand(embeddings: FloatArray, places: np.ndarray, k: int) -> float:
    """Return the trustworthiness as its definition has it."""
    n, excess = len(embeddings), 0
    for i in range(n):
        by_map = sorted(
            set(range(n)) - {i}, key=lambda j: float(np.hypot(*(places[j] - places[i])))
        )
        by_sound = sorted(set(range(n)) - {i}, key=lambda j: -float(embeddings[i] @ embeddings[j]))
        excess += sum(max(0, by_sound.index(j) + 1 - k) for j in by_map[:k])
    return 1 - 2 * excess / (n * k * (2 * n - 3 * k - 1))


def test_trustworthiness_is_that_of_its_definition() -> None:
    embeddings = clusters()
    places = np.random.default_rng(1).integers(0, 65_536, (60, 2)).astype(np.uint16)
    by_hand = judged_by_hand(embeddings, places.astype(float), 5)
    assert trustworthiness(embeddings, places, 5) == pytest.approx(by_hand)
    assert 0.3 < by_hand < 0.7  # a map by chance


def test_a_map_that_keeps_every_neighbour_is_true() -> None:
    angles = np.linspace(0, np.pi / 2, 50)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    places = np.stack([np.arange(50) * 1000, np.zeros(50)], axis=1).astype(np.uint16)
    assert trustworthiness(circle, places, 5) == pytest.approx(1, abs=0.001)
    assert trustworthiness(circle[:14], places[:14], 5) is None


def test_a_new_track_is_placed_among_those_like_it() -> None:
    embeddings = clusters()
    corners = np.repeat([[0, 0], [60_000, 0], [0, 60_000]], 20, axis=0).astype(np.uint16)
    new = np.stack([unit(embeddings[at : at + 20].mean(axis=0)) for at in (0, 20, 40)])
    assert placed(new, embeddings, corners).tolist() == [[0, 0], [60_000, 0], [0, 60_000]]
    assert len(placed(embeddings[:0], embeddings, corners)) == 0


def test_names_stand_where_their_genre_is_densest() -> None:
    rng = np.random.default_rng(0)
    jazz = rng.normal((10_000, 50_000), 300, (200, 2))
    rock = rng.normal((50_000, 10_000), 300, (100, 2))
    rare = rng.uniform(0, 65_535, (2, 2))
    places = np.concatenate([jazz, rock, rare]).astype(np.uint16)
    genres = np.repeat([0, 1, 2], [200, 100, 2])
    first, second = regions(places, genres, ["jazz", "rock", "polka"])
    assert (first["name"], second["name"]) == ("jazz", "rock")
    assert (first["x"], first["y"]) == pytest.approx((10_000 / 65_535, 50_000 / 65_535), abs=0.02)
    assert first["tracks"] > 150


def test_a_map_needs_some_tracks() -> None:
    with pytest.raises(QueryError, match="needs 5 tracks"):
        project(clusters()[:4])


@pytest.mark.slow
def test_umap_keeps_what_sounds_alike_together() -> None:
    pytest.importorskip("umap")
    embeddings = clusters(4, 60)
    shares: list[float] = []
    places = project(embeddings, on_progress=shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert np.array_equal(places, project(embeddings))  # the same for the same seed
    true = trustworthiness(embeddings, places)
    assert true is not None
    assert true > 0.85
    middles = places.reshape(4, 60, 2).astype(float).mean(axis=1)
    spread = places.reshape(4, 60, 2).astype(float).std(axis=1).max()
    apart = min(np.hypot(*(a - b)) for i, a in enumerate(middles) for b in middles[:i])
    assert apart > spread


@pytest.fixture
def planted(tmp_path: Path) -> PlantedLibrary:
    return PlantedLibrary(tmp_path, scattered(60, np.random.default_rng(0)))


def drawn(planted: PlantedLibrary) -> Projection:
    ids = np.array(sorted(planted.ids()), np.int64)
    places = np.stack([ids * 1000, 65_535 - ids * 1000], axis=1).astype(np.uint16)
    return Projection(ids, places, planted.info.fingerprint, 0.9)


def test_the_page_gets_every_track_with_its_place_and_genre(
    planted: PlantedLibrary, serving: Serving
) -> None:
    client = serving(planted.store.path)
    assert get(client, "map")["state"] == "none"
    assert get(client, "map/points", 404)["hint"]
    made = drawn(planted)
    projection.save(made, map_file(planted.store.path))
    (new,) = planted.add([next(iter(planted.sounds.values()))])
    planted.store.write([], removed=[int(made.ids[0])])
    about = get(client, "map")
    assert (about["state"], about["points"], about["placed"]) == ("ready", 60, 1)
    assert about["trustworthiness"] == 0.9
    content = client.get(f"{API}/map/points").content
    n = about["points"]
    ids = np.frombuffer(content[: 4 * n], "<u4")
    places = np.frombuffer(content[4 * n : 8 * n], "<u2").reshape(n, 2)
    genres = np.frombuffer(content[8 * n :], "u1")
    assert sorted(ids.tolist()) == sorted({*made.ids.tolist(), new} - {int(made.ids[0])})
    for track, place, genre in zip(ids.tolist(), places.tolist(), genres.tolist(), strict=True):
        assert about["genres"][genre] == planted.track(track).genre_group
        if track != new:
            assert place == [track * 1000, 65_535 - track * 1000]


def test_a_map_of_another_model_or_a_damaged_one_is_none(
    planted: PlantedLibrary, serving: Serving
) -> None:
    client = serving(planted.store.path)
    path = map_file(planted.store.path)
    made = drawn(planted)
    projection.save(Projection(made.ids, made.places, "another", 0.9), path)
    assert get(client, "map")["state"] == "none"
    projection.save(made, path)
    assert get(client, "map")["state"] == "ready"
    path.write_bytes(path.read_bytes()[:-50])
    assert get(client, "map")["state"] == "none"


def test_without_umap_it_is_named(
    planted: PlantedLibrary, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("this needs umap, which is not installed", "Install it.")

    monkeypatch.setattr(maps, "check_can_project", missing)
    client = serving(planted.store.path)
    assert "umap" in post(client, "map", code=501)["detail"]


MAKES = """
import json, sys, time
print("UMAP( angular_rp_forest=True", flush=True)
print(json.dumps({"share": 0.25}), flush=True)
time.sleep(600)
"""


def test_a_map_tells_how_far_it_is_and_can_be_stopped(
    planted: PlantedLibrary,
    serving: Serving,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "programs" / "slow_map.py"
    program.parent.mkdir()
    program.write_text(MAKES)
    monkeypatch.setenv("PYTHONPATH", str(program.parent))
    monkeypatch.setattr(maps, "check_can_project", lambda: None)
    monkeypatch.setattr(maps, "child", lambda _, *given: child("slow_map", *given))
    projection.save(drawn(planted), map_file(planted.store.path))
    client = serving(planted.store.path)
    assert post(client, "map", code=202)["state"] == "making"
    until(lambda: get(client, "map").get("share") == 0.25)
    stopped = client.request("DELETE", f"{API}/map", json={})
    assert stopped.json()["state"] == "ready"
    assert "share" not in get(client, "map")
    assert client.request("DELETE", f"{API}/map", json={}).status_code == 200  # nothing to stop
