"""Sound, covers and waveforms, and files that are not there."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from recsys.api import Library
from recsys.mel import hz_to_mel, mel_power
from recsys.mix import spectrogram as spectrograms
from recsys.mix.spectrogram import BANDS, FRAMES, SpectrogramOf, spectrogram_of
from recsys.mix.waveform import PEAKS, mono_blocks, peaks_of
from recsys.web import covers, media
from recsys.web.covers import Covers
from recsys.web.transcode import transcode
from tests.sounds import encode, noise, second_of, staircase, write
from tests.web.conftest import API, Indexed, Serving, get, png


def track_of(client: TestClient, title: str, artist: str) -> int:
    rows = get(client, "tracks", artist=artist, banned=True)["tracks"]
    (found,) = (row["track_id"] for row in rows if row["title"] == title)
    return int(found)


@pytest.fixture
def flac(client: TestClient, indexed: Indexed) -> tuple[int, Path]:
    """Id and file of a track."""
    track = next(t for t in Library(indexed.database).tracks() if t.path.suffix == ".flac")
    return track.id, track.path


def test_the_original_file_is_sent(client: TestClient, flac: tuple[int, Path]) -> None:
    track, path = flac
    found = client.get(f"{API}/media/{track}/audio")
    assert found.content == path.read_bytes()
    assert found.headers["content-type"] == "audio/flac"
    assert found.headers["accept-ranges"] == "bytes"
    head = client.head(f"{API}/media/{track}/audio")
    assert (head.content, head.headers["content-length"]) == (b"", str(path.stat().st_size))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("5-", 5, None), ("-7", -7, None), ("0-99999999", 0, None)],
)
def test_ranges(
    client: TestClient, flac: tuple[int, Path], asked: str, start: int, end: int | None
) -> None:
    track, path = flac
    found = client.get(f"{API}/media/{track}/audio", headers={"Range": f"bytes={asked}"})
    assert found.status_code == 206
    assert found.content == path.read_bytes()[start:end]


@pytest.mark.parametrize("asked", ["99999999-", "5-2", "a-b", "--", "0-1,99999999-"])
def test_impossible_ranges_are_refused(
    client: TestClient, flac: tuple[int, Path], asked: str
) -> None:
    found = client.get(f"{API}/media/{flac[0]}/audio", headers={"Range": f"bytes={asked}"})
    assert found.status_code in (400, 416)
    assert found.headers["content-type"] == "application/problem+json"


def test_a_file_that_is_gone_says_so(copied: Indexed, serving: Serving) -> None:
    client = serving(copied.database)
    for path in copied.music.glob("*/*"):
        path.rename(path.with_suffix(".gone"))
    for what in ("audio", "opus", "cover", "waveform", "spectrogram"):
        found = get(client, f"media/1/{what}", 410)
        assert "is not there" in found["detail"]
        assert found["hint"]


def test_a_link_that_leads_out_of_the_library_is_not_followed(
    copied: Indexed, serving: Serving, tmp_path: Path
) -> None:
    client = serving(copied.database)
    track = Library(copied.database).track(1)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    track.path.unlink()
    track.path.symlink_to(secret)
    for what in ("audio", "opus", "cover", "waveform", "spectrogram"):
        assert "leads out" in get(client, f"media/1/{what}", 410)["detail"]
    inside = copied.music / "moved.flac"
    shutil.copy(next(copied.music.glob("*/*.flac")), inside)
    track.path.unlink()
    track.path.symlink_to(inside)
    assert client.get(f"{API}/media/1/audio").content == inside.read_bytes()
    folder = track.path.parent
    track.path.unlink()
    shutil.copy(inside, track.path)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    get(client, "media/1/audio", 410)


def test_a_pipe_in_the_place_of_a_file_is_not_read(copied: Indexed, serving: Serving) -> None:
    client = serving(copied.database)
    track = Library(copied.database).track(1)
    track.path.unlink()
    os.mkfifo(track.path)
    get(client, "media/1/audio", 410)


@pytest.mark.parametrize("codec", ["flac", "mp3", "aac"])
def test_opus_begins_where_it_is_asked_for(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"sound.{'m4a' if codec == 'aac' else codec}"
    if codec == "aac":
        encode(path, staircase(20, 44_100), "aac")
    else:
        write(path, staircase(20))
    for start in (0.0, 7.0):
        target = io.BytesIO()
        transcode(path, start, target)
        with av.open(io.BytesIO(target.getvalue())) as opened:
            assert opened.streams.audio[0].codec_context.name in ("opus", "libopus")
            mono = av.AudioResampler(format="flt", layout="mono", rate=48_000)
            parts = [p.to_ndarray()[0] for f in opened.decode(audio=0) for p in mono.resample(f)]
        samples = np.concatenate(parts)
        assert len(samples) / 48_000 == pytest.approx(20 - start, abs=0.3)
        third = samples[2 * 48_000 : 3 * 48_000]
        assert second_of(third, 48_000) == pytest.approx(start + 2, abs=0.6)


def test_a_track_is_sent_as_opus(client: TestClient, flac: tuple[int, Path]) -> None:
    found = client.get(f"{API}/media/{flac[0]}/opus", params={"start": 2})
    assert found.headers["content-type"] == "audio/ogg; codecs=opus"
    with av.open(io.BytesIO(found.content)) as opened:
        length = sum(frame.samples for frame in opened.decode(audio=0)) / 48_000
    assert length == pytest.approx(4.0, abs=0.3)


def test_what_cannot_be_transcoded_says_so(copied: Indexed, serving: Serving) -> None:
    client = serving(copied.database)
    Library(copied.database).track(1).path.write_bytes(b"no sound")
    assert get(client, "media/1/opus", 422)["code"] == "unplayable"
    assert get(client, "media/1/waveform", 422)["code"] == "unplayable"
    assert get(client, "media/1/spectrogram", 422)["code"] == "unplayable"


def test_no_more_than_a_few_are_transcoded_at_once(
    client: TestClient, flac: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = client.app.state.transcodes  # type: ignore[attr-defined]
    monkeypatch.setattr(slots, "free", 0)
    refused = client.get(f"{API}/media/{flac[0]}/opus")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert refused.headers["retry-after"]


# Covers


def covers_of(client: TestClient) -> dict[str, list[tuple[int, int, int]]]:
    """The colour of the covers by album, of the tracks that have one."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for row in get(client, "tracks")["tracks"]:
        cover = client.get(f"{API}/media/{row['track_id']}/cover", params={"size": 64})
        if cover.status_code == 200:
            assert cover.headers["content-type"] == "image/webp"
            with Image.open(io.BytesIO(cover.content)) as picture:
                assert picture.size == (64, 32)
                colour = picture.convert("RGB").getpixel((32, 16))
            assert isinstance(colour, tuple)
            red, green, blue = (round(part / 255) * 255 for part in colour)
            found.setdefault(row["album"], []).append((red, green, blue))
    return found


