"""Lyrics in the tags of each format, and in files next to the song."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
from mutagen.id3 import ID3, USLT

from recsys.library.lyrics import MOST_CHARACTERS, LyricsLine, lines_of, read_lyrics
from tests.sounds import write

TEXT = "Erste Zeile \u00fc\n\nDritte Zeile"
LINES = (LyricsLine("Erste Zeile \u00fc"), LyricsLine(""), LyricsLine("Dritte Zeile"))


@pytest.fixture
def sound() -> Any:
    return np.random.default_rng(0).normal(0, 0.1, 22_050).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "key"), [("a.flac", "lyrics"), ("a.ogg", "UNSYNCEDLYRICS"), ("a.mp3", "USLT")]
)
def test_lyrics_are_read_from_tags(tmp_path: Path, sound: Any, name: str, key: str) -> None:
    path = tmp_path / name
    write(path, sound, 22_050)
    assert read_lyrics(path) == ()
    if key == "USLT":
        tags = ID3()
        tags.add(USLT(encoding=3, lang="deu", desc="", text=TEXT))
        tags.save(path)
    else:
        file = mutagen.File(path)
        file[key] = TEXT
        file.save()
    assert read_lyrics(path) == LINES


def test_a_file_next_to_the_song_has_lyrics(tmp_path: Path, sound: Any) -> None:
    path = tmp_path / "a.flac"
    write(path, sound, 22_050)
    (tmp_path / "a.lrc").write_bytes(b"\xef\xbb\xbf[ti:A]\r\n[00:02.00]Two\r\n[00:01.50]One\r\n")
    assert read_lyrics(path) == (LyricsLine("One", 1500), LyricsLine("Two", 2000))
    (tmp_path / "a.lrc").unlink()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "a.lrc").symlink_to(tmp_path / "secret.txt")
    assert read_lyrics(path) == ()


def test_a_refrain_has_several_times() -> None:
    lines = lines_of("[00:10][01:10.5]Refrain\n[00:20]\nno time")
    assert lines == (
        LyricsLine("Refrain", 10_000),
        LyricsLine("", 20_000),
        LyricsLine("Refrain", 70_500),
    )


def test_damage_and_size_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fUSLT" + b"\xff" * 100)
    (tmp_path / "a.lrc").write_text("x" * (5 * MOST_CHARACTERS))
    assert [len(line.text) for line in read_lyrics(path)] == [MOST_CHARACTERS]
    (tmp_path / "a.lrc").write_bytes(b"\xe4\xf6\xfc gr\xfc\xdfe\n" * 20)
    assert len(read_lyrics(path)) == 20
