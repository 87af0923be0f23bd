"""Defaults that keep tracks out of every list."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mutagen
import pytest
from click.testing import Result

from recsys import Filters, Library, PlaylistOptions
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


def test_json_is_as_documented(run: Run) -> None:
    answer = json_of(run("prefer", "--max-length", "12m", "--json"))
    (shown,) = documented("prefer")
    assert answer.keys() == shown.keys()
    assert answer["max_length_s"] == 720


def test_what_is_preferred_stays_out_of_every_list(run: Run, indexed: IndexedLibrary) -> None:
    folder = indexed.music / "overdrive"
    seed = indexed.track("four on the floor")
    everything = paths_of(run("similar", seed, "-k", 100, "--paths", "--show-duplicates"))
    assert any(Path(path).parent == folder for path in everything)
    result = run("prefer", "--exclude", folder, "--not-artist", "the CHAMBER band")
    assert result.stdout.splitlines()[:2] == [
        "--not-artist 'the CHAMBER band'",
        f"--exclude {folder}",
    ]
    assert "4 of 16 tracks stay out of every list" in result.stdout
    gone = {"overdrive", "chamber"}
    lists = [
        ("similar", seed, "-k", 100, "--paths", "--show-duplicates"),
        ("playlist", seed, "--length", 100),
        ("playlist", "--length", 100),
        ("playlist", "--tag", "instrumental", "--length", 100),
        ("playlist", "--cycle", "auto", "--length", 100),
        ("radio", seed, "--length", 100, "--paths"),
    ]
    for arguments in lists:
        found = paths_of(run(*arguments))
        assert found
        assert not {Path(path).parent.name for path in found} & gone, arguments
    arguments = ("similar", seed, "-k", 100, "--paths", "--show-duplicates", "--no-defaults")
    assert paths_of(run(*arguments)) == everything


def test_defaults_grow_and_are_cleared_one_by_one(run: Run, tmp_path: Path) -> None:
    def held() -> dict[str, object]:
        answer = json_of(run("prefer", "--json"))
        names = ("not_artists", "exclude", "max_length_s")
        return {name: answer[name] for name in names if answer[name]}

    assert run("prefer").stdout.startswith("No defaults")
    run("prefer", "--not-artist", "A", "--max-length", "12m")
    run("prefer", "--not-artist", "B", "--max-length", "10:00", "--exclude", tmp_path)
    assert held() == {"not_artists": ["A", "B"], "exclude": [str(tmp_path)], "max_length_s": 600}
    assert run("prefer", "--clear", "not-artist=a").exit_code == 0
    assert run("prefer", "--clear", f"exclude={tmp_path}").exit_code == 0
    assert held() == {"not_artists": ["B"], "max_length_s": 600}
    run("prefer", "--clear", "max-length")
    assert held() == {"not_artists": ["B"]}
    run("prefer", "--clear", "not-artist", "--exclude", "skit")
    assert held() == {"exclude": ["skit"]}
    run("prefer", "--clear")
    assert held() == {}


def test_a_call_adds_to_the_defaults(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("chamber")
    run("prefer", "--max-length", "5s")  # every track has 7
    assert json_of(run("similar", seed, "--json"))["filtered"] == {"too_long": 15, "query": 1}
    longer = json_of(run("similar", seed, "--json", "--max-length", "1m"))
    assert "too_long" not in longer["filtered"]
    assert longer["results"]


def test_status_shows_the_defaults(run: Run) -> None:
    assert "Defaults" not in run("status").stdout
    run("prefer", "--max-length", "12m", "--not-artist", "A")
    assert "Defaults:  --not-artist A --max-length 12:00 (recsys prefer)" in run("status").stdout
    assert json_of(run("status", "--json"))["preferences"] == {
        "not_artists": ["A"],
        "max_length_s": 720,
    }


def test_what_cannot_be_preferred(run: Run, tmp_path: Path) -> None:
    refused(run("prefer", "--max-length", "soon"), "soon", code=2)
    refused(run("prefer", "--exclude", ""), "empty", code=2)
    refused(run("prefer", "--clear", "genre"), "genre", "max-length", code=2)
    refused(run("prefer", "--clear", "not-artist=A"), "'A'", code=2)
    refused(run("prefer", "--min-length", "2m", "--max-length", "1m"), "120 s")
    refused(call("prefer", db=tmp_path / "none.db"), "no library")


def test_defaults_are_those_of_python_too(indexed: IndexedLibrary, tmp_path: Path) -> None:
    database = tmp_path / "library.db"
    shutil.copy(indexed.database, database)
    with Library(database) as library:
        library.set_preferences(Filters(exclude=("chamber band",)))
        assert library.preferences() == Filters(exclude=("chamber band",))
        playlist = library.playlist(options=PlaylistOptions(length=100))
        assert "The chamber band" not in {track.artist for track in playlist.tracks}
        assert len(library.similar(indexed.track("overdrive"), k=100).results) == 13
        every = Filters(use_defaults=False)
        playlist = library.playlist(options=PlaylistOptions(length=100, filters=every))
        assert "The chamber band" in {track.artist for track in playlist.tracks}


def test_artists_and_folders_that_are_not_there_are_told(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("chamber")
    names = ("--not-artist", "the overdrve band", "--not-artist", "The Chamber Band")
    lists = (("similar", seed), ("playlist", seed), ("radio", seed), ("prefer",))
    for arguments in lists:
        notes = run(*arguments, *names, "--exclude", "/elsewhere").stderr
        assert "no track of the library is by 'the overdrve band'; did you mean " in notes
        assert "'The overdrive band'" in notes
        assert "is by 'The Chamber Band'" not in notes
        assert "the library has no track under /elsewhere" in notes
    assert "no track of the library" not in run("similar", seed).stderr  # a default by now


def test_a_language_is_read_from_the_tags_and_again_after_a_retag(
    indexed: IndexedLibrary, tmp_path: Path
) -> None:
    music, database = tmp_path / "music", tmp_path / "library.db"
    for style in ("overdrive", "chamber", "offbeat"):
        shutil.copytree(indexed.music / style, music / style)
    run = partial(call, db=database)
    assert run("index", music).exit_code == 0
    songs = {style: next((music / style).glob("0.*")) for style in ("overdrive", "chamber")}
    asked = ("similar", next((music / "offbeat").glob("0.*")), "--language", "german", "--json")
    assert json_of(run(*asked))["filtered"]["no_language"] == 5
    for style, language in (("overdrive", "deu"), ("chamber", "eng")):
        tags = mutagen.File(songs[style], easy=True)
        tags["language"] = language
        tags.save()
    assert run("index", music).exit_code == 0
    answer = json_of(run(*asked))
    assert [row["path"] for row in answer["results"]] == [str(songs["overdrive"])]
    assert (answer["filtered"]["language"], answer["filtered"]["no_language"]) == (1, 3)
    assert "--language de" in run("prefer", "--language", "de").stdout
    assert json_of(run(*asked[:2], "--json"))["results"] == answer["results"]


def test_no_music_is_taken_for_speech(run: Run, indexed: IndexedLibrary) -> None:
    assert "0 of 16 tracks stay out of every list" in run("prefer", "--include", "speech").stdout
    files = [indexed.track(style) for style in ("chamber", "overdrive", "four on the floor")]
    rows = lines_of(run("classify", *files, "--json"))
    assert all(row["kind"] == "music" and 0 <= row["vocals"] <= 1 for row in rows)
    similar = json_of(run("similar", files[0], "--json"))
    assert (similar["filtered"].get("speech"), len(similar["results"]) > 0) == (None, True)
    assert "--include speech" in run("prefer").stdout
    assert run("prefer", "--clear", "include").stdout.startswith("No defaults")
