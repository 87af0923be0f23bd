"""The index follows the library, whatever happened to either."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import StoreError
from recsys.index import sync
from recsys.index.genre_index import GenreIndex
from recsys.index.sync import (
    bring_up_to_date,
    index_directory,
    index_is_current,
    index_problems,
    measured_recall,
    open_index,
    rebuild_index,
    refresh_index,
    save_index,
)
from recsys.store import Store
from recsys.types import Failure
from tests.stored import (
    DIMENSION,
    analysed,
    audio_file,
    axis,
    model_info,
    new_library,
    record,
    unit_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Six tracks, two of each genre, on axes 0 to 3 and again 0 and 1; ids 1 to 6."""
    with new_library(tmp_path) as opened:
        genres = ("blues", "jazz", "rock")
        opened.write([record(f"/{i}", analysed(genres[i % 3], i)) for i in range(6)])
        yield opened


def content(index: GenreIndex) -> dict[int, tuple[str, tuple[float, ...]]]:
    """What an index holds: the genre and the embedding of every id."""
    found = {}
    for genre in index.genres:
        neighbours = index.search(genre, axis(0, index.dimension), index.count(genre))
        for neighbour in neighbours:
            vector = index.vectors([neighbour.track_id])[0]
            found[neighbour.track_id] = (genre, tuple(vector.tolist()))
    return found


def wanted(store: Store) -> dict[int, tuple[str, tuple[float, ...]]]:
    found = {}
    for ids, genres, rows in store.iter_embeddings():
        for track_id, genre, row in zip(ids.tolist(), genres, rows, strict=True):
            found[track_id] = (genre, tuple(row.tolist()))
    return found


def test_the_index_lies_next_to_the_library() -> None:
    assert index_directory(Path("/x/library.db")) == Path("/x/library.index")
    assert index_directory(Path("/x/music.library.db")) == Path("/x/music.library.index")


def test_a_missing_index_is_made_in_memory_and_nothing_is_written(store: Store) -> None:
    index = open_index(store)
    assert content(index) == wanted(store)
    assert index.revision == store.revision
    assert not index_directory(store.path).exists()


def test_a_current_index_is_read_from_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild_index(store)
    assert index_is_current(store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "iter_embeddings", None)
        patch.setattr(Store, "changes_since", None)
        found = content(open_index(store))
    assert found == wanted(store)


def test_an_open_index_follows_its_library(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild_index(store)
    index = open_index(store)
    assert refresh_index(store, index) is index
    store.write([record("/new", analysed("jazz", 3))], removed=[1])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "iter_embeddings", None)
        assert refresh_index(store, index) is index  # nobody has saved the changes yet
    assert content(index) == wanted(store)
    assert index.revision == store.revision

    store.write([record("/newer", analysed("rock", 1))])
    save_index(store, open_index(store))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "changes_since", None)
        found = refresh_index(store, index)
    assert found is not index
    assert content(found) == wanted(store)


def test_an_open_index_is_left_for_that_of_another_model(store: Store) -> None:
    index = open_index(store)
    store.set_model(model_info("m2"), "{}")
    found = refresh_index(store, index)
    assert found is not index
    assert (content(found), found.revision) == ({}, store.revision)


def test_a_stale_index_learns_only_the_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild_index(store)
    store.write(
        [record("/new", analysed("jazz", 3)), record("/1", analysed("rock", 2))],
        [Failure(audio_file("/2"), "no sound")],
        removed=[1],
    )
    assert not index_is_current(store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "iter_embeddings", None)
        index = open_index(store)
        found = content(index)
    assert found == wanted(store)
    assert found.keys() == {2, 4, 5, 6, 7}
    assert found[2][0] == "rock"
    assert index_problems(store) == ["The index is 1 revision behind the library (4 changes)."]
    save_index(store, index)
    assert index_is_current(store)
    assert index_problems(store) == []


def test_a_retag_leaves_the_index_current(store: Store) -> None:
    rebuild_index(store)
    store.write([record("/1")])
    assert index_is_current(store)


