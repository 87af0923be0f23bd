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
from tests.indexing.test_indexer import Runner, follow
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


@pytest.mark.parametrize("name", [".demos", "#recycle", "Kept.download"])
def test_a_change_in_a_folder_that_was_named_is_followed(runner: Runner, name: str) -> None:
    runner.add("a.flac")
    named = runner.add(f"{name}/b.flac", pitch=1.5).parent
    index(runner)
    index(runner, named)
    new = runner.add(f"{name}/c.flac", pitch=2.0)
    deeper = runner.add(f"{name}/.not/d.flac", pitch=2.5)
    other = runner.add(".other/e.flac", pitch=3.0)
    assert follow(runner, new, deeper, other)[0] == {"c.flac": "indexed"}
    assert index(runner)[0] == {"a.flac": "unchanged", "b.flac": "unchanged", "c.flac": "unchanged"}


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


def test_a_root_inside_another_is_counted_once(runner: Runner) -> None:
    runner.add("a.flac")
    runner.add("sub/b.flac", pitch=1.5)
    for name in ("a.jpg", "sub/b.log", "sub/.hidden"):
        (runner.music / name).touch()
    expected = PassedOver({".jpg": 1, ".log": 1}, hidden=1)
    for folder in (runner.music, runner.music / "sub", runner.music):
        index(runner, folder)
        with runner.store() as store:
            assert store.passed_over() == expected


def test_an_album_with_a_cue_sheet_beside_it_and_one_inside_is_said_once(runner: Runner) -> None:
    path = runner.add("a.flac")
    sheet = 'FILE "a.flac" WAVE\nTRACK 01 AUDIO\nTRACK 02 AUDIO\n'
    path.with_suffix(".cue").write_text(sheet)
    file = mutagen.File(path)
    file["cuesheet"] = sheet
    file.save()
    for _ in range(2):
        passed = index(runner)[1].passed_over
        assert passed.hints == ("1 album in one file with a CUE sheet is one track",)
        with runner.store() as store:
            assert store.passed_over() == passed


def test_a_pattern_that_is_none_is_refused_before_anything_is_done() -> None:
    with pytest.raises(RecsysError, match="cannot be read"):
        IndexOptions(exclude=("!",))
