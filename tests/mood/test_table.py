"""The table of moods: what makes a number, what a mood is, and what is said of a wrong table."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.card import DEFAULT_MODEL, load_card
from recsys.errors import QueryError
from recsys.mood import MoodTable
from recsys.mood.table import TableError, read_table, shipped_text, table_of
from recsys.names import spelling_key
from recsys.recommender.filters import Filters
from recsys.types import MOOD_NUMBERS, Range
from tests.planted import make_info

TABLE = """
least_share = 0.6
[mood.wild]
energy = "0.7.."
valence = "..0.5"
words = "stormy, rough"
[mood.merry]
valence = "0.6.."
""" + "".join(
    f"""
[number.{name}]
more = {{ punk = 1, party = 3 }}
less = {{ ambient = 2 }}
mean = 0.5
deviation = 2
"""
    for name in MOOD_NUMBERS
)


def number(*strengths: float, tags: tuple[str, ...] = ("ambient", "Punk", "party")) -> float:
    rule = MoodTable.parse(TABLE).numbers["energy"]
    row = np.array([strengths], dtype=np.float32)
    return float(rule.standardised(rule.combine(make_info(tags=tags), row, 0.6))[0])


def test_a_number_is_the_standardised_difference_of_weighted_means() -> None:
    # (1 x 2 + 3 x 2) / 4 - 2 x -0.5 / 2 = 2.5, one deviation above the mean.
    assert number(-0.5, 2.0, 2.0) == pytest.approx(0.841, abs=0.01)
    assert number(0.0, 0.5, 0.5) == pytest.approx(0.5)
    assert number(0.0, 2.0, 0.0) == pytest.approx(0.5)
    assert number(9.0, 0.0, 0.0) < 0.01


def test_a_tag_that_the_model_lacks_leaves_its_weight_to_the_others() -> None:
    """Ambient and party are 5 of 6 weights; ambient and punk 3 of 6, which are too few."""
    tags = ("ambient", "party")
    assert number(0.0, 2.5, tags=tags) == pytest.approx(number(0.0, 2.5, 2.5))
    assert np.isnan(number(0.0, 2.5, tags=("ambient", "punk")))
    assert np.isnan(number(1.0, 2.5, tags=("punk", "party")))  # nothing to weigh against
    assert np.isnan(number(tags=()))


def test_moods_are_ranges_and_several_narrow_each_other() -> None:
    table = MoodTable.parse(TABLE)
    assert table.ranges(["Stormy"]) == {"energy": Range(0.7), "valence": Range(None, 0.5)}
    with pytest.raises(
        QueryError, match=r"valence: \.\.0\.5 and 0\.6\.\. have no number in common"
    ):
        table.ranges(["wild", "merry"])
    with pytest.raises(QueryError, match=r"with valence 0\.7\.\. is wild"):
        Filters(ranges={"valence": Range(0.7)}, moods=("wild",)).with_moods(table.ranges(["wild"]))
    with pytest.raises(QueryError, match="unknown mood 'merri'; did you mean 'merry'") as refused:
        table.ranges(["merri"])
    assert "--tag" in refused.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[number.valence]", "[number.mirth]", "unknown key 'mirth' in [number]"),
        ("deviation = 2", "deviation = 0", "must be at least 0.001, got 0"),
        ("punk = 1", "punk = -1", "the weight of 'punk', more in [number.energy], must be above"),
        ("punk = 1", "punk = 'x'", "must be a number, got 'x'"),
        ("mean = 0.5", "", "mean in [number.energy] is missing"),
        ('"0.6.."', '"0.6"', "[mood.merry]: '0.6' is not a range"),
        ('energy = "0.7.."', 'tempo = "1.."', "unknown key 'tempo' in [mood.wild]"),
        ("stormy", "merry", "'merry' means two moods: wild and merry"),
        ("least_share = 0.6", "", "least_share is missing"),
        ("least_share = 0.6", "least_share = 1.5", "least_share must be from 0 to 1, got 1.5"),
        ("punk = 1", "punk = 1, Punk = 100", "'punk' and 'Punk' are one tag, more in"),
        ('"0.6.."', '"2.."', "[mood.merry]: 2.. and 0..1 have no number in common"),
        ("[mood.wild]", '[mood." "]', "' ' cannot be the name of a mood"),
        ("[mood.wild]", '[mood."a\\nb"]', "cannot be the name of a mood"),
        ("stormy", "M\u00e9rry", "'merry' means two moods: "),
        ("[mood.wild]", "[mood.wild", "the table of moods is no TOML"),
        ("[mood.wild]", "x = " + "[" * 100_000, "the table of moods is no TOML"),
        ("mean = 0.5", "mean = " + "9" * 400, "must be a number from -1000 to 1000, got 999"),
        ("punk = 1", "punk = 1e308", "must be a number from -1000 to 1000, got 1e+308"),
        ("deviation = 2", "deviation = 1e-320", "must be at least 0.001"),
        ('words = "stormy, rough"', "words = ['stormy']", "words in [mood.wild] must be a text"),
        ("[mood.wild]", "[mood]\nx = 1\n[mood.wild]", "[mood.x] must be a table, got 1"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(old: str, new: str, message: str) -> None:
    with pytest.raises(TableError, match=re.escape(message)) as refused:
        MoodTable.parse(TABLE.replace(old, new, 1)).check_sense()
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number = 5", "[number] must be a table, got 5"),
        ("mood = 5" + TABLE.replace("mood.", "number."), "unknown key"),
        (TABLE.split("[number.energy]")[0] + "[number]\nenergy = 5\n", "is missing"),
        (
            "least_share = 1\n" + "".join(f"number.{name} = 5\n" for name in MOOD_NUMBERS),
            "[number.energy] must be a table, got 5",
        ),
    ],
)
def test_values_in_place_of_tables_are_refused(text: str, message: str) -> None:
    with pytest.raises(TableError, match=re.escape(message)):
        MoodTable.parse(text)


def test_a_table_that_a_library_holds_stays_readable() -> None:
    """What is refused of tables to come alone keeps no library from its lists."""
    held = table_of(TABLE.replace("punk = 1", "punk = 1, Punk = 100").replace('"0.6.."', '"2.."'))
    assert held.moods["merry"] == {"valence": Range(2.0)}
    MoodTable.parse(TABLE).check_sense()
    MoodTable.parse(shipped_text()).check_sense()


def test_what_a_model_lacks_is_told() -> None:
    table = MoodTable.parse(TABLE)
    whole = make_info(tags=("ambient", "Punk", "party"))
    assert table.missing_tags(whole) == table.missing_numbers(whole) == ()
    assert table.missing_tags(make_info(tags=("Ambient", "party"))) == ("punk",)
    assert table.missing_numbers(make_info(tags=("Ambient", "party"))) == ()
    assert table.missing_numbers(make_info(tags=("punk", "party"))) == MOOD_NUMBERS


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "moods.toml"
    for raw, message in [
        (b"x = '\xff'", "cannot be read"),
        (b"# \n" * 400_000, "larger than a table of moods can be"),
    ]:
        file.write_bytes(raw)
        with pytest.raises(TableError, match=message):
            read_table(file)
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path)


def test_the_shipped_table_is_of_the_shipped_model() -> None:
    """Every tag exists, every weight is small and whole, and the face view has its seven moods."""
    known = {spelling_key(tag) for tag in load_card(DEFAULT_MODEL).info().tags}
    for rule in tomllib.loads(shipped_text())["number"].values():
        for tag, weight in {**rule["more"], **rule["less"]}.items():
            assert spelling_key(tag) in known
            assert weight in (1, 2)
    moods = table_of(None).moods
    assert {"happy", "sad", "angry", "calm", "surprised", "fearful", "disgusted"} <= moods.keys()
    assert table_of(None).ranges(["neutral"]) == moods["calm"]
