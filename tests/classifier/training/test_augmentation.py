"""Responses of the front end to tracks and to their augmented copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.classifier.training import tune
from recsys.classifier.training.datasets import HalfArray
from recsys.classifier.training.tune import TrackResponses, front_end_responses, responses_to, vary
from recsys.mel import USUAL_POWER, expand
from recsys.types import FloatArray
from tests.classifier.training.small_network import FILTERS, random_track, small_network


def windows(count: int = 4, frames: int = 30) -> FloatArray:
    rng = np.random.default_rng(0)
    return (0.5 + 3 * rng.random((count, 96, frames))).astype(np.float32)


def same(one: tuple[HalfArray, ...], other: tuple[HalfArray, ...]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_the_track_itself_comes_first() -> None:
    model, track = small_network(), random_track(1, spectrogram=True)
    assert track.audio is not None
    assert track.spectrogram is not None
    (responses,) = front_end_responses(model, [track], 2, 0)
    assert len(responses.audio) == len(responses.spectrogram) == 3
    with torch.no_grad():
        expected = model.front_end(torch.from_numpy(track.audio.astype(np.float32))).numpy()
    np.testing.assert_allclose(responses.plain, expected, atol=2e-3, rtol=2e-3)
    assert responses.plain.shape == (2, sum(FILTERS), 20)
    assert not np.array_equal(responses.audio[1][:1], responses.audio[2][:1])


def test_there_may_be_sound_alone_or_a_spectrogram_alone() -> None:
    tracks = [random_track(1), random_track(2, audio=False, spectrogram=True)]
    audio, spectrogram = front_end_responses(small_network(), tracks, 1, 0)
    assert (len(audio.audio), len(audio.spectrogram)) == (2, 0)
    assert (len(spectrogram.audio), len(spectrogram.spectrogram)) == (0, 2)
    assert spectrogram.plain is spectrogram.spectrogram[0]


def test_a_seed_decides_the_changes() -> None:
    model, tracks = small_network(), [random_track(1), random_track(2)]
    first, again, other = (front_end_responses(model, tracks, 2, seed) for seed in (5, 5, 6))
    assert all(same(one.audio, two.audio) for one, two in zip(first, again, strict=True))
    assert same(first[0].audio[:1], other[0].audio[:1])
    assert not same(first[0].audio, other[0].audio)


def test_the_changes_do_not_depend_on_the_other_tracks() -> None:
    model = small_network()
    among = front_end_responses(model, [random_track(1), random_track(2)], 2, 0)
    others = front_end_responses(
        model, [random_track(3, windows=5, spectrogram=True), random_track(2)], 2, 0
    )
    assert same(among[1].audio, others[1].audio)


def test_progress_is_reported() -> None:
    totals: list[int] = []
    front_end_responses(
        small_network(), [random_track(1), random_track(2), random_track(3)], 0, 0, totals.append
    )
    assert totals == [3, 3, 3]


def test_no_tracks() -> None:
    assert responses_to(small_network(), np.empty((0, 96, 20), np.float32)).shape == (0, 6, 20)


def numbered(*numbers: int) -> tuple[HalfArray, ...]:
    """Copies whose windows all hold the copy's number."""
    return tuple(np.full((2, 1, 1), number, dtype=np.float16) for number in numbers)


def drawn(track: TrackResponses, share: float, times: int = 3000) -> FloatArray:
    rng = np.random.default_rng(0)
    return np.asarray([float(track.draw(rng, share)[0, 0]) for _ in range(times)])


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_spectrograms_are_drawn_as_often_as_asked(share: float) -> None:
    track = TrackResponses(numbered(0, 1), numbered(10, 11))
    numbers = drawn(track, share)
    assert np.mean(numbers >= 10) == pytest.approx(share, abs=0.03)
    wanted = ({0, 1} if share < 1 else set()) | ({10, 11} if share > 0 else set())
    assert set(numbers) == wanted


def test_what_is_there_is_drawn_whatever_the_share() -> None:
    assert set(drawn(TrackResponses(numbered(0), ()), 1.0, 50)) == {0}
    assert set(drawn(TrackResponses((), numbered(10)), 0.0, 50)) == {10}


def test_copies_and_windows_are_drawn_equally_often() -> None:
    copies = (np.asarray([[[0]], [[1]]], np.float16), np.asarray([[[2]], [[3]]], np.float16))
    counts = np.bincount(drawn(TrackResponses(copies, ()), 0.2).astype(int))
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.03)


def test_a_changed_copy_is_level_but_for_a_little() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        power = expand(vary(windows(), rng)).mean()
        assert abs(np.log10(power / USUAL_POWER)) < 0.2


@pytest.mark.parametrize(("speed", "count"), [(0.5, 8), (0.8, 5), (1.0, 4), (2.0, 2), (9.0, 1)])
def test_a_quick_copy_has_fewer_windows(
    speed: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "SPEED", (speed, speed))
    assert vary(windows(), np.random.default_rng(0)).shape == (count, 96, 30)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No change but of the level."""
    monkeypatch.setattr(tune, "SPEED", (1.0, 1.0))
    monkeypatch.setattr(tune, "NOISE", (-30.0, -30.0))
    for name in ("MEL_SHIFT", "TILT_DB", "EQUALISER_DB", "LOW_PASS_SHARE"):
        monkeypatch.setattr(tune, name, 0.0)
    return monkeypatch


@pytest.mark.usefixtures("still")
def test_without_changes_only_the_level_is_another() -> None:
    gain = expand(vary(windows(), np.random.default_rng(0))) / expand(windows())
    np.testing.assert_allclose(gain, np.median(gain), rtol=1e-3)


def test_a_tilt_lifts_one_end_and_lowers_the_other(still: pytest.MonkeyPatch) -> None:
    still.setattr(tune, "TILT_DB", 3.0)
    gain = expand(vary(windows(), np.random.default_rng(1))) / expand(windows())
    decibels = 10 * np.log10(gain.mean(axis=(0, 2)))
    steps = np.diff(decibels)
    np.testing.assert_allclose(steps, steps.mean(), atol=1e-3)
    assert 0.1 < abs(decibels[-1] - decibels[0]) <= 6.0


def test_a_poor_encoding_takes_the_treble(still: pytest.MonkeyPatch) -> None:
    still.setattr(tune, "LOW_PASS_SHARE", 1.0)
    gain = expand(vary(windows(), np.random.default_rng(0))) / expand(windows())
    decibels = 10 * np.log10(np.maximum(gain.mean(axis=(0, 2)), 1e-9))
    kept = decibels > decibels[0] - 1
    assert 0 < np.count_nonzero(~kept) <= 33
    assert kept.tolist() == sorted(kept.tolist(), reverse=True)


def test_a_transposed_copy_stands_higher_or_lower(still: pytest.MonkeyPatch) -> None:
    still.setattr(tune, "MEL_SHIFT", 2.0)
    line = np.zeros((1, 96, 30), np.float32)
    line[:, 40] = 3.0
    profiles = [vary(line, np.random.default_rng(seed))[0].mean(axis=1) for seed in range(30)]
    centres = np.asarray([np.average(np.arange(96), weights=profile) for profile in profiles])
    assert (np.abs(centres - 40) <= 2.01).all()
    assert (centres < 39.5).any()
    assert (centres > 40.5).any()


def test_silence_stays_finite() -> None:
    assert not vary(np.zeros((2, 96, 30), np.float32), np.random.default_rng(0)).any()
