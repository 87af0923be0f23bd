"""Completion in a shell, suggestions for commands, and ``~`` in quotes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

import recsys
from recsys.cli.completing import Bash, Fish
from recsys.cli.main import cli
from recsys.cli.options import NamedPath
from recsys.cli.output import shortened
from recsys.genres import all_genres
from recsys.papers import RECIPE_NAMES
from recsys.store import Store
from recsys.store.completion import artist_names
from tests.cli.conftest import IndexedLibrary
from tests.cli.running import call

Offers = Callable[..., dict[str, str]]


@pytest.fixture
def offers(
    indexed: IndexedLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., dict[str, str]]:
    """Return what bash gets for words, the last one incomplete: values with their kinds."""
    monkeypatch.setenv("RECSYS_DB", str(indexed.database))
    monkeypatch.chdir(tmp_path)

    def ask(*words: str) -> dict[str, str]:
        *args, incomplete = words
        shell = Bash(cli, {}, "recsys", "_RECSYS_COMPLETE")
        return {str(i.value): i.type for i in shell.get_completions(args, incomplete)}

    return ask


def test_commands_and_options(offers: Offers) -> None:
    assert set(offers("pla")) == {"playlist"}
    assert {"--genre"} <= set(offers("similar", "x", "--g"))
    assert set(offers("completion", "")) == {"bash", "zsh", "fish"}
    assert set(offers("papers", "li")) == {"list"}


def test_genres_are_those_of_the_library(offers: Offers, indexed: IndexedLibrary) -> None:
    with Store.open(indexed.database, read_only=True) as store:
        info = store.model()
    assert info is not None
    assert list(offers("similar", "x", "--genre", "")) == [*all_genres(info.labels, info.tags)]
    assert set(offers("playlist", "--genre", "Ja")) == {"jazz"}
    assert "jazz,blues" in offers("playlist", "--cycle", "jazz,b")
    assert "jazz,jazz" not in offers("playlist", "--cycle", "jazz,")
    assert "auto" in offers("playlist", "--cycle", "")


@pytest.mark.parametrize("source", ["all", "gtzan", "own"])
def test_genres_are_those_that_sort_the_library(
    offers: Offers, indexed: IndexedLibrary, tmp_path: Path, source: str
) -> None:
    database = tmp_path / "l.db"
    shutil.copy(indexed.database, database)
    with Store.open(database) as store:
        store.set_genre_source(source)
        groups = set(store.genre_counts()) - {"untagged", "unknown"}
    assert groups <= set(offers("similar", "x", "--db", str(database), "--genre", ""))


def test_tags_are_those_of_the_model(offers: Offers) -> None:
    assert "Mellow" in offers("similar", "x", "--tag", "mel")
    assert "chill" in offers("playlist", "--mood", "ch")
    # A name of two words is quoted as bash quotes files.
    assert offers("similar", "x", "--tag", "female")["female vocalists"] == "name"


def test_recipes_and_files(offers: Offers, tmp_path: Path) -> None:
    (tmp_path / "svm-own.toml").touch()
    found = offers("papers", "train", "svm")
    assert {"svm-36", "svm-own.toml"} <= set(found)
    assert set(RECIPE_NAMES) <= set(offers("papers", "list", ""))
    assert set(offers("papers", "reproduce", "--recipe", "svm-36")) >= {"svm-36"}


def test_tracks_are_artists_and_files(offers: Offers, tmp_path: Path) -> None:
    (tmp_path / "overture.mp3").touch()
    (tmp_path / ".over").touch()
    found = offers("similar", "ove")
    assert found == {"The overdrive band": "name", "overture.mp3": "name"}
    assert "The chamber band" in offers("playlist", "--from", "the ch")
    # Where no artist is meant, bash looks for files itself.
    assert offers("similar", "zzz") == {"zzz": "file"}
    assert offers("similar", "./ove") == {"./ove": "file"}
    assert offers("classify", "ove") == {"ove": "file"}


def test_zsh_and_fish_get_names_and_the_word_file(
    indexed: IndexedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DB", str(indexed.database))
    shell = Fish(cli, {}, "recsys", "_RECSYS_COMPLETE")
    items: list[CompletionItem[str]] = shell.get_completions(["similar"], "over")
    assert [(item.value, item.type) for item in items] == [
        ("The overdrive band", "plain"),
        ("over", "file"),
    ]


def test_without_a_library_there_are_files(offers: Offers, tmp_path: Path) -> None:
    other = str(tmp_path / "none.db")
    assert offers("similar", "--db", other, "ove") == {"ove": "file"}
    assert offers("similar", "--db", other, "--genre", "j") == {}
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("words", ['"', "'", "*", "&", "-", "a b", "NEAR(", "x:y", "\udcff"])
def test_any_beginning_may_be_typed(indexed: IndexedLibrary, words: str) -> None:
    assert artist_names(indexed.database, words) == []


def test_nothing_heavy_is_imported(indexed: IndexedLibrary) -> None:
    script = (
        "import sys; from recsys.cli.main import cli\n"
        "from recsys.cli.completing import Bash\n"
        "shell = Bash(cli, {}, 'recsys', '_RECSYS_COMPLETE')\n"
        "print([i.value for i in shell.get_completions(['similar'], 'over')])\n"
        "print([i.value for i in shell.get_completions(['similar', 'x', '--genre'], 'jaz')])\n"
        "print([m for m in ('numpy', 'faiss', 'rich', 'pydantic', 'sqlite_utils')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RECSYS_DB": str(indexed.database)},
    )
    assert result.stdout.splitlines() == ["['The overdrive band']", "['jazz']", "[]"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(shell: str) -> None:
    result = call("completion", shell)
    assert result.exit_code == 0
    assert f"_RECSYS_COMPLETE={shell}_complete" in result.stdout
    assert call("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself(indexed: IndexedLibrary, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "recsys"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m recsys "$@"\n')
    program.chmod(0o755)
    (tmp_path / "overture one.mp3").touch()

    def reply(*words: str) -> list[str]:
        script = (
            'eval "$(recsys completion bash)"\n'
            "compopt() { :; }\n"  # which bash allows only while a key is pressed
            f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}\n"
            "_recsys_completion recsys\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        result = subprocess.run(
            ["bash", "--norc", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=os.environ
            | {
                "RECSYS_DB": str(indexed.database),
                "PATH": f"{program.parent}:{os.environ['PATH']}",
            },
        )
        assert result.stderr == ""
        return result.stdout.splitlines()

    assert reply("recsys", "pla") == ["playlist"]
    assert reply("recsys", "similar", "ove") == ["The overdrive band", "overture one.mp3"]
    assert reply("recsys", "similar", "x", "--genre", "ja") == ["jazz"]
    assert reply("recsys", "similar", "x", "--genre", "=", "ja") == ["jazz"]
    assert "jazz" in reply("recsys", "similar", "x", "--genre", "=")
    assert reply("recsys", "similar", "'\"the over'") == ["The overdrive band"]


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["simlar"], "Did you mean similar?"),
        (["PLAYLISTS"], "Did you mean playlist or list?"),
        (["papers", "reprodce"], "Did you mean reproduce?"),
        (["model", "own-genre"], "Did you mean own-genres?"),
    ],
)
def test_a_mistyped_command_gets_a_suggestion(words: list[str], suggestion: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert f"No such command '{words[-1]}'. {suggestion}" in result.stderr


def test_what_is_like_no_command_gets_none() -> None:
    result = call("nonsense")
    assert result.exit_code == 2
    assert "Did you mean" not in result.stderr


def test_a_quoted_tilde_is_the_home_folder(
    indexed: IndexedLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copy(indexed.database, tmp_path / "my.db")
    shutil.copy(indexed.track("overdrive"), tmp_path / "song.mp3")
    database = ("--db", "~/my.db")
    assert call("status", *database).exit_code == 0
    assert call("similar", "~/song.mp3", *database, "--paths").exit_code == 0
    assert call("classify", "~/song.mp3").exit_code == 0
    arguments = ("--length", 2, "-o", "~/list.m3u8", "--root", "~/Music=/m")
    assert call("playlist", *arguments, *database).exit_code == 0
    assert (tmp_path / "list.m3u8").exists()
    assert call("playlist", "--extend", "~/list.m3u8", "--length", 1, *database).exit_code == 0
    assert call("index", "~/song.mp3", *database).exit_code == 0
    assert call("status", db=Path("~/my.db")).exit_code == 0
    shutil.copy(Path(recsys.__file__).parent / "papers" / "recipes" / "svm-36.toml", tmp_path)
    assert call("papers", "list", "~/svm-36.toml").exit_code == 0


def test_every_path_is_a_named_path() -> None:
    def commands(command: click.Command) -> list[click.Command]:
        if not isinstance(command, click.Group):
            return [command]
        context = click.Context(command)
        inner = [command.get_command(context, name) for name in command.list_commands(context)]
        return [one for found in inner if found is not None for one in commands(found)]

    paths = [
        parameter.type
        for command in commands(cli)
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
    ]
    assert len(paths) > 20
    assert all(isinstance(kind, NamedPath) for kind in paths)


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("/a/b.mp3", 8, "/a/b.mp3"),
        ("/music/artist/album/song.mp3", 16, "/musi…m/song.mp3"),
        ("/music/artist/album/song.mp3", 4, "/…p3"),
    ],
)
def test_paths_are_shortened_in_the_middle(path: str, width: int, expected: str) -> None:
    assert shortened(path, width) == expected
    assert len(expected) <= width
