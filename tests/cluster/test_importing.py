from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import Library
from recsys.cluster.importing import ImportSession
from recsys.cluster.shards import find_shards
from recsys.cluster.sources import SourceFile
from recsys.errors import LibraryBusyError, RecsysError
from recsys.index.sync import bring_up_to_date, index_is_current
from recsys.indexing import session
from recsys.store import LibraryLock, Store
from recsys.types import IndexEvent, IndexSummary
from tests.cluster.shards import analysed, failed, write_shard
from tests.stored import model_info


def bring_in(database: Path, *sources: object, **settings: Any) -> tuple[IndexSummary, list[Any]]:
    *events, summary = ImportSession(database, **settings).run([str(s) for s in sources])
    assert isinstance(summary, IndexSummary)
    return summary, [event for event in events if isinstance(event, IndexEvent)]


def dump(database: Path) -> dict[str, Any]:
    with Store.open(database, read_only=True) as store:
        assert store.integrity_problems() == []
        tracks = {}
        for track in store.all_tracks():
            analysis_there = store.analysis(track.id)
            assert analysis_there is not None
            tracks[str(track.path)] = (track, analysis_there.embedding.tolist())
        failures = {str(f.file.path): (f.reason, f.file.size) for f in store.failures()}
        return {"tracks": tracks, "failures": failures, "revision": store.revision}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


