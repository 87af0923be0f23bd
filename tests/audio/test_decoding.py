from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.audio import decode, decode_whole, decoding, plan_offsets
from recsys.audio.files import open_audio
from recsys.audio.readers import AvReader, SoundFileReader
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError
from recsys.types import Waveform
from tests.sounds import encode, second_of, staircase, write

RATE = 22_050


def assert_windows_in_place(waveform: Waveform) -> None:
    """Every window must sound like the second in whose middle it lies."""
    for window, offset_s in zip(waveform.windows, waveform.offsets_s, strict=True):
        middle_s = offset_s + 1.5
        assert abs(second_of(window, RATE) - np.floor(middle_s)) < 0.7 or (
            # The middle lies on a step of the staircase: either side is right.
            abs(middle_s - round(middle_s)) < 0.15
        )


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (30.0, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]),
        (12.0, [0, 3, 6, 9]),
        (3.0, [0]),
        (0.7, [0]),
    ],
)
def test_short_tracks_are_covered_whole(duration_s: float, expected: list[float]) -> None:
    assert plan_offsets(duration_s, 3.0, 10) == pytest.approx(expected)


@pytest.mark.parametrize("duration_s", [31.0, 100.0, 240.0, 7200.0])
def test_windows_of_long_tracks_are_spread_evenly(duration_s: float) -> None:
    offsets = plan_offsets(duration_s, 3.0, 10)
    assert len(offsets) == 10
    np.testing.assert_allclose(np.diff(offsets), duration_s / 10)
    assert offsets[0] >= 0
    assert offsets[-1] + 3.0 <= duration_s


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_sample_rate_comes_out_at_the_models_rate(tmp_path: Path, rate: int) -> None:
    waveform = decode(write(tmp_path / "a.wav", staircase(12, rate), rate), MEL)
    assert waveform.windows.shape == (4, 66_150)
    assert waveform.sample_rate == RATE
    assert waveform.duration_s == pytest.approx(12)
    assert waveform.warning is None
    assert_windows_in_place(waveform)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_16"),
        ("a.ogg", "VORBIS"),
        ("a.mp3", "MPEG_LAYER_III"),
    ],
)
def test_encodings_that_libsndfile_reads(tmp_path: Path, name: str, subtype: str) -> None:
    waveform = decode(write(tmp_path / name, staircase(100, 44_100), 44_100, subtype), MEL)
    assert waveform.windows.shape == (10, 66_150)
    assert_windows_in_place(waveform)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.m4a", "aac"),
        ("a.m4a", "alac"),
        ("a.wma", "wmav2"),
        ("a.ac3", "ac3"),
        ("a.wv", "wavpack"),
        ("a.aac", "aac"),
        ("a.mka", "aac"),
    ],
)
@pytest.mark.parametrize("duration_s", [20, 100])
def test_encodings_that_only_ffmpeg_reads(
    tmp_path: Path, name: str, codec: str, duration_s: int
) -> None:
    waveform = decode(encode(tmp_path / name, staircase(duration_s, 44_100), codec), MEL)
    assert waveform.duration_s == pytest.approx(duration_s, rel=0.02)  # raw AAC: an estimate
    assert waveform.warning is None
    assert_windows_in_place(waveform)


def test_opus_is_read_by_ffmpeg(tmp_path: Path) -> None:
    waveform = decode(encode(tmp_path / "a.opus", staircase(100, 48_000), "libopus", 48_000), MEL)
    assert waveform.windows.shape == (10, 66_150)
    assert_windows_in_place(waveform)


def test_both_readers_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(100, 44_100), 44_100)
    with open_audio(path) as file:
        one, other = (
            SoundFileReader(file, file).read(40.3, 3.0),
            AvReader(file, file).read(40.3, 3.0),
        )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_channels_are_averaged(tmp_path: Path) -> None:
    tone = staircase(6)
    surround = np.zeros((len(tone), 6), dtype=np.float32)
    surround[:, 2] = tone
    waveform = decode(write(tmp_path / "a.wav", surround), MEL)
    np.testing.assert_allclose(waveform.windows.ravel(), tone / 6, atol=1e-3)


def test_a_clip_shorter_than_a_window_is_repeated_and_reports_it(tmp_path: Path) -> None:
    tone = staircase(1.0)
    waveform = decode(write(tmp_path / "a.wav", tone, subtype="FLOAT"), MEL)
    np.testing.assert_allclose(waveform.windows[0], np.tile(tone, 3), atol=1e-6)
    assert waveform.warning is not None
    assert "1.0 s long" in waveform.warning


