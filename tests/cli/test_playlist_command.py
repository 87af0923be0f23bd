from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import Result

from recsys import Library, PlaylistOptions
from recsys.cli.options import Duration
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


def test_one_track_of_an_artist_opens_the_list(run: Run, indexed: IndexedLibrary) -> None:
    result = run("playlist", "overdrive band", "--length", 6, "--format", "json")
    data = json.loads(result.stdout)
    by_artist = {str(indexed.track("overdrive", number)) for number in range(2)}
    assert [track["path"] in by_artist for track in data["seeds"]] == [True]
    assert data["tracks"][0]["path"] == data["seeds"][0]["path"]
    reading = {"given": "overdrive band", "as": "artist", "name": "The overdrive band", "tracks": 2}
    reading["role"] = "seed"
    assert data["readings"] == [reading]
    note = "'overdrive band' is read as the artist The overdrive band: 2 tracks"
    assert data["note"].startswith(note)
    assert f"Note: {note}" in result.stderr


def test_both_ends_of_a_way_are_chosen_on_a_terminal(
    run: Run, indexed: IndexedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.cli.choosing._is_terminal", lambda: True)
    ends = ("--from", "number 0", "--to", "number 1", "--length", 4)
    result = run("playlist", *ends, input="1\n3\n")
    paths = paths_of(result)
    assert Path(paths[0]).stem == "0"
    assert Path(paths[-1]).stem == "1"
    assert result.stderr.count("Number: ") == 2


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
        (["--random", "--seed", "1"], 2),
        (["--root", "/music"], 2),
        (["--root", "/music=/m", "--relative"], 2),
        (["--extend", "list.mp3"], 2),
        (["--extend", "list.m3u8", "-o", "other.m3u8"], 2),
        (["--extend", "list.m3u8", "--cycle", "auto"], 2),
        (["--extend", "/nowhere/list.m3u8"], 1),
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
    [
        ("2h", 7200),
        ("90m", 5400),
        ("1h30m", 5400),
        ("45", 2700),
        ("1.5h", 5400),
        ("90S", 90),
        ("4:30", 270),
        ("1:02:03", 3723),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "h", "2x", "-1h", "1h!", "1 h", "4:3", "0:00"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_paths_come_out_byte_for_byte(run: Run, indexed: IndexedLibrary) -> None:
    result = run("playlist", "four on the floor band number 0", "--length", 1)
    assert result.stdout_bytes == os.fsencode(indexed.track("four on the floor")) + b"\n"


def test_an_unknown_format_names_the_known_ones(run: Run) -> None:
    result = run("playlist", "-o", "list.mp3")
    assert "'list.mp3' has no extension of a playlist format" in result.stderr
    assert ".m3u8, .m3u, .pls" in result.stderr


def test_a_random_seed_is_new_and_can_be_given_again(run: Run) -> None:
    first, second = (run("playlist", "--random", "--length", 5, "--format", "json") for _ in "ab")
    seeds = [json.loads(result.stdout)["seed"] for result in (first, second)]
    assert seeds[0] != seeds[1]
    assert f"--seed {seeds[0]}" in first.stderr
    again = run("playlist", "--seed", seeds[0], "--length", 5, "--format", "json")
    assert again.stdout == first.stdout


def test_roots_are_those_of_the_player(run: Run, indexed: IndexedLibrary, tmp_path: Path) -> None:
    root = f"{indexed.music}=/music"
    paths = paths_of(run("playlist", "four on the floor band number 0", "--root", root))
    assert paths
    assert all(path.startswith("/music/") for path in paths)
    inside = run("playlist", "four on the floor band number 0", "--root", f"{indexed.music}=")
    assert [f"/music/{path}" for path in paths_of(inside)] == paths
    other = run("playlist", "four on the floor band number 0", "--root", f"{tmp_path}=/x")
    assert f"{len(paths)} tracks are in no FROM" in other.stderr


def test_a_list_is_continued_in_its_own_file(
    run: Run, indexed: IndexedLibrary, tmp_path: Path
) -> None:
    file = tmp_path / "evening.m3u8"
    seed = indexed.track("four on the floor")
    assert run("playlist", seed, "--length", 3, "-o", file).exit_code == 0
    with file.open("a") as opened:
        opened.write("# mine\n/gone/away.mp3\n")
    before = file.read_text()
    result = run("playlist", "--extend", file, "--length", "+4")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "4 tracks added" in result.stderr
    assert "1 of 4 tracks of the list are not in the library" in result.stderr
    after = file.read_text()
    assert after.startswith(before)
    listed = [line for line in after.splitlines() if line.startswith(str(indexed.music))]
    assert len(set(listed)) == len(listed) == 7


def test_extend_may_be_said_without_dashes(
    run: Run, indexed: IndexedLibrary, tmp_path: Path
) -> None:
    file = tmp_path / "evening.m3u8"
    run("playlist", indexed.track("four on the floor"), "--length", 3, "-o", file)
    assert run("playlist", "extend", file, "--length", "+4").exit_code == 0
    assert file.read_text().count("#EXTINF") == 7


def test_a_list_of_relative_paths_stays_one(run: Run, indexed: IndexedLibrary) -> None:
    file = indexed.music / "list.m3u"
    try:
        run("playlist", "four on the floor band number 0", "--length", 2, "-o", file, "--relative")
        assert run("playlist", "--extend", file, "--length", 3).exit_code == 0
        entries = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    finally:
        file.unlink()
    assert len(entries) == 5
    assert all((indexed.music / entry).is_file() for entry in entries)
    assert not any(entry.startswith("/") for entry in entries)


def test_a_list_of_the_player_is_continued_with_its_root(
    run: Run, indexed: IndexedLibrary, tmp_path: Path
) -> None:
    file, root = tmp_path / "mpd.m3u", f"{indexed.music}="
    run("playlist", "four on the floor band number 0", "--length", 2, "-o", file, "--root", root)
    assert run("playlist", "--extend", file, "--length", 2, "--root", root).exit_code == 0
    entries = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert len(set(entries)) == 4
    assert all((indexed.music / entry).is_file() for entry in entries)


def test_a_list_of_other_music_cannot_be_continued(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.m3u8"
    file.write_text("/elsewhere/a.mp3\n")
    result = run("playlist", "--extend", file)
    assert result.exit_code == 1
    assert "none of the 1 tracks" in result.stderr
    assert file.read_text() == "/elsewhere/a.mp3\n"


def on_terminal(
    indexed: IndexedLibrary, *arguments: object, env: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Run a command whose standard output is a terminal; return its two outputs."""
    pty = pytest.importorskip("pty")
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "recsys", *map(str, arguments)]
    settings = os.environ | {"RECSYS_DB": str(indexed.database), "COLUMNS": "100"} | (env or {})
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, env=settings
    )
    os.close(writer)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(reader, 4096):
            shown += part
    os.close(reader)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return shown.decode(), stderr.decode()


def test_a_terminal_shows_what_was_made(indexed: IndexedLibrary, tmp_path: Path) -> None:
    words = "four on the floor band number 0"
    target = tmp_path / "a.m3u8"
    bare, _ = on_terminal(indexed, "playlist", words, "--length", 3)
    with_file, stderr = on_terminal(indexed, "playlist", words, "--length", 3, "-o", target)
    for table in (bare, with_file):
        for column in ("Artist", "Title", "Length", "Genre", "Similarity", "0:07"):
            assert column in table
        assert table.count("Number") == 4  # the name of the list, and three titles
        assert str(indexed.music) not in table
    assert "3 tracks" in stderr
    assert target.read_text().count("#EXTINF") == 3
    with Library(indexed.database) as library:
        playlist = library.playlist(words, PlaylistOptions(length=3))
        first, *steps = playlist.similarities
        analyses = library.store.analyses([track.id for track in playlist.tracks])
    assert first is None
    for step, (one, other) in zip(steps, pairwise(playlist.tracks), strict=True):
        cosine = float(analyses[one.id].embedding @ analyses[other.id].embedding)
        assert step == pytest.approx(cosine, abs=1e-3)
        assert f"{step:.3f}" in bare


def test_paths_can_be_had_on_a_terminal(indexed: IndexedLibrary) -> None:
    words = "four on the floor band number 0"
    shown, _ = on_terminal(indexed, "playlist", words, "--length", 1, "--format", "paths")
    assert shown.strip() == str(indexed.track("four on the floor"))


@pytest.fixture
def players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, and a cache folder next to it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def add_player(folder: Path, name: str, code: int = 0) -> Path:
    log = folder / f"{name}.log"
    (folder / name).write_text(f'#!/bin/sh\necho "$1" > {log}\nexit {code}\n')
    (folder / name).chmod(0o755)
    return log


@pytest.mark.skipif(sys.platform == "win32", reason="the players are shell scripts")
def test_the_first_player_gets_the_list(run: Run, players: Path, indexed: IndexedLibrary) -> None:
    arguments = ("playlist", "four on the floor band number 0", "--length", 3, "--play")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "no player was found: mpv, vlc, xdg-open" in result.stderr
    assert "-o" in result.stderr
    for name, prefix in (("xdg-open", ""), ("vlc", ""), ("mpv", "--playlist=")):
        log = add_player(players, name)
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (0, "")
        given = log.read_text().strip()
        assert given.startswith(prefix)
        content = Path(given.removeprefix(prefix)).read_text()
        first = indexed.track("four on the floor")
        assert (first.as_uri() if name == "vlc" else f"\n{first}\n") in content


@pytest.mark.skipif(sys.platform == "win32", reason="the players are shell scripts")
def test_a_player_that_fails_is_an_error(run: Run, players: Path) -> None:
    add_player(players, "mpv", code=2)
    result = run("playlist", "--length", 1, "--play")
    assert result.exit_code == 1
    assert "ended with exit code 2" in result.stderr