def test_rows_become_tracks_and_failures(database: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    rows = [analysed(music / "a.mp3", 1), analysed(music / "b.mp3", 2), failed(music / "c.mp3")]
    write_shard(tmp_path / "shards", rows, sources=(str(music), "/gone"))
    summary, events = bring_in(database, tmp_path / "shards")
    assert summary.counts() == {
        **dict.fromkeys(("unchanged", "moved", "removed", "failed_before"), 0),
        **{"found": 3, "indexed": 2, "failed": 1},
    }
    assert {(event.path.name, event.status) for event in events} == {  # type: ignore[union-attr]
        ("a.mp3", "indexed"),
        ("b.mp3", "indexed"),
        ("c.mp3", "failed"),
    }
    stored = dump(database)
    track, embedding = stored["tracks"][str(music / "a.mp3")]
    assert track.tags == rows[0].tags
    assert (track.audio_hash, track.duration_s) == ("hash 1", 180.5)
    assert rows[0].analysis is not None
    np.testing.assert_array_equal(np.float32(embedding), rows[0].analysis.embedding)
    assert stored["failures"] == {str(music / "c.mp3"): ("no sound", 1000)}
    with Store.open(database, read_only=True) as store:
        assert index_is_current(store)
        assert store.roots() == [music]
    (music / "b.mp3").touch()  # answers have no file that is not there
    with Library(database) as library:
        answer = library.similar("title 1")
    assert [row.track.title for row in answer.results] == ["Title 2"]


def test_importing_twice_changes_nothing(database: Path, tmp_path: Path) -> None:
    rows = [analysed("/a.mp3", 1), failed("/b.mp3"), failed("/c.mp3", may_pass=True)]
    write_shard(tmp_path / "shards", rows)
    bring_in(database, tmp_path / "shards")
    before = dump(database)
    summary, _ = bring_in(database, tmp_path / "shards", tmp_path / "shards")
    assert (summary.indexed, summary.unchanged, summary.failed) == (0, 1, 2)
    assert dump(database) == before


def test_the_folders_of_every_run_are_those_of_the_library(database: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        sources = [str(folder)] if number else [str(folder), str(folders[1])]
        write_shard(tmp_path / "shards", [analysed(folder / "a.mp3", number)], sources=sources)
    bring_in(database, tmp_path / "shards")
    with Store.open(database, read_only=True) as store:
        assert sorted(store.roots()) == sorted(folders)


def test_the_last_run_says_which_version_of_a_file_counts(database: Path, tmp_path: Path) -> None:
    older = [analysed("/older copy.mp3", 1, mtime_ns=20), analysed("/b.mp3", 3, mtime_ns=10)]
    write_shard(tmp_path / "1", older)
    later = [analysed("/older copy.mp3", 2, mtime_ns=10), failed("/b.mp3", mtime_ns=20)]
    write_shard(tmp_path / "2", later)
    for order in ("12", "21"):
        target = database.with_name(f"{order}.db")
        summary, _ = bring_in(target, *(tmp_path / number for number in order))
        assert (summary.found, summary.indexed, summary.failed) == (2, 1, 1)
        stored = dump(target)
        assert stored["tracks"]["/older copy.mp3"][0].audio_hash == "hash 2"
        assert list(stored["failures"]) == ["/b.mp3"]
    bring_in(database, tmp_path / "1")
    summary, _ = bring_in(database, tmp_path / "2")
    assert (summary.indexed, summary.unchanged) == (1, 0)
    assert {**dump(database), "revision": 0} == {**stored, "revision": 0}, "as all at once"


def test_of_one_version_what_is_good_counts(database: Path, tmp_path: Path) -> None:
    write_shard(tmp_path, [analysed("/a.mp3", 1), analysed("/b.mp3", 2, mtime_ns=30)])
    write_shard(tmp_path, [analysed("/a.mp3", 3, mtime_ns=5), failed("/b.mp3", mtime_ns=20)])
    write_shard(tmp_path, [failed("/a.mp3"), analysed("/b.mp3", 4, mtime_ns=20)])
    write_shard(tmp_path, [failed("/b.mp3", "twice", mtime_ns=20)])
    bring_in(database, tmp_path)
    stored = dump(database)
    hashes = {path: track.audio_hash for path, (track, _) in stored["tracks"].items()}
    assert hashes == {"/a.mp3": "hash 1", "/b.mp3": "hash 4"}
    assert stored["failures"] == {}


@pytest.mark.parametrize("later", ["analysed", "failed"])
def test_a_file_that_is_as_the_library_knows_it_stays(
    database: Path, tmp_path: Path, later: str
) -> None:
    file = tmp_path / "a.mp3"
    file.write_bytes(b"x" * 1000)
    here = file.stat().st_mtime_ns
    write_shard(tmp_path / "1", [analysed(file, 1, mtime_ns=here)])
    bring_in(database, tmp_path / "1")
    other = (
        analysed(file, 2, mtime_ns=here + 1) if later == "analysed" else failed(file, mtime_ns=1)
    )
    write_shard(tmp_path / "2", [other])
    before = dump(database)
    bring_in(database, tmp_path / "2")
    assert dump(database) == before, "a shard of another version is out of date"
    os.utime(file, ns=(here + 2, here + 2))
    bring_in(database, tmp_path / "2")
    if later == "analysed":
        assert dump(database)["tracks"][str(file)][0].audio_hash == "hash 2"
    else:
        assert list(dump(database)["failures"]) == [str(file)]


def test_an_analysis_counts_before_a_failure_that_may_pass(database: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "good", [analysed("/a.mp3", 1)])
    write_shard(tmp_path / "away", [failed("/a.mp3", "no network", may_pass=True)])
    summary, _ = bring_in(database, tmp_path / "away")
    assert summary.failed == 1
    assert dump(database)["failures"] == {"/a.mp3": ("no network", 1000)}
    with Store.open(database, read_only=True) as store:
        stored = store.lookup(Path("/a.mp3"))
        assert stored is not None
        assert stored.retry, "the next run of the indexer tries it"
    summary, _ = bring_in(database, tmp_path / "away", tmp_path / "good")
    assert (summary.indexed, summary.failed) == (1, 0)
    bring_in(database, tmp_path / "away")
    assert list(dump(database)["tracks"]) == ["/a.mp3"]


def test_a_long_import_makes_the_index_on_the_way(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SAVE_EVERY", 4)
    for shard in range(2):
        write_shard(tmp_path, [analysed(f"/{shard}{i}.mp3", 5 * shard + i) for i in range(5)])
    saved: list[int] = []

    def save(store: Store) -> None:
        bring_up_to_date(store)
        saved.append(store.counts()["tracks"])

    monkeypatch.setattr(session, "bring_up_to_date", save)
    bring_in(database, tmp_path)
    assert saved == [5, 10], "after the fourth and the eighth; the end finds nothing left to do"
    with Store.open(database, read_only=True) as store:
        assert index_is_current(store)


def test_an_import_asks_once_for_a_batch(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    lookups = Store.lookups

    def count(store: Store, paths: Sequence[Path]) -> Any:
        asked.append(len(paths))
        return lookups(store, paths)

    monkeypatch.setattr(Store, "lookups", count)
    write_shard(tmp_path, [analysed("/a.mp3", 1), failed("/b.mp3"), analysed("/c.mp3", 2)])
    bring_in(database, tmp_path)
    assert asked == [3]


def test_files_of_a_bucket_lie_in_a_folder_here(database: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    (music / "deep").mkdir(parents=True)
    same, other = music / "deep" / "same.mp3", music / "other.mp3"
    same.write_bytes(b"x" * 1000)
    other.write_bytes(b"x" * 999)
    rows = [
        analysed("s3://b/music/deep/same.mp3", 1),
        analysed("s3://b/music/other.mp3", 2),
        analysed("s3://b/music/none.mp3", 3),
        analysed("/mnt/elsewhere/a.mp3", 4),
    ]
    write_shard(tmp_path / "shards", rows, sources=("s3://b/music",))
    where = (("s3://b", tmp_path / "not this"), ("s3://b/music", music), ("/mnt/elsewhere", music))
    bring_in(database, tmp_path / "shards", music=where)
    with Store.open(database, read_only=True) as store:
        times = {path: store.lookup(path) for path in (same, other, music / "none.mp3")}
        assert store.roots() == [music]
        assert store.lookup(music / "a.mp3") is not None
    assert times[same].mtime_ns == same.stat().st_mtime_ns  # type: ignore[union-attr]
    assert times[other].mtime_ns == 10**18, "another state than the one that was analysed"  # type: ignore[union-attr]
    before = dump(database)
    summary, _ = bring_in(database, tmp_path / "shards", music=where)
    assert summary.unchanged == 4
    assert dump(database) == before


def test_a_url_needs_a_folder(database: Path, tmp_path: Path) -> None:
    write_shard(tmp_path, [analysed("s3://b/music/a.mp3")])
    with pytest.raises(RecsysError, match=r"s3://b/music/a\.mp3 is no file") as caught:
        bring_in(database, tmp_path, music=(("s3://b/mus", tmp_path),))
    assert "--music s3://b/music=FOLDER" in caught.value.hint
    assert not database.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_shard_is_named_before_anything_changes(
    database: Path, tmp_path: Path, damage: str
) -> None:
    write_shard(tmp_path, [analysed("/a.mp3", 1)])
    shard = Path(write_shard(tmp_path, [analysed(f"/{i}.mp3", i) for i in range(50)]))
    content = bytearray(shard.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
        shard.write_bytes(content)
    else:
        shard.write_bytes(content[:-20] if damage == "cut" else b"no parquet")
    with pytest.raises(RecsysError, match="no complete Parquet file") as caught:
        bring_in(database, tmp_path)
    assert str(shard) in caught.value.message
    assert not database.exists()


def test_parquet_of_others_is_refused(database: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"path": ["/a.mp3"]}), foreign)
    with pytest.raises(RecsysError, match="not a shard that recsys wrote"):
        bring_in(database, foreign)
    assert not database.exists()


def test_two_models_do_not_mix(database: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "ours", [analysed("/a.mp3")])
    write_shard(tmp_path / "others", [analysed("/b.mp3")], fingerprint="other")
    with pytest.raises(RecsysError, match="results of two models do not mix"):
        bring_in(database, tmp_path / "ours", tmp_path / "others")
    with pytest.raises(RecsysError, match=r"\(other, effort \w+\), not by") as caught:
        bring_in(database, tmp_path / "others")
    assert "--model" in caught.value.hint
    assert not database.exists()
    with Store.open(database, create=True) as store:
        store.set_model(model_info("m1"), "{}")
    with pytest.raises(RecsysError, match=r"analysed with model axes \(m1, effort"):
        bring_in(database, tmp_path / "ours")
    assert dump(database)["tracks"] == {}


def test_the_writer_of_a_library_is_waited_for(database: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", [analysed("/a.mp3")])
    with LibraryLock(database), pytest.raises(LibraryBusyError):
        bring_in(database, tmp_path / "shards")


def test_a_name_that_is_not_text(database: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"/m/na\xefve.mp3")
    row = replace(analysed("/x", 1), file=SourceFile(name, 5, 6))
    write_shard(tmp_path / "shards", [row])
    bring_in(database, tmp_path / "shards")
    assert list(dump(database)["tracks"]) == [name]


def test_shards_are_found_by_name_folder_and_pattern(tmp_path: Path) -> None:
    first = write_shard(tmp_path / "a", [analysed("/1.mp3")])
    second = write_shard(tmp_path / "a", [analysed("/2.mp3")])
    for sources in ([first, second], [tmp_path / "a", first], [tmp_path / "a" / "*.parquet"]):
        assert sorted(find_shards([str(s) for s in sources])) == sorted([first, second])
    (tmp_path / "empty").mkdir()
    for source, message in (
        (tmp_path / "none", "no such shard"),
        (tmp_path / "empty", "no shards in"),
        (tmp_path / "empty" / "*.parquet", "no shards in"),
    ):
        with pytest.raises(RecsysError, match=message):
            find_shards([str(source)])