def test_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"too short: 0\.10 s"):
        decode(write(tmp_path / "a.wav", staircase(0.1)), MEL)


def test_silence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="silent"):
        decode(write(tmp_path / "a.flac", np.zeros(RATE * 5, dtype=np.float32)), MEL)


def test_samples_that_are_not_numbers_are_silenced_and_counted(tmp_path: Path) -> None:
    tone = staircase(6)
    tone[1000:2323] = np.nan
    tone[5000] = np.inf
    waveform = decode(write(tmp_path / "a.wav", tone, subtype="FLOAT"), MEL)
    assert np.isfinite(waveform.windows).all()
    assert waveform.warning == "1.0% of the samples are not numbers; they were silenced"


def test_mostly_not_numbers_is_refused(tmp_path: Path) -> None:
    tone = staircase(6)
    tone[: len(tone) * 2 // 3] = np.nan
    with pytest.raises(AudioError, match="67% of the samples are not numbers"):
        decode(write(tmp_path / "a.wav", tone, subtype="FLOAT"), MEL)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac", "a.wav"])
def test_a_truncated_file_is_saved_as_far_as_it_goes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, staircase(40, 44_100), 44_100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    waveform = decode(path, MEL)
    assert waveform.duration_s == pytest.approx(40 / 3, abs=3)
    assert_windows_in_place(waveform)


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(40, 44_100), 44_100)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = os.urandom(20_000)
    path.write_bytes(content)
    waveform = decode(path, MEL)
    assert waveform.warning is not None
    assert "damaged" in waveform.warning
    assert waveform.duration_s > 30


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.flac", b"", "empty"),
        ("a.mp3", b"not music at all\n", "not an audio file: a text file"),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "not an audio file"),
        ("a.ogg", bytes(range(256)) * 400, "not an audio file"),
    ],
)
def test_impostors_are_refused_with_their_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioError, match=reason):
        decode(path, MEL)


def test_a_missing_file_is_an_audio_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be read now: No such file"):
        decode(tmp_path / "none.mp3", MEL)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("suffix", [b".flac", b".m4a"])
def test_names_may_be_any_bytes(tmp_path: Path, suffix: bytes) -> None:
    plain = tmp_path / f"a{suffix.decode()}"
    if suffix == b".m4a":
        encode(plain, staircase(6, 44_100), "aac")
    else:
        write(plain, staircase(6))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe 'x' %20" + suffix))
    plain.rename(odd)
    assert decode(odd, MEL).duration_s == pytest.approx(6, abs=0.1)


def test_libraries_stay_silent_about_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", staircase(20, 44_100), 44_100)
    content = bytearray(path.read_bytes())
    content[5000:9000] = bytes(4000)
    path.write_bytes(content)
    # In a worker, whose standard error is silenced once: libmpg123 has no switch of its own.
    result = subprocess.run(
        [sys.executable, "-m", "recsys", "classify", str(path), "--json"],
        capture_output=True,
        check=True,
    )
    assert result.stderr == b""


# Whole tracks


def test_every_sample_of_a_file_at_the_rate_is_kept(tmp_path: Path) -> None:
    samples = staircase(4.0)[:-123]
    waveform = decode_whole(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_array_equal(waveform.windows, samples[np.newaxis])
    assert waveform.duration_s == len(samples) / RATE
    assert waveform.warning is None


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
def test_other_rates_and_channels_become_mono_at_the_rate(tmp_path: Path, rate: int) -> None:
    mono = staircase(6.0, rate)
    path = write(tmp_path / "a.flac", np.stack([mono, mono], axis=1), rate)
    (samples,) = decode_whole(path).windows
    assert len(samples) == 6 * RATE
    middle = samples[round(3.1 * RATE) : round(3.9 * RATE)]
    assert second_of(middle, RATE) == pytest.approx(3, abs=0.3)


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
    monkeypatch.setattr(decoding, "MAX_WHOLE_S", 60.0)
    waveform = decode_whole(write(tmp_path / "a.wav", staircase(62.5)))
    assert waveform.windows.shape == (1, 60 * RATE)
    assert waveform.warning == "only the first 1 minutes were analysed"


def test_samples_that_are_not_numbers_are_silenced_and_reported(tmp_path: Path) -> None:
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
