"""Accepted tags are written and can be restored; failures harm nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from recsys.audit import AuditOptions, Retagger, audit, retagging
from recsys.audit.genre_field import read_genre_field, write_genre_field
from recsys.audit.retagging import Journal, journal_path
from recsys.errors import LibraryBusyError, QueryError, TagError
from recsys.index.sync import index_is_current, index_problems, open_index, save_index
from recsys.library import audio_hash, earlier_audio_hash, read_tags
from recsys.store import LibraryLock, Store, TrackRecord
from recsys.types import TrackFile
from tests.audit.music import NEW, OLD, Music
from tests.audit.tagged_files import make_sound


@pytest.fixture
def music(tmp_path: Path) -> Music:
    return Music(tmp_path)


def test_written_and_put_back_exactly(music: Music) -> None:
    sounds = {path: audio_hash(path) for path in music.paths}
    retagger = Retagger(music.database)
    assert {name: own.status for name, own in music.accept_all(retagger).items()} == dict.fromkeys(
        OLD, "written"
    )
    assert music.genres() == NEW
    assert retagger.run == 1
    assert music.is_settled()
    with Store.open(music.database, read_only=True) as store:
        assert {track.tags.genre_tag for track in store.all_tracks()} == {"Rock"}
        assert all(track.duration_s == 1.5 for track in store.all_tracks())

    assert {name: own.status for name, own in music.undo().items()} == dict.fromkeys(
        OLD, "restored"
    )
    assert music.genres() == OLD
    assert music.is_settled()
    assert {path: audio_hash(path) for path in music.paths} == sounds
    assert [read_tags(path).title for path in music.paths] == sorted(OLD)
    with pytest.raises(QueryError, match="no written tag"):
        music.undo()


def test_tags_in_a_library_of_before_are_stored_under_the_identities_that_it_has(
    tmp_path: Path,
) -> None:
    music = Music(tmp_path, earlier_audio_hash)
    music.accept_all()
    assert music.is_settled()
    with Store.open(music.database, read_only=True) as store:
        assert {track.tags.genre_tag for track in store.all_tracks()} == {"Rock"}
        sounds = {track.path: track.audio_hash for track in store.all_tracks()}
    assert sounds == {path: earlier_audio_hash(path) for path in music.paths}


def test_the_time_of_modification_tells_of_the_change_and_permissions_stay(music: Music) -> None:
    path = music.paths[0]
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18))
    music.index()
    music.accept_all()
    assert path.stat().st_mtime_ns > 10**18
    assert path.stat().st_mode & 0o777 == 0o640
    assert not list(music.folder.glob(".*"))


def test_runs_are_taken_back_one_by_one_and_by_path(music: Music) -> None:
    first, second = Retagger(music.database), Retagger(music.database)
    with Store.open(music.database, read_only=True) as store:
        findings = {f.track.path.name: f for f in audit(store, AuditOptions(missing=True)).findings}
    assert [own.status for own in first.write([findings["1.flac"]])] == ["written"]
    assert [own.status for own in second.write([findings["2.mp3"]])] == ["written"]
    assert [own.status for own in first.write([findings["3.ogg"]])] == ["written"]
    assert [(run.number, len(run.changes)) for run in Journal(music.database).runs()] == [
        (1, 2),
        (2, 1),
    ]
    with pytest.raises(QueryError, match="run 2 changed no file under"):
        music.undo(2, music.paths[0])
    assert music.undo(1, music.paths[2]).keys() == {"3.ogg"}
    assert music.undo(1).keys() == {"1.flac"}
    with pytest.raises(QueryError, match="no run 1"):
        music.undo(1)
    assert music.undo(2).keys() == {"2.mp3"}
    assert music.genres() == OLD


def test_a_tag_that_changed_since_is_not_put_back(music: Music) -> None:
    music.accept_all()
    write_genre_field(music.paths[0], ("Polka",))
    outcomes = music.undo()
    assert outcomes["1.flac"].status == "failed"
    assert "'Polka' now, not 'Rock'" in str(outcomes["1.flac"].reason)
    assert music.genres() == {**OLD, "1.flac": ("Polka",)}
    assert [len(run.changes) for run in Journal(music.database).runs()] == [1]


@pytest.mark.parametrize("harm", ["gone", "read-only", "changed", "damaged"])
def test_a_file_that_cannot_be_written_harms_no_other(music: Music, harm: str) -> None:
    path = music.paths[0]
    if harm == "gone":
        path.unlink()
    elif harm == "read-only":
        path.chmod(0o444)
    elif harm == "changed":
        write_genre_field(path, ("Jazz", "Soul"))
    else:
        path.write_bytes(b"fLaC" + b"\x04\xff\xff\xff" * 8)
        state = path.stat()
        with Store.open(music.database) as store:
            known = store.lookup(path)
            assert known is not None
            file = TrackFile(path, state.st_size, state.st_mtime_ns)
            tags = read_tags(music.paths[1])
            store.write([TrackRecord(file, tags, str(known.audio_hash), 1.5, None, None)])
    before = path.read_bytes() if path.exists() else None
    outcomes = music.accept_all()
    words = {"gone": "gone", "read-only": "read-only", "changed": "has changed since"}
    assert outcomes["1.flac"].status == "failed"
    assert words.get(harm, "cannot be read") in str(outcomes["1.flac"].reason)
    assert outcomes["1.flac"].hint
    assert (path.read_bytes() if path.exists() else None) == before
    assert [outcomes[name].status for name in ("2.mp3", "3.ogg")] == ["written", "written"]
    assert not list(music.folder.glob(".*"))
    assert music.undo().keys() == {"2.mp3", "3.ogg"}


def test_a_vanished_file_stays_in_the_journal_when_the_rest_is_put_back(music: Music) -> None:
    music.accept_all()
    moved = music.paths[0].rename(music.folder.parent / "moved.flac")
    outcomes = music.undo()
    assert outcomes["1.flac"].status == "failed"
    assert "gone" in str(outcomes["1.flac"].reason)
    moved.rename(music.paths[0])
    assert music.undo()["1.flac"].status == "restored"
    assert music.genres() == OLD


class Killed(BaseException):
    """Acts as a process that ends in the middle."""


@pytest.mark.parametrize("moment", ["change", "replace"])
def test_a_crash_loses_neither_the_file_nor_the_journal(
    music: Music, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = {path: path.read_bytes() for path in music.paths}

    def crash(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "change":
            patch.setattr(retagging, "_put", crash)
        else:
            patch.setattr(Path, "replace", crash)
        with pytest.raises(Killed):
            music.accept_all()
    assert {path: path.read_bytes() for path in music.paths} == before
    assert len(Journal(music.database).runs()[0].changes) == 1
    # The journal speaks of a change that was never made: taking it back does nothing.
    assert {own.status for own in music.undo().values()} == {"unchanged"}
    assert {path: path.read_bytes() for path in music.paths} == before


def test_a_crash_after_the_file_was_replaced_can_be_taken_back(
    music: Music, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(retagging, "_update_library", crash)
        with pytest.raises(Killed):
            music.accept_all()
    assert sum(genres == ("Rock",) for genres in music.genres().values()) == 1
    assert {own.status for own in music.undo().values()} == {"restored"}
    assert music.genres() == OLD
    assert music.is_settled()


def test_a_change_that_would_alter_the_sound_is_thrown_away(music: Music, tmp_path: Path) -> None:
    path = music.paths[0]
    before = path.read_bytes()
    with pytest.raises(TagError, match="changed its audio"):
        retagging.rewrite(path, lambda copy: shutil.copyfile(music.paths[1], copy))
    assert path.read_bytes() == before
    assert not list(music.folder.glob(".*"))


def test_a_full_disk_is_reported_and_leaves_nothing_behind(
    music: Music, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = music.paths[0].read_bytes()
    monkeypatch.setattr(retagging.shutil, "copyfile", full)
    assert "No space left" in str(music.accept_all()["1.flac"].reason)
    assert music.paths[0].read_bytes() == before
    assert not list(music.folder.glob(".*"))
    assert Journal(music.database).runs() == []


def test_a_link_stays_a_link(music: Music) -> None:
    path = music.paths[0]
    target = path.rename(music.folder.parent / "target.flac")
    path.symlink_to(target)
    music.index()
    assert music.accept_all()["1.flac"].status == "written"
    assert path.is_symlink()
    assert read_genre_field(target).values == ("Rock",)
    assert music.is_settled()


def test_nothing_is_written_without_a_journal(music: Music) -> None:
    journal_path(music.database).mkdir()
    with pytest.raises(TagError, match="journal"):
        music.accept_all()
    assert music.genres() == OLD


def test_a_library_in_use_is_left_alone(music: Music) -> None:
    with LibraryLock(music.database):
        with pytest.raises(LibraryBusyError):
            Retagger(music.database).check_ready()
        with pytest.raises(LibraryBusyError):
            music.accept_all()
    assert music.genres() == OLD


def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_is_whole(music: Music) -> None:
    music.accept_all()
    place = journal_path(music.database)
    whole = place.read_bytes()
    place.write_bytes(whole + b'{"run": 2, "number": 1, "pa')
    music.undo()
    lines = place.read_bytes().decode().splitlines()
    assert lines[-4] == '{"run": 2, "number": 1, "pa'
    assert all(json.loads(line)["how"] == "undone" for line in lines[-3:])
    assert Journal(music.database).runs() == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"had_tags": true}',
        b'{"settles": 3}',
        b'{"settles": ["one", 2]}',
        b'{"run": "x", "number": 1, "path": "/a", "old": null, "new": [], "had_tags": 1}',
        b'{"run": 1, "number": 9, "path": "/a", "old": [3], "new": [], "had_tags": 1, "time": ""}',
        b"3",
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_passed_over_with_a_note(music: Music, line: bytes) -> None:
    music.accept_all()
    place = journal_path(music.database)
    before = place.read_bytes()
    place.write_bytes(line + b"\n" + before)
    Retagger(music.database).check_ready()
    (note,) = Journal(music.database).notes()
    assert note.startswith(f"line 1 of {place} cannot be parsed")
    assert {own.status for own in music.undo().values()} == {"restored"}
    assert music.genres() == OLD
    assert place.read_bytes().startswith(line + b"\n" + before)


def test_a_key_that_a_later_version_added_does_no_harm(music: Music) -> None:
    music.accept_all()
    place = journal_path(music.database)
    place.write_text(place.read_text().replace('"run"', '"mood": "blue", "run"'))
    assert Journal(music.database).notes() == ()
    assert {own.status for own in music.undo().values()} == {"restored"}


def test_a_run_of_damaged_lines_gives_its_number_to_no_other(music: Music) -> None:
    """Else changes of the new run would count as taken back already."""
    music.accept_all()
    music.undo()
    place = journal_path(music.database)
    lines = place.read_text().splitlines()
    place.write_text("\n".join([line for line in lines if "settles" in line]) + "\n")
    assert Journal(music.database).runs() == []
    music.accept_all()
    assert [run.number for run in Journal(music.database).runs()] == [2]


@pytest.mark.parametrize("source", ["own", "gtzan"])
def test_the_index_on_disk_is_kept_up(music: Music, source: str) -> None:
    """Where tags decide on the part of the index, writing them moves tracks."""
    with Store.open(music.database) as store:
        store.set_genre_source(source)
        save_index(store, open_index(store))
        before = store.genre_counts()
    for change in (music.accept_all, music.undo):
        change()
        with Store.open(music.database, read_only=True) as store:
            assert index_problems(store) == []
            assert index_is_current(store)
            moved = store.genre_counts() != before
            assert moved == (source == "own" and change == music.accept_all)


def test_a_run_that_is_not_there_is_named(music: Music) -> None:
    with pytest.raises(QueryError, match="no run 99") as caught:
        music.undo(99)
    assert "--history" in caught.value.hint


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.flac"))
    try:
        make_sound(tmp_path, "a.flac").rename(path)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    write_genre_field(path, ("Pop",))
    retagging.rewrite(path, lambda copy: write_genre_field(copy, ("Rock",)))
    assert read_genre_field(path).values == ("Rock",)
    journal = Journal(tmp_path / "library.db")
    change = retagging.Change(1, 1, path, ("Pop",), ("Rock",), True, "2025-01-01")
    journal.begin(change)
    assert journal.runs()[0].changes == (change,)
