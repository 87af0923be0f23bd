"""Indexing with real files, real processes and a real database; only the model is a stand-in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest

from recsys.classifier.log_mel import MEL
from recsys.errors import PassingError, RecsysError
from recsys.indexing import Indexer, IndexOptions, IndexPlan
from recsys.library import ScanReport, scan
from recsys.store import Store
from recsys.types import Analysis, FloatArray, IndexEvent, IndexSummary, TrackFile
from recsys.workers import WorkerPool
from tests.planted import make_info
from tests.sounds import staircase, write

INFO = make_info()


class CountingModel:
    """Stands in for the classifier: the embedding is the mean spectrum, folded to 16 numbers."""

    def __init__(self) -> None:
        self.analysed = 0

    def analyse(self, tracks: Sequence[FloatArray]) -> list[Analysis]:
        self.analysed += len(tracks)
        return [self._one(windows) for windows in tracks]

    def _one(self, windows: FloatArray) -> Analysis:
        profile = windows.mean(axis=(0, 2)).reshape(16, -1).mean(axis=1)
        embedding = (profile / np.linalg.norm(profile)).astype(np.float32)
        weights = np.exp(4 * embedding[:4])
        return Analysis((weights / weights.sum()).astype(np.float32), embedding, INFO.fingerprint)


class Runner:
    """A library in a folder, and runs over it."""

    def __init__(self, folder: Path) -> None:
        self.music = folder / "music"
        self.music.mkdir()
        self.database = folder / "library.db"
        self.classifier = CountingModel()
        with Store.open(self.database, create=True) as store:
            store.set_model(INFO, "{}")

    def run(
        self, *folders: Path, keep_missing: bool = False, whole_roots: bool = True
    ) -> tuple[list[IndexEvent], IndexSummary]:
        events: list[IndexEvent] = []
        with Store.open(self.database) as store:
            options = IndexOptions(workers=1, keep_missing=keep_missing)
            indexer = Indexer(store, lambda: self.classifier, MEL, options)  # type: ignore[arg-type, return-value]
            for event in indexer.run(list(folders) or [self.music], whole_roots=whole_roots):
                if isinstance(event, IndexEvent):
                    events.append(event)
                elif isinstance(event, IndexSummary):
                    return events, event
        raise AssertionError("a run ends with a summary")

    def statuses(self, *folders: Path, keep_missing: bool = False) -> dict[str, str]:
        events, _ = self.run(*folders, keep_missing=keep_missing)
        return {event.path.name: event.status for event in events}

    def store(self) -> Store:
        return Store.open(self.database, read_only=True)

    def add(self, name: str, seconds: float = 3.0, pitch: float = 1.0) -> Path:
        sound = staircase(seconds * pitch, round(22_050 * pitch))
        return write(self.music / name, sound)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    return Runner(tmp_path)


def test_a_first_run_stores_everything_and_a_second_does_nothing(runner: Runner) -> None:
    for number in range(5):
        runner.add(f"{number}.flac", pitch=1 + number / 5)
    (runner.music / "bad.mp3").write_bytes(b"no sound")
    events, summary = runner.run()
    assert summary == IndexSummary(found=6, indexed=5, failed=1)
    assert {event.status for event in events} == {"indexed", "failed"}
    with runner.store() as store:
        tracks = {track.id: track for track in store.all_tracks()}
    for event in events:
        if event.status == "indexed":
            assert event.track_id is not None
            assert tracks[event.track_id].path == event.path
            assert tracks[event.track_id].genre == event.genre
    events, summary = runner.run()
    assert summary == IndexSummary(found=6, unchanged=5, failed=1, failed_before=1)
    assert runner.classifier.analysed == 5
    (failure,) = [event for event in events if event.status == "failed"]
    assert failure.reason == "not an audio file: a text file"


def test_the_plan_comes_before_the_work(runner: Runner) -> None:
    runner.add("old.flac")
    runner.run()
    runner.add("new.flac", pitch=1.3)
    with Store.open(runner.database) as store:
        indexer = Indexer(store, lambda: runner.classifier, MEL, IndexOptions(workers=1))  # type: ignore[arg-type, return-value]
        kinds = list(indexer.run([runner.music]))
    assert isinstance(kinds[0], IndexEvent)
    assert kinds[1] == IndexPlan(found=2, pending=1)
    assert isinstance(kinds[2], IndexEvent)


def test_events_come_only_after_their_result_is_stored(runner: Runner) -> None:
    for number in range(20):
        runner.add(f"{number}.flac", pitch=1 + number / 20)
    with Store.open(runner.database) as store, runner.store() as reader:
        indexer = Indexer(store, lambda: runner.classifier, MEL, IndexOptions(workers=1))  # type: ignore[arg-type, return-value]
        for event in indexer.run([runner.music]):
            if isinstance(event, IndexEvent):
                assert event.track_id is not None
                assert reader.track(event.track_id) is not None


def test_a_run_that_is_broken_off_goes_on_where_it_stopped(runner: Runner) -> None:
    for number in range(40):
        runner.add(f"{number}.flac", seconds=1, pitch=1 + number / 40)
    with Store.open(runner.database) as store:
        indexer = Indexer(store, lambda: runner.classifier, MEL, IndexOptions(workers=1))  # type: ignore[arg-type, return-value]
        run = indexer.run([runner.music])
        done = [event for event, _ in zip(run, range(10), strict=False)]
        run.close()
    stored = sum(isinstance(event, IndexEvent) for event in done)
    events, summary = runner.run()
    assert summary.unchanged >= stored
    assert summary.unchanged + summary.indexed == 40
    assert len(events) == 40


def test_a_moved_file_keeps_its_analysis_and_its_number(runner: Runner) -> None:
    path = runner.add("a.flac")
    (first,), _ = runner.run()
    path.rename(runner.music / "b.flac")
    (moved,), summary = runner.run()
    assert (moved.status, moved.track_id, moved.path.name) == ("moved", first.track_id, "b.flac")
    assert summary == IndexSummary(found=1, moved=1)
    assert runner.classifier.analysed == 1


def test_files_that_swap_their_names_keep_their_analyses(runner: Runner) -> None:
    a, b = runner.add("a.flac"), runner.add("b.flac", pitch=1.5)
    runner.run()
    with runner.store() as store:
        before = {track.path.name: track.audio_hash for track in store.all_tracks()}
    a.rename(runner.music / "c")
    b.rename(a)
    (runner.music / "c").rename(b)
    for path in (a, b):
        os.utime(path, ns=(1, 1))
    runner.run()
    with runner.store() as store:
        after = {track.path.name: track.audio_hash for track in store.all_tracks()}
    assert after == {"a.flac": before["b.flac"], "b.flac": before["a.flac"]}
    assert runner.classifier.analysed == 2


def test_a_copy_is_a_track_of_its_own_without_being_analysed_again(runner: Runner) -> None:
    path = runner.add("a.flac")
    runner.run()
    shutil.copy(path, runner.music / "copy.flac")
    assert runner.statuses() == {"a.flac": "unchanged", "copy.flac": "indexed"}
    assert runner.classifier.analysed == 1


def test_new_tags_are_read_and_the_sound_is_not(runner: Runner) -> None:
    path = runner.add("a.flac")
    (first,), _ = runner.run()
    file = mutagen.File(path)
    file["title"] = "New"
    file.save()
    (again,), summary = runner.run()
    assert (again.status, again.track_id) == ("indexed", first.track_id)
    assert summary == IndexSummary(found=1, indexed=1)
    assert runner.classifier.analysed == 1
    with runner.store() as store:
        assert next(store.all_tracks()).tags.title == "New"


def test_a_file_with_new_sound_is_analysed_again(runner: Runner) -> None:
    runner.add("a.flac")
    (first,), _ = runner.run()
    runner.add("a.flac", pitch=1.5)
    (again,), _ = runner.run()
    assert (again.status, again.track_id) == ("indexed", first.track_id)
    assert runner.classifier.analysed == 2


def test_a_failed_file_is_tried_again_when_it_changes(runner: Runner) -> None:
    (runner.music / "a.flac").write_bytes(b"no sound")
    assert runner.statuses() == {"a.flac": "failed"}
    assert runner.statuses() == {"a.flac": "failed"}
    runner.add("a.flac")
    assert runner.statuses() == {"a.flac": "indexed"}
    with runner.store() as store:
        assert store.failures() == []


def test_a_track_that_turns_bad_leaves_the_results(runner: Runner) -> None:
    path = runner.add("a.flac")
    runner.run()
    path.write_bytes(b"")
    assert runner.statuses() == {"a.flac": "failed"}
    with runner.store() as store:
        assert list(store.all_tracks()) == []


def test_deleted_files_are_removed(runner: Runner) -> None:
    runner.add("a/1.flac"), runner.add("b/2.flac", pitch=1.5)
    (runner.music / "bad.mp3").write_bytes(b"no sound")
    runner.run()
    shutil.rmtree(runner.music / "a")
    (runner.music / "bad.mp3").unlink()
    assert runner.statuses() == {"1.flac": "removed", "2.flac": "unchanged"}
    with runner.store() as store:
        assert [track.path.name for track in store.all_tracks()] == ["2.flac"]
        assert store.failures() == []


def test_keep_missing_keeps_them_and_they_come_back(runner: Runner) -> None:
    path = runner.add("a.flac")
    runner.add("b.flac", pitch=1.5)
    runner.run()
    content = path.read_bytes()
    path.unlink()
    assert runner.statuses(keep_missing=True) == {"b.flac": "unchanged"}
    with runner.store() as store:
        assert [track.missing for track in store.all_tracks()] == [True, False]
    path.write_bytes(content)
    assert runner.statuses()["a.flac"] == "indexed"
    assert runner.classifier.analysed == 2
    with runner.store() as store:
        assert [track.missing for track in store.all_tracks()] == [False, False]


@pytest.mark.parametrize("leave_folder", [True, False])
def test_a_root_that_is_gone_or_empty_empties_no_library(
    runner: Runner, *, leave_folder: bool
) -> None:
    runner.add("a.flac")
    runner.run()
    shutil.rmtree(runner.music)
    if leave_folder:
        runner.music.mkdir()
    events, summary = runner.run()
    assert events == []
    assert summary.removed == 0
    (text,) = summary.notes
    assert str(runner.music) in text
    assert "left as they are" in text
    with runner.store() as store:
        assert len(list(store.all_tracks())) == 1


def test_other_roots_are_not_touched(runner: Runner, tmp_path: Path) -> None:
    runner.add("a.flac")
    other = tmp_path / "other"
    write(other / "b.flac", staircase(3))
    runner.run(runner.music, other)
    (runner.music / "a.flac").unlink()
    runner.add("c.flac", pitch=1.5)
    assert runner.statuses(other) == {"b.flac": "unchanged"}
    with runner.store() as store:
        assert {track.path.name for track in store.all_tracks()} == {"a.flac", "b.flac"}


def test_a_nested_volume_that_vanished_keeps_its_tracks(runner: Runner) -> None:
    runner.add("a.flac")
    runner.add("usb/b.flac", pitch=1.5)
    runner.run()
    with Store.open(runner.database) as store:
        store.add_root(runner.music / "usb", volume=True)
    shutil.rmtree(runner.music / "usb")
    for come_back in (None, (runner.music / "usb").mkdir):
        if come_back:
            come_back()
        events, summary = runner.run()
        assert [(event.path.name, event.status) for event in events] == [("a.flac", "unchanged")]
        assert any("usb is empty or not mounted" in text for text in summary.notes)


def test_a_copy_is_not_a_move_while_the_disk_of_the_first_is_unmounted(
    runner: Runner, tmp_path: Path
) -> None:
    path = runner.add("a.flac")
    (first,), _ = runner.run()
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(path, backup)
    shutil.rmtree(runner.music)
    (event,), _ = runner.run(backup)
    assert event.status == "indexed"
    assert event.track_id != first.track_id


def test_a_part_of_a_root_can_be_indexed_alone(runner: Runner) -> None:
    runner.add("a/1.flac")
    runner.add("b/2.flac", pitch=1.5)
    runner.run()
    (runner.music / "a" / "1.flac").unlink()
    events, summary = runner.run(runner.music / "a", whole_roots=False)
    assert [event.status for event in events] == ["removed"]
    assert summary.notes == ()
    with runner.store() as store:
        assert [track.path.name for track in store.all_tracks()] == ["2.flac"]


def test_a_folder_that_never_was_is_an_error(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="no such file or folder"):
        runner.run(tmp_path / "none")
    with pytest.raises(RecsysError, match="not a folder"):
        runner.run(Path(os.devnull))


def test_files_are_indexed_alone(runner: Runner) -> None:
    first, second = runner.add("a/1.flac"), runner.add("a/2.flac", pitch=1.5)
    runner.add("a/3.flac", pitch=2)
    cover = runner.music / "a" / "cover.jpg"
    cover.write_bytes(b"")
    events, summary = runner.run(first, second, cover)
    assert [(event.path, event.status) for event in events] == [
        (first, "indexed"),
        (second, "indexed"),
    ]
    assert summary.found == 2
    assert [str(cover) in note for note in summary.notes] == [True]
    with runner.store() as store:
        assert store.roots() == []


def deny(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the system refuse a folder, as it does to anybody but root."""
    for name in ("scandir", "lstat"):
        original = getattr(os, name)

        def refusing(path: object, *rest: object, original: Any = original, **more: object) -> Any:
            if Path(os.fsdecode(path)).is_relative_to(folder):  # type: ignore[arg-type]
                raise PermissionError(13, "Permission denied", os.fspath(path))  # type: ignore[call-overload]
            return original(path, *rest, **more)

        monkeypatch.setattr(os, name, refusing)


