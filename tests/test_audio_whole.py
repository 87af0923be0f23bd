from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import audio as audio_whole
from recsys.audio import decode_whole
from recsys.errors import AudioError
from tests.sounds import encode, second_heard, staircase, write

RATE = 22_050


def test_every_sample_of_a_file_at_the_rate_is_kept(tmp_path: Path) -> None:
    samples = staircase(4.0)[:-123]
    waveform = decode_whole(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_array_equal(waveform.windows, samples[np.newaxis])
    assert waveform.duration_s == len(samples) / RATE
    assert waveform.warning is None


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_rates_and_channels_become_mono_at_the_rate(tmp_path: Path, rate: int) -> None:
    mono = staircase(6.0, rate)
    path = write(tmp_path / "a.flac", np.stack([mono, mono], axis=1), rate)
    (samples,) = decode_whole(path).windows
    assert len(samples) == 6 * RATE
    middle = samples[round(3.1 * RATE) : round(3.9 * RATE)]
    assert second_heard(middle, RATE) == pytest.approx(3, abs=0.3)


def test_what_libsndfile_cannot_read_is_read_by_ffmpeg(tmp_path: Path) -> None:
    waveform = decode_whole(encode(tmp_path / "a.m4a", staircase(3.0, 44_100), "aac"))
    assert waveform.duration_s == pytest.approx(3, abs=0.1)
    assert waveform.warning is None


def test_a_file_that_ends_early_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(8.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    waveform = decode_whole(path)
    assert 2 < waveform.duration_s < 6
    assert "of 8.0 s read" in str(waveform.warning)


def test_the_rest_beyond_the_limit_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_whole, "MAX_WHOLE_S", 60.0)
    waveform = decode_whole(write(tmp_path / "a.wav", staircase(62.5)))
    assert waveform.windows.shape == (1, 60 * RATE)
    assert waveform.warning == "only the first 1 minutes were analysed"


def test_samples_that_are_not_numbers_are_silenced_and_said(tmp_path: Path) -> None:
    samples = staircase(1.0)
    samples[1000:1100] = np.nan
    waveform = decode_whole(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert not waveform.windows[0, 1000:1100].any()
    assert "not numbers" in str(waveform.warning)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(RATE, dtype=np.float32), "silent"),
        (staircase(0.4), "too short"),
        (np.full(RATE, np.nan, dtype=np.float32), "not numbers"),
    ],
)
def test_what_holds_no_sound_is_refused(tmp_path: Path, samples: np.ndarray, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        decode_whole(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