def test_covers_come_from_tags_and_folders(client: TestClient) -> None:
    once, again = covers_of(client), covers_of(client)
    assert sorted(map(tuple, once.values())) == [((0, 0, 255),) * 2, ((255, 0, 0),)]
    assert once == again  # the second time from the folder where they are kept


def test_pictures_that_are_none_or_enormous_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = write(tmp_path / "a.wav", staircase(1))
    kept = Covers(tmp_path / "kept")
    (tmp_path / "cover.jpg").write_bytes(b"no picture")
    assert kept.of(song, 64) is None
    (tmp_path / "folder.png").write_bytes(png("green"))
    assert kept.of(song, 64)
    monkeypatch.setattr(covers, "MOST_PIXELS", 1000)
    assert Covers(tmp_path / "others").of(song, 64) is None


def test_a_cover_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    song = write(tmp_path / "music" / "a.wav", staircase(1))
    (tmp_path / "secret.png").write_bytes(png("green"))
    (tmp_path / "music" / "cover.png").symlink_to(tmp_path / "secret.png")
    assert Covers(tmp_path / "kept").of(song, 64) is None


def test_covers_that_are_kept_stay_within_their_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covers, "MOST_KEPT", 2000)
    monkeypatch.setattr(covers, "_CHECK_EVERY", 2)
    kept = Covers(tmp_path / "kept")
    for number in range(20):
        folder = tmp_path / str(number)
        song = write(folder / "a.wav", staircase(1))
        (folder / "cover.png").write_bytes(png(f"rgb({number * 9}, 99, 9)"))
        assert kept.of(song, 64)
    assert sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) <= 2000


