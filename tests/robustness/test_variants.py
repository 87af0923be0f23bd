"""Every form of a track is what its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError
from recsys.robustness import (
    FIRST_HALF,
    HALVES,
    ORIGINAL,
    SECOND_HALF,
    VARIANTS,
    Recording,
    VariantListener,
    read_recording,
    tilt,
)
from recsys.types import FloatArray
from tests.sounds import second_heard, staircase, write

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
        assert second_heard(piece, coded.sample_rate) == pytest.approx(second, abs=0.2)
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


def test_a_listener_hears_every_form_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.flac", stereo(8.0))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    heard = VariantListener((MEL,))(path)
    assert list(heard) == [ORIGINAL, *VARIANTS, *HALVES]
    assert all(own[0].shape[1:] == MEL.shape for own in heard.values())
    assert [len(heard[name][0]) for name in (ORIGINAL, FIRST_HALF)] == [3, 1]
    assert list(temporary.iterdir()) == []
    assert path.stat().st_size > 0


def test_what_cannot_be_heard_is_told(tmp_path: Path) -> None:
    short = write(tmp_path / "short.wav", staircase(0.8))
    with pytest.raises(AudioError, match="too short"):
        VariantListener((MEL,))(short)
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no sound")
    with pytest.raises(AudioError):
        VariantListener((MEL,))(broken)
