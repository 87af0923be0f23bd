"""Names that say Latin-1 and are of another code page; names that are Latin-1 stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutagen.id3 import ID3, TALB, TIT2, TPE1

from recsys.library import read_tags
from recsys.library.encodings import repaired
from tests.library.names_by_encoding import ENCODED, WESTERN
from tests.sounds import staircase, write


def encoded(text: str, encoding: str) -> list[str]:
    """Return artist and title as a reader of Latin-1 gets them."""
    return [name.encode(encoding).decode("latin-1") for name in text.split("|")]


# Of 20 or 50 names each; detection by statistics has its misses where a name is short.
MISSES = {"big5": 2, "gb18030": 1, "shift_jis": 1, "euc_jp": 5, "euc_kr": 1}


@pytest.mark.parametrize("encoding", ENCODED)
def test_names_in_another_code_page_are_read(encoding: str) -> None:
    lines = []
    for line in ENCODED[encoding].splitlines():
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            continue
        lines.append(line)
    wrong = [line for line in lines if repaired(encoded(line, encoding)) != line.split("|")]
    assert len(lines) >= 10
    assert len(wrong) <= MISSES.get(encoding, 0), wrong


@pytest.mark.parametrize("line", WESTERN.splitlines())
def test_western_names_are_never_changed(line: str) -> None:
    names = line.split("|")
    assert repaired(names) == names
    assert repaired(encoded(line, "latin-1")) == names
    assert repaired(encoded(line, "utf-8")) == names  # UTF-8 that says Latin-1
    for name in names:
        assert repaired([name]) == [name]


@pytest.mark.parametrize("line", ["Кино|Группа крови", "周杰倫|青花瓷", "宇多田ヒカル|初恋"])
def test_what_was_read_by_the_right_encoding_stays(line: str) -> None:
    names = line.split("|")
    assert repaired(names) == names
    mixed = ["Motörhead", *names, "ÆØÅ", "ÆØÅ", "Ä|ÄÖ", "Ænima"]
    assert repaired(mixed) == mixed


def test_a_western_artist_beside_a_title_of_another_code_page_stays() -> None:
    title = "Лучшие песни".encode("windows-1251").decode("latin-1")
    assert repaired(["Motörhead", title, "2003"]) == ["Motörhead", "Лучшие песни", "2003"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Don’t Stop – “Live”", "windows-1252"),
        ("Cœur de pirate", "windows-1252"),
        ("Śmierć w bikini", "windows-1250"),
        ("Šrouby do hlavy", "windows-1250"),
    ],
)
def test_characters_that_latin_1_lacks_are_read(text: str, encoding: str) -> None:
    assert repaired(encoded(text, encoding)) == [text]


def test_a_file_is_read_as_it_was_meant_and_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", staircase(1, 44_100), 44_100)
    tags = ID3()
    for frame, text in ((TPE1, "Мумий Тролль"), (TIT2, "Утекай"), (TALB, "Морская")):
        raw = text.encode("windows-1251").decode("latin-1")
        tags.add(frame(encoding=0, text=raw))
    tags.save(path, v1=2)
    before = path.read_bytes()
    found = read_tags(path)
    assert (found.artist, found.title, found.album) == ("Мумий Тролль", "Утекай", "Морская")
    assert path.read_bytes() == before


def test_id3v1_alone_in_another_code_page(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", staircase(1, 44_100), 44_100)
    ID3(path).delete() if path.read_bytes()[:3] == b"ID3" else None
    fields = [
        text.encode("windows-1251").ljust(30, b"\0") for text in ("Утекай", "Мумий Тролль", "")
    ]
    with path.open("ab") as file:
        file.write(b"TAG" + b"".join(fields) + bytes(35))
    found = read_tags(path)
    assert (found.artist, found.title) == ("Мумий Тролль", "Утекай")
