"""``recsys model own-genres``: it reports, asks, and changes only what was agreed to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from recsys.classifier.card import card_path
from recsys.cli import own_genres
from recsys.store import Store
from tests.cli.documented import documented
from tests.cli.running import call
from tests.own_library import GENRES, OwnLibrary, make_own_library


@pytest.fixture
def library(tmp_path: Path) -> OwnLibrary:
    return make_own_library(tmp_path)


def train(library: OwnLibrary, *arguments: object, answer: str | None = None) -> Result:
    return call("model", "own-genres", "--db", library.database, *arguments, input=answer)


def labels(library: OwnLibrary) -> tuple[str, ...]:
    with Store.open(library.database, read_only=True) as store:
        info = store.model()
        assert info is not None
        return info.labels


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    value: dict[str, Any] = json.loads(line)
    return value


def test_the_gain_is_shown_before_anything_is_asked(library: OwnLibrary) -> None:
    result = train(library, "--from-tags", answer="n\n")
    assert result.exit_code == 0, result.output
    shown, _, rest = result.stdout.partition("Use these genres")
    assert "Gain in accuracy over the present model: +" in shown
    assert "always" in shown
    assert "merged: Hip-Hop: 24 tracks from 'Hip-Hop' (8), 'HipHop' (8), 'hip hop' (8)" in shown
    assert "--json has all spellings" not in shown
    assert "The library was not changed." in rest
    assert labels(library) == library.card.labels
    assert not list(library.database.parent.glob("library.genres*"))


def test_no_advice_comes_from_a_model_that_knows_the_answers(library: OwnLibrary) -> None:
    keys = [f"{genre}/{i}" for genre in GENRES for i in range(24)]
    card = replace(library.card, training={"keys": {"train": keys, "valid": []}})
    card_path(library.model).write_text(card.to_json())
    with Store.open(library.database) as store:
        store.set_model(card.info(), card.to_json(), library.model)
    shown = train(library, "--from-tags", answer="n\n").output
    assert "Not compared with the present model: it learned from 48 of the 48 tracks" in shown
    assert "Loss" not in shown
    assert "Gain" not in shown
    printed = as_json(train(library, "--from-tags", "--json"))
    assert printed["comparison"] is None
    assert printed["comparable"] == {"shared": 48, "learned": 48}


def test_where_all_spellings_stand_is_reported(
    library: OwnLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_genres, "SPELLINGS_SHOWN", 2)
    shown = train(library, "--from-tags", answer="n\n").stdout
    assert "'HipHop' (8) and 1 more" in shown
    assert "--json has all spellings" in shown


def test_yes_makes_them_the_librarys_own(library: OwnLibrary) -> None:
    result = train(library, "--from-tags", answer="y\n")
    assert result.exit_code == 0, result.output
    assert "72 tracks have new genres" in result.stdout
    assert f"--model {library.model} FOLDER" in result.stdout
    assert labels(library) == GENRES
    assert library.database.with_name("library.genres-1.safetensors").exists()


def test_nobody_there_to_answer(library: OwnLibrary) -> None:
    result = train(library, "--from-tags", answer="")
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert labels(library) == library.card.labels


def test_a_model_is_kept_whatever_the_answer(library: OwnLibrary, tmp_path: Path) -> None:
    result = train(library, "--from-folders", "--out", tmp_path / "mine", answer="n\n")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "mine.safetensors").exists()
    assert (tmp_path / "mine.json").exists()
    assert labels(library) == library.card.labels


def test_scripts_are_not_asked(library: OwnLibrary) -> None:
    printed = as_json(train(library, "--from-tags", "--json"))
    assert (printed["replaced"], printed["model"], printed["rescored"]) == (False, None, None)
    assert set(printed) == set(documented("model own-genres")[0])
    assert set(printed["comparison"]) == set(documented("model own-genres")[0]["comparison"])
    assert printed["labels"] == list(GENRES)
    assert printed["merged"]["Hip-Hop"] == {"Hip-Hop": 8, "HipHop": 8, "hip hop": 8}
    assert printed["comparison"]["gain_accuracy"]["low"] > 0
    assert labels(library) == library.card.labels


def test_scripts_that_mean_it(library: OwnLibrary) -> None:
    printed = as_json(train(library, "--from-tags", "--json", "--yes"))
    assert printed["replaced"] is True
    assert printed["rescored"] == 72
    assert Path(printed["model"]).exists()
    assert labels(library) == GENRES


def test_genres_that_are_left_out_are_named(library: OwnLibrary) -> None:
    result = train(library, "--from-tags", "--min-artists", 7, answer="n\n")
    assert result.exit_code == 1
    assert "0 genres can be learned" in result.stderr
    assert "Hip-Hop (24 tracks, 6 artists)" in result.stderr


def test_one_folder_alone(library: OwnLibrary) -> None:
    folder = library.database.parent / "music" / "Jazz"
    result = train(library, "--from-tags", folder, "--json")
    assert result.exit_code == 1
    assert "two are the least: Jazz (24 tracks)" in result.stderr


def test_a_file_that_cannot_be_kept_leaves_everything(library: OwnLibrary, tmp_path: Path) -> None:
    result = train(library, "--from-tags", "--yes", "--out", tmp_path / "no" / "mine.safetensors")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert labels(library) == library.card.labels


@pytest.mark.parametrize("arguments", [["--from-tags", "--from-folders"], []])
def test_the_source_is_named_once(library: OwnLibrary, arguments: list[str]) -> None:
    result = train(library, *arguments)
    assert result.exit_code == 2
    assert "--from-tags or --from-folders, one of them" in result.output
