"""What goes into the library comes out of it, and the revision rises when it has to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.errors import StoreError
from recsys.store import Store, StoredFile, TrackRecord
from recsys.store import store as store_module
from recsys.types import Failure, Tags, Track
from tests.stored import analysed, audio_file, axis, model_info, new_library, record

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_TAGS = Tags("Artist", "Album Artist", "Album", "Title", 7, 1959, "Be-Bop")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_library(tmp_path) as opened:
        yield opened


def test_a_track_comes_back_as_it_was_written(store: Store) -> None:
    written = replace(
        record("/music/a.mp3", analysed("rock", 2), tags=FULL_TAGS, warning="cut short"),
        file=audio_file("/music/a.mp3", size=2**40, mtime_ns=1_700_000_000_123_456_789),
    )
    (track_id,) = store.write([written])
    expected = Track(
        id=track_id,
        path=Path("/music/a.mp3"),
        tags=FULL_TAGS,
        duration_s=200.0,
        audio_hash=written.audio_hash,
        genre="rock",
        warning="cut short",
    )
    assert store.track(track_id) == expected
    assert store.track_by_path(Path("/music/a.mp3")) == expected
    assert store.tracks([track_id, 999]) == {track_id: expected}
    assert store.tracks_with_hash(written.audio_hash) == [expected]
    assert list(store.all_tracks()) == [expected]
    assert store.lookup(Path("/music/a.mp3")) == StoredFile(
        track_id=track_id,
        size=2**40,
        mtime_ns=1_700_000_000_123_456_789,
        audio_hash=written.audio_hash,
        genre="rock",
        failure=None,
        missing=False,
        warning="cut short",
    )


def test_an_analysis_comes_back_bit_by_bit(store: Store) -> None:
    vector = np.array([0.6, -0.8, 0.0, 1e-30], dtype=np.float32)
    (track_id,) = store.write([record("/a", analysed("blues", vector))])
    analysis = store.analysis(track_id)
    assert analysis is not None
    assert analysis.fingerprint == "m1"
    np.testing.assert_array_equal(analysis.embedding, vector)
    np.testing.assert_array_equal(analysis.probabilities, analysed("blues").probabilities)
    analysis.embedding[0] = 0  # its own memory, not a view of what SQLite gave out


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.lookup(Path("/nothing")) is None
    assert store.track(1) is None
    assert store.track_by_path(Path("/nothing")) is None
    assert store.analysis(1) is None
    assert store.tracks([]) == {}
    assert not store.analysed_hash("nothing")


def test_ids_come_in_the_order_of_the_records(store: Store) -> None:
    first = store.write([record(f"/{name}", analysed()) for name in "cab"])
    second = store.write([record(f"/{name}", analysed()) for name in "abcd"])
    assert [store.track(i).path.name for i in first] == ["c", "a", "b"]  # type: ignore[union-attr]
    assert second[:3] == [first[1], first[2], first[0]]


def test_retagging_keeps_the_id_and_the_analysis(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed("rock", 1), warning="cut short")])
    retagged = record("/a", None, tags=Tags(title="New"))
    assert store.write([retagged]) == [track_id]
    track = store.track(track_id)
    assert track is not None
    assert (track.title, track.genre, track.warning) == ("New", "rock", "cut short")


def test_a_moved_track_keeps_id_and_analysis(store: Store) -> None:
    (track_id,) = store.write([record("/old", analysed("rock", 1), audio_hash="h")])
    assert store.write([record("/new", None, audio_hash="h", track_id=track_id)]) == [track_id]
    assert store.lookup(Path("/old")) is None
    moved = store.track_by_path(Path("/new"))
    assert moved is not None
    assert (moved.id, moved.genre) == (track_id, "rock")


def test_a_track_that_moves_onto_another_takes_its_place(store: Store) -> None:
    mover, victim = store.write([record("/a", analysed()), record("/b", analysed("rock"))])
    before = store.revision
    moved = record("/b", None, audio_hash=record("/a").audio_hash, track_id=mover)
    assert store.write([moved]) == [mover]
    assert store.track(victim) is None
    assert store.changes_since(before).removed.tolist() == [victim]
    assert [track.id for track in store.all_tracks()] == [mover]


def test_two_files_that_swapped_names_keep_their_ids(store: Store) -> None:
    one, two = store.write(
        [
            record("/a", analysed("jazz"), audio_hash="1"),
            record("/b", analysed("rock"), audio_hash="2"),
        ]
    )
    before = store.revision
    swapped = [
        record("/b", None, audio_hash="1", track_id=one),
        record("/a", None, audio_hash="2", track_id=two),
    ]
    assert store.write(swapped) == [one, two]
    assert {t.path.name: t.genre for t in store.all_tracks()} == {"b": "jazz", "a": "rock"}
    assert store.revision == before


def test_a_move_of_a_track_that_is_gone_is_a_new_track(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed(), audio_hash="h")])
    store.write([], removed=[track_id])
    (again,) = store.write([record("/b", None, audio_hash="h", track_id=track_id)])
    assert again > track_id
    assert store.track(again) is not None


def test_ids_are_never_given_out_twice(store: Store) -> None:
    (first,) = store.write([record("/a", analysed())])
    store.write([], removed=[first])
    (second,) = store.write([record("/a", analysed())])
    assert second > first


def test_a_failure_takes_the_place_of_a_track_and_the_other_way_round(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed())])
    failure = Failure(audio_file("/a", size=5), "no sound in it")
    store.write([], [failure])
    assert store.track(track_id) is None
    found = store.lookup(Path("/a"))
    assert found is not None
    assert (found.track_id, found.failure, found.size) == (None, "no sound in it", 5)
    assert store.failures() == [failure]
    store.write([record("/a", analysed())])
    assert store.failures() == []
    assert store.counts()["failures"] == 0


def test_failures_are_replaced_listed_by_path_and_forgotten(store: Store) -> None:
    store.write([], [Failure(audio_file(f"/{name}"), "first") for name in "bca"])
    store.write([], [Failure(audio_file("/b"), "second")])
    assert [(f.file.path.name, f.reason) for f in store.failures()] == [
        ("a", "first"),
        ("b", "second"),
        ("c", "first"),
    ]
    assert len(store.failures(limit=2)) == 2
    store.forget_failures([Path("/b"), Path("/unknown")])
    assert [f.file.path.name for f in store.failures()] == ["a", "c"]


def test_removing_forgets_and_ignores_unknown_ids(store: Store) -> None:
    kept, gone = store.write([record("/a", analysed()), record("/b", analysed())])
    store.write([], removed=[gone, 12345])
    assert [track.id for track in store.all_tracks()] == [kept]
    assert store.changes_since(0).removed.tolist() == [gone]


def test_missing_tracks_stay_in_answers_until_they_are_seen_again(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed())])
    before = store.revision
    store.mark_missing([track_id, 999])
    track = store.track(track_id)
    assert track is not None
    assert track.missing
    assert store.counts()["missing"] == 1
    assert next(store.iter_embeddings())[0].tolist() == [track_id]
    store.write([record("/a")])
    assert store.counts()["missing"] == 0
    assert store.revision == before


def test_roots_and_volumes_are_remembered_once_and_forgotten_with_what_is_below(
    store: Store,
) -> None:
    for name in ("/b", "/a", "/b"):
        store.add_root(Path(name))
    store.add_root(Path("/a/disk"), volume=True)
    store.add_root(Path("/ab"), volume=True)
    store.add_root(Path("/a"), volume=True)
    assert store.roots() == [Path("/a"), Path("/b")]
    assert store.volumes() == [Path("/a"), Path("/a/disk"), Path("/ab")]
    store.forget_root(Path("/a"))
    assert (store.roots(), store.volumes()) == ([Path("/b")], [Path("/ab")])


def test_tags_that_no_database_can_hold_are_stored_as_far_as_they_can_be(store: Store) -> None:
    tags = Tags(artist="lone \udcff", title="nul \0 byte", year=10**30, track_number=-5)
    (track_id,) = store.write([record("/a", analysed(), tags=tags, warning="odd \udc80")])
    track = store.track(track_id)
    assert track is not None
    assert track.tags == Tags(
        artist="lone \\udcff", title="nul \0 byte", year=None, track_number=-5
    )
    assert track.warning == "odd \\udc80"


# Models


def test_the_model_comes_back_as_it_was_set(store: Store) -> None:
    info = model_info("m2")
    store.set_model(info, '{"name": "x"}', Path("/models/m2.safetensors"))
    found = store.model()
    assert found is not None
    assert replace(found, confusion=info.confusion) == info
    np.testing.assert_array_equal(found.confusion, info.confusion)
    assert store.model_card() == '{"name": "x"}'
    assert store.model_path() == Path("/models/m2.safetensors")


def test_a_library_without_a_model_is_empty_and_sound(tmp_path: Path) -> None:
    with Store.open(tmp_path / "library.db", create=True) as empty:
        assert (empty.model(), empty.model_card(), empty.model_path()) == (None, None, None)
        assert (empty.revision, empty.genre_counts(), list(empty.iter_embeddings())) == (0, {}, [])
        assert len(empty.changes_since(0).ids) == 0
        assert empty.integrity_problems() == []


def test_another_model_knows_no_track_until_it_has_analysed_it(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed("jazz"))])
    before = store.revision
    store.set_model(model_info("m2"), "{}")
    assert store.revision == before + 1
    assert store.track(track_id) is None
    assert (store.genre_counts(), list(store.iter_embeddings())) == ({}, [])
    assert store.find_tracks("a") == []
    assert store.counts()["unanalysed"] == 1
    assert list(store.iter_tracks_under(Path("/"))) == [(track_id, Path("/a"))]
    found = store.lookup(Path("/a"))
    assert found is not None
    assert (found.track_id, found.genre) == (track_id, None)
    assert store.changes_since(before).removed.tolist() == [track_id]
    store.write([record("/a", analysed("rock", model="m2"))])
    assert store.genre_counts() == {"rock": 1}


def test_going_back_to_a_model_finds_its_analyses_and_tells_the_index(store: Store) -> None:
    (track_id,) = store.write([record("/a", analysed("jazz"))])
    at_first = store.revision
    store.set_model(model_info("m2"), "{}")
    store.set_model(model_info("m1"), "{}")
    assert store.genre_counts() == {"jazz": 1}
    assert store.changes_since(at_first).ids.tolist() == [track_id]


def test_setting_the_same_model_again_changes_nothing_but_its_card(store: Store) -> None:
    before = store.revision
    store.set_model(model_info(), '{"new": 1}')
    assert (store.revision, store.model_card()) == (before, '{"new": 1}')


@pytest.mark.parametrize(
    "odd", [analysed(model="other"), analysed(embedding=np.array([1.0], dtype=np.float32))]
)
def test_an_analysis_that_does_not_belong_stops_the_whole_batch(store: Store, odd: object) -> None:
    with pytest.raises(StoreError) as caught:
        store.write([record("/good", analysed()), record("/odd", odd)])  # type: ignore[arg-type]
    assert caught.value.hint
    assert store.lookup(Path("/good")) is None


def test_orphans_are_analyses_without_a_track_or_of_another_model(store: Store) -> None:
    kept, gone = store.write([record("/a", analysed()), record("/b", analysed())])
    store.write([], removed=[gone])
    assert store.analysed_hash(record("/b").audio_hash)
    assert store.drop_orphans() == 1
    assert not store.analysed_hash(record("/b").audio_hash)
    store.set_model(model_info("m2"), "{}")
    store.write([record("/a", analysed("rock", model="m2"))])
    assert store.counts()["analyses"] == 2
    assert store.drop_orphans() == 1
    assert store.genre_counts() == {"rock": 1}
    assert store.integrity_problems() == []
    assert store.track(kept) is not None


def test_dropping_the_analyses_of_an_earlier_model_is_noticed_on_the_way_back(
    store: Store,
) -> None:
    (track_id,) = store.write([record("/a", analysed())])
    at_first = store.revision
    store.set_model(model_info("m2"), "{}")
    store.drop_orphans()
    store.set_model(model_info("m1"), "{}")
    assert store.changes_since(at_first).removed.tolist() == [track_id]


# Revision


def changed(first: TrackRecord, *, tags: Tags | None = None, path: str = "/a") -> TrackRecord:
    return replace(first, tags=tags or first.tags, file=audio_file(path), analysis=None)


FIRST = record("/a", analysed("jazz", 1), audio_hash="h")


@pytest.mark.parametrize(
    ("second", "rises"),
    [
        (FIRST, False),
        (changed(FIRST, tags=FULL_TAGS), False),
        (replace(changed(FIRST, path="/b"), track_id=1), False),
        (replace(FIRST, warning="cut short", duration_s=1.0), False),
        (replace(FIRST, analysis=analysed("jazz", 2)), True),
        (replace(FIRST, analysis=analysed("rock", 1)), True),
        (replace(FIRST, audio_hash="other"), True),
        (replace(changed(FIRST), audio_hash="another hash"), True),
        (changed(FIRST, path="/copy"), True),
    ],
)
def test_the_revision_rises_only_for_what_the_index_must_learn(
    store: Store, second: TrackRecord, rises: bool
) -> None:
    store.write([FIRST])
    before = store.revision
    store.write([second])
    assert store.revision == before + rises
    changes = store.changes_since(before)
    assert bool(len(changes.ids) + len(changes.removed)) == rises
    assert changes.revision == store.revision


def test_a_failure_or_nothing_at_all_does_not_raise_the_revision(store: Store) -> None:
    before = store.revision
    store.write([], [Failure(audio_file("/bad"), "no sound")], removed=[77])
    store.write([])
    assert store.revision == before


def test_a_new_analysis_concerns_every_copy_of_the_sound(store: Store) -> None:
    one, two = store.write(
        [record("/a", analysed("jazz"), audio_hash="h"), record("/copy", audio_hash="h")]
    )
    before = store.revision
    store.write([record("/a", analysed("rock", 3), audio_hash="h")])
    changes = store.changes_since(before)
    assert changes.ids.tolist() == [one, two]
    assert changes.genres == ("rock", "rock")
    np.testing.assert_array_equal(changes.embeddings, [axis(3), axis(3)])
    assert store.change_count(before) == 2


@pytest.mark.parametrize("removed", [False, True])
def test_changes_are_found_without_a_look_at_every_track(store: Store, removed: bool) -> None:
    def steps_after(known: int) -> int:
        """Count the steps of SQLite that find one change beside so many tracks."""
        ids = store.write([record(f"/{known}/{i}", analysed()) for i in range(known)])
        before = store.revision
        store.write([] if removed else [record(f"/{known}/new", analysed())], removed=ids[:removed])
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        store._db.set_progress_handler(count, 1)
        changes = store.changes_since(before)
        store._db.set_progress_handler(None, 0)
        assert len(changes.ids) + len(changes.removed) == 1
        return steps

    few, many = steps_after(20), steps_after(2000)
    assert many < few + 200


# Reading many


def test_embeddings_come_in_batches_by_id(store: Store) -> None:
    genres = ["jazz", "rock", "blues", "jazz", "rock"]
    ids = store.write([record(f"/{i}", analysed(g, i)) for i, g in enumerate(genres)])
    batches = list(store.iter_embeddings(batch=2))
    assert [len(batch_ids) for batch_ids, _, _ in batches] == [2, 2, 1]
    assert np.concatenate([batch_ids for batch_ids, _, _ in batches]).tolist() == ids
    assert [name for _, names, _ in batches for name in names] == genres
    vectors = np.concatenate([rows for _, _, rows in batches])
    np.testing.assert_array_equal(vectors, [axis(i) for i in range(5)])
    assert store.genre_counts() == {"blues": 1, "jazz": 2, "rock": 2}


def test_all_tracks_can_be_walked_while_the_library_is_written_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAGE", 2)
    ids = store.write([record(f"/{i}", analysed()) for i in range(5)])
    seen = []
    for track in store.all_tracks():
        seen.append(track.id)
        store.write([], removed=[track.id])
    assert seen == ids
    assert store.counts()["tracks"] == 0


def test_counts(store: Store) -> None:
    ids = store.write(
        [record("/a", analysed(), audio_hash="h"), record("/b", audio_hash="h"), record("/c")],
        [Failure(audio_file("/d"), "no sound")],
    )
    store.mark_missing(ids[:1])
    assert store.counts() == {
        "tracks": 3,
        "analyses": 1,
        "failures": 1,
        "missing": 1,
        "unanalysed": 1,
    }
    assert list(map(str, store.integrity_problems())) == [
        "Tracks without an analysis by the current model: 1."
    ]


def test_vacuum_gives_space_back(store: Store) -> None:
    ids = store.write([record(f"/{i}" + "x" * 500, analysed()) for i in range(200)])
    store.write([], removed=ids)
    store.drop_orphans()
    store.vacuum()
    assert store.path.stat().st_size < 170_000
    assert store.counts()["tracks"] == 0


def test_every_library_has_an_identity_of_its_own(tmp_path: Path) -> None:
    identities = set()
    for name in ("one.db", "two.db"):
        with Store.open(tmp_path / name, create=True) as store:
            identities.add(store.library_id)
        with Store.open(tmp_path / name) as store:
            identities.add(store.library_id)
    assert len(identities) == 2
