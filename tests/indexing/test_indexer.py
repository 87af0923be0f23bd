"""Indexing with real files, real processes and a real database; only the model is a stand-in."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest

from recsys import workers
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError, PassingError, RecsysError
from recsys.indexing import Indexer, IndexOptions, IndexPlan
from recsys.indexing.examine import AnalysedTrack, Examined, Examiner, FileAnalyser
from recsys.indexing.roots import check_folder
from recsys.library import ScanReport, scan
from recsys.store import Store
from recsys.types import Analysis, FloatArray, IndexEvent, IndexSummary, SlowFile, Tags, TrackFile
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

    def run(self, *folders: Path, **options: Any) -> tuple[list[IndexEvent], IndexSummary]:
        events: list[IndexEvent] = []
        with Store.open(self.database) as store:
            indexer = Indexer(
                store,
                lambda: self.classifier,  # type: ignore[arg-type, return-value]
                MEL,
                IndexOptions(workers=1, **options),
            )
            for event in indexer.run(list(folders) or [self.music]):
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
    with Store.open(runner.database) as store:
        store.add_root(runner.music, volume=True)
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(path, backup)
    shutil.rmtree(runner.music)
    (event,), _ = runner.run(backup)
    assert event.status == "indexed"
    assert event.track_id != first.track_id


def test_a_folder_that_never_was_is_an_error(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="no such file or folder"):
        runner.run(tmp_path / "none")
    file = tmp_path / "notes"
    file.touch()
    with pytest.raises(RecsysError, match="not a folder"):
        check_folder(file)
    with pytest.raises(RecsysError, match="is a device, neither a folder nor a regular file"):
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

    def scan_with_volume(
        root: Path, report: ScanReport | None = None, *rules: Any
    ) -> Iterator[TrackFile]:
        yield from scan(root, report, *rules)
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
    new.rename(runner.music.parent / "later")
    runner.run()
    (runner.music.parent / "later").rename(new)
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

    def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
        for item in items:
            yield item, PassingError("cannot be read now: Permission denied")


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


# What is not held against a file


def test_a_failure_is_tried_again_once_by_other_versions(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runner.music / "bad.mp3").write_bytes(b"no sound")
    runner.run()
    monkeypatch.setattr("recsys.store.store.made_by", lambda: "a later recsys")
    tried = count_tries(monkeypatch)
    for _ in range(2):
        _, summary = runner.run()
        assert (summary.failed, summary.failed_now) == (1, 0)  # no news
    assert tried == ["bad.mp3"]


def test_failures_and_warnings_are_tried_again_on_request(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good.flac", "short.flac"):
        runner.add(name, seconds=4 if name == "good.flac" else 1)
    (runner.music / "bad.mp3").write_bytes(b"no sound")
    runner.run()
    tried = count_tries(monkeypatch)
    _, summary = runner.run(retry_failed=True)
    assert sorted(tried) == ["bad.mp3", "short.flac"]
    assert (summary.unchanged, summary.indexed, summary.failed_now) == (1, 1, 1)
    with runner.store() as store:
        (failure,) = store.failures()
        assert "rename or delete it" in failure.hint


def test_a_later_verdict_takes_no_analysis_away(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.add("short.flac", seconds=1)
    (first,), _ = runner.run()
    monkeypatch.setattr("recsys.store.store.made_by", lambda: "a later recsys")
    patch_outcome(monkeypatch, AudioError("silent: 1.0 s without a sound"))
    for status in ("unchanged", "unchanged"):
        (event,), _ = runner.run()
        assert (event.status, event.track_id, event.warning) == (
            *(status, first.track_id),
            first.warning,
        )
        monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", None)  # is not tried any more


def test_a_file_that_is_being_written_is_looked_at_again_and_not_stored_half(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runner.add("new.flac")
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    growing(monkeypatch, path, [whole])
    (event,), _ = runner.run()
    assert (event.status, event.warning) == ("indexed", None)


def test_a_file_that_is_still_being_written_at_the_end_waits_for_the_next_run(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runner.add("new.flac")
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    with monkeypatch.context() as patch:
        growing(patch, path, [whole[:6000], whole])
        (event,), summary = runner.run()
        assert (event.status, summary.failed_now) == ("failed", 1)
        assert str(event.reason).startswith("is being written")
    (event,), _ = runner.run()
    assert (event.status, event.warning) == ("indexed", None)


def test_results_are_stored_while_another_file_takes_long(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.indexing.indexer.MAX_WAIT_S", 0.05)
    monkeypatch.setattr("recsys.indexing.indexer.SLOW_S", 0.0)
    quick, slow = runner.add("a.flac"), runner.add("b.flac", pitch=1.3)
    path = "tests.indexing.test_indexer"
    monkeypatch.setattr(f"{path}.STUCK", "b.flac")
    monkeypatch.setattr("recsys.indexing.indexer.Examiner", StuckExaminer)
    with Store.open(runner.database) as store:
        options = IndexOptions(workers=2, time_limit_s=3.0)
        indexer = Indexer(store, lambda: runner.classifier, MEL, options)  # type: ignore[arg-type, return-value]
        told = [
            event
            for event in indexer.run([runner.music])
            if isinstance(event, SlowFile)
            or (isinstance(event, IndexEvent) and event.path == quick)
        ]
    stored = next(n for n, event in enumerate(told) if isinstance(event, IndexEvent))
    assert {event.path for event in told[stored + 1 :]} == {slow}  # named after the quick one


STUCK = ""


@dataclass(frozen=True)
class StuckExaminer(Examiner):
    """Works on one file for ever."""

    stuck: str = field(default_factory=lambda: STUCK)

    def __call__(self, file: TrackFile) -> Examined:
        while file.path.name == self.stuck:
            time.sleep(1)
        return Examiner.__call__(self, file)


def test_a_file_over_the_size_limit_is_not_opened(runner: Runner) -> None:
    path = runner.add("a.flac")
    limit = path.stat().st_size - 1
    for before in (False, True):
        (event,), _ = runner.run(size_limit=limit)
        assert (event.status, event.failed_before) == ("failed", before)
        assert str(event.reason).startswith("too large: ")
    (event,), _ = runner.run(size_limit=limit + 1)
    assert event.status == "indexed"
    (event,), _ = runner.run(size_limit=limit)  # it is analysed already
    assert event.status == "unchanged"


def test_a_file_that_takes_too_long_is_tried_twice_and_then_on_request(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.add("a.flac")
    tried: list[float] = []

    class HangingPool(WorkerPool):
        def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
            for item in items:
                tried.append(self.time_limit_s)
                yield item, workers._too_long(self.time_limit_s)

    monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", HangingPool)
    runs = [(120.0, True), (120.0, False), (120.0, False), (60.0, False), (121.0, False)]
    for limit_s, is_news in [*runs, (121.0, False)]:
        (event,), summary = runner.run(time_limit_s=limit_s)
        assert str(event.reason).startswith("took too long: more than 12")
        assert summary.failed_now == is_news
    assert tried == [120, 120, 121]
    _, summary = runner.run(time_limit_s=121.0, retry_failed=True)
    assert (tried, summary.failed_now) == ([120, 120, 121, 121], 1)
    monkeypatch.setattr("recsys.store.store.made_by", lambda: "a later recsys")
    runner.run(time_limit_s=121.0)
    assert tried == [120, 120, 121, 121, 121]
    runner.add("a.flac", seconds=4)  # another version begins anew
    for _ in range(3):
        runner.run(time_limit_s=121.0)
    assert tried == [120, 120, *[121] * 5]


def test_what_is_no_number_is_not_stored(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.add("a.flac")
    runner.add("b.flac", pitch=1.3)
    bad = np.full(16, np.nan, dtype=np.float32)
    analyse = CountingModel._one

    def damaged(model: CountingModel, windows: FloatArray) -> Analysis:
        found = analyse(model, windows)
        return found if model.analysed > 1 else replace(found, embedding=bad)

    monkeypatch.setattr(CountingModel, "_one", damaged)
    monkeypatch.setattr("recsys.indexing.indexer.BATCH_TRACKS", 1)
    events, _ = runner.run()
    assert sorted((e.status, str(e.reason)[:11]) for e in events) == [
        ("failed", "not numbers"),
        ("indexed", "None"),
    ]


def test_a_root_inside_another_is_no_place_of_its_own(runner: Runner) -> None:
    runner.add("album/a.flac")
    runner.add("b.flac", pitch=1.3)
    runner.run(runner.music / "album")
    runner.run()
    (runner.music / "album").rename(runner.music / "renamed")
    assert runner.statuses() == {"a.flac": "moved", "b.flac": "unchanged"}
    shutil.rmtree(runner.music / "renamed")
    events, summary = runner.run()
    assert [event.status for event in events] == ["unchanged", "removed"]
    assert summary.notes == ()
    with runner.store() as store:
        assert store.roots() == [runner.music]


def test_a_root_that_was_renamed_is_followed(runner: Runner) -> None:
    runner.add("a.flac")
    (first,), _ = runner.run()
    renamed = runner.music.rename(runner.music.with_name("songs"))
    (event,), _ = runner.run(renamed)
    assert (event.status, event.track_id) == ("moved", first.track_id)
    with runner.store() as store:
        assert store.roots() == [renamed]


def test_a_disk_that_became_a_folder(runner: Runner) -> None:
    for number in range(3):
        runner.add(f"usb/{number}.flac", pitch=1 + number / 5)
    runner.add("a.flac", pitch=2)
    runner.run()
    with Store.open(runner.database) as store:
        store.add_root(runner.music / "usb", volume=True)
    (runner.music / "usb" / "0.flac").unlink()
    _, summary = runner.run()
    assert (summary.removed, summary.notes) == (1, ())  # most of its tracks are there
    with runner.store() as store:
        assert store.volumes() == []
    shutil.rmtree(runner.music / "usb")
    _, summary = runner.run()
    assert (summary.removed, summary.notes) == (2, ())


def count_tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that runs give to processes from now on."""
    tried: list[str] = []

    class CountingPool(WorkerPool):
        def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
            for pair in super().stream(function, items, pause_s):
                if pair is not None:
                    tried.append(pair[0].path.name)
                yield pair

    monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", CountingPool)
    return tried


