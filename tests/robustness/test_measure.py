"""From files to figures, with models whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recsys.classifier.log_mel import MEL
from recsys.errors import QueryError
from recsys.robustness import VARIANTS, RobustnessOptions, measure_robustness
from recsys.types import Analysis, FloatArray
from tests.cli.genre_music import make_genres


class SpectrumModel:
    """Its embedding is the mean spectrum of a track, or one and the same for all."""

    def __init__(self, name: str, *, deaf: bool = False) -> None:
        self.info = SimpleNamespace(name=name, fingerprint=f"{name}-1")
        self.features = MEL
        self._deaf = deaf

    def analyse(self, tracks: Sequence[FloatArray]) -> list[Analysis]:
        spectra = [windows.mean(axis=(0, 2)) for windows in tracks]
        if self._deaf:
            spectra = [np.ones_like(own) for own in spectra]
        unit = [own / np.linalg.norm(own) for own in spectra]
        return [Analysis(np.ones(1, np.float32), own, self.info.fingerprint) for own in unit]


HEARING: Any = SpectrumModel("hearing")
DEAF: Any = SpectrumModel("deaf", deaf=True)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genres")
    make_genres(folder, ("blues", "metal"), tracks=2, duration_s=4.0)
    (folder / "blues" / "broken.mp3").write_bytes(b"no sound")
    return folder


def test_a_model_that_hears_and_one_that_does_not(music: Path) -> None:
    told: list[object] = []
    run = measure_robustness(
        music,
        [HEARING, DEAF],
        RobustnessOptions(workers=1),
        on_start=told.append,
        on_track=told.append,
    )
    assert told[0] == 5
    assert sorted(map(bool, told[1:])) == [False] * 4 + [True]
    assert (run.tracks, run.found, run.genres) == (4, 5, {"blues": 2, "metal": 2})
    assert [path.name for path in run.failed] == ["broken.mp3"]

    hearing, deaf = run.models
    assert (hearing.model, hearing.fingerprint) == ("hearing", "hearing-1")
    assert list(hearing.variants) == list(VARIANTS)
    assert hearing.all_variants.n == 4 * len(VARIANTS)
    for name in ("half the level", "double the level", "mono"):
        assert hearing.variants[name].found == 1
        assert hearing.variants[name].low == pytest.approx(1, abs=1e-4)
    assert hearing.halves is not None
    assert hearing.halves.n == 4
    assert hearing.halves.by_chance == 0.75

    assert deaf.median_cosine == pytest.approx(1)
    assert deaf.all_variants.found == 1 / 4
    assert deaf.halves is not None
    assert deaf.halves.mean_reciprocal_rank == pytest.approx(1 / 1.5)


def test_a_draw_depends_on_its_seed_alone(music: Path) -> None:
    def drawn(seed: int) -> dict[str, int]:
        options = RobustnessOptions(limit=2, seed=seed, workers=1)
        return measure_robustness(music / "metal", [HEARING], options).genres

    assert drawn(0) == drawn(0) == {"metal": 2}


def test_the_same_seed_draws_the_same_tracks() -> None:
    from recsys.robustness import _draw

    paths = [Path(f"{number:02}.mp3") for number in range(50)]
    one, again, other = (_draw(paths, RobustnessOptions(10, seed)) for seed in (1, 1, 2))
    assert one == again == sorted(set(one))
    assert len(one) == len(other) == 10
    assert one != other
    assert _draw(paths, RobustnessOptions(50, 1)) == paths


def test_what_cannot_be_measured(music: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="0 tracks"):
        measure_robustness(tmp_path, [HEARING])
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    (tmp_path / "b.mp3").write_bytes(b"no sound")
    with pytest.raises(QueryError, match=r"0 tracks .*a\.mp3"):
        measure_robustness(tmp_path, [HEARING], RobustnessOptions(workers=1))
