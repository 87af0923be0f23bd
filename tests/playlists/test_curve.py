"""Playlists along a curve of a number, over a planted library whose right answers are known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.mood import mood_numbers
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.curve import Curve
from recsys.recommender import Filters
from recsys.types import Playlist
from tests.planted import LABELS, PlantedLibrary, Sound, at_cosine, make_info, unit

RULE = mood_numbers(None).table.numbers["energy"]
TAGS = tuple({**RULE.more, **RULE.less})
NEAR, FAR = 0.9, 0.2


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    """Four genres around one centre: 60 near tracks of any energy, and 60 far ones."""
    rng = np.random.default_rng(5)
    centre = unit(rng.standard_normal(16))
    sounds = []
    for i in range(120):
        level = float(rng.normal(RULE.mean / 2, RULE.deviation / 2))
        sounds.append(
            Sound(
                LABELS[i % 2],
                at_cosine(centre, unit(rng.standard_normal(16)), NEAR if i < 60 else FAR),
                artist=f"Artist {i % 30}",
                title=f"Song {i}",
                duration_s=float(rng.uniform(100, 300)),
                strengths=tuple(level if tag in RULE.more else -level for tag in TAGS),
            )
        )
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds, make_info(tags=TAGS))


def along(library: PlantedLibrary, *curves: str, seed: int = 1, **options: object) -> Playlist:
    maker = PlaylistMaker(library.store, library.index, library.info)
    wanted = PlaylistOptions(curves=curves, **{"length": 10, "genre": LABELS[0], **options})
    return maker.from_seeds(library.query(seed), wanted)


def energies(playlist: Playlist) -> list[float]:
    return [track.energy for track in playlist.tracks if track.energy is not None]


def test_energy_rises_from_the_seed_to_the_top_of_similar_tracks(library: PlantedLibrary) -> None:
    playlist = along(library, "energy=rise")
    values = energies(playlist)
    assert len(values) == 10
    assert playlist.tracks[0].id == 1
    assert all(after > before - 0.2 for before, after in pairwise(values[1:]))
    everything = sorted(t.energy or 0 for t in library.store.all_tracks())
    assert values[-1] >= everything[-20]
    assert values == energies(along(library, "energy=rise"))  # the same again


def test_energy_falls(library: PlantedLibrary) -> None:
    values = energies(along(library, "energy=fall"))
    assert all(after < before + 0.2 for before, after in pairwise(values[1:]))
    assert values[-1] < 0.3


def test_an_arc_is_highest_in_the_middle(library: PlantedLibrary) -> None:
    values = energies(along(library, "energy=arc", length=13))
    assert 4 <= int(np.argmax(values)) <= 8
    assert max(values[:2] + values[-2:]) < max(values)


def test_steady_stays_where_the_first_track_is(library: PlantedLibrary) -> None:
    values = energies(along(library, "energy=steady", length=6))
    assert max(values) - min(values) < 0.35


def test_tracks_of_a_curve_are_as_near_as_without(library: PlantedLibrary) -> None:
    """The pool is the nearest tracks: far ones come only where near ones are used up."""
    playlist = along(library, "energy=rise", length=5)
    assert all(track.id <= 60 for track in playlist.tracks)


def test_a_duration_is_filled_along_the_curve(library: PlantedLibrary) -> None:
    playlist = along(library, "energy=rise", length=None, duration_s=2400)
    values = energies(playlist)
    assert abs(playlist.duration_s - 2400) <= 150
    assert np.mean(values[-3:]) > np.mean(values[1:4]) + 0.2


def test_every_genre_of_a_cycle_rises(library: PlantedLibrary) -> None:
    maker = PlaylistMaker(library.store, library.index, library.info)
    playlist = maker.cycle(
        LABELS[:2], None, PlaylistOptions(length=14, seed=3, curves=("energy=rise",))
    )
    assert [track.genre for track in playlist.tracks] == [*LABELS[:2]] * 7
    for genre in LABELS[:2]:
        own = [t.energy or 0 for t in playlist.tracks if t.genre == genre]
        assert own[-1] > own[1] + 0.2
        assert all(after > before - 0.25 for before, after in pairwise(own[1:]))


def test_a_curve_keeps_to_the_filters_and_to_gaps(library: PlantedLibrary) -> None:
    filters = Filters(ranges={"energy": "0.3.."})
    playlist = along(library, "energy=rise", filters=filters, artist_gap=3)
    assert min(energies(playlist)[1:]) >= 0.3
    artists = [track.artist for track in playlist.tracks]
    assert all(artists[i] not in artists[i + 1 : i + 4] for i in range(len(artists)))


def test_a_list_is_continued_along_a_curve_of_its_own(library: PlantedLibrary) -> None:
    maker = PlaylistMaker(library.store, library.index, library.info)
    present = [library.seed(i) for i in (1, 3, 5)]
    playlist = maker.extend(present, PlaylistOptions(length=8, curves=("energy=rise",)))
    assert len(playlist.tracks) == 8
    assert energies(playlist)[-1] > energies(playlist)[0]
    assert not {1, 3, 5} & {track.id for track in playlist.tracks}


@pytest.mark.parametrize(
    ("curve", "progress", "target"),
    [
        ("energy=rise", 0.0, 0.3),
        ("energy=rise", 1.0, 1.0),
        ("energy=fall", 0.0, 0.5),
        ("energy=fall", 1.0, 0.0),
        ("energy=arc", 0.5, 1.0),
        ("energy=arc", 1.0, 0.3),
        ("energy=steady", 0.7, 0.3),
    ],
)
def test_the_shapes(curve: str, progress: float, target: float) -> None:
    assert Curve.parse(curve).target(progress, 0.3) == pytest.approx(target)


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        (("energy",), "'energy' is not a curve"),
        (("energy=up",), "'energy=up' is not a curve"),
        (("mirth=rise",), "tracks have no 'mirth' for a curve"),
        (("energy=rise", "energy=fall"), "two curves of one number"),
        ("energy=rise", "curves must be several names"),
    ],
)
def test_what_is_no_curve_is_refused(curves: tuple[str, ...], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        PlaylistOptions(curves=curves)


def test_where_no_track_has_the_number_it_is_said(library: PlantedLibrary, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"no track of rock .* has a known valence for a curve"):
        along(library, "valence=rise", genre="rock")
    maker = PlaylistMaker(library.store, library.index, library.info)
    with pytest.raises(QueryError, match="has no curve energy=rise"):
        maker.between(library.seed(1), library.seed(7), PlaylistOptions(curves=("energy=rise",)))