def patch_outcome(monkeypatch: pytest.MonkeyPatch, outcome: RecsysError) -> None:
    class RefusingAll(WorkerPool):
        def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
            return ((item, outcome) for item in items)

    monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", RefusingAll)


def growing(monkeypatch: pytest.MonkeyPatch, path: Path, states: list[bytes]) -> None:
    """Write a later state of a file each time that it has been analysed."""

    class SlowWriter(WorkerPool):
        def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
            for pair in super().stream(function, items, pause_s):
                if pair is not None and states:
                    path.write_bytes(states.pop(0))
                yield pair

    monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", SlowWriter)


def test_what_changed_is_looked_at_and_nothing_else(runner: Runner) -> None:
    for name in ("a/1.flac", "a/2.flac", "b/3.flac"):
        runner.add(name, pitch=1 + int(name[2]) / 5)
    runner.run()
    new = runner.add("a/4.flac", pitch=3)
    (runner.music / "b").rename(runner.music / "Vol.2")
    (runner.music / "a" / "1.flac").unlink()
    names = ("a/1.flac", "a/4.flac", "b", "Vol.2", "a/cover.jpg", "gone")
    found, _ = follow(runner, *(runner.music / name for name in names))
    assert found == {"1.flac": "removed", "3.flac": "moved", "4.flac": "indexed"}
    assert follow(runner, new, runner.music / "a") == ({}, [])
    with runner.store() as store:
        paths = [track.path for track in store.all_tracks()]
    assert {os.fspath(path.relative_to(runner.music)) for path in paths} == {
        *("a/2.flac", "a/4.flac", "Vol.2/3.flac"),
    }


