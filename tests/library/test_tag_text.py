"""Tags of any content come back clean and bounded, and never as an exception."""

from __future__ import annotations

import errno
import io
import os
import struct
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import mutagen
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.apev2 import APEv2
from mutagen.id3 import APIC, ID3, TIT2, TPE1, USLT

from recsys.errors import PassingError
from recsys.library import read_tags
from recsys.library.tags import MAX_CHARACTERS
from recsys.types import Tags
from tests.library.films import film
from tests.sounds import encode, staircase, write

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def mp3(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mp3", staircase(1, 44_100), 44_100)


def ape(path: Path, **texts: str) -> None:
    tags = APEv2()
    for name, text in texts.items():
        tags[name] = text
    tags.save(path)


def test_mp3_with_ape_tags_alone(mp3: Path) -> None:
    ape(mp3, Title="Quiet Road", Artist="The Northern Line", Year="1987", Track="3/9")
    found = read_tags(mp3)
    assert found == Tags(artist="The Northern Line", title="Quiet Road", year=1987, track_number=3)


@pytest.mark.parametrize("with_id3v1", [False, True])
def test_id3_comes_first_and_ape_fills_the_gaps(mp3: Path, with_id3v1: bool) -> None:
    ape(mp3, Title="of APE", Artist="of APE", Album="of APE")
    tags = ID3()
    tags.add(TIT2(encoding=3, text="of ID3"))
    tags.save(mp3, v1=2 if with_id3v1 else 0)
    assert read_tags(mp3) == Tags(title="of ID3", artist="of APE", album="of APE")


@pytest.mark.parametrize("name", ["a.mka", "a.mkv", "a.webm"])
def test_matroska(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, moving=False)
    tagged = tmp_path / f"tagged-{name}"
    texts = {"title": "Été", "artist": "Nÿme", "album": "Séculaire", "genre": "chanson"}
    remux(path, tagged, texts | {"date": "1987"})
    expected = Tags(title="Été", artist="Nÿme", album="Séculaire", genre_tag="chanson", year=1987)
    assert read_tags(tagged) == expected


def remux(path: Path, target: Path, texts: Mapping[str, str]) -> None:
    with (
        av.open(str(path)) as source,
        av.open(
            str(target), "w", format="webm" if path.suffix == ".webm" else "matroska"
        ) as written,
    ):
        written.metadata.update(texts)
        stream = written.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)