# Waveforms


def test_a_waveform_is_the_height_of_the_sound(tmp_path: Path) -> None:
    quiet, loud = np.full(22_050 * 2, 0.25), np.full(22_050 * 2, 0.75)
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050 * 4) / 22_050)
    path = write(tmp_path / "a.wav", (np.concatenate([quiet, loud]) * tone).astype(np.float32))
    peaks = np.frombuffer(peaks_of(path), np.uint8)
    assert len(peaks) == PEAKS
    assert np.abs(peaks[: PEAKS // 2 - 5] / 255 - 0.25).max() < 0.03
    assert np.abs(peaks[PEAKS // 2 + 5 :] / 255 - 0.75).max() < 0.03


def test_a_sound_of_a_moment_has_a_waveform(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.full(100, 0.5, np.float32), 8000)
    assert len(peaks_of(path)) == PEAKS


def test_a_waveform_is_made_once(own: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = own.get(f"{API}/media/1/waveform").content
    assert len(first) == PEAKS

    def refuse(*_: object, **__: object) -> bytes:
        raise AssertionError("it was made again")

    monkeypatch.setattr("recsys.workers.apply", refuse)
    assert own.get(f"{API}/media/1/waveform").content == first


# Spectrograms


def spectrogram(path: Path, duration_s: float) -> np.ndarray:
    return spectrogram_of(SpectrogramOf(path, duration_s))


def test_a_spectrogram_shows_which_tones_sound_when(tmp_path: Path) -> None:
    rate, low_hz, high_hz = 44_100, 440.0, 3000.0
    time = np.arange(3 * rate) / rate
    tones = [np.sin(2 * np.pi * hz * time) for hz in (low_hz, high_hz)]
    samples = np.concatenate([*tones, np.zeros(3 * rate)]).astype(np.float32)
    levels = spectrogram(write(tmp_path / "a.wav", samples, rate), 9)
    assert (levels.shape, levels.dtype) == ((BANDS, FRAMES), np.uint8)
    width = hz_to_mel(22_050 / 2) / (BANDS + 1)
    for third, hz in enumerate((low_hz, high_hz)):
        own = levels[:, third * 200 + 10 : third * 200 + 190]
        band = round(hz_to_mel(hz) / width) - 1
        assert np.abs(own.argmax(axis=0) - band).max() <= 1
        assert own.max(axis=0).min() > 230
    assert levels[:, 410:].max() == 0


@pytest.mark.parametrize("hop", [512, 700, 1024, 5000, 200_000])
def test_a_spectrogram_has_no_seams(tmp_path: Path, hop: int) -> None:
    samples = noise(20.3)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    whole = mel_power(samples[np.newaxis], 22_050, 2048, hop, BANDS)[0]
    made = np.concatenate(list(spectrograms._powers(mono_blocks(path, 22_050), hop))).T
    assert made.shape == whole.shape
    np.testing.assert_allclose(made, whole, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("told_s", [0.0, 1.0, 30.0, 1e9])
def test_a_length_that_is_wrong_does_no_harm(tmp_path: Path, told_s: float) -> None:
    levels = spectrogram(write(tmp_path / "a.wav", noise(30)), told_s)
    assert levels.shape == (BANDS, FRAMES)
    assert levels.min() > 100  # noise everywhere


def test_what_is_absurd_has_a_spectrogram(tmp_path: Path) -> None:
    samples = np.full(22_050, np.nan, np.float32)
    samples[::7], samples[::11] = np.inf, 1e30
    assert spectrogram(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 1).max() == 255
    assert not spectrogram(write(tmp_path / "b.wav", np.zeros(100, np.float32)), 0).any()


def test_a_spectrogram_is_sent_with_its_shape(client: TestClient, flac: tuple[int, Path]) -> None:
    found = client.get(f"{API}/media/{flac[0]}/spectrogram")
    assert found.headers["x-shape"] == "96,600"
    levels = np.frombuffer(found.content, np.uint8).reshape(96, 600)
    np.testing.assert_array_equal(levels, spectrogram(flac[1], 6.0))


def test_the_limits_are_what_the_description_says() -> None:
    assert media.MOST_TRANSCODES == 8
