"""Answers name files that are there; what is gone, or on an unmounted disk, is left out."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from recsys import Library, PlaylistOptions
from recsys.playlists.radio import RadioOptions
from recsys.recommender import SimilarOptions
from recsys.types import Track
from tests.cli.running import call, json_of, lines_of, paths_of
from tests.planted import PlantedLibrary, Sound, at_cosine, make_info

NORTH, EAST = np.eye(16, dtype=np.float32)[:2]
TRACKS = 12


@dataclass(frozen=True)
class Music:
    """A library of two folders, whose tracks go from north to east."""

    folder: Path
    database: Path

    def path(self, number: int) -> Path:
        return self.folder / ("a" if number % 2 else "b") / f"{number:02}.mp3"

    @property
    def library(self) -> Library:
        return Library(self.database)


@pytest.fixture
def music(tmp_path: Path) -> Music:
    found = Music(tmp_path / "music", tmp_path / "library.db")
    sounds = []
    for number in range(TRACKS):
        path = found.path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        embedding = at_cosine(NORTH, EAST, 1 - number / 20)
        sounds.append(
            Sound("jazz", embedding, title=f"Song {number}", path=str(path), strengths=(2.0,))
        )
    planted = PlantedLibrary(tmp_path, sounds, make_info(tags=("mellow",)))
    for name in "ab":
        planted.store.add_root(found.folder / name)
    planted.store.close()
    return found


def numbers(tracks: tuple[Track, ...]) -> list[int]:
    return [track.id - 1 for track in tracks]


def test_what_is_gone_is_replaced_by_the_next_best(music: Music) -> None:
    for number in (1, 4):
        music.path(number).unlink()
    with music.library as library:
        answer = library.similar("id:1", k=4)
        assert numbers(answer.tracks) == [2, 3, 5, 6]
        assert answer.filtered["missing"] == 2
        (note,) = answer.notes
        assert note.startswith("2 tracks are left out, because the file is gone, ")
        assert str(music.path(1)) in note
        playlist = library.playlist("id:1", PlaylistOptions(length=5))
        assert numbers(playlist.tracks) == [0, 2, 3, 5, 6]
        assert "2 tracks are left out" in playlist.note
        radio = library.radio("id:1", RadioOptions(length=4))
        assert numbers(radio.tracks) == [2, 3, 5, 6]
        mood = library.playlist("id:1", PlaylistOptions(length=5, tags=("mellow",)))
        cycle = library.playlist("id:1", PlaylistOptions(length=5), cycle="jazz")
        way = library.playlist("id:1", PlaylistOptions(length=8), to="id:12")
        words = library.playlist("id:1", PlaylistOptions(length=5), words="mellow")
        drawn = [library.playlist((), PlaylistOptions(seed=seed)) for seed in range(9)]
        for made in (mood, cycle, way, words, *drawn):
            assert not {1, 4} & set(numbers(made.tracks))
            assert len(made.tracks) >= 5
        shown = library.show("id:1", k=3)
        assert [row.track.id - 1 for row in shown.neighbours] == [2, 3, 5]


def test_a_seed_that_is_gone_opens_no_list(music: Music) -> None:
    music.path(0).unlink()
    music.path(11).unlink()
    with music.library as library:
        assert numbers(library.playlist("id:1", PlaylistOptions(length=3)).tracks) == [1, 2, 3]
        assert numbers(library.similar("id:1", k=2).tracks) == [1, 2]
        way = library.playlist("id:1", PlaylistOptions(length=4), to="id:12")
        assert len(way.tracks) == 4
        assert not {0, 11} & set(numbers(way.tracks))


def test_of_two_copies_the_one_that_is_there_counts(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH, title="Query", path=str(tmp_path / "q.mp3")),
        *(
            Sound("jazz", EAST, title="T", path=str(tmp_path / name), audio_hash="same")
            for name in ("old.mp3", "new.mp3")
        ),
    ]
    planted = PlantedLibrary(tmp_path, sounds)
    planted.store.add_root(tmp_path)
    planted.store.close()
    for name in ("q.mp3", "new.mp3"):
        (tmp_path / name).touch()
    with Library(tmp_path / "library.db") as library:
        assert numbers(library.similar("id:1").tracks) == [2]
        # A seed that is gone is its copy.
        for seed in ("id:2", "title:T", tmp_path / "old.mp3"):
            found = library.similar(seed)
            assert found.query.seeds[0].track.path == tmp_path / "new.mp3"
            assert numbers(library.playlist(seed, PlaylistOptions(length=1)).tracks) == [2]
        session = library.radio("id:2", RadioOptions(length=1))
        assert [seed.id for seed in session.seeds] == [3]


@pytest.mark.parametrize("mount_point_stays", [False, True])
def test_a_disk_that_is_not_mounted_is_named_once(music: Music, *, mount_point_stays: bool) -> None:
    away = music.folder / "a"
    shutil.rmtree(away)
    if mount_point_stays:
        away.mkdir()
    with music.library as library:
        answer = library.similar("id:1", k=20)
        assert numbers(answer.tracks) == [2, 4, 6, 8, 10]
        assert answer.filtered["away"] == 6
        assert [note for note in answer.notes if "not there, so its tracks" in note] == [
            f"{away} is not there, so its tracks are left out: mount the disk, or index the folder"
            " where it is now"
        ]
        assert not any("is gone" in note for note in answer.notes)


def test_where_nothing_is_there_every_answer_is_empty_and_says_why(music: Music) -> None:
    shutil.move(music.folder, music.folder.parent / "elsewhere")
    with music.library as library:
        answer = library.similar("id:1")
        assert answer.tracks == ()
        assert sum("is not there, so" in note for note in answer.notes) == 2
        playlist = library.playlist("id:1")
        assert playlist.tracks == ()
        assert playlist.note.count("is not there, so") == 2
        assert library.radio("id:1").tracks == ()


def test_lists_say_what_is_missing(music: Music) -> None:
    music.path(3).unlink()
    db = music.database
    lines = lines_of(call("list", "--json", db=db))
    assert [line["track_id"] - 1 for line in lines if line["missing"]] == [3]
    paths = call("list", "--paths", db=db)
    assert len(paths_of(paths)) == TRACKS - 1
    assert "1 of 12 files are not there, and are left out" in paths.stderr
    assert "1 of 12 files are not there," in call("list", db=db).stderr
    assert json_of(call("show", "id:4", "--json", db=db))["missing"] is True
    out = music.folder.parent / "out.csv"
    assert call("export", out, db=db).exit_code == 0
    column = out.read_text().splitlines()[0].split(",").index("missing")
    values = [line.split(",")[column] for line in out.read_text().splitlines()[1:]]
    assert [number for number, value in enumerate(values) if value == "True"] == [3]


def test_paths_with_line_breaks_are_printed_with_nulls_alone(tmp_path: Path) -> None:
    names = ["q.mp3", "two\nlines.mp3", "plain.mp3", os.fsdecode(b"caf\xe9.mp3")]
    sounds = []
    for number, name in enumerate(names):
        (tmp_path / name).touch()
        embedding = at_cosine(NORTH, EAST, 1 - number / 10)
        sounds.append(Sound("jazz", embedding, title=f"Song {number}", path=str(tmp_path / name)))
    planted = PlantedLibrary(tmp_path, sounds)
    planted.store.close()
    db = tmp_path / "library.db"
    raw = [os.fsencode(tmp_path / name) for name in names]
    for command in (("similar", "id:1"), ("radio", "id:1", "--new")):
        lines = call(*command, "--paths", db=db)
        assert lines.stdout_bytes == b"".join(path + b"\n" for path in raw[2:])
        assert "1 path with a line break is left out" in lines.stderr
        assert "two\\nlines.mp3 for one: --print0 prints all" in lines.stderr
        for option in ("-0", "--print0"):
            null = call(*command, option, db=db)
            assert null.stdout_bytes == b"".join(path + b"\0" for path in raw[1:])
            assert "line break" not in null.stderr
    listed = call("list", "-0", db=db)
    assert listed.stdout_bytes == b"".join(path + b"\0" for path in raw)
    assert call("list", "-0", "--json", db=db).exit_code == 2


def test_similar_options_still_work_without_files(tmp_path: Path) -> None:
    sounds = [Sound("jazz", NORTH), Sound("jazz", EAST, path=str(tmp_path / "gone.mp3"))]
    planted = PlantedLibrary(tmp_path, sounds)
    planted.store.close()
    with Library(tmp_path / "library.db") as library:
        answer = library.similar("id:1", SimilarOptions(k=1))
    # No folder was indexed, so none is away.
    assert answer.filtered["missing"] == 1


def test_a_library_whose_files_are_all_gone_is_not_looked_through(
    music: Music, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.recommender.presence.MOST_MISSING", 5)
    for number in range(TRACKS):
        if number != 11:  # the last in every answer: its folders are not empty
            music.path(number).unlink()
    (music.folder / "b" / "cover.jpg").touch()
    result = call("similar", "id:1", db=music.database)
    assert result.exit_code == 1
    assert "none of 5 files of the library that were looked at is there" in result.stderr
    assert "recsys index FOLDER" in result.stderr
