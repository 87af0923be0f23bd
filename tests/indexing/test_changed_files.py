"""Which files a run reads again, and which identity it knows them by."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mutagen
import numpy as np
import pytest

from recsys import library
from recsys.classifier.log_mel import MEL
from recsys.indexing import Indexer, IndexOptions, settle
from recsys.store import Store, TrackRecord
from recsys.types import Analysis, IndexEvent, IndexSummary, Tags
from tests.indexing.test_indexer import INFO, Runner
from tests.sounds import staircase, write

os_keeps_ctime = pytest.mark.skipif(os.name == "nt", reason="the ctime of Windows is another thing")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def index(runner: Runner, *paths: Path, **options: object) -> tuple[dict[str, str], IndexSummary]:
    with Store.open(runner.database) as store:
        chosen = IndexOptions(workers=1, **options)  # type: ignore[arg-type]
        indexer = Indexer(store, lambda: runner.classifier, MEL, chosen)  # type: ignore[arg-type, return-value]
        *events, summary = indexer.run(list(paths) or [runner.music])
    assert isinstance(summary, IndexSummary)
    files = [event for event in events if isinstance(event, IndexEvent)]
    return {str(event.path.name): str(event.status) for event in files}, summary  # type: ignore[union-attr]


def titles(runner: Runner) -> list[str | None]:
    with runner.store() as store:
        return [track.tags.title for track in store.all_tracks()]


def tagged(path: Path, title: str) -> Path:
    file = mutagen.File(path)
    file["title"] = title
    file.save()
    return path


def as_it_was(path: Path, status: os.stat_result) -> None:
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


@os_keeps_ctime
def test_a_tag_editor_that_keeps_size_and_time_is_noticed(runner: Runner) -> None:
    path = tagged(runner.add("a.flac"), "Wrong Name 1")
    index(runner)
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Wrong Name 1", b"Right Name 2"))
    as_it_was(path, status)
    assert index(runner)[0] == {"a.flac": "indexed"}
    assert titles(runner) == ["Right Name 2"]
    assert runner.classifier.analysed == 1
    assert index(runner)[0] == {"a.flac": "unchanged"}


@os_keeps_ctime
def test_other_sound_of_the_same_size_and_time_is_analysed(runner: Runner) -> None:
    path = write(runner.music / "a.wav", staircase(3))
    index(runner)
    status = path.stat()
    write(path, staircase(3)[::-1])
    as_it_was(path, status)
    assert index(runner)[0] == {"a.wav": "indexed"}
    assert runner.classifier.analysed == 2


@os_keeps_ctime
def test_a_file_that_was_only_touched_is_unchanged(runner: Runner) -> None:
    short = write(runner.music / "short.flac", staircase(1.0))  # with a warning
    path = runner.add("a.flac")
    index(runner)
    for each in (path, short):
        each.chmod(0o600)
    assert index(runner)[0] == {"a.flac": "unchanged", "short.flac": "unchanged"}
    assert runner.classifier.analysed == 2
    with runner.store() as store:
        stored = store.lookup(path)
    assert stored is not None
    assert stored.ctime_ns == path.stat().st_ctime_ns


def test_a_library_of_before_takes_the_present_times_without_reading(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runner.add("a.flac")
    index(runner)
    with Store.open(runner.database) as store:
        store._db.execute("UPDATE tracks SET ctime_ns = NULL")
        store._db.commit()
    with monkeypatch.context() as patch:
        patch.setattr("recsys.indexing.indexer.WorkerPool", None)
        assert index(runner)[0] == {"a.flac": "unchanged"}
    with runner.store() as store:
        stored = store.lookup(path)
    assert stored is not None
    assert stored.ctime_ns == path.stat().st_ctime_ns


def test_all_tags_are_read_again_on_request(runner: Runner) -> None:
    tagged(runner.add("a.flac"), "in the file")
    (runner.music / "bad.mp3").write_bytes(b"no sound")
    index(runner)
    with Store.open(runner.database) as store:
        (track,) = store.all_tracks()
        status = library.track_file(track.path)
        assert status is not None
        store.write([TrackRecord(status, Tags(title="stale"), track.audio_hash, 0, None, None)])
    assert index(runner)[0]["a.flac"] == "unchanged"
    assert titles(runner) == ["stale"]
    statuses, summary = index(runner, reread_tags=True)
    assert statuses == {"a.flac": "indexed", "bad.mp3": "failed"}
    assert summary.failed_before == 1
    assert titles(runner) == ["in the file"]
    assert index(runner, reread_tags=True)[0]["a.flac"] == "unchanged"
    assert runner.classifier.analysed == 1


# Libraries of before: their identities stay, and what is moved or retagged keeps them


def make_earlier(runner: Runner) -> dict[str, str]:
    """Give every track the identity that a library of before has for it; return it by name."""
    found = {}
    with Store.open(runner.database) as store:
        for track in list(store.all_tracks()):
            earlier = library.earlier_audio_hash(track.path)
            values = (earlier, track.audio_hash)
            store._db.execute("UPDATE tracks SET audio_hash = ? WHERE audio_hash = ?", values)
            store._db.execute(
                "UPDATE OR IGNORE analyses SET audio_hash = ? WHERE audio_hash = ?", values
            )
            found[track.path.name] = earlier
        store._db.commit()
    return found


def identities(runner: Runner) -> dict[str, str]:
    with runner.store() as store:
        return {track.path.name: track.audio_hash for track in store.all_tracks()}


def test_what_is_new_or_unchanged_in_a_library_of_before(runner: Runner) -> None:
    runner.add("old.flac")
    index(runner)
    before = make_earlier(runner)
    new = runner.add("new.flac", pitch=1.5)
    assert index(runner)[0] == {"old.flac": "unchanged", "new.flac": "indexed"}
    assert identities(runner) == before | {"new.flac": library.audio_hash(new)}


def test_a_file_of_a_library_of_before_keeps_its_identity_when_moved_or_retagged(
    runner: Runner,
) -> None:
    path, other = runner.add("a.flac"), runner.add("b.flac", pitch=1.5)
    index(runner)
    before = make_earlier(runner)
    path.rename(runner.music / "moved.flac")
    tagged(other, "new title")
    assert index(runner)[0] == {"moved.flac": "moved", "b.flac": "indexed"}
    assert identities(runner) == {"moved.flac": before["a.flac"], "b.flac": before["b.flac"]}
    assert runner.classifier.analysed == 2


def test_a_copy_in_a_library_of_before_is_the_same_sound(runner: Runner) -> None:
    path = runner.add("a.flac")
    index(runner)
    before = make_earlier(runner)
    shutil.copy(path, runner.music / "copy.flac")
    index(runner)
    assert identities(runner) == {"a.flac": before["a.flac"], "copy.flac": before["a.flac"]}
    assert runner.classifier.analysed == 1


def stems(folder: Path) -> tuple[Path, Path]:
    """Two sounds that libraries of before took for one: they begin with the same silence."""
    rng, rate = np.random.default_rng(0), 44_100
    silence = np.zeros(40 * rate, dtype=np.float32)
    made = []
    for name in ("one.flac", "other.flac"):
        sound = (0.1 * rng.standard_normal(10 * rate)).astype(np.float32)
        made.append(write(folder / name, np.concatenate([silence, sound, silence]), rate))
    return made[0], made[1]


def test_another_sound_of_the_same_earlier_identity_gets_its_own(runner: Runner) -> None:
    one, other = stems(runner.music.parent / "stems")
    assert library.earlier_audio_hash(one) == library.earlier_audio_hash(other)
    shutil.copy(one, runner.music)
    index(runner)
    before = make_earlier(runner)
    shutil.copy(other, runner.music)
    index(runner)
    assert identities(runner) == before | {"other.flac": library.audio_hash(other)}
    assert runner.classifier.analysed == 2


def test_stems_of_one_session_are_two_sounds(runner: Runner) -> None:
    for path in stems(runner.music.parent / "stems"):
        shutil.copy(path, runner.music)
    index(runner)
    assert len(set(identities(runner).values())) == 2
    assert runner.classifier.analysed == 2


def test_an_import_keeps_the_identities_of_a_library_of_before(runner: Runner) -> None:
    path = runner.add("a.flac")
    index(runner)
    before = make_earlier(runner)
    file = library.track_file(path)
    assert file is not None
    analysis = Analysis(
        np.full(4, 0.25, dtype=np.float32), np.eye(1, 16, dtype=np.float32)[0], INFO.fingerprint
    )
    record = TrackRecord(file, Tags(), library.audio_hash(path), 3.0, None, analysis)
    with Store.open(runner.database) as store:
        event, _ = settle(store, [[record]])
    assert isinstance(event, IndexEvent)
    assert event.status == "unchanged"
    assert identities(runner) == before
