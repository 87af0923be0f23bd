"""What is the library's: patterns and videos that it keeps, and what it says of the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import mutagen
import pytest

from recsys.errors import RecsysError
from recsys.indexing import IndexOptions
from recsys.types import PassedOver
from tests.indexing.test_changed_files import index
from tests.indexing.test_indexer import Runner
from tests.library.films import film


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def paths(runner: Runner) -> set[str]:
    with runner.store() as store:
        return {track.path.relative_to(runner.music).as_posix() for track in store.all_tracks()}


def test_what_a_pattern_excludes_leaves_the_library_and_comes_back(runner: Runner) -> None:
    for number, name in enumerate(("a.flac", "Live/b.flac", "Old/c.flac")):
        runner.add(name, pitch=1 + number / 3)
    index(runner)
    statuses, summary = index(runner, exclude=("Live/",))
    assert statuses == {"a.flac": "unchanged", "c.flac": "unchanged", "b.flac": "removed"}
    assert summary.passed_over == PassedOver(excluded=1)
    assert index(runner)[1].found == 2  # kept
    assert paths(runner) == {"a.flac", "Old/c.flac"}
    assert index(runner, exclude=("/Old",), keep_missing=True)[0]["c.flac"] == "removed"
    assert paths(runner) == {"a.flac", "Live/b.flac"}
    index(runner, exclude=())
    assert paths(runner) == {"a.flac", "Live/b.flac", "Old/c.flac"}
    assert runner.classifier.analysed == 3  # a sound that comes back is known


def test_a_folder_inside_a_root_keeps_to_the_patterns_of_the_root(runner: Runner) -> None:
    runner.add("Sub/Live/a.flac")
    runner.add("Sub/b.flac", pitch=1.5)
    index(runner, exclude=("/Sub/Live",))
    index(runner, runner.music / "Sub")
    assert paths(runner) == {"Sub/b.flac"}


def test_a_whole_path_is_a_pattern_below_its_root(runner: Runner) -> None:
    runner.add("Live/a.flac")
    runner.add("b.flac", pitch=1.5)
    index(runner, exclude=(f"{runner.music}/Live",))
    assert paths(runner) == {"b.flac"}
    with runner.store() as store:
        assert store.scan_rules() == {"exclude": ["/Live"]}


def test_tracks_in_bins_leave_a_library_of_before(runner: Runner) -> None:
    runner.add("a.flac")
    bin_track = runner.add("#recycle/b.flac", pitch=1.5)
    index(runner, bin_track)
    assert paths(runner) == {"#recycle/b.flac"}
    statuses, summary = index(runner)
    assert statuses == {"a.flac": "indexed", "b.flac": "removed"}
    assert summary.passed_over.folders == {"#recycle": 1}


def test_a_hidden_folder_that_was_named_stays(runner: Runner) -> None:
    runner.add("a.flac")
    hidden = runner.add(".hack/b.flac", pitch=1.5).parent
    assert index(runner)[1].passed_over.hidden_music == (str(hidden),)
    index(runner, hidden)
    statuses, summary = index(runner)
    assert statuses == {"a.flac": "unchanged", "b.flac": "unchanged"}
    assert summary.passed_over == PassedOver()


def test_videos_come_and_go_with_the_option_which_is_kept(runner: Runner) -> None:
    film(runner.music / "film.mkv", moving=True, duration_s=3)
    film(runner.music / "song.mp4", moving=False, duration_s=3)
    statuses, summary = index(runner)
    assert statuses == {"song.mp4": "indexed"}
    assert summary.passed_over == PassedOver(videos=1)
    assert index(runner, video=True)[0]["film.mkv"] == "indexed"
    assert index(runner)[0]["film.mkv"] == "unchanged"
    assert index(runner, video=False)[0]["film.mkv"] == "removed"
    assert paths(runner) == {"song.mp4"}


def test_a_folder_of_nothing_but_videos(runner: Runner) -> None:
    film(runner.music / "film.mkv", moving=True, duration_s=3)
    assert index(runner, video=True)[1].indexed == 1
    assert index(runner, video=False)[1].removed == 1


def test_a_named_file_is_taken_by_its_bytes(runner: Runner) -> None:
    whole = runner.add("a.flac")
    odd = runner.music.parent / "no extension"
    shutil.move(whole, odd)
    video = film(runner.music.parent / "film.mkv", moving=True)
    apple = runner.music.parent / "._a.flac"
    shutil.copy(odd, apple)
    statuses, summary = index(runner, odd, video, apple)
    assert statuses == {"no extension": "indexed"}
    assert [note.rpartition(": ")[2] for note in summary.notes] == [
        "it is a video; --video takes the sound of videos",
        "it is AppleDouble, what macOS keeps beside a file",
    ]


def test_what_was_passed_over_is_stored_by_root(runner: Runner) -> None:
    other = runner.music.parent / "other"
    runner.add("a.flac")
    runner.add("../other/b.flac", pitch=1.5)
    (runner.music / "a.jpg").write_bytes(b"x")
    (other / "b.jpg").write_bytes(b"x")
    (other / "b.log").write_bytes(b"x")
    index(runner)
    index(runner, other)
    with runner.store() as store:
        assert store.passed_over() == PassedOver({".jpg": 2, ".log": 1})
    (other / "b.log").unlink()
    index(runner, other)
    with runner.store() as store:
        assert store.passed_over() == PassedOver({".jpg": 2})


def test_an_album_with_a_cue_sheet_among_its_tags_is_said(runner: Runner) -> None:
    path = runner.add("a.flac")
    file = mutagen.File(path)
    file["cuesheet"] = 'FILE "a.wav" WAVE\nTRACK 01 AUDIO\nTRACK 02 AUDIO\n'
    file.save()
    assert index(runner)[1].passed_over.hints == (
        "1 album in one file with a CUE sheet is one track",
    )


def test_a_pattern_that_is_none_is_refused_before_anything_is_done() -> None:
    with pytest.raises(RecsysError, match="cannot be read"):
        IndexOptions(exclude=("!",))
