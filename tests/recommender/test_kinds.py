"""Speech and other sounds are told from music by the analysis, and stay out of lists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys import Filters, Library, kinds
from recsys.errors import QueryError
from recsys.index.sync import bring_up_to_date
from recsys.library_status import mood_counts, number_counts
from recsys.listing import ListOptions, kind_fields, list_tracks
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.radio import Radio, RadioOptions
from recsys.quality.labels import read_columns
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.filters import TrackFilter
from recsys.recommender.taxonomy import FileGenres
from recsys.types import (
    MOOD_NUMBERS,
    TRACK_NUMBERS,
    GenreSource,
    Kind,
    Range,
    Tags,
    Track,
)
from recsys.words import WordAnswer
from tests.cli.running import call, json_of
from tests.planted import PlantedLibrary, Sound, make_info, unit

INFO = make_info(tags=["instrumental"])
MUSIC, SPEECH, OTHER = np.eye(16, dtype=np.float32)[:3]


def planted_head(name: str = "planted", threshold: float = 0.6) -> kinds._Head:
    """Return a head that reads the first three axes, and the tag as the lack of vocals."""
    weights = np.zeros((3, 17))
    weights[[0, 1, 2], [0, 1, 2]] = 1.0
    return kinds._Head(
        name=name,
        tag_means=INFO.tag_means,
        weights=weights,
        biases=np.zeros(3),
        thresholds=np.array([0.0, threshold, threshold]),
        vocal_weights=np.array([-2.0]),
        vocal_bias=1.0,
    )


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_shipped", planted_head)


def near(axis: np.ndarray, number: int) -> np.ndarray:
    """Return one of several embeddings near an axis."""
    return unit(axis + 0.3 * np.eye(16)[4 + number % 12])


def planted(folder: Path) -> PlantedLibrary:
    """Return a library of tracks 1 to 8 of music, 9 to 12 of speech, 13 and 14 of other sounds."""
    axes = [MUSIC] * 8 + [SPEECH] * 4 + [OTHER] * 2
    sounds = [
        Sound(("jazz", "rock")[i % 2], near(axis, i), artist=f"A{i}", strengths=(i / 4 - 1,))
        for i, axis in enumerate(axes)
    ]
    library = PlantedLibrary(folder, sounds, INFO)
    library.index = type(library.index)(INFO.dimension)
    for ids, groups, embeddings in library.store.iter_embeddings():
        library.index.extend(groups, ids, embeddings)
    return library


def test_the_kind_is_the_most_probable_one_that_reaches_its_threshold() -> None:
    embeddings = np.stack(
        [MUSIC, SPEECH, unit(0.42 * SPEECH + 0.36 * MUSIC + 0.83 * np.eye(16)[9])]
    )
    scores = np.array([[0.5], [0.5], [0.5]], dtype=np.float32)
    judged = kinds.kinds_of(INFO, embeddings, scores)
    certain = np.exp(4) / (np.exp(4) + 2)  # the root of 16 dimensions is the scale
    for found, kind in zip(judged[:2], (Kind.MUSIC, Kind.SPEECH), strict=True):
        assert found is not None
        assert found.kind == kind
        assert found.probability == pytest.approx(certain, rel=1e-3)
    unsure = judged[2]
    assert unsure is not None
    assert unsure.kind == Kind.MUSIC  # although speech is a little more probable
    assert unsure.probability < 0.5


def test_the_share_of_vocals_is_a_logistic_of_the_strengths() -> None:
    strengths = np.array([-1.0, 0.0, 0.5, 2.0, 9.0])
    scores = (1 / (1 + np.exp(-strengths)))[:, np.newaxis].astype(np.float32)
    share = kinds.vocal_share(INFO, scores)
    expected = 1 / (1 + np.exp(2 * np.minimum(strengths, kinds.STRONGEST) - 1))
    assert share == pytest.approx(expected, abs=1e-4)
    (music,) = kinds.kinds_of(INFO, MUSIC[np.newaxis], scores[:1])
    (speech,) = kinds.kinds_of(INFO, SPEECH[np.newaxis], scores[:1])
    assert music is not None
    assert speech is not None
    assert (music.vocals, speech.vocals) == (pytest.approx(expected[0], abs=1e-4), None)


def test_other_networks_have_no_kinds() -> None:
    other = make_info()
    assert kinds.head_name(other) is None
    assert kinds.kinds_of(other, MUSIC[np.newaxis], np.empty((1, 0), np.float32)) == [None]
    assert kinds.vocal_share(other, np.empty((1, 0), np.float32)) is None


def test_the_store_keeps_kinds_and_sorts_by_them(tmp_path: Path) -> None:
    library = planted(tmp_path)
    store = library.store
    assert store.kind_counts() == {"music": 8, "other": 2, "speech": 4}
    assert store.genre_counts() == {"jazz": 4, "rock": 4, "other": 2, "speech": 4}
    talk = library.track(9)
    assert (talk.kind, talk.genre, talk.genre_group, talk.vocals) == (
        Kind.SPEECH,
        "speech",
        "speech",
        None,
    )
    song = library.track(1)
    assert song.vocals == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    assert kind_fields(song)["vocals"] == round(song.vocals or 0, 4)
    listed = list_tracks(store, library.index, INFO, ListOptions(kind="speech"))
    assert [track.id for track in listed] == [9, 10, 11, 12]
    with pytest.raises(QueryError, match="'noise'"):
        ListOptions(kind="noise")  # type: ignore[arg-type]
    # What the files say of their group is kept.
    store.set_genre_source(GenreSource.OWN)
    assert store.genre_counts() == {"untagged": 14}
    assert library.track(9).kind == Kind.SPEECH


def test_another_head_finds_kinds_anew_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(kinds, "_shipped", lambda: replace(planted_head(), tag_means=(9.0,)))
        store = planted(tmp_path).store
        assert store.kind_counts() == {None: 14}
        assert (store.find_kinds(), store.integrity_problems()) == (0, [])
    (problem,) = store.integrity_problems()
    assert "14" in problem.text
    revision = store.revision
    assert store.find_kinds() == 6  # the others were sorted as music already
    changes = store.changes_since(revision)
    assert dict(zip(changes.ids.tolist(), changes.genres, strict=True)) == {
        **dict.fromkeys(range(9, 13), "speech"),
        **dict.fromkeys((13, 14), "other"),
    }
    assert (store.find_kinds(), store.revision) == (0, revision + 1)
    assert store.integrity_problems() == []
    # A head that calls nothing speech.
    monkeypatch.setattr(kinds, "_shipped", lambda: planted_head("stricter", 0.999))
    assert store.find_kinds() == 6
    assert store.kind_counts() == {"music": 14}


def test_speech_is_in_no_list_unless_it_is_asked_for(tmp_path: Path) -> None:
    library = planted(tmp_path)
    parts = library.store, library.index, INFO
    asked = SimilarOptions(k=14, show_duplicates=True)
    answer = Recommender(*parts).similar(library.query(2), asked)
    assert {row.track.id for row in answer.results} == set(range(1, 9)) - {2}
    assert answer.filtered == {"speech": 4, "other": 2, "query": 1}
    assert "speech (4)" in answer.notes[0]
    assert all("speech" not in tier.genres for tier in answer.tiers)
    filters = Filters(include=("speech",))  # type: ignore[arg-type]
    asked = SimilarOptions(k=14, show_duplicates=True, filters=filters)
    answer = Recommender(*parts).similar(library.query(2), asked)
    assert answer.filtered == {"other": 2, "query": 1}
    assert {row.track.id for row in answer.results} == set(range(1, 13)) - {2}
    for seed in range(4):
        playlist = PlaylistMaker(*parts).anywhere(PlaylistOptions(seed=seed))
        assert {track.kind for track in playlist.tracks} == {Kind.MUSIC}
    radio = Radio(*parts).following(1, library.query(1), (), RadioOptions(length=14))
    assert {row.track.kind for row in radio.results} == {Kind.MUSIC}


def test_a_query_of_speech_gets_speech_first(tmp_path: Path) -> None:
    library = planted(tmp_path)
    recommender = Recommender(library.store, library.index, INFO)
    answer = recommender.similar(library.query(9), SimilarOptions(k=14, show_duplicates=True))
    assert {row.track.id for row in answer.results[:3]} == {10, 11, 12}
    assert {row.tier for row in answer.results[:3]} == {1}
    assert {row.track.kind for row in answer.results[3:]} == {Kind.MUSIC}
    assert (answer.genre_group, answer.genre_scores[0]) == ("speech", ("speech", 1.0))
    assert answer.filtered == {"other": 2, "query": 1}
    assert "no music (speech)" in answer.notes[0]
    assert recommender.explain(answer)[0].sentences()[0].startswith("also speech")
    # One skit on an album does not open its lists to speech.
    answer = recommender.similar(library.query(1, 2, 9), SimilarOptions(k=14))
    assert answer.filtered["speech"] == 3
    assert answer.genre_group in ("jazz", "rock")


def test_the_share_of_vocals_filters(tmp_path: Path) -> None:
    library = planted(tmp_path)
    shares = {i: library.track(i).vocals or 0.0 for i in range(1, 9)}
    filters = Filters(ranges={"vocals": Range(high=0.5)})
    answer = Recommender(library.store, library.index, INFO).similar(
        library.query(1), SimilarOptions(k=14, show_duplicates=True, filters=filters)
    )
    wanted = {i for i, share in shares.items() if share <= 0.5 and i != 1}
    assert {row.track.id for row in answer.results} == wanted
    assert answer.filtered["vocals"] == 8 - 1 - len(wanted)
    unknown = Track(1, Path("/music/a.mp3"), Tags(), 200.0, "hash", "jazz")
    assert TrackFilter(filters).objection(unknown) == "vocals"
    assert TrackFilter(Filters()).objection(unknown) is None


def test_only_music_has_numbers_of_mood(tmp_path: Path) -> None:
    library = planted(tmp_path)
    names = dict.fromkeys(MOOD_NUMBERS, 0.8)
    library.store._db.execute(f"UPDATE analyses SET {', '.join(f'{name} = 0.8' for name in names)}")
    assert library.track(1).numbers.items() >= names.items()
    for number in (9, 13):  # speech, and another sound
        assert library.track(number).numbers == dict.fromkeys(TRACK_NUMBERS)
    assert number_counts(library.store)["energy"] == [0] * 8 + [8, 0]
    assert mood_counts(library.store)["surprised"] == 8
    filters = Filters(include=("speech", "other"), ranges={"energy": "0.5.."})  # type: ignore[arg-type]
    answer = Recommender(library.store, library.index, INFO).similar(
        library.query(1), SimilarOptions(k=14, show_duplicates=True, filters=filters)
    )
    assert {row.track.kind for row in answer.results} == {Kind.MUSIC}
    assert answer.filtered["energy"] == 6
    listed = list_tracks(
        library.store, library.index, INFO, ListOptions(ranges={"energy": "0.5.."})
    )  # type: ignore[dict-item]
    assert {track.kind for track in listed} == {Kind.MUSIC}


def test_what_the_model_cannot_tell_is_said(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("jazz", near(MUSIC, i)) for i in range(3)])
    bring_up_to_date(library.store)
    for command in (("list", "--kind", "speech"), ("similar", 1, "--include", "speech")):
        shown = call(*command, db=library.store.path)
        assert "tells no speech and other sounds from music" in shown.stderr
    for command in (("list", "--energy", "0.5.."), ("similar", 1, "--mood", "surprised")):
        shown = call(*command, db=library.store.path)
        assert "lacks the tags for energy" in shown.stderr
    shown = call("similar", 1, "--vocals", "..0.1", db=library.store.path)
    assert "lacks the tags for vocals: no track has it" in shown.stderr
    shown = call("list", "--kind", "music", db=library.store.path)
    assert "tells no" not in shown.stderr


def test_filters_survive_as_json() -> None:
    filters = Filters(include=(Kind.SPEECH,), ranges={"vocals": Range(0.0, 0.1)})
    asked = json.loads(json.dumps(filters.asked()))
    assert asked == {"include": ["speech"], "ranges": {"vocals": "0..0.1"}}
    assert Filters.of(asked) == filters
    both = Filters(include=(Kind.OTHER,)).over(filters)
    assert (both.include, both.ranges) == ((Kind.SPEECH, Kind.OTHER), {"vocals": Range(0.0, 0.1)})
    with pytest.raises(QueryError, match="'music'"):
        Filters(include=("music",))  # type: ignore[arg-type]


def test_what_is_no_music_is_shown_by_its_kind(tmp_path: Path) -> None:
    store = planted(tmp_path).store
    bring_up_to_date(store)
    shown = call("show", 9, db=store.path).stdout
    assert "Kind:      speech (" in shown
    assert "Genre:     speech\n" in shown
    status = json_of(call("status", "--json", db=store.path))
    assert status["kinds"] == {"music": 8, "speech": 4, "other": 2}
    # Genres are near each other; speech is near none of them.
    assert status["nearest_genres"] == {"jazz": ["rock"], "rock": ["jazz"]}


def test_what_is_no_music_takes_no_part_in_quality(tmp_path: Path) -> None:
    """As in the lists that are measured."""
    assert read_columns(planted(tmp_path).store).ids.tolist() == [*range(1, 9)]


def test_a_kind_is_no_genre_of_the_files(tmp_path: Path) -> None:
    library = planted(tmp_path)
    with Library(library.store.path) as opened:
        opened.sort_by("own")
    genres = FileGenres(library.store, library.index)
    with pytest.raises(QueryError, match="speech is a kind, and no genre of the files") as refused:
        genres.resolve("Speech")
    assert "--kind speech" in refused.value.hint


def test_who_names_speech_gets_it(tmp_path: Path) -> None:
    library = planted(tmp_path)
    parts = library.store, library.index, INFO
    asked = SimilarOptions(k=4, show_duplicates=True, genre="Speech")
    answer = Recommender(*parts).similar(library.query(2), asked)
    assert {row.track.id for row in answer.results} == {9, 10, 11, 12}
    playlist = PlaylistMaker(*parts).anywhere(PlaylistOptions(genre="speech", length=3))
    assert {track.kind for track in playlist.tracks} == {Kind.SPEECH}
    cycle = PlaylistMaker(*parts).cycle("speech, jazz", None, PlaylistOptions(length=4))
    assert [track.genre_group for track in cycle.tracks] == ["speech", "jazz"] * 2
    everything = PlaylistMaker(*parts).cycle("auto", None, PlaylistOptions(length=4))
    assert {track.kind for track in everything.tracks} == {Kind.MUSIC}
    options = RadioOptions(length=3, genre="speech")
    radio = Radio(*parts).following(1, library.query(1), (), options)
    assert {row.track.kind for row in radio.results} == {Kind.SPEECH}


@pytest.mark.parametrize("phrase", ["speech", "calm audiobooks", "spoken word"])
def test_words_for_speech_are_the_kind(tmp_path: Path, phrase: str) -> None:
    library = planted(tmp_path)
    bring_up_to_date(library.store)
    with Library(library.store.path) as opened:
        found = opened.similar(words=phrase, k=4)
        assert {row.track.kind for row in found.results} == {Kind.SPEECH}
        assert isinstance(found, WordAnswer)
        assert "speech" in str(found.reading)
        listed = opened.playlist(words=phrase, options=PlaylistOptions(length=3))
        assert {track.kind for track in listed.tracks} == {Kind.SPEECH}
        without = opened.similar(words="instrumental without speech", k=14)
        assert {row.track.kind for row in without.results} == {Kind.MUSIC}
