from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.cli.conftest import IndexedLibrary
from tests.cli.running import paths_of

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what the text model stores, where it is installed, out of the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def test_words_alone_rank_the_library(run: Run) -> None:
    result = run("similar", "--words", "very sad, without vocals", "--k", 3)
    assert result.exit_code == 0
    assert result.stdout.startswith("Read as: very sad, without vocals\n")
    assert "Score" in result.stdout
    answer = json.loads(run("similar", "--words", "sad zither", "--k", 3, "--json").stdout)
    assert answer["query"]["words"]["not_understood"] == ["zither"]
    assert answer["query"]["seeds"] == []
    scores = [row["score"] for row in answer["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_explain_gives_the_value_of_every_wish(run: Run) -> None:
    answer = run("similar", "--words", "mellow, not too sad", "--k", 1, "--explain", "--json")
    (row,) = json.loads(answer.stdout)["results"]
    plain, score, *values = row["reasons"]
    assert {"mellow", "not very sad"} == {
        name for part in plain.split("; ") for name in part.partition(": ")[2].split(", ")
    }
    assert score == f"score {row['score']:.2f}"
    assert [value.rpartition(" ")[0] for value in values] == ["mellow", "not very sad"]
    shown = run("similar", "--words", "mellow, not too sad", "--k", 1, "--explain")
    assert f"     {plain} " in shown.stdout


def test_a_track_with_words(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("chamber")
    answer = json.loads(run("similar", seed, "--words", "but slower", "--json").stdout)
    assert answer["query"]["path"] == str(seed)
    assert str(seed) not in [row["path"] for row in answer["results"]]
    assert answer["query"]["words"]["reading"] == "slow (chill, Mellow, easy listening)"


def test_playlist_and_radio_take_words(run: Run) -> None:
    listed = run("playlist", "--words", "not too sad", "--length", 4, "--format", "paths")
    assert (listed.exit_code, len(listed.stdout.splitlines())) == (0, 4)
    assert "read as: not very sad" in listed.stderr
    played = run("radio", "--words", "not too sad", "--new", "--length", 2, "--json")
    assert json.loads(played.stdout)["words"] == "not too sad"
    more = run("radio", "--words", "not too sad", "--length", 2, "--paths")
    assert set(paths_of(more)).isdisjoint(
        row["path"] for row in json.loads(played.stdout)["results"]
    )
    assert "from not too sad" in run("radio", "--words", "not too sad", "--length", 1).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("similar",), 2, "Missing argument 'TRACK...', or --words"),
        (("similar", "--words", "zither"), 1, "nothing was understood of 'zither'"),
        (("similar", "--words", ""), 1, "nothing was understood of ''"),
        (("playlist", "--words", "sad", "--cycle", "auto"), 2, "--words excludes --cycle"),
        (("playlist", "--words", "sad", "--from", "a", "--to", "b"), 2, "--words excludes"),
    ],
)
def test_what_cannot_be_asked(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_track_without_words_imports_nothing_for_them(indexed: IndexedLibrary) -> None:
    program = (
        "import sys; from recsys import Library\n"
        f"library = Library({str(indexed.database)!r})\n"
        f"library.similar({str(indexed.track('chamber'))!r})\n"
        "print([name for name in sys.modules if name.startswith('recsys.words')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
