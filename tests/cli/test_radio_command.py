from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.cli.running import paths_of

Run = Callable[..., Result]


def test_json_is_as_documented(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("chamber")
    answer = json.loads(run("radio", seed, "--new", "--length", 3, "--json").stdout)
    (shown,) = documented("radio")
    assert answer.keys() == shown.keys()
    assert answer["results"][0].keys() == shown["results"][0].keys()
    assert [row["position"] for row in answer["results"]] == [1, 2, 3]
    assert [each["path"] for each in answer["seeds"]] == [str(seed)]


def test_a_session_goes_on_and_another_begins_anew(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("overdrive")
    first = paths_of(run("radio", seed, "--new", "--length", 3, "--paths"))
    second = paths_of(run("radio", seed, "--length", 3, "--paths"))
    third = paths_of(run("radio", "--length", 3, "--paths"))
    assert len({*first, *second, *third, str(seed)}) == 10
    assert paths_of(run("radio", seed, "--new", "--length", 3, "--paths")) == first


def test_a_session_by_its_id(run: Run, indexed: IndexedLibrary) -> None:
    seed = indexed.track("chamber")
    one, other = (
        json.loads(run("radio", seed, "--new", "--length", 2, "--json").stdout) for _ in range(2)
    )
    assert one["session"] != other["session"]
    more = json.loads(run("radio", "--session", one["session"], "--length", 2, "--json").stdout)
    assert more["session"] == one["session"]
    assert [row["position"] for row in more["results"]] == [3, 4]


def test_what_cannot_be_asked(run: Run, indexed: IndexedLibrary) -> None:
    assert "no radio session 9999" in run("radio", "--session", 9999).stderr
    result = run("radio", indexed.track("chamber"), "--session", 1)
    assert (result.exit_code, "its seeds already" in result.stderr) == (1, True)
    assert run("radio", "--json", "--paths").exit_code == 2


def test_the_table_names_the_session(run: Run, indexed: IndexedLibrary) -> None:
    result = run("radio", indexed.track("chamber"), "--new", "--length", 2)
    assert result.exit_code == 0
    assert result.stdout.startswith("Session ")
