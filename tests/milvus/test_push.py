"""A library that is pushed: all of it, what changed of it, and what must not be pushed over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recsys.errors import GenreIndexError, QueryError, SharedLibraryError
from recsys.index.sync import rebuild_index
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.collection import MAX_TAG_CHARACTERS, collection_name, make_collection
from recsys.milvus.milvus_index import MilvusIndex
from recsys.milvus.push import _Push, push
from recsys.store import Store
from recsys.store.rows import TrackRecord
from recsys.taste import Event, EventKind, Subject
from recsys.types import TrackFile
from tests.milvus.shared_libraries import TAGS, answers, make_library, open_at, push_to, sounds
from tests.planted import PlantedLibrary, make_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recsys.types import Track


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    return make_library(tmp_path, 60)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "shared.db"


def same(library: PlantedLibrary, place: Path) -> None:
    """Assert that the copy is what the library is."""
    from recsys.index.sync import open_index

    shared = open_at(place)
    try:
        assert list(library.store.all_tracks()) == list(
            shared.tracks(track.id for track in library.store.all_tracks()).values()
        )
        assert shared.genre_counts() == library.store.genre_counts()
        assert shared.index.count() == sum(library.store.genre_counts().values())
        seeds = [track.id for track in library.store.all_tracks()][::40]
        local = answers(library.store, open_index(library.store), seeds)
        assert list(answers(shared, shared.index, seeds)) == list(local)
        assert shared.index.highest_id == max(track.id for track in library.store.all_tracks())
    finally:
        shared.close()


def test_a_library_is_pushed_as_a_whole(library: PlantedLibrary, place: Path) -> None:
    steps: list[tuple[int, int]] = []
    summary = push_to(library.store, place, on_progress=lambda *step: steps.append(step))
    assert (summary.tracks, summary.written, summary.removed) == (64, 64, 0)
    assert (summary.place, summary.shortened) == (str(place), 0)
    assert steps == [(0, 64), (64, 64)]
    same(library, place)


def test_pushing_again_writes_nothing(library: PlantedLibrary, place: Path) -> None:
    push_to(library.store, place)
    again = push_to(library.store, place)
    assert (again.tracks, again.written, again.unchanged, again.removed) == (64, 0, 64, 0)
    same(library, place)


def test_what_is_banned_is_not_pushed_until_it_is_unbanned(
    library: PlantedLibrary, place: Path
) -> None:
    push_to(library.store, place)
    banned = library.track(7)
    for seconds, (kind, tracks) in enumerate([("ban", 63), ("unban", 64)]):
        time = datetime(2026, 11, 27, 12, 0, seconds, tzinfo=UTC)
        sound = banned.audio_hash
        event = Event(EventKind(kind), Subject.TRACK, sound, "it", time, "test", (sound,))
        library.store.add_events([event])
        assert push_to(library.store, place).tracks == tracks
        shared = open_at(place)
        try:
            assert (7 in shared.tracks([7])) == (kind == "unban")
        finally:
            shared.close()
    same(library, place)


def test_only_what_changed_is_written(library: PlantedLibrary, place: Path) -> None:
    push_to(library.store, place)
    store = library.store
    library.add(sounds(5, seed=1))
    records = [library._record(number, library.sounds[number + 1]) for number in (10, 11, 12)]
    store.write(
        [
            replace(records[0], tags=replace(records[0].tags, title="Another name")),
            replace(
                records[1], track_id=12, file=replace(records[1].file, path=Path("/moved.flac"))
            ),
            replace(records[2], audio_hash="other", analysis=library.seed(1)[1]),
        ],
        removed=[20, 21],
    )
    store.mark_missing([30])
    summary = push_to(store, place)
    assert (summary.written, summary.unchanged, summary.removed) == (5 + 4, 58, 2)
    same(library, place)


def test_a_push_that_was_broken_off_goes_on(
    library: PlantedLibrary, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.milvus.push.PAGE", 10)
    put, calls = MilvusIndex.put, []

    def breaking(self: MilvusIndex, *arguments: Any) -> None:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(put(self, *arguments))

    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, "put", breaking)
        with pytest.raises(KeyboardInterrupt):
            push_to(library.store, place)
    with pytest.raises(SharedLibraryError, match="no library yet"):
        open_at(place)
    summary = push_to(library.store, place)
    assert (summary.written, summary.unchanged) == (34, 30)
    same(library, place)


def test_a_reader_finds_a_growing_library_while_it_is_pushed(
    library: PlantedLibrary, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_to(library.store, place)
    library.add(sounds(20, seed=1))
    monkeypatch.setattr("recsys.milvus.push.PAGE", 10)
    put, seen = MilvusIndex.put, []

    def watched(self: MilvusIndex, *arguments: Any) -> None:
        put(self, *arguments)
        reader = open_at(place)
        seen.append(len(reader.index.search(None, library.sounds[1].embedding, 100)))
        reader.close()
        if len(seen) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, "put", watched)
        with pytest.raises(KeyboardInterrupt):
            push_to(library.store, place)
    assert seen == [70, 80]
    summary = push_to(library.store, place)
    assert (summary.tracks, summary.written, summary.unchanged) == (84, 4, 80)
    same(library, place)


def test_a_reader_follows_what_is_pushed(library: PlantedLibrary, place: Path) -> None:
    with Connection(parse_place(place), create=True) as connection:
        push(library.store, connection)
        reader = open_at(place)
        assert reader.refreshed() is reader
        (new,) = library.add(sounds(1, seed=1))
        push(library.store, connection)
        later = reader.refreshed()
        assert later is not reader
        assert later.index.count() == 65
        assert later.track(new) == library.track(new)
        reader.close()


@pytest.mark.parametrize("source", ["own", "all"])
def test_a_library_that_is_sorted_again_replaces_its_copy(source: str, place: Path) -> None:
    styles = ("rock", "Mellow", "Hip-Hop", "jazz")
    library = PlantedLibrary(place.parent, sounds(40), make_info(tags=styles))
    push_to(library.store, place)
    library.store.set_genre_source(source)
    summary = push_to(library.store, place)
    assert (summary.tracks, summary.written) == (44, 44)
    shared = open_at(place)
    assert shared.genre_source() == source
    assert shared.genre_counts() == library.store.genre_counts()
    assert "rock" in shared.genre_counts()
    shared.close()
    assert collections(place) == 1


def resorted(path: Path) -> None:
    with Store.open(path) as other:
        other.set_genre_source("own")


def analysed_again(path: Path) -> None:
    """Another model takes over, of the same length, and analyses half of the tracks."""
    with Store.open(path) as other:
        info = replace(make_info(tags=TAGS), fingerprint="planted-2")
        before = other.analyses(range(1, 40))
        tracks = other.tracks(before)
        other.set_model(info, "{}")
        for number, analysis in before.items():
            stored = other.lookup(tracks[number].path)
            assert stored is not None
            other_analysis = replace(
                analysis, embedding=np.roll(analysis.embedding, 1), fingerprint="planted-2"
            )
            track = tracks[number]
            file = TrackFile(track.path, stored.size, stored.mtime_ns)
            record = TrackRecord(file, track.tags, track.audio_hash, 100.0, None, other_analysis)
            other.write([record])


@pytest.mark.parametrize("change", [resorted, analysed_again])
@pytest.mark.parametrize(("first", "at"), [(True, 20), (True, 64), (False, 20), (False, 84)])
def test_a_library_that_changes_during_a_push_is_not_mixed(
    change: Callable[[Path], None],
    first: bool,
    at: int,
    library: PlantedLibrary,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebuild_index(library.store)
    seeds = library.ids()[::40]
    wanted = list(answers(library.store, library.index, seeds))
    if not first:
        push_to(library.store, place)
        library.add(sounds(20, seed=1))
    groups = {track.id: track.genre_group for track in library.store.all_tracks()}
    monkeypatch.setattr("recsys.milvus.push.PAGE", 10)

    def changing(done: int, _total: int) -> None:
        if done == at:
            change(library.store.path)

    with pytest.raises(SharedLibraryError, match="changed meanwhile") as caught:
        push_to(library.store, place, on_progress=changing)
    assert "Push again" in caught.value.hint
    if first:
        with pytest.raises(SharedLibraryError, match="no library yet"):
            open_at(place)
    else:
        shared = open_at(place)
        assert shared.genre_source() == "gtzan"
        assert shared.model().fingerprint == library.info.fingerprint
        there = {number: track.genre_group for number, track in shared.tracks(groups).items()}
        assert there == dict(list(groups.items())[: 84 if at == 84 else 64])
        if at == 20:
            assert list(answers(shared, shared.index, seeds)) == wanted
        shared.close()
    push_to(library.store, place, replace=True)
    shared = open_at(place)
    assert shared.genre_source() == library.store.genre_source()
    assert shared.genre_counts() == library.store.genre_counts()
    shared.close()


@pytest.mark.parametrize("change", [resorted, analysed_again])
def test_a_change_between_the_questions_for_one_page_is_seen(
    change: Callable[[Path], None],
    library: PlantedLibrary,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = library.store.tracks

    def changing(ids: Iterable[int]) -> dict[int, Track]:
        found = read(ids)
        change(library.store.path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(library.store, "tracks", changing)
        with pytest.raises(SharedLibraryError, match="changed meanwhile"):
            push_to(library.store, place)
    assert push_to(library.store, place).unchanged == 0


def collections(place: Path) -> int:
    with Connection(parse_place(place)) as connection:
        return len(connection.ask("list_collections"))


def test_another_library_is_not_pushed_over(
    library: PlantedLibrary, place: Path, tmp_path: Path
) -> None:
    push_to(library.store, place)
    (tmp_path / "other").mkdir()
    other = make_library(tmp_path / "other", 20)
    with pytest.raises(SharedLibraryError, match="another library") as caught:
        push_to(other.store, place)
    assert "--replace" in caught.value.hint
    same(library, place)
    assert push_to(other.store, place, replace=True).written == 24
    same(other, place)
    assert collections(place) == 1


def test_a_reader_whose_library_was_replaced_is_told_and_finds_the_new_one(
    library: PlantedLibrary, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_library(tmp_path / "other", 20)
    with Connection(parse_place(place), create=True) as connection:
        push(library.store, connection)
        reader = open_at(place)
        push(other.store, connection, replace=True)
        with pytest.raises(SharedLibraryError, match="any more") as caught:
            reader.tracks([1])
        assert "ask again" in caught.value.hint
        assert reader.refreshed().index.count() == 24
        reader.close()


def test_a_library_that_comes_back_is_counted_again(
    library: PlantedLibrary, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_to(library.store, place)
    (tmp_path / "other").mkdir()
    push_to(make_library(tmp_path / "other", 20).store, place, replace=True)
    monkeypatch.setattr("recsys.milvus.push.PAGE", 10)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, "put", broken)
        with pytest.raises(KeyboardInterrupt):
            push_to(library.store, place, replace=True)
    assert push_to(library.store, place, replace=True).written == 64
    same(library, place)
    assert collections(place) == 1


def test_other_collections_are_left_alone(library: PlantedLibrary, place: Path) -> None:
    with Connection(parse_place(place), create=True) as connection:
        for name in ("recsys_0123456789ab", "other"):
            connection.ask("create_collection", name, dimension=4)
        make_collection(connection, "recsys_mine_0123456789ab", 4)
        make_collection(connection, "recsys_fedcba987654", 4)
        push(library.store, connection)
        left = sorted(connection.ask("list_collections"))
    assert len(left) == 4
    assert "recsys_fedcba987654" not in left, "what a killed push left is dropped"


# Two pushes to one place


def test_two_pushes_of_one_library_end_as_one(library: PlantedLibrary, place: Path) -> None:
    with Connection(parse_place(place), create=True) as connection:

        def meanwhile(done: int, _total: int) -> None:
            if not done:
                push(library.store, connection)

        assert push(library.store, connection, on_progress=meanwhile).tracks == 64
    same(library, place)


@pytest.mark.parametrize("at", ["beginning", "end"])
def test_of_two_libraries_the_first_to_be_complete_stays(
    at: str, library: PlantedLibrary, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_library(tmp_path / "other", 20)
    with Connection(parse_place(place), create=True) as connection:

        def meanwhile(done: int, total: int) -> None:
            if done == (0 if at == "beginning" else total):
                push(other.store, connection)

        with pytest.raises(SharedLibraryError, match=r"meanwhile|any more"):
            push(library.store, connection, on_progress=meanwhile)
    same(other, place)
    assert collections(place) == 1
    with pytest.raises(SharedLibraryError, match="another library"):
        push_to(library.store, place)
    push_to(library.store, place, replace=True)
    same(library, place)


def test_a_library_that_was_replaced_during_a_push_is_not_dropped(
    library: PlantedLibrary, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another push changes the alias between this one's change and its clearing up."""
    (tmp_path / "other").mkdir()
    other = make_library(tmp_path / "other", 20)
    drop = _Push._drop_others
    with Connection(parse_place(place), create=True) as connection:

        def late(self: _Push, name: str) -> None:
            monkeypatch.setattr(_Push, "_drop_others", lambda *_: None)
            push(other.store, connection, replace=True)
            drop(self, name)

        monkeypatch.setattr(_Push, "_drop_others", late)
        push(library.store, connection)
    same(other, place)


