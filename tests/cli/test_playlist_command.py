from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import Result

from recsys.cli.playlist import Duration
from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.cli.running import paths_of

Run = Callable[..., Result]


def test_from_a_seed(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("four on the floor")
    paths = paths_of(run("playlist", seed, "--length", 6))
    assert paths[0] == str(seed)
    assert len(set(paths)) == 6


def test_json_contract(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("four on the floor")
    result = run("playlist", seed, "--length", 3, "--format", "json", "--seed", 5)
    data = json.loads(result.stdout)
    assert data["seed"] == 5
    assert isinstance(data["name"], str)
    assert [track["path"] for track in data["seeds"]] == [str(seed)]
    assert len(data["tracks"]) == 3
    (shown,) = documented("playlist")
    assert data.keys() == shown.keys()
    assert data["tracks"][0].keys() == shown["tracks"][0].keys()
    first, *others = [track["similarity"] for track in data["tracks"]]
    assert first is None
    assert all(0 < value <= 1 for value in others)


def test_cycle_goes_through_the_genres(run: Run, indexed: IndexedLibrary) -> None:
    genres = sorted({event["genre"] for event in indexed.events if "genre" in event})[:2]
    result = run("playlist", "--cycle", ",".join(genres), "--length", 2, "--format", "json")
    assert [track["genre"] for track in json.loads(result.stdout)["tracks"]] == genres


def test_same_seed_same_playlist(run: Run) -> None:
    arguments = ("playlist", "--cycle", "auto", "--length", 8, "--diversity", 0.7, "--seed")
    assert paths_of(run(*arguments, 3)) == paths_of(run(*arguments, 3))
    assert len({tuple(paths_of(run(*arguments, seed))) for seed in range(5)}) > 1


def test_from_one_track_to_another(run: Run, indexed: IndexedLibrary) -> None:
    start, goal = indexed.track("chamber"), indexed.track("overdrive")
    paths = paths_of(run("playlist", "--from", start, "--to", goal, "--length", 6))
    assert (paths[0], paths[-1]) == (str(start), str(goal))
    assert len(set(paths)) == 6


def test_m3u8_file_with_relative_paths(run: Run, indexed: IndexedLibrary) -> None:
    target = indexed.music / "evening.m3u8"
    try:
        result = run(
            "playlist", "four on the floor band number 0", "--length", 4, "-o", target, "--relative"
        )
        assert result.exit_code == 0
        lines = target.read_text().splitlines()
    finally:
        target.unlink()
    assert lines[0] == "#EXTM3U"
    entries = [line for line in lines if not line.startswith("#")]
    assert len(entries) == 4
    assert all((indexed.music / entry).is_file() for entry in entries)
    assert sum(line.startswith("#EXTINF:7,The ") for line in lines) == 4


def test_xspf_file(run: Run, indexed: IndexedLibrary, tmp_path: Path) -> None:
    target = tmp_path / "a.xspf"
    assert (
        run("playlist", "four on the floor band number 0", "--length", 2, "-o", target).exit_code
        == 0
    )
    space = {"x": "http://xspf.org/ns/0/"}
    first = ElementTree.parse(target).getroot().find(".//x:location", space)
    assert first is not None
    assert first.text == indexed.track("four on the floor").as_uri()


def test_duration(run: Run) -> None:
    assert (
        len(paths_of(run("playlist", "four on the floor band number 0", "--duration", "28s"))) == 4
    )


def test_what_the_library_cannot_fill_is_reported(run: Run) -> None:
    result = run("playlist", "four on the floor band number 0", "--length", 100)
    assert result.exit_code == 0
    assert "of 100" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--length", "0"], 2),
        (["--duration", "soon"], 2),
        (["--duration", "0m"], 2),
        (["--diversity", "1.5"], 2),
        (["--from", "x"], 2),
        (["--from", "x", "--to", "y", "--cycle", "auto"], 2),
        (["--cycle", "zydeco"], 1),
        (["-o", "list.mp3"], 2),
        (["--seed", "-1"], 2),
        (["-o", "/nowhere/at/all/list.m3u8"], 1),
        (["no such track"], 1),
    ],
)
def test_wrong_options(run: Run, arguments: list[str], code: int) -> None:
    result = run("playlist", *arguments)
    assert result.exit_code == code
    assert result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45", 2700), ("1.5h", 5400), ("90S", 90)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "h", "2x", "-1h", "1h!", "1 h"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_paths_come_out_byte_for_byte(run: Run, indexed: IndexedLibrary) -> None:
    result = run("playlist", "four on the floor band number 0", "--length", 1)
    assert result.stdout_bytes == os.fsencode(indexed.track("four on the floor")) + b"\n"