def test_a_folder_that_cannot_be_read_keeps_its_tracks(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.add("a/1.flac")
    runner.add("b/2.flac", pitch=1.5)
    runner.run()
    deny(monkeypatch, runner.music / "a")
    _, summary = runner.run()
    assert (summary.removed, summary.unchanged) == (0, 1)
    assert "could not be read" in summary.notes[0]
    with runner.store() as store:
        assert len(list(store.all_tracks())) == 2


def test_a_volume_is_known_even_if_the_first_run_was_broken_off(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        runner.add(f"usb/{number}.flac", pitch=1 + number / 3)

    def scan_with_volume(root: Path, report: ScanReport | None = None) -> Iterator[TrackFile]:
        yield from scan(root, report)
        if report is not None:
            report.volumes.add(runner.music / "usb")

    monkeypatch.setattr("recsys.indexing.indexer.scan", scan_with_volume)
    with Store.open(runner.database) as store:
        indexer = Indexer(store, lambda: runner.classifier, MEL, IndexOptions(workers=1))  # type: ignore[arg-type, return-value]
        run = indexer.run([runner.music])
        next(event for event in run if isinstance(event, IndexEvent))
        run.close()
        stored = [track.path for track in store.all_tracks()]
    monkeypatch.undo()
    for path in stored:
        path.unlink()
    runner.add("other.flac", pitch=2)
    (runner.music / "usb" / "left behind.txt").write_text("under the mount point")
    _, summary = runner.run()
    assert stored
    assert summary.removed == 0
    assert any("usb is empty or not mounted" in text for text in summary.notes)


def test_a_root_can_be_a_volume_too(runner: Runner) -> None:
    with Store.open(runner.database) as store:
        store.add_root(runner.music)
        store.add_root(runner.music, volume=True)
        store.add_root(runner.music)
        assert store.roots() == store.volumes() == [runner.music]


def test_a_file_out_of_reach_loses_nothing_and_is_tried_again(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = runner.add("known.flac"), runner.add("new.flac", pitch=1.5)
    new.rename(runner.music / "later")
    runner.run()
    (runner.music / "later").rename(new)
    os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr("recsys.indexing.indexer.WorkerPool", RefusingPool)
        assert runner.statuses() == {"known.flac": "failed", "new.flac": "failed"}
        with runner.store() as store:
            assert [track.path for track in store.all_tracks()] == [path]
            assert [failure.file.path for failure in store.failures()] == [new]
    assert runner.statuses() == {"known.flac": "indexed", "new.flac": "indexed"}
    with runner.store() as store:
        assert store.failures() == []


class RefusingPool(WorkerPool):
    """Stands in for a disk that answers nothing."""

    def map_unordered(self, function: Any, items: Any) -> Iterator[Any]:
        for item in items:
            yield item, PassingError("cannot open it: Permission denied")


def test_a_download_that_was_completed_is_analysed_again(runner: Runner) -> None:
    whole = runner.add("a.mp3", seconds=100).read_bytes()
    (runner.music / "a.mp3").write_bytes(whole[: len(whole) * 9 // 10])
    runner.run()
    with runner.store() as store:
        assert next(store.all_tracks()).duration_s < 95
    (runner.music / "a.mp3").write_bytes(whole)
    runner.run()
    with runner.store() as store:
        (track,) = store.all_tracks()
    assert track.duration_s == pytest.approx(100, abs=0.5)
    assert track.warning is None


def test_an_empty_folder_is_not_remembered(runner: Runner) -> None:
    _, summary = runner.run()
    assert summary.found == 0
    with runner.store() as store:
        assert store.roots() == []