def test_many_changes_are_quicker_from_scratch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild_index(store)
    monkeypatch.setattr(sync, "FEW_CHANGES", 3)
    store.write([record(f"/more/{i}", analysed("rock", i)) for i in range(4)])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "changes_since", None)
        assert content(open_index(store)) == wanted(store)


def break_index(folder: Path, how: str) -> None:
    part = sorted(folder.glob("part-*"))[1]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    match how:
        case "all gone":
            shutil.rmtree(folder)
        case "part gone":
            part.unlink()
        case "part damaged":
            part.write_bytes(content)
        case "part cut":
            part.write_bytes(content[:-1])
        case "manifest damaged":
            (folder / "manifest.json").write_text("{")


BREAKAGES = ("all gone", "part gone", "part damaged", "part cut", "manifest damaged")


@pytest.mark.parametrize("how", BREAKAGES)
@pytest.mark.parametrize("stale", [False, True])
def test_every_damage_is_repaired_and_the_doctor_reports_it(
    store: Store, how: str, stale: bool
) -> None:
    rebuild_index(store)
    break_index(index_directory(store.path), how)
    assert len(index_problems(store)) == 1
    if stale:
        store.write([record("/new", analysed("jazz", 3))], removed=[2])
    index = open_index(store)
    assert content(index) == wanted(store)
    save_index(store, index)
    assert index_problems(store) == []


def test_an_index_of_another_model_is_never_used(store: Store) -> None:
    rebuild_index(store)
    store.set_model(model_info("m2"), "{}")
    assert not index_is_current(store)
    assert "another model" in index_problems(store)[0]
    assert open_index(store).count() == 0
    store.write([record("/1", analysed("rock", 3, model="m2"))])
    assert content(open_index(store)) == {2: ("rock", tuple(axis(3).tolist()))}


def test_a_model_of_another_dimension_gets_an_index_of_its_own(store: Store) -> None:
    rebuild_index(store)
    store.set_model(model_info("m2", dimension=6), "{}")
    store.write([record("/1", analysed("rock", axis(5, 6), model="m2"))])
    assert open_index(store).dimension == 6
    assert rebuild_index(store).count("rock") == 1
    assert index_problems(store) == []


def test_a_library_that_was_made_again_does_not_take_over_the_old_index(
    store: Store, tmp_path: Path
) -> None:
    rebuild_index(store)
    revision = store.revision
    store.close()
    store.path.unlink()
    with new_library(tmp_path) as other:
        while other.revision < revision:
            other.write([record(f"/other/{other.revision}", analysed("rock", 3))])
        assert other.path == store.path
        assert not index_is_current(other)
        assert content(open_index(other)) == wanted(other)


def test_an_older_copy_of_the_library_does_not_trust_the_newer_index(
    store: Store, tmp_path: Path
) -> None:
    store.vacuum()
    copy = shutil.copy(store.path, tmp_path / "backup")
    store.write([record("/new", analysed("jazz", 3))])
    rebuild_index(store)
    store.close()
    for rest in tmp_path.glob("library.db-*"):
        rest.unlink()
    shutil.copy(copy, store.path)
    with Store.open(store.path) as older:
        assert "later state" in index_problems(older)[0]
        assert content(open_index(older)) == wanted(older)


def test_an_index_that_lost_tracks_is_noticed(store: Store) -> None:
    index = rebuild_index(store)
    index.remove([2, 5])
    save_index(store, index)
    assert index_problems(store) == ["The index holds 0 tracks of jazz, the library 2."]


def test_a_library_without_a_model_has_no_index_and_no_problem(tmp_path: Path) -> None:
    with Store.open(tmp_path / "empty.db", create=True) as empty:
        assert index_problems(empty) == []
        assert index_is_current(empty)
        for question in (open_index, rebuild_index):
            with pytest.raises(StoreError, match="empty") as caught:
                question(empty)
            assert "recsys index" in caught.value.hint


def test_a_library_with_a_model_but_no_track_has_an_empty_index(tmp_path: Path) -> None:
    with new_library(tmp_path) as empty:
        assert rebuild_index(empty).count() == 0
        assert index_problems(empty) == []
        assert open_index(empty).search(None, axis(0), 5) == []