def test_riff_info_in_another_code_page(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", staircase(1))
    content = path.read_bytes()
    items = b""
    for name, text in ((b"IART", "Мумий Тролль"), (b"INAM", "Утекай")):
        raw = text.encode("windows-1251") + b"\0"
        items += name + struct.pack("<I", len(raw)) + raw + b"\0" * (len(raw) % 2)
    chunk = b"LIST" + struct.pack("<I", len(items) + 4) + b"INFO" + items
    size = struct.pack("<I", len(content) - 8 + len(chunk))
    path.write_bytes(content[:4] + size + content[8:] + chunk)
    found = read_tags(path)
    assert (found.artist, found.title) == ("Мумий Тролль", "Утекай")


def test_vorbis_comments_in_another_code_page(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(1))
    file = mutagen.File(path)
    file["title"], file["artist"] = "@" * 6, "Ascii"
    file.save()
    path.write_bytes(path.read_bytes().replace(b"@" * 6, "Утекай".encode("windows-1251")))
    assert read_tags(path) == Tags(title="Утекай", artist="Ascii")


LATIN_1 = ["Öööö", "°°°°", "ÉÈÊË"]


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.m4a"])
@pytest.mark.parametrize("text", [*LATIN_1, "ÆØÅÆØÅ", "Êèíî", "Ã©tÃ©"])
def test_what_is_utf_8_is_never_changed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    if path.suffix == ".m4a":
        encode(path, staircase(1, 44_100), "aac", 44_100)
    else:
        write(path, staircase(1, 44_100), 44_100)
    file = mutagen.File(path, easy=True)
    file["artist"] = file["title"] = file["album"] = text
    file.save()
    assert read_tags(path) == Tags(artist=text, title=text, album=text)


@pytest.mark.parametrize("encoding", [0, 1, 3])
@pytest.mark.parametrize("text", LATIN_1)
def test_a_short_western_name_in_id3_is_never_changed(mp3: Path, text: str, encoding: int) -> None:
    tags = ID3()
    tags.add(TPE1(encoding=encoding, text=text))
    tags.add(TIT2(encoding=encoding, text=LATIN_1[0]))
    tags.save(mp3)
    assert read_tags(mp3) == Tags(artist=text, title=LATIN_1[0])


def test_only_the_frames_of_id3_that_say_latin_1_may_be_another_code_page(mp3: Path) -> None:
    raw = "Мумий Тролль".encode("windows-1251").decode("latin-1")
    tags = ID3()
    tags.add(TPE1(encoding=0, text=raw))
    tags.add(TIT2(encoding=3, text=raw))
    tags.save(mp3)
    assert read_tags(mp3) == Tags(artist="Мумий Тролль", title=raw)


def test_id3_before_a_format_without_tags(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.aac", staircase(1, 44_100), "aac", 44_100)
    tags = ID3()
    tags.add(TIT2(encoding=0, text="Утекай".encode("windows-1251").decode("latin-1")))
    tags.save(path)
    assert read_tags(path) == Tags(title="Утекай")


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.flac", "a.ogg"])
def test_all_fields_of_a_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".m4a":
        encode(path, staircase(1, 44_100), "aac", 44_100)
    else:
        write(path, staircase(1, 44_100), 44_100)
    file = mutagen.File(path, easy=True)
    file.update(artist=["One", "Two"], title="Title", album="Album", albumartist="All")
    file.update(genre="Jazz", date="1987-02-03", tracknumber="3/9")
    file.save()
    assert read_tags(path) == Tags(
        artist="One; Two",
        album_artist="All",
        album="Album",
        title="Title",
        track_number=3,
        year=1987,
        genre_tag="Jazz",
    )


def test_huge_tags_are_bounded(mp3: Path) -> None:
    tags = ID3()
    tags.add(TIT2(encoding=3, text="x" * 5_000_000))
    tags.add(TPE1(encoding=3, text=[f"artist {number}" for number in range(100_000)]))
    tags.add(USLT(encoding=3, lang="eng", desc="", text="la\n" * 1_700_000))
    tags.add(APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=bytes(30_000_000)))
    tags.save(mp3)
    found = read_tags(mp3)
    assert found.title == "x" * MAX_CHARACTERS
    assert found.artist is not None
    assert found.artist.startswith("artist 0; artist 1; ")
    assert len(found.artist) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo\r\nthree\u2028four", "one two three four"),
        ("\x1b[31mred\x07\x81", "[31mred"),
        ("file\u202egnp.exe", "filegnp.exe"),
        ("\u2067isolated\u2069 \u200fright\u200e \u061cmark", "isolated right mark"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🎤", "👩\u200d🎤"),
        ("\u200d\u200c", None),
        ("  wide\u3000space\xa0 ", "wide space"),
    ],
)
def test_text_is_clean(tmp_path: Path, text: str, shown: str | None) -> None:
    path = write(tmp_path / "a.flac", staircase(1))
    file = mutagen.File(path)
    file["title"] = text
    file.save()
    assert read_tags(path).title == shown


def check(tags: Tags) -> None:
    texts = (tags.artist, tags.album_artist, tags.album, tags.title, tags.genre_tag, tags.language)
    for text in texts:
        assert text is None or 0 < len(text) <= MAX_CHARACTERS
        for character in text or "":
            joiner = character in "\u200c\u200d"
            assert joiner or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert tags.year is None or 0 <= tags.year <= 9999
    assert tags.track_number is None or 0 <= tags.track_number <= 999_999


