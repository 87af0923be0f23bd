"""The measures against plain loops, every variant of a track, and models with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError, QueryError
from recsys.robustness import (
    FIRST_HALF,
    HALVES,
    ORIGINAL,
    SECOND_HALF,
    VARIANTS,
    Recording,
    RobustnessOptions,
    VariantReader,
    _draw,
    half_figures,
    measure_robustness,
    median_cosine,
    own_cosines,
    read_recording,
    reciprocal_ranks,
    tilt,
    variant_figures,
)
from recsys.types import Analysis, FloatArray
from tests.cli.genre_music import make_genres
from tests.sounds import second_of, staircase, write
from tests.stored import unit_rows


def test_the_median_is_that_of_all_pairs() -> None:
    rows = unit_rows(9, 4, seed=1)
    pairs = [float(a @ b) for a, b in combinations(rows, 2)]
    assert median_cosine(rows) == pytest.approx(np.median(pairs), abs=1e-6)
    assert median_cosine(np.eye(3, dtype=np.float32)) == 0
    with pytest.raises(ValueError, match="there is 1"):
        median_cosine(unit_rows(1, 4))


def test_a_variant_is_found_when_no_other_original_is_nearer() -> None:
    originals = np.eye(3, dtype=np.float32)
    variants = np.array([[0.8, 0.6, 0], [0.8, 0.6, 0], [0, 0, 1]], np.float32)
    cosines, found = own_cosines(originals, variants)
    assert cosines == pytest.approx([0.8, 0.6, 1.0])
    assert found.tolist() == [1, 0, 1]
    figures = variant_figures(cosines, found)
    assert (figures.n, figures.found, figures.median) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(0.8),
    )
    assert figures.low == pytest.approx(0.62)  # a tenth of the way from 0.6 to 0.8


def test_an_embedding_that_tells_nothing_apart_finds_nothing() -> None:
    same = np.tile(unit_rows(1, 5), (8, 1))
    cosines, found = own_cosines(same, same)
    assert cosines == pytest.approx(np.ones(8))
    assert found.tolist() == [1 / 8] * 8
    ranks, _ = reciprocal_ranks(same, same, ["a"] * 8)
    assert ranks == pytest.approx(np.full(8, 1 / 4.5))


def test_blocks_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    originals, variants = unit_rows(23, 3), unit_rows(23, 3, seed=2)
    whole = own_cosines(originals, variants)
    monkeypatch.setattr("recsys.robustness._BLOCK", 5)
    for one, other in zip(whole, own_cosines(originals, variants), strict=True):
        assert (one == other).all()


@given(st.integers(0, 10_000), st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_ranks_are_those_of_a_plain_loop(seed: int, genres: list[str]) -> None:
    firsts, seconds = unit_rows(len(genres), 3, seed), unit_rows(len(genres), 3, seed + 1)
    expected = []
    for genre in sorted(set(genres)):
        own = [i for i, other in enumerate(genres) if other == genre]
        if len(own) > 1:
            for i in own:
                order = sorted(own, key=lambda j: -float(firsts[i] @ seconds[j]))
                expected.append(1 / (1 + order.index(i)))
    ranks, chances = reciprocal_ranks(firsts, seconds, genres)
    assert ranks == pytest.approx(expected)
    assert len(chances) == len(ranks)


def test_chance_is_the_mean_over_all_orders() -> None:
    orders = list(permutations(range(4)))
    mean = np.mean([1 / (1 + order.index(0)) for order in orders])
    _, chances = reciprocal_ranks(unit_rows(5, 3), unit_rows(5, 3), ["a", "a", "b", "a", "a"])
    assert chances == pytest.approx(np.full(4, mean))


def test_halves_that_find_each_other_reach_one() -> None:
    rows = unit_rows(6, 4)
    figures = half_figures(rows, rows, ["a"] * 3 + ["b"] * 3)
    assert figures is not None
    assert (figures.n, figures.mean_reciprocal_rank, figures.interval) == (6, 1.0, (1.0, 1.0))
    assert figures.by_chance == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert half_figures(rows, rows, list("abcdef")) is None


def test_the_interval_is_of_the_size_that_statistics_expects() -> None:
    rng = np.random.default_rng(5)
    firsts = unit_rows(200, 8)
    noisy = firsts + 0.3 * rng.standard_normal(firsts.shape).astype(np.float32)
    seconds = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    figures = half_figures(firsts, seconds, ["a"] * 200, seed=3)
    ranks, _ = reciprocal_ranks(firsts, seconds, ["a"] * 200)
    assert figures is not None
    low, high = figures.interval
    assert low < figures.mean_reciprocal_rank < high
    assert high - low == pytest.approx(2 * 1.96 * ranks.std() / np.sqrt(200), rel=0.15)
    assert figures == half_figures(firsts, seconds, ["a"] * 200, seed=3)


RATE = 22_050
LENGTH_S = 6.0


def stereo(duration_s: float = LENGTH_S, rate: int = RATE) -> FloatArray:
    left = staircase(duration_s, rate)
    return np.stack([left, 0.25 * left], axis=1)


@pytest.fixture
def recording() -> Recording:
    return Recording(stereo(), RATE)


def made(recording: Recording, folder: Path, name: str) -> Recording:
    return read_recording({**VARIANTS, **HALVES}[name](recording, folder / "form"))


@pytest.mark.parametrize("name", ["MP3, 128 kbit/s", "Ogg Vorbis", "Opus"])
@pytest.mark.parametrize("rate", [11_000, 96_000])
def test_encoded_forms_are_lossy_and_sound_the_same(tmp_path: Path, name: str, rate: int) -> None:
    coded = made(Recording(stereo(rate=rate), rate), tmp_path, name)
    assert coded.samples.shape[1] == 2
    assert len(coded.samples) / coded.sample_rate == pytest.approx(LENGTH_S, abs=0.15)
    mono = coded.samples.mean(axis=1)
    for second in (1, 3, 4):
        piece = mono[second * coded.sample_rate : (second + 1) * coded.sample_rate]
        assert second_of(piece, coded.sample_rate) == pytest.approx(second, abs=0.2)
    levels = np.sqrt(np.mean(coded.samples**2, axis=0))
    assert levels[1] / levels[0] == pytest.approx(0.25, rel=0.1)


def test_the_mp3_has_128_kbit_per_second(recording: Recording, tmp_path: Path) -> None:
    path = VARIANTS["MP3, 128 kbit/s"](recording, tmp_path / "form")
    assert 8 * path.stat().st_size / LENGTH_S == pytest.approx(128_000, rel=0.05)


def test_levels_change_without_clipping(recording: Recording, tmp_path: Path) -> None:
    loud = Recording(recording.samples * np.float32(1.8), RATE)
    assert (made(loud, tmp_path, "half the level").samples == 0.5 * loud.samples).all()
    double = made(loud, tmp_path, "double the level").samples
    assert (double == 2 * loud.samples).all()
    assert np.abs(double).max() > 1.5


def test_lead_in_trim_halves_and_mono(recording: Recording, tmp_path: Path) -> None:
    samples = recording.samples
    late = made(recording, tmp_path, "1.2 s of lead-in").samples
    assert len(late) - len(samples) == round(1.2 * RATE)
    assert not late[: round(1.2 * RATE)].any()
    assert (late[round(1.2 * RATE) :] == samples).all()
    assert (made(recording, tmp_path, "trimmed by a third").samples == samples[: 4 * RATE]).all()
    assert (made(recording, tmp_path, FIRST_HALF).samples == samples[: 3 * RATE]).all()
    assert (made(recording, tmp_path, SECOND_HALF).samples == samples[3 * RATE :]).all()
    assert made(recording, tmp_path, "mono").samples[:, 0] == pytest.approx(samples.mean(axis=1))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize(("hz", "gain_db"), [(50, -1), (100, -1), (1000, 0), (4000, 0.602)])
def test_the_tilt_rises_by_2_db_from_100_hz_to_10_khz(rate: int, hz: int, gain_db: float) -> None:
    t = np.arange(2 * rate) / rate
    tone = np.sin(2 * np.pi * hz * t).astype(np.float32)[:, np.newaxis]
    tilted = tilt(tone, rate)
    assert tilted.shape == tone.shape
    middle = slice(rate // 2, 3 * rate // 2)
    assert 20 * np.log10(np.std(tilted[middle]) / np.std(tone[middle])) == pytest.approx(
        gain_db, abs=0.05
    )
    assert np.corrcoef(tilted[middle, 0], tone[middle, 0])[0, 1] > 0.9999  # no delay


def test_more_than_two_channels_are_mixed_down(tmp_path: Path) -> None:
    six = np.repeat(staircase(1.0)[:, np.newaxis], 6, axis=1)
    assert read_recording(write(tmp_path / "a.wav", six)).samples.shape == (RATE, 2)
    one = read_recording(write(tmp_path / "b.wav", staircase(1.0)))
    assert one.samples.shape == (RATE, 1)


def test_every_variant_is_analysed_and_no_file_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.flac", stereo(8.0))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    windows = VariantReader((MEL,))(path)
    assert list(windows) == [ORIGINAL, *VARIANTS, *HALVES]
    assert all(own[0].shape[1:] == MEL.shape for own in windows.values())
    assert [len(windows[name][0]) for name in (ORIGINAL, FIRST_HALF)] == [3, 1]
    assert list(temporary.iterdir()) == []
    assert path.stat().st_size > 0


def test_undecodable_files_are_an_error(tmp_path: Path) -> None:
    short = write(tmp_path / "short.wav", staircase(0.8))
    with pytest.raises(AudioError, match="too short"):
        VariantReader((MEL,))(short)
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no sound")
    with pytest.raises(AudioError):
        VariantReader((MEL,))(broken)


class SpectrumModel:
    """Its embedding is the mean spectrum of a track, or one and the same for all."""

    def __init__(self, name: str, *, constant: bool = False) -> None:
        self.info = SimpleNamespace(name=name, fingerprint=f"{name}-1")
        self.features = MEL
        self._constant = constant

    def analyse(self, tracks: Sequence[FloatArray]) -> list[Analysis]:
        spectra = [windows.mean(axis=(0, 2)) for windows in tracks]
        if self._constant:
            spectra = [np.ones_like(own) for own in spectra]
        unit = [own / np.linalg.norm(own) for own in spectra]
        return [Analysis(np.ones(1, np.float32), own, self.info.fingerprint) for own in unit]


SPECTRUM: Any = SpectrumModel("spectrum")
CONSTANT: Any = SpectrumModel("constant", constant=True)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genres")
    make_genres(folder, ("blues", "metal"), tracks=2, duration_s=4.0)
    (folder / "blues" / "broken.mp3").write_bytes(b"no sound")
    return folder


def test_a_model_of_the_spectrum_and_a_constant_one(music: Path) -> None:
    calls: list[object] = []
    run = measure_robustness(
        music,
        [SPECTRUM, CONSTANT],
        RobustnessOptions(workers=1),
        on_start=calls.append,
        on_track=calls.append,
    )
    assert calls[0] == 5
    assert sorted(map(bool, calls[1:])) == [False] * 4 + [True]
    assert (run.tracks, run.found, run.genres) == (4, 5, {"blues": 2, "metal": 2})
    assert [path.name for path in run.failed] == ["broken.mp3"]

    spectrum, constant = run.models
    assert (spectrum.model, spectrum.fingerprint) == ("spectrum", "spectrum-1")
    assert list(spectrum.variants) == list(VARIANTS)
    assert spectrum.all_variants.n == 4 * len(VARIANTS)
    for name in ("half the level", "double the level", "mono"):
        assert spectrum.variants[name].found == 1
        assert spectrum.variants[name].low == pytest.approx(1, abs=1e-4)
    assert spectrum.halves is not None
    assert spectrum.halves.n == 4
    assert spectrum.halves.by_chance == 0.75

    assert constant.median_cosine == pytest.approx(1)
    assert constant.all_variants.found == 1 / 4
    assert constant.halves is not None
    assert constant.halves.mean_reciprocal_rank == pytest.approx(1 / 1.5)


def test_a_draw_depends_on_its_seed_alone(music: Path) -> None:
    def drawn(seed: int) -> dict[str, int]:
        options = RobustnessOptions(limit=2, seed=seed, workers=1)
        return measure_robustness(music / "metal", [SPECTRUM], options).genres

    assert drawn(0) == drawn(0) == {"metal": 2}


def test_the_same_seed_draws_the_same_tracks() -> None:

    paths = [Path(f"{number:02}.mp3") for number in range(50)]
    one, again, other = (_draw(paths, RobustnessOptions(10, seed)) for seed in (1, 1, 2))
    assert one == again == sorted(set(one))
    assert len(one) == len(other) == 10
    assert one != other
    assert _draw(paths, RobustnessOptions(50, 1)) == paths


def test_what_cannot_be_measured(music: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="0 tracks"):
        measure_robustness(tmp_path, [SPECTRUM])
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    (tmp_path / "b.mp3").write_bytes(b"no sound")
    with pytest.raises(QueryError, match=r"0 tracks .*a\.mp3"):
        measure_robustness(tmp_path, [SPECTRUM], RobustnessOptions(workers=1))
