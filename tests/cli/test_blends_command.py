"""Queries that lean, and that are saved under a name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mutagen
import pytest
from click.testing import Result

from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.cli.running import call, json_of, lines_of, paths_of, refused

Run = Callable[..., Result]


@pytest.fixture
def run(indexed: IndexedLibrary, tmp_path: Path) -> Run:
    """Call a command on a copy of the indexed library."""
    database = tmp_path / "library.db"
    shutil.copy(indexed.database, database)
    return partial(call, db=database)


def test_readings_tell_the_roles(run: Run, indexed: IndexedLibrary) -> None:
    names = ("overdrive", "chamber", "four on the floor")
    seed, like, unwanted = map(indexed.track, names)
    data = json_of(run("similar", seed, "--like", like, "--not-like", unwanted, "--json"))
    roles = [(each["given"], each["role"]) for each in data["query"]["readings"]]
    assert roles == [(str(seed), "seed"), (str(like), "like"), (str(unwanted), "not_like")]
    assert {each["path"] for each in data["query"]["seeds"]} == {str(seed), str(like)}
    assert not {str(seed), str(like), str(unwanted)} & {row["path"] for row in data["results"]}
    assert data["filtered"]["not_like"] >= 1
    heading = " ".join(run("similar", seed, "--not-like", unwanted).stdout.split())
    assert heading.startswith(
        "Like The overdrive band - Number 0, not like The four on the floor band - Number 0: "
    )


def test_a_blend_is_asked_again(run: Run, indexed: IndexedLibrary) -> None:
    one, other = indexed.track("overdrive"), indexed.track("chamber")
    away = indexed.track("four on the floor")
    given = (one, "--like", other, "--not-like", away)
    saved = run("similar", *given, "--save-blend", "Sunday's", "--paths")
    assert "recsys similar 'blend:Sunday'\"'\"'s'" in saved.stderr
    assert paths_of(run("similar", "blend:sundays", "--paths")) == paths_of(saved)
    playlist = paths_of(run("playlist", "blend:sundays", "--length", 4))
    assert playlist[0] == str(one)
    assert paths_of(run("playlist", *given, "--length", 4)) == playlist
    radio = ("--length", 3, "--paths")
    first = paths_of(run("radio", "blend:sundays", *radio))
    following = paths_of(run("radio", *radio))
    assert not {*first, *following} & {str(one), str(other), str(away)}
    assert len({*first, *following}) == 6
    assert paths_of(run("radio", *given, "--new", *radio)) == first
    (shown,) = lines_of(run("blends", "--json"))
    assert shown.keys() == documented("blends")[0].keys()
    assert shown["seeds"][0].keys() == documented("blends")[0]["seeds"][0].keys()
    assert [each["path"] for each in shown["not_like"]] == [str(away)]
    assert run("blends").stdout == (
        "Sunday's: The overdrive band - Number 0; like The chamber band - Number 0; "
        "not like The four on the floor band - Number 0\n"
    )
    assert run("blends", "--delete", "SUNDAY'S").stdout.startswith("No blends")
    refused(run("similar", "blend:sundays"), "no blend 'sundays'")
    refused(run("blends", "--delete", "sundays"), "no blend 'sundays'")


def test_a_blend_is_saved_without_words_and_says_so(run: Run, indexed: IndexedLibrary) -> None:
    saved = run("similar", indexed.track("overdrive"), "--words", "sad", "--save-blend", "x")
    assert "saved without the words; ask it again with: recsys similar blend:x" in saved.stderr


def test_a_blend_outlasts_moves_and_new_tags(indexed: IndexedLibrary, tmp_path: Path) -> None:
    music, database = tmp_path / "music", tmp_path / "library.db"
    for style in ("overdrive", "chamber", "four on the floor"):
        shutil.copytree(indexed.music / style, music / style)
    run = partial(call, db=database)
    assert run("index", music).exit_code == 0
    song = next((music / "overdrive").glob("0.*"))
    unwanted = next((music / "chamber").glob("0.*"))
    before = paths_of(run("similar", song, "--not-like", unwanted, "--save-blend", "x", "--paths"))
    moved = song.rename(music / f"elsewhere{song.suffix}")
    tags = mutagen.File(moved, easy=True)
    tags["artist"], tags["title"] = "Somebody", "Else"
    tags.save()
    assert run("index", music).exit_code == 0
    assert paths_of(run("similar", "blend:x", "--paths")) == before
    moved.unlink()
    assert run("index", music).exit_code == 0
    refused(run("similar", "blend:x"), "have left the library")
    unwanted.unlink()
    assert run("blends").stdout == "x: (no longer there); not like The chamber band - Number 0\n"


def test_a_part_of_a_blend_that_is_gone_is_told(indexed: IndexedLibrary, tmp_path: Path) -> None:
    music, database = tmp_path / "music", tmp_path / "library.db"
    for style in ("overdrive", "chamber"):
        shutil.copytree(indexed.music / style, music / style)
    run = partial(call, db=database)
    assert run("index", music).exit_code == 0
    songs = sorted((music / "overdrive").glob("*"))
    assert run("similar", *songs, "--save-blend", "both").exit_code == 0
    songs[0].unlink()
    assert run("index", music).exit_code == 0
    result = run("similar", "blend:both", "--json")
    assert json.loads(result.stdout)["query"]["readings"][0]["tracks"] == 1
    assert "1 of 2 tracks of the blend both have left the library" in result.stderr


def test_what_cannot_be_asked(run: Run, indexed: IndexedLibrary, tmp_path: Path) -> None:
    seed, away = indexed.track("overdrive"), indexed.track("chamber")
    refused(run("similar"), "Missing argument 'TRACK...'", code=2)
    refused(run("similar", "--not-like", away), "Missing argument", code=2)
    refused(run("similar", seed, "--not-like", seed), "0 seeds")
    refused(run("playlist", "--cycle", "auto", "--not-like", away), "--cycle", code=2)
    refused(run("playlist", "--not-like", away), "starts from seeds")
    refused(run("radio", "--session", 1, "--not-like", away), "has its seeds already")
    outside = tmp_path / f"copy{seed.suffix}"
    outside.write_bytes(seed.read_bytes())
    assert run("similar", outside, "--not-like", away).exit_code == 0
    result = run("similar", outside, "--save-blend", "x")
    assert (result.exit_code, "is not in the library" in result.stderr) == (1, True)
    result = run("similar", seed, "--save-blend", "-")
    assert (result.exit_code, "a name with letters" in result.stderr) == (1, True)