FRAMES = (b"TPE1", b"TPE2", b"TALB", b"TIT2", b"TRCK", b"TDRC", b"TYER", b"TCON", b"TLAN", b"TXXX")
fuzzed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzzed
@given(
    frames=st.lists(st.tuples(st.sampled_from(FRAMES), st.binary(max_size=80)), max_size=8),
    version=st.sampled_from((2, 3, 4)),
    flags=st.integers(0, 255),
    claimed=st.integers(-20, 2000),
)
def test_any_id3_is_read_or_passed_over(
    mp3: Path, frames: list[tuple[bytes, bytes]], version: int, flags: int, claimed: int
) -> None:
    body = b"".join(
        name[:3] + len(content).to_bytes(3) + content
        if version == 2
        else name + len(content).to_bytes(4) + bytes(2) + content
        for name, content in frames
    )
    size = max(0, len(body) + claimed)
    parts = [size >> shift & 0x7F for shift in (21, 14, 7, 0)]
    mp3.write_bytes(b"ID3" + bytes([version, 0, flags, *parts]) + body + b"\xff\xfb\x90\x00" * 9)
    check(read_tags(mp3))


@fuzzed
@given(items=st.dictionaries(st.binary(min_size=2, max_size=12), st.binary(max_size=80)))
def test_any_ape_is_read_or_passed_over(mp3: Path, items: dict[bytes, bytes]) -> None:
    items |= {b"Title": next(iter(items.values()), b"\xff\xfe\0")}
    body = b"".join(
        struct.pack("<II", len(text), 0) + name + b"\0" + text for name, text in items.items()
    )
    footer = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, len(items), 0)
    mp3.write_bytes(bytes(5000) + body + footer)
    check(read_tags(mp3))


@fuzzed
@given(comments=st.lists(st.binary(max_size=60), max_size=8), vendor=st.binary(max_size=9))
def test_any_vorbis_comments_are_read_or_passed_over(
    tmp_path: Path, comments: list[bytes], vendor: bytes
) -> None:
    keys = (b"title=", b"ARTIST=", b"date=", b"", b"genre=\0", b"tracknumber=")
    body = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments))
    for number, comment in enumerate(comments):
        text = keys[number % len(keys)] + comment
        body += struct.pack("<I", len(text)) + text
    info = bytes.fromhex("10001000000000000000ac4400f0000000") + bytes(17)
    path = tmp_path / "a.flac"
    blocks = b"\0" + len(info).to_bytes(3) + info + b"\x84" + len(body).to_bytes(3) + body
    path.write_bytes(b"fLaC" + blocks + b"\xff\xf8" + bytes(40))
    check(read_tags(path))


@fuzzed
@given(data=st.data())
def test_any_damage_to_tags_is_passed_over(tmp_path: Path, data: st.DataObject) -> None:
    kinds = sorted(TAGGED)
    kind = data.draw(st.sampled_from(kinds))
    content = bytearray(tagged(tmp_path, kind))
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / f"damaged{kind}"
    path.write_bytes(content[: data.draw(places) + 1])
    check(read_tags(path))


TAGGED: dict[str, bytes] = dict.fromkeys((".flac", ".mp3", ".ogg", ".m4a", ".wav", ".mka"), b"")


def tagged(folder: Path, kind: str) -> bytes:
    """Return the head of a file with tags, made once."""
    if not TAGGED[kind]:
        path = folder / f"tagged{kind}"
        if kind in {".m4a", ".mka"}:
            film(path, moving=False, suffix=".mp4" if kind == ".m4a" else ".mka", duration_s=0.2)
        else:
            write(path, staircase(0.2))
        file: Any = mutagen.File(path, easy=True)
        if file is not None and kind != ".wav":
            file["title"], file["artist"] = "title" * 3, ["one", "two"]
            file.save()
        TAGGED[kind] = path.read_bytes()
    return TAGGED[kind]


class Failing(io.FileIO):
    """A disk that fails after the first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 64 and size != 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size) or b""


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg"])
def test_a_disk_that_fails_gives_no_empty_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = write(tmp_path / f"a{suffix}", staircase(2, 44_100), 44_100)
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))
    with pytest.raises(PassingError, match="cannot be read now"):
        read_tags(path)


def test_a_file_that_is_gone_is_no_file_without_tags(tmp_path: Path) -> None:
    with pytest.raises(PassingError, match="cannot be read now"):
        read_tags(tmp_path / "none.mp3")