def test_a_library_that_another_model_analysed_is_not_mixed_in(
    library: PlantedLibrary, place: Path
) -> None:
    push_to(library.store, place)
    info = replace(make_info(tags=TAGS, dimension=8), fingerprint="planted-2")
    library.store.set_model(info, "{}")
    record = library._record(1, library.sounds[2])
    assert record.analysis is not None
    embedding = np.eye(8, dtype=np.float32)[0]
    analysis = replace(record.analysis, embedding=embedding, fingerprint="planted-2")
    library.store.write([replace(record, analysis=analysis)])
    with pytest.raises(SharedLibraryError, match="another model") as caught:
        push_to(library.store, place)
    assert "planted-1" in caught.value.message
    assert "--replace" in caught.value.hint
    assert push_to(library.store, place, replace=True).tracks == 1
    shared = open_at(place)
    assert (shared.model().fingerprint, shared.index.dimension) == ("planted-2", 8)
    shared.close()


def test_an_index_of_another_dimension_is_reported(library: PlantedLibrary, place: Path) -> None:
    store = library.store
    name = collection_name("recsys", store.library_id, *library.info.identity, "gtzan")
    with Connection(parse_place(place), create=True) as connection:
        make_collection(connection, name, 5)
        with pytest.raises(GenreIndexError, match="dimension 5") as caught:
            push(store, connection)
        assert "--replace" in caught.value.hint
        assert push(store, connection, replace=True).tracks == 64


def test_an_empty_library_is_not_pushed(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "library.db", create=True) as store,
        pytest.raises(QueryError, match="no tracks"),
    ):
        push_to(store, tmp_path / "shared.db")


def test_a_tag_without_end_is_shortened_and_reported(tmp_path: Path) -> None:
    long = [replace(sound, title="x" * 100_000) for sound in sounds(2, seed=1)]
    library = PlantedLibrary(tmp_path, long, make_info(tags=TAGS))
    assert push_to(library.store, tmp_path / "shared.db").shortened == 2
    assert push_to(library.store, tmp_path / "shared.db").unchanged == 2
    shared = open_at(tmp_path / "shared.db")
    tracks: Sequence[Track] = list(shared.tracks([1, 2]).values())
    shared.close()
    assert [len(track.title) for track in tracks] == [MAX_TAG_CHARACTERS] * 2
