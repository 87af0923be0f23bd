"""What a user may write for the place of a shared library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import SharedLibraryError
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.collection import quoted, restored, storable
from recsys.store import Store


def test_a_server_has_its_usual_port_and_collection() -> None:
    place = parse_place("milvus://music.example")
    assert (place.uri, place.database, place.collection, place.file) == (
        "http://music.example:19530",
        "",
        "recsys",
        None,
    )
    assert place.timeout_s == 10


def test_every_part_of_an_address() -> None:
    place = parse_place("milvus+tls://ann:se%40cret@[::1]:1234/home?collection=jazz&timeout=2.5")
    assert place.uri == "https://[::1]:1234"
    assert (place.database, place.collection, place.timeout_s) == ("home", "jazz", 2.5)
    assert place.token == "ann:se@cret"


def test_nothing_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    place = parse_place("milvus://ann:secret@music.example/home?collection=jazz")
    assert str(place) == "milvus://music.example:19530/home?collection=jazz"
    assert "secret" not in f"{place} {place!r}"
    monkeypatch.setenv("MILVUS_TOKEN", "key-1")
    assert parse_place("milvus://music.example").token == "key-1"
    assert parse_place("milvus://ann:secret@music.example").token == "ann:secret"


def test_a_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = parse_place("shared.db")
    assert place.file == tmp_path / "shared.db"
    assert str(place) == str(tmp_path / "shared.db")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://host", "http://"),
        ("milvus://", "no host"),
        ("milvus://host:port", "not an address"),
        ("milvus://host:99999", "not an address"),
        ("milvus://host/a/b", "'a/b'"),
        ("milvus://host?collection=9", "'9'"),
        ("milvus://host?timeout=never", "'never'"),
        ("milvus://host?timeout=0", "'0'"),
        ("milvus://host?collections=a", "'collections'"),
        ("milvus://host#jazz", "'#jazz'"),
        ("shared", "'shared'"),
        ("", "''"),
        ("/no/such/folder/shared.db", "/no/such/folder"),
    ],
)
def test_an_invalid_address_is_an_error(text: str, words: str) -> None:
    with pytest.raises(SharedLibraryError) as caught:
        parse_place(text)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_wrong_address_does_not_give_its_password_away() -> None:
    with pytest.raises(SharedLibraryError) as caught:
        parse_place("milvus://ann:secret@host:port")
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_the_database_of_a_library_is_told_from_a_copy_on_milvus(tmp_path: Path) -> None:
    Store.open(tmp_path / "library.db", create=True).close()
    with pytest.raises(SharedLibraryError, match="database of a library") as caught:
        parse_place(tmp_path / "library.db")
    assert "--db" in caught.value.hint
    (tmp_path / "other.db").write_text("something else")
    with pytest.raises(SharedLibraryError, match="not made by this Milvus Lite"):
        parse_place(tmp_path / "other.db")


any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)


@given(any_text)
def test_text_survives_being_stored(text: str) -> None:
    stored = storable(text)
    assert restored(stored) == text
    stored.encode()


@given(any_text)
def test_no_text_ends_its_own_quotes(text: str) -> None:
    inside = quoted(text)[1:-1]
    assert "\n" not in inside
    assert inside.replace("\\\\", "").replace('\\"', "").count('"') == 0


def test_messages_of_milvus_hide_the_token(tmp_path: Path) -> None:
    place = replace(parse_place(tmp_path / "shared.db"), token="ann:secret")
    with Connection(place, create=True) as connection:
        for told in ("login ann:secret failed", "bad password secret"):
            error = connection._refusal(connection.library.MilvusException(message=told))
            assert "secret" not in error.message
            assert "***" in error.message
            assert "MILVUS_TOKEN" in error.hint
