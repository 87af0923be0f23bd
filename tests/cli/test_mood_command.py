"""Numbers and moods on the command line: ranges, moods, curves, and the table of a library."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from recsys.cli.options import NUMBERS
from recsys.mood.table import shipped_text
from recsys.store import Store
from recsys.types import MOOD_NUMBERS, TRACK_NUMBERS
from tests.cli.documented import documented
from tests.cli.running import call, lines_of
from tests.planted import LABELS, PlantedLibrary, Sound, make_info, unit
from tests.store.test_moods import TAGS

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moods")
    rng = np.random.default_rng(8)
    sounds = []
    for i in range(40):
        path = folder / f"{i}.flac"
        path.touch()
        strengths = tuple(rng.normal(scale=1.5, size=len(TAGS)))
        vector = unit(rng.standard_normal(16))
        sounds.append(
            Sound(LABELS[i % 2], vector, artist=f"A{i}", path=str(path), strengths=strengths)
        )
    library = PlantedLibrary(folder, sounds, make_info(tags=TAGS))
    library.store.close()
    return folder / "library.db"


@pytest.fixture
def run(database: Path) -> Iterator[Run]:
    yield partial(call, db=database)
    with Store.open(database) as store:
        store.set_moods(None)


def test_every_number_has_an_option() -> None:
    assert tuple(NUMBERS) == TRACK_NUMBERS


def test_lists_keep_to_ranges_and_moods(run: Run) -> None:
    everything = lines_of(run("list", "--json"))
    energetic = [row["track_id"] for row in everything if row["energy"] >= 0.6]
    found = lines_of(run("list", "--energy", "0.6..", "--json"))
    assert [row["track_id"] for row in found] == energetic
    assert 0 < len(energetic) < 40
    happy = lines_of(run("list", "--mood", "Joyful", "--json"))
    assert [row["track_id"] for row in happy] == [
        row["track_id"] for row in everything if row["energy"] >= 0.4 and row["valence"] >= 0.65
    ]
    narrower = lines_of(run("list", "--mood", "happy", "--valence", "..0.9", "--json"))
    assert [row for row in happy if row["valence"] <= 0.9] == narrower
    calm = run("list", "--energy", "..0.0", "--valence", "1..")
    assert "no track: energy ..0, valence 1.." in calm.stderr
    assert "did you mean 'happy'" in run("list", "--mood", "hapy").stderr
    assert "Give 0.7.. for no less" in run("list", "--energy", "0.7").stderr


def test_the_numbers_of_a_list_are_shown(run: Run) -> None:
    heading, first, *_ = run("list").stdout.splitlines()
    assert heading.split()[-4:] == ["Energy", "Valence", "Genre", "Album"]
    row = json.loads(run("list", "--json").stdout.splitlines()[0])
    assert f"{row['energy']:.2f}  " in first
    assert row.keys() == documented("list")[0].keys()
    shown = run("show", "1").stdout
    assert f"energy {row['energy']:.2f}, valence {row['valence']:.2f}" in shown


def test_other_commands_keep_to_them_too(run: Run, tmp_path: Path) -> None:
    answer = json.loads(run("playlist", "--energy", "0.6..", "--format", "json").stdout)
    assert all(row["energy"] >= 0.6 for row in answer["tracks"])
    out = tmp_path / "energetic.csv"
    energetic = lines_of(run("list", "--energy", "0.6..", "--json"))
    written = json.loads(run("export", out, "--energy", "0.6..", "--json").stdout)
    assert written["tracks"] == len(energetic)
    assert ",energy,valence," in out.read_text().splitlines()[0]


def test_ranges_and_moods_can_be_preferred(run: Run) -> None:
    result = run("prefer", "--energy", "0.6..", "--mood", "happy", "--json")
    set_now = json.loads(result.stdout)
    assert (set_now["ranges"], set_now["moods"]) == ({"energy": "0.6.."}, ["happy"])
    assert set_now.keys() == documented("prefer")[0].keys()
    assert set(set_now["left_out"]) <= {"energy", "valence"}
    text = run("prefer").stdout
    assert "--energy 0.6..\n--mood happy" in text
    listed = json.loads(run("playlist", "--format", "json").stdout)["tracks"]
    assert all(row["energy"] >= 0.6 and row["valence"] >= 0.65 for row in listed)
    wider = json.loads(run("playlist", "--energy", "0.0..", "--format", "json").stdout)["tracks"]
    assert any(row["energy"] < 0.6 for row in wider)
    assert run("prefer", "--clear", "energy").stdout.startswith("--mood happy")
    assert run("prefer", "--mood", "hapy").exit_code == 1
    assert "No defaults" in run("prefer", "--clear").stdout


def test_a_curve_orders_a_playlist(run: Run) -> None:
    words = ("playlist", "--curve", "energy=rise", "--length", "8", "--genre", LABELS[0])
    rows = json.loads(run(*words, "--format", "json").stdout)["tracks"]
    assert len(rows) == 8
    assert rows[-1]["energy"] > rows[1]["energy"]
    wrong = run("playlist", "--curve", "energy=up")
    assert "Give NUMBER=SHAPE, a shape of rise, fall, arc, steady" in wrong.stderr


def test_moods_are_listed_with_their_tracks(run: Run) -> None:
    moods = json.loads(run("mood", "list", "--json").stdout)
    count = len(lines_of(run("list", "--mood", "sad", "--json")))
    assert moods["sad"] == {"energy": "..0.4", "valence": "..0.35", "tracks": count}
    for name, own in documented("mood list")[0].items():
        assert {**own, "tracks": moods[name]["tracks"]} == moods[name]
    assert "energy 0.4.., valence 0.65.." in run("mood", "list").stdout


def test_a_library_takes_a_table_and_gives_it_back(run: Run, tmp_path: Path) -> None:
    assert run("mood", "table").stdout == shipped_text()
    before = run("list", "--json").stdout
    own = tmp_path / "moods.toml"
    own.write_text(
        shipped_text().replace("Mellow = 2", "Mellow = 1") + '[mood.wild]\nenergy = "0.8.."\n'
    )
    assert "makes the numbers now: 40 computed" in run("mood", "use", own).stdout
    assert run("list", "--json").stdout != before
    assert run("mood", "table").stdout == own.read_text()
    assert json.loads(run("status", "--json").stdout)["numbers_from"] == "table"
    assert "by a table of the library's own" in run("status").stdout
    assert run("mood", "table", "--shipped").stdout == shipped_text()
    wild = lines_of(run("list", "--mood", "wild", "--json"))
    assert all(row["energy"] >= 0.8 for row in wild)
    own.write_text("energy = 1")
    result = run("mood", "use", own)
    assert result.exit_code == 1
    assert f"{own}: unknown key 'energy' in the table of moods" in result.stderr
    assert run("mood", "reset").exit_code == 0
    assert run("list", "--json").stdout == before
    assert run("list", "--mood", "wild").exit_code == 1


def test_a_table_whose_tags_the_model_lacks(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "moods.toml"
    own.write_text(shipped_text().replace("punk = ", "pnk = "))
    result = run("mood", "use", own)
    assert result.exit_code == 0
    assert "the model has no tag pnk: recsys status --tags lists" in result.stderr
    assert "no track has" not in result.stderr
    own.write_text(shipped_text().replace("least_share = 0.6", "least_share = 1.0"))
    assert run("mood", "use", own).stderr == ""
    both = own.read_text().replace("punk = ", "pnk = ")
    own.write_text(both)
    assert "no track has energy now: the model lacks" in run("mood", "use", own).stderr


def test_status_has_the_distribution(run: Run) -> None:
    numbers = json.loads(run("status", "--json").stdout)["numbers"]
    assert tuple(numbers) == MOOD_NUMBERS
    assert all(len(counts) == 10 and sum(counts) == 40 for counts in numbers.values())
    assert "instrumentalness" in run("status").stdout
