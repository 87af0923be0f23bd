"""Where the sound is: in silence, in channels that cancel, beside samples that cannot be sound."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from recsys.audio import decode, decode_whole, plan_offsets
from recsys.audio.samples import Mixdown
from recsys.audio.windows import where_there_is_sound
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError
from recsys.types import FloatArray
from tests.audio.test_decoding import assert_windows_in_place
from tests.sounds import encode, noise, staircase, write

RATE = 22_050


def silence(duration_s: float) -> FloatArray:
    return np.zeros(round(duration_s * RATE), dtype=np.float32)


# Silence


def test_windows_without_silence_stay_where_they_are(tmp_path: Path) -> None:
    waveform = decode(write(tmp_path / "a.flac", noise(100)), MEL)
    assert waveform.offsets_s == tuple(plan_offsets(100, 3, 10))


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.ogg"])
def test_silence_at_the_end_is_no_window(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, np.concatenate([staircase(120), silence(60)]))
    waveform = decode(path, MEL)
    assert len(waveform.windows) == 10
    assert max(waveform.offsets_s) <= 118
    assert max(waveform.offsets_s) > 80
    assert np.abs(waveform.windows).max(axis=1).min() > 0.3
    assert waveform.warning is None
    assert_windows_in_place(waveform)


def test_a_hidden_track_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.concatenate([noise(25), silence(1200), 0.5 * noise(25)]))
    waveform = decode(path, MEL)
    assert len(waveform.windows) >= 5
    peaks = np.abs(waveform.windows).max(axis=1)
    assert (peaks > 0.4).any()  # of the first
    assert (peaks > 0.2).all()
    assert max(waveform.offsets_s) > 1225
    assert waveform.duration_s == pytest.approx(1250)


def test_sound_in_the_middle_of_silence_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.concatenate([silence(290), noise(20), silence(290)]))
    waveform = decode(path, MEL)
    assert np.abs(waveform.windows).max(axis=1).min() > 0.3


@pytest.mark.parametrize("at_s", [33.3, 341.9, 598.5])
def test_a_moment_of_sound_in_ten_minutes_of_silence_is_found(tmp_path: Path, at_s: float) -> None:
    stem = np.concatenate([silence(at_s), noise(1.5), silence(600 - at_s - 1.5)])
    waveform = decode(write(tmp_path / "a.flac", stem), MEL)
    assert all(np.abs(window).max() > 0.05 for window in waveform.windows)
    assert waveform.warning is None


def test_silence_is_still_silence(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"silent: 100\.0 s without a sound"):
        decode(write(tmp_path / "a.flac", silence(100)), MEL)


def test_a_quiet_recording_keeps_its_windows(tmp_path: Path) -> None:
    waveform = decode(write(tmp_path / "a.wav", 1e-3 * noise(100), subtype="FLOAT"), MEL)
    assert waveform.offsets_s == tuple(plan_offsets(100, 3, 10))


def test_silence_in_a_damaged_file_is_no_window(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.concatenate([noise(60), silence(30), noise(60)]))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    waveform = decode(path, MEL)
    assert "ends early" in str(waveform.warning)
    assert len(waveform.windows) == 10
    assert np.abs(waveform.windows).max(axis=1).min() > 0.3


@pytest.mark.parametrize("sound", [(0, 30), (570, 600), (100, 110), (300, 304)])
def test_any_stretch_of_sound_is_found(sound: tuple[int, int]) -> None:
    start, end = sound
    looked_at = []

    def audible(offset: float) -> bool:
        looked_at.append(offset)
        return start - 3 < offset < end

    found = where_there_is_sound(plan_offsets(600, 3, 6), 600, 3, audible)
    assert all(start - 3 < offset < end for offset in found)
    assert len(looked_at) <= 6 + 2 + 4 * 6
    assert all(b - a >= 3 for a, b in pairwise(found))


# Channels


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.ogg", "a.wav"])
@pytest.mark.parametrize("right", [-1.0, -0.8])
def test_a_channel_upside_down_does_not_cancel_the_other(
    tmp_path: Path, name: str, right: float
) -> None:
    tone = staircase(40)
    waveform = decode(write(tmp_path / name, np.stack([tone, right * tone], axis=1)), MEL)
    assert np.abs(waveform.windows).max(axis=1).min() > 0.4
    assert_windows_in_place(waveform)
    whole = decode_whole(tmp_path / name)
    assert np.abs(whole.windows).max() > 0.4


def test_a_channel_upside_down_in_a_damaged_file(tmp_path: Path) -> None:
    tone = staircase(40)
    path = write(tmp_path / "a.flac", np.stack([tone, -tone], axis=1))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    waveform = decode(path, MEL)
    assert "ends early" in str(waveform.warning)
    assert_windows_in_place(waveform)


def test_a_channel_upside_down_that_only_ffmpeg_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    for duration_s in (20, 100):
        tone = staircase(duration_s, 44_100)
        encode(path, np.stack([tone, -tone]), "alac")
        assert_windows_in_place(decode(path, MEL))


@pytest.mark.parametrize("kind", ["same", "one side", "unrelated", "wide"])
def test_ordinary_stereo_is_the_mean_to_the_bit(tmp_path: Path, kind: str) -> None:
    left, other = noise(30), noise(30, seed=1)
    right = {
        "same": left,
        "one side": 0 * left,
        "unrelated": other,
        "wide": -0.5 * left + 0.5 * other,
    }[kind]
    both = np.stack([left, right], axis=1)
    waveform = decode(write(tmp_path / "a.wav", both, subtype="FLOAT"), MEL)
    expected = both @ np.full(2, 0.5, dtype=np.float32)
    np.testing.assert_array_equal(waveform.windows.ravel(), expected[: 30 * RATE])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24])
@pytest.mark.parametrize("name", ["a.mka", "a.wav"])
def test_any_number_of_channels_is_decoded(tmp_path: Path, channels: int, name: str) -> None:
    tone = staircase(10, 48_000)
    path = tmp_path / name
    samples = np.repeat(tone[:, np.newaxis], channels, axis=1)
    write(path.with_suffix(".wav"), samples, 48_000)
    if name == "a.mka":  # FFmpeg decodes it
        with av.open(str(path.with_suffix(".wav"))) as source, av.open(str(path), "w") as container:
            stream = container.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(audio=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
        path.with_suffix(".wav").unlink()
    waveform = decode(path, MEL)
    assert np.abs(waveform.windows).max() == pytest.approx(0.5, abs=0.02)
    assert_windows_in_place(waveform)


@pytest.mark.parametrize("channels", [9, 16])
def test_opus_of_many_channels_is_decoded(tmp_path: Path, channels: int) -> None:
    one = encode(tmp_path / "a.opus", staircase(10, 48_000), "libopus", 48_000)
    assert decode(one, MEL).duration_s == pytest.approx(10, abs=0.1)
    path = tmp_path / f"{channels}.mka"
    with av.open(str(path), "w") as container:
        layout = f"{channels} channels"
        stream = container.add_stream("pcm_f32le", rate=48_000, layout=layout)
        tone = np.repeat(staircase(10, 48_000)[:, np.newaxis], channels, axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(tone, format="flt", layout=layout)
        frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert_windows_in_place(decode(path, MEL))


# Samples that cannot be sound


@pytest.mark.parametrize("value", [3e37, -3e37, 1e20, 1e4, np.nan, np.inf])
@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_one_absurd_sample_is_silenced(tmp_path: Path, value: float, rate: int) -> None:
    samples = np.stack([staircase(30, rate)] * 2, axis=1)
    intact = decode(write(tmp_path / "b.wav", samples, rate, "FLOAT"), MEL)
    samples[13 * rate, 0] = value
    waveform = decode(write(tmp_path / "a.wav", samples, rate, "FLOAT"), MEL)
    assert waveform.warning is not None
    assert "silenced" in waveform.warning
    assert np.isfinite(waveform.windows).all()
    np.testing.assert_allclose(waveform.windows, intact.windows, atol=0.5)
    assert np.abs(waveform.windows - intact.windows).mean() < 1e-3
    assert "silenced" in str(decode_whole(tmp_path / "a.wav").warning)


def test_loud_floats_are_no_damage(tmp_path: Path) -> None:
    # As a program writes that forgets to divide by 32768.
    waveform = decode(write(tmp_path / "a.wav", 32768 * noise(30), subtype="FLOAT"), MEL)
    assert waveform.warning is None
    assert np.abs(waveform.windows).max() > 10_000


def test_nothing_but_absurd_samples_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.float32(1e30) * noise(30), subtype="DOUBLE")
    with pytest.raises(AudioError, match="of the samples are absurd"):
        decode(path, MEL)


def test_whole_numbers_are_not_looked_at() -> None:
    mix = Mixdown()
    mix.bounded = True
    block = np.full((10, 1), np.nan, dtype=np.float32)
    assert np.isnan(mix.interleaved(block)).all()
