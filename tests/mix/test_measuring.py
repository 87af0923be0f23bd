"""Loudness against the signals of EBU Tech 3341, whose loudness is stated there."""

from __future__ import annotations

from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
from mutagen.id3 import TBPM, TKEY

from recsys.audio import open_container
from recsys.errors import AudioError
from recsys.library.tags import read_mix_tags
from recsys.mix import measuring
from recsys.mix.measuring import EXCERPT_S, RATE_HZ, _append, _Decoded, blocks, measure
from recsys.types import Mix, MixKind
from tests.sounds import encode, staircase, write

LOUDNESS = (MixKind.LOUDNESS,)


def sine(seconds: float, dbfs: float, hz: float = 1000.0, rate: int = 48_000) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def stereo(*parts: np.ndarray) -> np.ndarray:
    return np.stack([np.concatenate(parts)] * 2, axis=1)


@pytest.mark.parametrize(
    ("parts", "loudness"),
    [
        ([(20, -23)], -23.0),  # case 1
        ([(20, -33)], -33.0),  # case 2
        ([(10, -36), (60, -23), (10, -36)], -23.0),  # case 3: the relative gate
        ([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], -23.0),  # case 4
        ([(20, -26), (20.1, -20), (20, -26)], -23.0),  # case 5
    ],
)
def test_signals_of_ebu_tech_3341_have_their_loudness(
    tmp_path: Path, parts: list[tuple[float, float]], loudness: float
) -> None:
    sound = stereo(*(sine(*part) for part in parts))
    mix = measure(write(tmp_path / "a.wav", sound, 48_000, "FLOAT"), LOUDNESS)
    assert mix.loudness == pytest.approx(loudness, abs=0.1)
    assert mix.replay_gain == pytest.approx(-18 - loudness, abs=0.1)
    assert mix.tempo_by is mix.key_by is None


def test_the_true_peak_lies_between_samples(tmp_path: Path) -> None:
    """Case 16: a quarter of the rate, sampled 45 degrees beside its peaks: -9 dBFS is -6 dBTP."""
    t = np.arange(48_000 * 2)
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 4800)
    wave = 0.5 * np.sin(2 * np.pi * t / 4 + np.pi / 4) * fade
    sound = np.stack([wave, wave], axis=1).astype(np.float32)
    assert np.abs(sound).max() == pytest.approx(0.5 / np.sqrt(2), abs=1e-4)
    mix = measure(write(tmp_path / "a.wav", sound, 48_000, "FLOAT"), LOUDNESS)
    assert mix.true_peak is not None
    assert -6.4 <= mix.true_peak <= -5.8  # the tolerance stated there


def test_channels_add_up_and_the_rate_does_not_count(tmp_path: Path) -> None:
    one = measure(write(tmp_path / "a.wav", sine(10, -20), 48_000, "FLOAT"), LOUDNESS)
    two = measure(write(tmp_path / "b.wav", stereo(sine(10, -20)), 48_000, "FLOAT"), LOUDNESS)
    low = sine(10, -20, rate=44_100)
    other = measure(write(tmp_path / "c.flac", low, 44_100), LOUDNESS)
    assert one.loudness is not None
    assert two.loudness == pytest.approx(one.loudness + 10 * np.log10(2), abs=0.02)
    assert other.loudness == pytest.approx(one.loudness, abs=0.05)


def test_silence_has_no_loudness_and_no_tempo(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(48_000 * 8, dtype=np.float32), 48_000)
    mix = measure(path, LOUDNESS)
    assert (mix.loudness, mix.true_peak, mix.replay_gain) == (None, None, None)
    assert mix.loudness_by is not None


def test_a_lossy_file_has_the_loudness_of_its_sound(tmp_path: Path) -> None:
    sound = sine(10, -20, rate=44_100)
    path = encode(tmp_path / "a.m4a", sound, "aac")
    exact = measure(write(tmp_path / "a.wav", sound, 44_100), LOUDNESS).loudness
    assert measure(path, LOUDNESS).loudness == pytest.approx(exact, abs=0.2)


def test_what_holds_no_sound_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3" + bytes(1000))
    with pytest.raises(AudioError):
        measure(path, LOUDNESS)


def test_the_excerpt_is_the_middle_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "EXCERPT_S", 10.0)
    path = write(tmp_path / "a.wav", staircase(40, RATE_HZ), RATE_HZ)
    with open_container(path, at_most=None) as container:
        decoded = _Decoded(40.0, loudness=False)
        taken = sum(1 for block in blocks(container) if decoded.add(block))
    sound = decoded.excerpt()
    assert len(sound) == 10 * RATE_HZ
    # 20 Hz a second from 300 Hz on: it begins at second 15, 600 Hz, or in the block before.
    spectrum = np.abs(np.fft.rfft(sound[RATE_HZ // 4 : RATE_HZ // 4 + 8192]))
    assert np.argmax(spectrum) * RATE_HZ / 8192 == pytest.approx(600, abs=25)
    assert taken < 30
    assert EXCERPT_S == 240.0


def test_channels_that_change_midway_are_a_failure() -> None:
    joined = av.AudioFifo()
    for layout, channels in (("mono", 1), ("stereo", 2)):
        frame = av.AudioFrame.from_ndarray(
            np.zeros((channels, 100), dtype=np.float32), format="fltp", layout=layout
        )
        frame.sample_rate = 44_100
        if layout == "mono":
            _append(joined, frame)
            continue
        with pytest.raises(AudioError, match="midway"):
            _append(joined, frame)


def tagged(path: Path, tempo: str, key: str) -> Path:
    write(path, sine(8, -20, rate=44_100), 44_100)
    file = mutagen.File(path)
    if path.suffix == ".mp3":
        file.add_tags()
        file.tags.add(TBPM(text=[tempo]))
        file.tags.add(TKEY(text=[key]))
    else:
        file["bpm"] = tempo
        file["initialkey"] = key
    file.save()
    return path


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg"])
def test_the_tags_of_a_file_win_and_nothing_is_decoded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tagged(tmp_path / name, "127.98", "8A")
    monkeypatch.setattr(measuring, "open_container", None)
    mix = measure(path, (MixKind.TEMPO, MixKind.KEY))
    assert mix == Mix(tempo=127.98, tempo_by="tag", key="A minor", key_by="tag")
    assert (mix.certain_tempo, mix.certain_key) == (127.98, "A minor")


@pytest.mark.parametrize(("tempo", "key"), [("0", "o"), ("", ""), ("fast", "h"), ("9999", "99Z")])
def test_tags_that_are_no_tempo_and_no_key_do_not_count(
    tmp_path: Path, tempo: str, key: str
) -> None:
    assert read_mix_tags(tagged(tmp_path / "a.flac", tempo, key)) == (None, None)