def test_a_damaged_part_that_an_update_needs_is_rebuilt(store: Store) -> None:
    rebuild_index(store)
    for path in index_directory(store.path).glob("*.bin"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    store.write([record("/more", analysed("jazz", 1))], removed=[1])
    bring_up_to_date(store)
    assert not index_problems(store)


def test_more_changes_than_fit_into_memory_are_a_rebuild(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> set[str]:
        return {path.name for path in index_directory(store.path).glob("*.bin")}

    monkeypatch.setattr(sync, "MOST_CHANGES", 3)
    rebuild_index(store)
    first = files()
    store.write([record(f"/more {i}", analysed("jazz", 1)) for i in range(2)])
    bring_up_to_date(store)
    few = files()
    assert len(few & first) == 2  # only the changed part was written
    store.write([record(f"/many {i}", analysed("jazz", 1)) for i in range(4)])
    bring_up_to_date(store)
    assert not files() & few
    assert not index_problems(store)


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.integers(0, 5),
            st.integers(0, 3),
            st.sampled_from(["blues", "jazz", "rock"]),
            st.integers(0, 3),
        ),
        st.tuples(st.just("keep"), st.integers(0, 5), st.integers(0, 3)),
        st.tuples(st.just("move"), st.integers(0, 5), st.integers(1, 12)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.integers(1, 12)),
        st.tuples(st.just("missing"), st.integers(1, 12)),
        st.tuples(st.just("model"), st.sampled_from(["m1", "m2"])),
        st.tuples(st.just("orphans")),
        st.tuples(st.just("save")),
        st.tuples(st.just("check")),
    ),
    max_size=25,
)


def act(store: Store, action: tuple[Any, ...]) -> None:
    match action:
        case ("write", path, sound, genre, embedding):
            analysis = analysed(genre, embedding, store.model().fingerprint)  # type: ignore[union-attr]
            store.write([record(f"/{path}", analysis, audio_hash=f"h{sound}")])
        case ("keep", path, sound):
            store.write([record(f"/{path}", None, audio_hash=f"h{sound}")])
        case ("move", path, track_id):
            store.write([record(f"/{path}", None, audio_hash="h0", track_id=track_id)])
        case ("fail", path):
            store.write([], [Failure(audio_file(f"/{path}"), "no sound")])
        case ("remove", track_id):
            store.write([], removed=[track_id])
        case ("missing", track_id):
            store.mark_missing([track_id])
        case ("model", fingerprint):
            store.set_model(model_info(fingerprint), "{}")
        case ("orphans",):
            store.drop_orphans()


def check(store: Store) -> None:
    index = open_index(store)
    assert content(index) == wanted(store)
    assert index.revision == store.revision


@settings(max_examples=80, deadline=None)
@given(actions)
def test_after_any_history_the_updated_index_is_the_rebuilt_one(
    history: list[tuple[Any, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, new_library(Path(folder)) as store:
        for action in history:
            if action == ("save",):
                save_index(store, open_index(store))
            elif action == ("check",):
                check(store)
            else:
                act(store, action)
        check(store)
        save_index(store, open_index(store))
        assert index_problems(store) == []
        check(store)


def test_the_recall_of_approximate_parts_is_reported(store: Store) -> None:
    rows = unit_rows(400, DIMENSION)
    store.write([record(f"/jazz/{i}", analysed("jazz", row)) for i, row in enumerate(rows)])
    save_index(store, open_index(store))
    assert measured_recall(store) == {}
    index = GenreIndex(DIMENSION, flat_limit=100)
    for ids, genres, embeddings in store.iter_embeddings():
        index.extend(genres, ids, embeddings)
    index.revision = store.revision
    save_index(store, index)
    (recall,) = measured_recall(store).values()
    assert list(measured_recall(store)) == ["jazz"]
    assert 0.99 <= recall <= 1
    shutil.rmtree(index_directory(store.path))
    assert measured_recall(store) == {}
