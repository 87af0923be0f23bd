"""The genre field is written and restored in every format, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mutagen
import pytest
from mutagen.id3 import ID3, TCON, TIT2, TXXX, TYER

from recsys.audit.genre_field import GenreField, read_genre_field, write_genre_field
from recsys.errors import TagError
from recsys.library import audio_hash, read_tags
from tests.audit.tagged_files import FORMATS, make_sound
from tests.sounds import encode, staircase, write

PLAIN_NAMES = {"artist": "Ä", "album": "B", "title": "C"}


def with_tags(path: Path, genres: list[str] | None) -> Path:
    """Give the file an artist, an album, a title and perhaps genres, with mutagen alone."""
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):  # WAV and AIFF have no easy names
        from mutagen.id3 import TALB, TPE1

        frames = (TPE1, "Ä"), (TALB, "B"), (TIT2, "C")
        for frame, text in frames:
            file.tags.add(frame(encoding=3, text=[text]))
        if genres:
            file.tags.add(TCON(encoding=3, text=genres))
    elif type(file).__name__ == "ASF":
        file.tags["Author"], file.tags["WM/AlbumTitle"], file.tags["Title"] = "Ä", "B", "C"
        if genres:
            file.tags["WM/Genre"] = genres
    else:
        for name, text in PLAIN_NAMES.items():
            file[name] = text
        if genres:
            file["genre"] = genres
    file.save()
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("old", [None, ["Pop"], ["Pop", "Schlager", "80's"]])
def test_every_format_is_written_and_put_back(
    tmp_path: Path, name: str, old: list[str] | None
) -> None:
    path = with_tags(make_sound(tmp_path, name), old)
    sound, tags = audio_hash(path), read_tags(path)
    before = read_genre_field(path)
    assert before == GenreField(None if old is None else tuple(old), has_tags=True)

    write_genre_field(path, ("Hip-Hop",))
    assert read_genre_field(path).values == ("Hip-Hop",)
    assert read_tags(path) == replace(tags, genre_tag="Hip-Hop")
    assert audio_hash(path) == sound

    write_genre_field(path, before.values)
    assert read_genre_field(path) == before
    assert read_tags(path) == tags
    assert audio_hash(path) == sound


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.wav", "a.aiff"])
def test_a_file_without_tags_has_none_again_after_undoing(tmp_path: Path, name: str) -> None:
    path = make_sound(tmp_path, name)
    file = mutagen.File(path)
    if file.tags is not None:
        file.delete()
    sound = audio_hash(path)
    assert read_genre_field(path) == GenreField(None, has_tags=False)
    write_genre_field(path, ("Rock",))
    assert read_tags(path).genre_tag == "Rock"
    write_genre_field(path, None, keep_tags=False)
    assert read_genre_field(path) == GenreField(None, has_tags=False)
    assert mutagen.File(path).tags is None
    assert audio_hash(path) == sound


def test_tags_that_got_more_fields_meanwhile_are_kept(tmp_path: Path) -> None:
    path = make_sound(tmp_path, "a.flac")
    write_genre_field(path, ("Rock",))
    file = mutagen.File(path)
    file["title"] = "T"
    file.save()
    write_genre_field(path, None, keep_tags=False)
    assert read_tags(path).title == "T"


@pytest.mark.parametrize("version", [3, 4])
def test_id3_keeps_its_version_and_every_other_frame(tmp_path: Path, version: int) -> None:
    path = make_sound(tmp_path, "a.mp3")
    tags = ID3()
    tags.add(TIT2(encoding=1, text=["Tïtle"]))
    tags.add(TXXX(encoding=1, desc="MOOD", text=["x"]))
    tags.add(TCON(encoding=1, text=["(17)", "Höhlenmusik"]))
    if version == 3:
        tags.add(TYER(encoding=0, text=["1999"]))
    tags.save(path, v2_version=version, v23_sep=None)
    before = {key: str(frame) for key, frame in ID3(path, translate=False).items()}

    old = read_genre_field(path).values
    assert old == ("(17)", "Höhlenmusik")
    write_genre_field(path, ("Rock",))
    assert ID3(path).version == (2, version, 0)
    write_genre_field(path, old)
    after = ID3(path, translate=False)
    assert after.version == (2, version, 0)
    assert {key: str(frame) for key, frame in after.items()} == before


def test_an_id3v1_tag_follows_and_stays_the_only_one_of_its_kind(tmp_path: Path) -> None:
    path = make_sound(tmp_path, "a.mp3")
    mutagen.File(path).delete()
    with path.open("ab") as file:
        file.write(b"TAG" + b"Title".ljust(94, b"\0") + b"".ljust(30, b"\0") + bytes([13]))
    assert read_genre_field(path).values == ("Pop",)
    write_genre_field(path, ("Jazz",))
    assert path.read_bytes()[-128:-123] == b"TAGTi"
    assert path.read_bytes()[-1] == 8
    assert read_tags(path).title == "Title"


def test_vorbis_comments_keep_the_spelling_of_their_name(tmp_path: Path) -> None:
    path = make_sound(tmp_path, "a.flac")
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    file.tags.append(("Genre", "Pop"))
    file.save()
    write_genre_field(path, ("Jazz", "Blues"))
    assert [(k, v) for k, v in mutagen.File(path).tags if k.upper() == "GENRE"] == [
        ("Genre", "Jazz"),
        ("Genre", "Blues"),
    ]


@pytest.mark.parametrize("name", ["a.au", "a.aac", "a.caf"])
def test_formats_without_tags_are_refused_and_untouched(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.aac":
        encode(path, staircase(1.0, 44_100), "aac")
    else:
        write(path, staircase(1.0))
    before = path.read_bytes()
    for attempt in (lambda: read_genre_field(path), lambda: write_genre_field(path, ("Pop",))):
        with pytest.raises(TagError, match="no tags that can be written"):
            attempt()
    assert path.read_bytes() == before


def test_a_riff_info_list_is_not_hidden_by_new_tags(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 22_050, 1) as file:
        file.title, file.artist = "T", "A"
        file.write(staircase(1.0))
    assert read_tags(path).title == "T"
    before = path.read_bytes()
    with pytest.raises(TagError, match="artist, title"):
        write_genre_field(path, ("Pop",))
    assert path.read_bytes() == before


def test_damaged_tags_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"fLaC" + b"\x04\xff\xff\xff" * 8)
    with pytest.raises(TagError, match="cannot be read"):
        read_genre_field(path)


def test_a_file_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_genre_field(tmp_path / "gone.mp3")
