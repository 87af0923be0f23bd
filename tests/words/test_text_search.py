"""Phrases by the text model of a library's own model: vectors that are planted among the tracks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from recsys import Library, PlaylistOptions, SimilarOptions
from recsys.classifier.card import load_card
from recsys.classifier.onnx import read_description
from recsys.classifier.onnx_text import OnnxText
from recsys.errors import ModelError, QueryError
from recsys.index.sync import rebuild_index
from recsys.playlists.radio import RadioOptions
from recsys.recommender import Filters
from recsys.types import FloatArray
from recsys.words.text_reading import TextReading, divided
from tests.classifier.small_onnx import make_onnx, write_description
from tests.planted import PlantedLibrary, Sound, make_info, unit
from tests.words.text_onnx import TABLE, analysed_by, make_pair, make_text_onnx

DIMENSION = 16
TRACKS = 40
GENRES = ("blues", "classical", "jazz", "rock")
RNG = np.random.default_rng(11)
DIRECTIONS = {word: unit(RNG.standard_normal(DIMENSION)) for word in ("dusty", "loud", "rap", "a")}
PLACES = [unit(RNG.standard_normal(DIMENSION)) for _ in range(TRACKS)]


@dataclass(frozen=True)
class Paired:
    library: Library
    model: Path


@pytest.fixture
def paired(tmp_path: Path) -> Paired:
    """Tracks in random directions, of four genres, ten artists, and in turn happy."""
    sounds = [
        Sound(
            *(GENRES[i % 4], place),
            artist=f"Artist {i % 10}",
            title=f"Song {i}",
            strengths=(2.0 if i % 2 else -2.0,),
        )
        for i, place in enumerate(PLACES)
    ]
    planted = PlantedLibrary(tmp_path, sounds, make_info(tags=("happy",)))
    model = make_pair(tmp_path, DIRECTIONS)
    analysed_by(planted, model)
    rebuild_index(planted.store)
    planted.store.close()
    return Paired(Library(tmp_path / "library.db"), model)


def by_hand(vector: FloatArray) -> list[int]:
    """The numbers of all tracks by falling cosine."""
    return [int(i) for i in np.argsort(-(np.stack(PLACES) @ vector), kind="stable")]


def numbers(tracks: object) -> list[int]:
    return [int(track.title.removeprefix("Song ")) for track in tracks]  # type: ignore[attr-defined]


def ranked(paired: Paired, words: str, **options: object) -> list[int]:
    asked = SimilarOptions(k=TRACKS, show_duplicates=True, **options)  # type: ignore[arg-type]
    return numbers(paired.library.similar(words=words, options=asked).tracks)


def test_the_tracks_nearest_to_the_vector_of_the_phrase_come_first(paired: Paired) -> None:
    answer = paired.library.similar(words="Dusty, loud", k=5)
    whole = DIRECTIONS["dusty"] + DIRECTIONS["loud"]
    whole = whole / np.linalg.norm(whole)
    assert numbers(answer.tracks) == by_hand(whole)[:5]
    for row in answer.results:
        cosine = float(PLACES[numbers([row.track])[0]] @ whole)
        assert (row.score, row.tier) == (row.similarity, 0)
        assert row.similarity == pytest.approx(cosine, abs=2e-3)
    assert answer.query.seeds == ()
    assert repr(answer) == (
        "<WordAnswer: 5 tracks, read as: Dusty, loud (by the text model of Pair)>"
    )


def test_what_is_not_wanted_is_taken_away(paired: Paired) -> None:
    found = ranked(paired, "dusty without rap")
    assert found == by_hand(DIRECTIONS["dusty"] - 0.5 * DIRECTIONS["rap"])
    assert ranked(paired, "no rap") == by_hand(-DIRECTIONS["rap"])


def test_tracks_that_are_given_count_too(paired: Paired) -> None:
    answer = paired.library.similar("Song 3", words="dusty", k=10, explain=True)
    vector = PLACES[3] + 0.75 * DIRECTIONS["dusty"]
    assert numbers(answer.tracks) == [i for i in by_hand(vector) if i != 3][:10]
    row = answer.results[0]
    place = PLACES[numbers([row.track])[0]]
    whole, *parts = row.reasons
    assert whole == f"similarity {row.similarity:.3f} to the whole query"
    assert [part.rsplit(" ", 1)[0] for part in parts] == ["dusty", "the tracks given"]
    for part, to in zip(parts, (DIRECTIONS["dusty"], PLACES[3]), strict=True):
        assert float(part.rsplit(" ", 1)[1]) == pytest.approx(float(place @ to), abs=2e-3)


def test_genre_tags_filters_and_bans_hold(paired: Paired) -> None:
    order = by_hand(DIRECTIONS["dusty"])
    assert ranked(paired, "dusty", genre="jazz") == [i for i in order if GENRES[i % 4] == "jazz"]
    assert ranked(paired, "dusty", tags=("happy",)) == [i for i in order if i % 2]
    kept = [i for i in order if i % 10 != order[0] % 10]
    no_first = Filters(not_artists=(f"Artist {order[0] % 10}",))
    assert ranked(paired, "dusty", filters=no_first) == kept
    paired.library.ban(f"Song {order[0]}")
    assert ranked(paired, "dusty") == order[1:]
    with pytest.raises(QueryError, match="polka"):
        ranked(paired, "dusty", genre="polka")


def test_likes_do_not_change_the_order(paired: Paired) -> None:
    paired.library.like("Song 5")
    assert ranked(paired, "dusty") == by_hand(DIRECTIONS["dusty"])


def test_playlist_and_radio_follow(paired: Paired) -> None:
    order = by_hand(DIRECTIONS["dusty"])
    jazz = [i for i in order if GENRES[i % 4] == "jazz"]
    options = PlaylistOptions(length=4, genre="jazz", artist_gap=0)
    playlist = paired.library.playlist(words="dusty", options=options)
    assert numbers(playlist.tracks) == jazz[:4]
    assert playlist.note == "read as: dusty (by the text model of Pair)"
    first = paired.library.radio(words="dusty", options=RadioOptions(length=1))
    assert numbers(row.track for row in first.results) == order[:1]
    assert first.notes[0] == "read as: dusty (by the text model of Pair)"
    later = paired.library.radio(options=RadioOptions(length=TRACKS))
    found = numbers(row.track for row in (*first.results, *later.results))
    assert sorted(found) == list(range(TRACKS))
    with pytest.raises(QueryError, match="nothing was understood of ' , '"):
        paired.library.radio(words=" , ")
    other = paired.library.radio(words="rap", options=RadioOptions(length=1))
    assert other.session != first.session


def test_a_track_opens_a_list_and_comes_once(paired: Paired) -> None:
    vector = PLACES[3] + 0.75 * DIRECTIONS["dusty"]
    order = [i for i in by_hand(vector) if i != 3]
    options = PlaylistOptions(length=TRACKS, artist_gap=0)
    playlist = paired.library.playlist("Song 3", options, words="dusty")
    found = numbers(playlist.tracks)
    assert (found[0], sorted(found)) == (3, list(range(TRACKS)))
    assert found[1:4] == order[:3]
    (following,) = paired.library.radio("Song 3", RadioOptions(length=1), words="dusty").results
    assert numbers([following.track]) == order[:1]


def test_without_the_table_the_tags_are_asked_and_the_library_is_the_same(paired: Paired) -> None:
    with_text = load_card(paired.model).fingerprint
    write_description(paired.model, name="Pair")
    assert load_card(paired.model).fingerprint == with_text
    answer = paired.library.similar(words="happy", k=3)
    assert "read as: happy>" in repr(answer)
    assert all(number % 2 for number in numbers(answer.tracks))
    paired.model.with_suffix(".toml").unlink()
    assert "read as: happy>" in repr(paired.library.similar(words="happy", k=3))


# The files


def embedded(folder: Path, text: str, dimension: int = DIMENSION, **table: object) -> FloatArray:
    model = folder / "pair.onnx"
    given = {key: value for key, value in {**TABLE, **table}.items() if value is not None}
    write_description(model, text=given)
    found = read_description(model).text
    assert found is not None
    return OnnxText(model, "Pair", found, dimension).embed(text)


def test_a_template_surrounds_the_words(tmp_path: Path) -> None:
    make_pair(tmp_path, DIRECTIONS)
    plain = embedded(tmp_path, "dusty {}")
    np.testing.assert_allclose(plain, DIRECTIONS["dusty"], atol=1e-6)
    said = embedded(tmp_path, "dusty", template="a loud {}")
    whole = DIRECTIONS["a"] + DIRECTIONS["loud"] + DIRECTIONS["dusty"]
    np.testing.assert_allclose(said, whole / np.linalg.norm(whole), atol=1e-6)


def test_the_sentence_of_each_token_is_an_input_of_some_networks(tmp_path: Path) -> None:
    make_pair(tmp_path, DIRECTIONS)
    make_text_onnx(tmp_path, DIRECTIONS, types=True)
    found = embedded(tmp_path, "dusty", types="token_type_ids")
    np.testing.assert_allclose(found, DIRECTIONS["dusty"], atol=1e-6)
    with pytest.raises(ModelError, match="needs 'token_type_ids'"):
        embedded(tmp_path, "dusty")


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    make_pair(tmp_path, DIRECTIONS)
    found = embedded(tmp_path, "dusty " * 77 + "loud")
    np.testing.assert_allclose(found, DIRECTIONS["dusty"], atol=1e-6)


@pytest.mark.parametrize("tokens", ["tokens", 3, 8])
def test_networks_of_a_fixed_number_of_tokens(tmp_path: Path, tokens: int | str) -> None:
    make_pair(tmp_path, DIRECTIONS)
    make_text_onnx(tmp_path, DIRECTIONS, tokens=tokens, kind=TensorProto.INT32)
    found = embedded(tmp_path, "dusty loud a rap")
    words = ("dusty", "loud", "a") if tokens == 3 else DIRECTIONS
    whole = np.sum([DIRECTIONS[word] for word in words], axis=0)
    np.testing.assert_allclose(found, whole / np.linalg.norm(whole), atol=1e-6)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"model": "other.onnx"}, "other.onnx cannot be read: No such file"),
        ({"model": "tokenizer.json"}, "does not load"),
        ({"tokenizer": "other.json"}, "other.json cannot be read: No such file"),
        ({"tokenizer": "pair.toml"}, "pair.toml is no tokenizer"),
        ({"input": "ids"}, "has no input 'ids'; it has input_ids, attention_mask"),
        ({"mask": None}, "needs 'attention_mask', which is none of input, mask and types"),
        ({"output": "pooled"}, "has no output 'pooled'; it has text_embeds, of_tokens"),
        ({"output": "of_tokens"}, r"gives 'of_tokens' of shape \(1, 1, 16\) for one text"),
        ({"template": "music"}, "text: template: {} is needed once.* got 'music'"),
        ({"size": 3}, "unknown key 'text.size'"),
    ],
)
def test_faults_of_the_table_are_named(tmp_path: Path, table: dict[str, object], said: str) -> None:
    make_pair(tmp_path, DIRECTIONS)
    with pytest.raises(ModelError, match=said) as caught:
        embedded(tmp_path, "dusty", **table)
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


def test_another_dimension_than_that_of_the_tracks(paired: Paired) -> None:
    make_text_onnx(paired.model.parent, {"dusty": DIRECTIONS["dusty"][:7]})
    with pytest.raises(ModelError, match=r"vectors of 7 numbers, and the .* tracks have 16"):
        paired.library.similar(words="dusty")


def test_a_text_without_a_direction(paired: Paired) -> None:
    with pytest.raises(ModelError, match=r"a vector of length 0\.0 for 'zither'"):
        paired.library.similar(words="zither")


def test_the_model_must_be_the_one_that_analysed_the_tracks(paired: Paired) -> None:
    make_onnx(paired.model, last=[("Neg", "logits", "more")])
    with pytest.raises(ModelError, match=r"has changed .* the library was analysed by"):
        paired.library.similar(words="dusty")


# What is wanted


@pytest.mark.parametrize(
    ("phrase", "wanted", "unwanted"),
    [
        ("Dusty, late-night jazz", "Dusty, late-night jazz", ()),
        ("slow sad piano without vocals from the 80s", "slow sad piano from the 80s", ("vocals",)),
        ("sad but not slow", "sad", ("slow",)),
        ("techno, no vocals or drums, fast", "techno, fast", ("vocals or drums",)),
        ("not too loud, no rap", "", ("loud", "rap")),
        ("non-vocal techno", "techno", ("vocal",)),
        ('songs like "no woman no cry", no drums', "songs like no woman no cry", ("drums",)),
        ('"no wave"', "no wave", ()),
        ("", "", ()),
        (" ,;", "", ()),
        ("without", "", ()),
    ],
)
def test_a_phrase_is_divided_at_its_negations(
    phrase: str, wanted: str, unwanted: tuple[str, ...]
) -> None:
    assert divided(phrase) == (wanted, unwanted)


def test_the_reading_for_scripts() -> None:
    reading = TextReading("jazz, no rap", "Pair", "jazz", ("rap",))
    assert reading.fields() == {
        "given": "jazz, no rap",
        "reading": "jazz, without rap (by the text model of Pair)",
        "wanted": ["jazz"],
        "unwanted": ["rap"],
        "years": [],
        "names": [],
        "not_understood": [],
        "text_model": "Pair",
    }
