"""Phrases are read as a listener means them, and what is not understood is said."""

from __future__ import annotations

import tomllib
from collections import Counter
from importlib.resources import files

import pytest

import recsys.data
from recsys.names import spelling_key
from recsys.words.phrase import PhraseName, PhraseReading, read_phrase
from recsys.words.table import Vocabulary, tokens_of
from tests.words.phrases import ARTISTS, DEVELOPED_ON, GENRES, HELD_OUT, TAGS


class Names:
    """A library that has artists alone."""

    def named(self, words: str, *, artists_only: bool = False) -> PhraseName | None:
        for position, artist in enumerate(ARTISTS):
            if words.lower() in (artist.lower(), artist.lower().removeprefix("the ")):
                return PhraseName(artist, "artist", (position,))
        return None

    def holding(self, words: str) -> PhraseName | None:
        return None


VOCABULARY = Vocabulary(TAGS, (*GENRES, "speech"))


def read(phrase: str) -> PhraseReading:
    return read_phrase(phrase, VOCABULARY, Names())


@pytest.mark.parametrize("phrase", DEVELOPED_ON)
def test_readings(phrase: str) -> None:
    assert str(read(phrase)) == DEVELOPED_ON[phrase]


@pytest.mark.parametrize("phrase", HELD_OUT)
def test_readings_of_phrases_that_were_held_out(phrase: str) -> None:
    assert str(read(phrase)) == HELD_OUT[phrase]


@pytest.mark.parametrize("phrase", ["", "  ", ",,,", "music", "the", '""', "not", "very", "or or"])
def test_nothing_is_read_from_nothing(phrase: str) -> None:
    reading = read(phrase)
    assert (reading.empty, reading.unknown) == (True, ())


def test_every_part_of_the_reading_is_there_for_scripts() -> None:
    fields = read("very sad, no rap, like queen, from 1984, zither").fields()
    assert fields == {
        "given": "very sad, no rap, like queen, from 1984, zither",
        "reading": "very sad, without hip hop, 1984, like Queen; not understood: zither",
        "wanted": ["very sad"],
        "unwanted": ["hip hop"],
        "years": [{"first": 1984, "last": 1984, "unwanted": False}],
        "names": [{"name": "Queen", "kind": "artist", "tracks": 1, "unwanted": False}],
        "not_understood": ["zither"],
    }


def test_a_word_whose_tags_the_model_lacks_is_not_understood() -> None:
    known = Vocabulary(("sad",), ())
    assert str(read_phrase("sad reggae", known)) == "sad; not understood: reggae"


def test_speech_is_no_voice_where_the_library_tells_no_kinds() -> None:
    known = Vocabulary(TAGS, GENRES)
    for words in ("speech", "spoken word", "audiobooks"):
        reading = read_phrase(words, known, guess=lambda *_: known.sounds["vocals"])
        assert (reading.wishes, reading.unknown) == ((), (words,))


def test_tags_and_genre_groups_of_a_library_are_words_even_where_the_table_lacks_them() -> None:
    known = Vocabulary(("sad", "Krautrock"), ("Schlager", "Zouk Love"))
    reading = read_phrase("sad krautrock or zouk-love, no schlager", known)
    assert str(reading) == "sad + Krautrock or Zouk Love, without Schlager"
    assert reading.groups == ("Zouk Love",)


def test_a_name_that_holds_a_strange_word_is_found_before_the_words_in_it() -> None:
    assert str(read("happy black sabbath")) == "happy, like Black Sabbath"


def test_a_guess_is_said() -> None:
    guessed = read_phrase("zither", VOCABULARY, None, lambda _, known: known.sounds["folk"])
    assert str(guessed) == "zither ~ folk"


# The table


def table() -> dict[str, list[dict[str, str]]]:
    return tomllib.loads(files(recsys.data).joinpath("words.toml").read_text(encoding="utf-8"))


def test_every_tag_of_the_table_is_one_of_the_model() -> None:
    known = {spelling_key(tag) for tag in TAGS}
    named = {t for row in table()["sound"] for f in ("tags", "absent") for t in row.get(f, ())}
    assert {tag for tag in named if spelling_key(tag) not in known} == set()


def test_every_tag_of_the_model_is_a_word() -> None:
    decades = {"60s", "70s", "80s", "90s", "00s"}
    assert all(str(read(tag)) != "nothing" for tag in TAGS)
    assert {tag for tag in TAGS if read(tag).eras} == decades


def test_no_word_means_two_sounds() -> None:
    counts = Counter(
        tokens_of(words) for row in table()["sound"] for words in row["words"].split(",")
    )
    assert [words for words, count in counts.items() if count > 1] == []


def test_every_spelling_of_the_table_is_read_as_its_sound() -> None:
    for row in table()["sound"]:
        for words in row["words"].split(","):
            wishes = read(words).wishes
            assert [s.name for wish in wishes for s in wish.sounds] == [row["name"]], words


def test_opposites_exist() -> None:
    names = {row["name"] for row in table()["sound"]}
    assert {row["opposite"] for row in table()["sound"] if "opposite" in row} <= names
