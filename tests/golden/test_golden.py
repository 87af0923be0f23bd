"""The demo library is answered as the recording says, and a recording that is off is noticed."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden import compare
from tests.golden.record import DEMO, record, write


@pytest.fixture
def before() -> dict[str, Any]:
    row = {"path": "a.mp3", "tier": 1, "similarity": 0.91, "reasons": ["tier 1: jazz", "near"]}
    return {
        "similar a": {"exit": 0, "answer": {"results": [row, {**row, "path": "b.mp3"}]}},
        "similar b": {"exit": 1, "message": ["Error: no such file: b.mp3"]},
        "stored": {"tracks": {"a.mp3": {"audio_hash": "00ff", "embedding": [0.1, 0.2, 0.3]}}},
    }


@pytest.fixture
def after(before: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(before)


def results(answers: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answers["similar a"]["answer"]["results"]
    return found


def agree(before: dict[str, Any], after: dict[str, Any], *, allow_reworded: bool = False) -> bool:
    return compare.report(compare.differences(before, after), allow_reworded=allow_reworded)[1]


def test_equal_recordings_agree(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert agree(before, after)


def test_added_fields_and_numbers_within_the_tolerance_agree(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    results(after)[0].update(similarity=0.9105, year=1959)
    after["stored"]["tracks"]["a.mp3"]["embedding"] = [0.10009, 0.2, 0.3]
    after["similar c"] = {"exit": 0}
    assert agree(before, after)


def test_an_embedding_that_is_off_is_named(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["stored"]["tracks"]["a.mp3"]["embedding"] = [0.1, 0.2002, 0.3]
    (found,) = compare.differences(before, after)
    assert (found.case, found.place) == ("stored", ".tracks.a.mp3.embedding[1]")


@pytest.mark.parametrize("value", [0.912, None, "0.91"])
def test_a_score_that_is_off_differs(
    before: dict[str, Any], after: dict[str, Any], value: object
) -> None:
    results(after)[1]["similarity"] = value
    assert not agree(before, after)


def test_another_order_differs_and_shows_where(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    results(after).reverse()
    (found,) = compare.differences(before, after)
    assert found.text.endswith("at 1: a.mp3 (0.91) -> b.mp3 (0.91) (same tracks)")


def test_a_missing_row_field_or_case_differs(before: dict[str, Any]) -> None:
    for path in (("similar a", "answer", "results", 1), ("similar a", "exit"), ("similar b",)):
        less = copy.deepcopy(before)
        inner: Any = less
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        assert not agree(before, less)


def test_another_exit_code_differs_though_words_may(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    after["similar b"]["exit"] = 2
    assert not agree(before, after, allow_reworded=True)


def test_other_words_differ_unless_they_may(before: dict[str, Any], after: dict[str, Any]) -> None:
    results(after)[0]["reasons"] = ["tier 1: jazz, most probable"]
    after["similar b"]["message"] = ["Error: b.mp3 does not exist", "Check the path."]
    assert not agree(before, after)
    lines, same = compare.report(compare.differences(before, after), allow_reworded=True)
    assert same
    assert len(lines) == 2
    assert all(line.startswith("reworded 1 times") for line in lines)


def test_hashes_are_left_out_only_on_request(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["stored"]["tracks"]["a.mp3"]["audio_hash"] = "00fe"
    assert compare.differences(before, after)
    assert not compare.differences(before, after, hashes=False)


def test_the_command_prints_the_difference_and_exits_with_1(
    before: dict[str, Any],
    after: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results(after)[0]["tier"] = 2
    files = [tmp_path / "before.json", tmp_path / "after.json"]
    write(files[0], before)
    write(files[1], after)
    assert compare.main([str(files[0]), str(files[0])]) == 0
    assert compare.main([str(file) for file in files]) == 1
    assert ".answer.results[0].tier: 1 -> 2" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_demo_library_is_answered_as_recorded(tmp_path: Path) -> None:
    before = json.loads(DEMO.read_text(encoding="utf-8"))
    after = record(Path(sys.executable).with_name("recsys"), tmp_path)
    # Another processor may round a made sample otherwise, which changes the hash of the encoding.
    lines, same = compare.report(compare.differences(before, after, hashes=False))
    assert same, "\n".join(lines)
