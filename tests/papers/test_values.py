"""Values whose right answer is known, kind by kind."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.ndimage import median_filter

from recsys.errors import MissingExtraError
from recsys.one_librosa import librosa
from recsys.papers.features import (
    COLUMNS,
    ImageFeatures,
    Mfcc,
    PublicTable,
    Stft,
    Summary,
    running_median,
)
from recsys.types import FloatArray

RATE = 22_050
TIME_S = np.arange(3 * RATE) / RATE


def tone(hz: float, duration_s: float = 3.0, amplitude: float = 0.5) -> FloatArray:
    t = np.arange(round(duration_s * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)[np.newaxis]


def clicks(per_minute: float, duration_s: float) -> FloatArray:
    """Short bursts of noise over a quiet tone."""
    rng = np.random.default_rng(0)
    samples = tone(220, duration_s, 0.01)[0]
    for start in np.arange(0, duration_s, 60 / per_minute):
        first = round(start * RATE)
        burst = samples[first : first + 400]
        burst += 0.5 * rng.standard_normal(len(burst)).astype(np.float32)
    return samples[np.newaxis]


def test_mfcc_are_those_of_librosa_time_first() -> None:
    window = clicks(120, 3.0)
    expected = librosa.feature.mfcc(y=window[0], sr=RATE, n_mfcc=13, n_fft=2048, hop_length=512)
    np.testing.assert_allclose(Mfcc().compute(window)[0], expected.T, rtol=1e-4, atol=1e-3)


def test_stft_of_three_seconds_has_the_published_size_and_its_peak_at_the_tone() -> None:
    settings = Stft()
    assert settings.shape == (513, 128)
    (magnitude,) = settings.compute(tone(100 * RATE / 1024))
    assert (magnitude.argmax(axis=0) == 100).all()
    # A sine of amplitude 0.5 under a Hann window of sum 512: 0.5 / 2 * 512.
    np.testing.assert_allclose(magnitude[100], 128, rtol=1e-3)


def test_the_default_summary_is_the_36_features() -> None:
    settings = Summary()
    assert settings.shape == (36,)
    assert settings.names[:4] == ("zcr_mean", "centroid_mean", "contrast1_mean", "contrast2_mean")
    assert settings.names[11:13] == ("mfcc1_mean", "mfcc2_mean")
    assert settings.names[-1] == "chroma12_mean"
    assert (settings.max_windows, settings.window_s) == (1, 30.0)


def test_a_summary_of_a_tone() -> None:
    settings = Summary(
        window_s=3.0,
        parts=("zcr", "rms", "centroid", "bandwidth", "rolloff", "flatness", "chroma"),
        statistics=("mean", "var"),
    )
    values = dict(zip(settings.names, settings.compute(tone(1000))[0], strict=True))
    assert values["zcr_mean"] == pytest.approx(2 * 1000 / RATE, rel=0.03)
    assert values["rms_mean"] == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
    assert values["centroid_mean"] == pytest.approx(1000, rel=0.02)
    assert values["rolloff_mean"] == pytest.approx(1000, rel=0.03)
    assert values["flatness_mean"] < 0.01
    chroma = [values[f"chroma{number}_mean"] for number in range(1, 13)]
    assert np.argmax(chroma) == 11  # 1000 Hz lies nearest to B


def test_parts_stand_in_the_order_that_is_asked_for() -> None:
    window = clicks(100, 3.0)
    forward = Summary(window_s=3.0, parts=("rms", "mfcc"), n_mfcc=2).compute(window)[0]
    backward = Summary(window_s=3.0, parts=("mfcc", "rms"), n_mfcc=2).compute(window)[0]
    np.testing.assert_array_equal(forward, backward[[2, 0, 1]])


def test_the_public_table_has_57_columns() -> None:
    assert len(COLUMNS) == 57
    assert COLUMNS[0] == "chroma_stft_mean"
    assert COLUMNS[16] == "tempo"
    assert COLUMNS[17:19] == ("mfcc1_mean", "mfcc1_var")
    assert COLUMNS[-1] == "mfcc20_var"


def test_the_public_table_agrees_with_librosa_called_column_by_column() -> None:
    window = clicks(120, 3.0)
    sound = window[0]
    harmonic, percussive = librosa.effects.hpss(sound)
    descriptors = {
        "chroma_stft": librosa.feature.chroma_stft(y=sound, sr=RATE),
        "rms": librosa.feature.rms(y=sound),
        "spectral_centroid": librosa.feature.spectral_centroid(y=sound, sr=RATE),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=sound, sr=RATE),
        "rolloff": librosa.feature.spectral_rolloff(y=sound, sr=RATE),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(sound),
        "harmony": harmonic,
        "perceptr": percussive,
    }
    mfcc = librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=20)
    descriptors |= {f"mfcc{number}": row for number, row in enumerate(mfcc, 1)}
    expected = {f"{name}_mean": frames.mean() for name, frames in descriptors.items()}
    expected |= {f"{name}_var": frames.var() for name, frames in descriptors.items()}
    expected["tempo"] = librosa.beat.beat_track(y=sound, sr=RATE)[0][0]
    assert expected.keys() == set(COLUMNS)
    (values,) = PublicTable().compute(window)
    np.testing.assert_allclose(values, [expected[name] for name in COLUMNS], rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("shape", [(5, 200), (3, 31), (4, 7), (1, 1)])
def test_the_running_median_is_that_of_scipy(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(running_median(rows), median_filter(rows, size=(1, 31)))


@pytest.mark.parametrize("per_minute", [90, 120])
def test_tempo_is_that_of_the_clicks(per_minute: float) -> None:
    settings = PublicTable(window_s=20.0)
    (values,) = settings.compute(clicks(per_minute, 20.0))
    assert values[COLUMNS.index("tempo")] == pytest.approx(per_minute, rel=0.03)


def test_clicks_are_percussive_and_tones_harmonic() -> None:
    harmony, percussion = COLUMNS.index("harmony_var"), COLUMNS.index("perceptr_var")
    of_tone, of_clicks = (
        PublicTable().compute(window)[0] for window in (tone(440), clicks(120, 3.0))
    )
    assert of_tone[harmony] > 100 * of_tone[percussion]
    assert of_clicks[percussion] > 10 * of_clicks[harmony]


def test_silence_has_no_tempo() -> None:
    (values,) = PublicTable().compute(np.zeros((1, 3 * RATE), dtype=np.float32))
    assert values[COLUMNS.index("tempo")] == 0


@pytest.mark.parametrize("content", ["mel", "centroid", "chroma"])
def test_images_lie_between_black_and_white(content: str) -> None:
    (image,) = ImageFeatures(content=content, height=60, width=90).compute(clicks(120, 3.0))
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.max() > image.min() + 0.5


def test_a_mel_image_has_low_tones_at_the_bottom_and_time_from_the_left() -> None:
    half = len(TIME_S) // 2
    low_then_high = np.concatenate([tone(200)[0, :half], tone(6000)[0, half:]])[np.newaxis]
    (image,) = ImageFeatures(fmax=8000.0).compute(low_then_high)
    brightest = image.argmax(axis=0)
    assert (brightest[:60] > 100).all()
    assert (brightest[70:] < 30).all()
    assert image.max() == pytest.approx(1, abs=0.05)


def test_the_level_of_a_recording_does_not_change_its_image() -> None:
    window = clicks(120, 3.0)
    np.testing.assert_allclose(
        ImageFeatures().compute(window), ImageFeatures().compute(0.01 * window), atol=2e-3
    )


def test_the_centroid_is_an_area_as_high_as_the_tone() -> None:
    settings = ImageFeatures(content="centroid", height=100, width=40)
    (image,) = settings.compute(tone(2000))
    expected = 100 * librosa.hz_to_mel(2000) / librosa.hz_to_mel(RATE / 2)
    np.testing.assert_allclose(image[:, 5:-5].sum(axis=0), expected, atol=0.5)
    assert (np.diff(image[:, 20]) >= 0).all()  # nothing but black above the curve


def test_chroma_has_c_at_the_bottom() -> None:
    (image,) = ImageFeatures(content="chroma", height=120, width=50).compute(tone(523.25))
    rows = image.mean(axis=1)
    assert rows.argmax() >= 110
    (image,) = ImageFeatures(content="chroma", height=120, width=50).compute(tone(493.88))
    assert image.mean(axis=1).argmax() < 10  # B


@pytest.mark.parametrize("content", ["mel", "centroid", "chroma"])
def test_silence_is_black(content: str) -> None:
    image = ImageFeatures(content=content).compute(np.zeros((1, 3 * RATE), dtype=np.float32))
    assert not image.any()


def test_images_without_pillow_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError) as caught:
        ImageFeatures().compute(tone(440))
    assert "[papers]" in caught.value.hint