def test_a_folder_of_500_files_is_renamed_and_nothing_is_analysed(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed = in_this_process(monkeypatch)
    for number in range(500):
        (runner.music / f"{number}.mp3").write_bytes(b"sound %d" % number)
    old, new = runner.music / "old", runner.music / "new"
    old.mkdir()
    for path in runner.music.glob("*.mp3"):
        path.rename(old / path.name)
    runner.run()
    with runner.store() as store:
        ids = {track.path.name: track.id for track in store.all_tracks()}
    assert (len(ids), len(analysed)) == (500, 500)
    old.rename(new)
    found, _ = follow(runner, old, new)
    assert found == dict.fromkeys(ids, "moved")
    assert len(analysed) == 500
    with runner.store() as store:
        assert {track.path: track.id for track in store.all_tracks()} == {
            new / name: track_id for name, track_id in ids.items()
        }


def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Examine files here, by their bytes alone; return the list of those that are analysed."""
    analysed: list[Path] = []
    model = CountingModel()

    class Here(WorkerPool):
        def stream(self, function: Any, items: Any, pause_s: Any) -> Iterator[Any]:
            return ((item, function(item)) for item in items)

    def analyse(_: FileAnalyser, path: Path) -> AnalysedTrack:
        analysed.append(path)
        return AnalysedTrack(model._one(np.ones((1, 16, 1), dtype=np.float32)), 3.0, None)

    monkeypatch.setattr("recsys.indexing.indexer.WorkerPool", Here)
    monkeypatch.setattr(
        "recsys.indexing.examine.identify",
        lambda path: (hashlib.sha256(path.read_bytes()).hexdigest(), Tags()),
    )
    monkeypatch.setattr(FileAnalyser, "__call__", analyse)
    return analysed


def test_a_young_file_in_a_new_folder_waits(runner: Runner) -> None:
    runner.run(runner.music)
    path = runner.add("new/a.flac")
    assert follow(runner, runner.music / "new", quiet_s=60) == ({}, [path])
    os.utime(path, (time.time() + 3600,) * 2)  # of the future: a clock that has gone back
    assert follow(runner, runner.music / "new", quiet_s=60) == ({"a.flac": "indexed"}, [])


def follow(
    runner: Runner, *changed: Path, quiet_s: float = 0.0
) -> tuple[dict[str, str], list[Path]]:
    """Return what following some changes did, and the files that are left for later."""
    with Store.open(runner.database) as store:
        options = IndexOptions(workers=1)
        indexer = Indexer(store, lambda: runner.classifier, MEL, options)  # type: ignore[arg-type, return-value]
        events = [*indexer.follow(changed, quiet_s=quiet_s)]
        done = {Path(e.path).name: str(e.status) for e in events if isinstance(e, IndexEvent)}
        assert bool(done) == any(isinstance(event, IndexSummary) for event in events)
        return done, indexer.young
