"""Planted tracks whose tags are right, wrong, foreign or missing: the audit must find out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.audit import AuditOptions, audit
from recsys.audit.disagreements import UNLIKELY, compare_tag
from recsys.errors import QueryError
from recsys.store import Store
from recsys.types import Analysis, Tags
from tests.stored import LABELS, axis, model_info, record

INFO = model_info()  # blues, jazz, rock; thresholds 0.25, 0.375, 0.5


def probable(**by_label: float) -> Analysis:
    return Analysis(probabilities(**by_label), axis(0), INFO.fingerprint)


def probabilities(**by_label: float) -> np.ndarray:
    return np.array([by_label.get(label, 0.0) for label in LABELS], np.float32)


@pytest.mark.parametrize(
    ("tag", "given", "kind"),
    [
        ("Jazz", {"rock": 0.95, "jazz": 0.05}, "disagrees"),
        ("Be-Bop", {"rock": 0.95, "jazz": 0.05}, "disagrees"),
        ("Rock", {"rock": 0.95, "jazz": 0.05}, "agrees"),
        ("Hard Rock", {"rock": 0.95, "jazz": 0.05}, "agrees"),
        ("Jazz; Rock", {"rock": 0.95, "jazz": 0.05}, "agrees"),
        ("Jazz; Schlager", {"rock": 0.95, "jazz": 0.05}, "foreign"),
        ("Schlager", {"rock": 0.95, "jazz": 0.05}, "foreign"),
        ("Jazz", {"rock": 0.85, "jazz": 0.15}, "unsure"),
        ("Jazz; Blues", {"rock": 0.88, "jazz": 0.06, "blues": 0.06}, "unsure"),
        ("Jazz", {"rock": 0.7, "jazz": 0.05, "blues": 0.25}, "unsure"),
        (None, {"rock": 0.95}, "untagged"),
        (" ; ", {"rock": 0.95}, "untagged"),
        (None, {"rock": 0.7}, "unknown"),
    ],
)
def test_one_tag_against_the_model(tag: str | None, given: dict[str, float], kind: str) -> None:
    verdict = compare_tag(INFO, probable(**given), tag, 0.8)
    assert verdict.kind == kind
    assert verdict.genre == "rock"
    assert verdict.confidence == pytest.approx(given["rock"])


def test_a_genre_must_reach_its_threshold_whatever_confidence_is_asked_for() -> None:
    assert compare_tag(INFO, probable(rock=0.45, blues=0.3), "Jazz", 0.0).kind == "unsure"
    assert compare_tag(INFO, probable(rock=0.5, blues=0.3), "Jazz", 0.0).kind == "disagrees"


def test_the_labels_of_a_tag_count_together() -> None:
    verdict = compare_tag(INFO, probable(rock=0.9, jazz=0.06, blues=0.04), "Jazz Blues", 0.8)
    assert verdict.tagged == ("blues", "jazz")
    assert verdict.tagged_probability == pytest.approx(0.1)
    assert UNLIKELY == 0.1


STYLED = replace(
    INFO,
    tags=("ambient", "folk", "punk", "chill"),
    tag_means=(0.0,) * 4,
    tag_deviations=(1.0,) * 4,
)


@pytest.mark.parametrize(
    ("tag", "given", "strengths", "verdict"),
    [
        # The library shows the style ambient: rock is not sure.
        ("Ambient", {"rock": 0.5}, {"ambient": 3}, ("agrees", "ambient")),
        ("Rock", {"rock": 0.5}, {"ambient": 3}, ("agrees", "ambient")),
        ("Jazz", {"rock": 0.5, "jazz": 0.05}, {"ambient": 3}, ("unsure", "ambient")),
        # Punk is a kind of rock.
        ("Rock", {"jazz": 0.5}, {"punk": 3}, ("agrees", "punk")),
        ("Punk", {"rock": 0.95}, {}, ("agrees", "rock")),
        # The head is sure. Styles alone are not contradicted.
        ("Folk", {"rock": 0.95}, {"folk": -2}, ("unsure", "rock")),
        ("Jazz", {"rock": 0.95}, {"ambient": 3}, ("disagrees", "rock")),
        ("Folk; Jazz", {"rock": 0.95}, {"folk": -1}, ("disagrees", "rock")),
        ("Folk; Jazz", {"rock": 0.95}, {"folk": 0.5}, ("unsure", "rock")),
        ("Schlager", {"rock": 0.95}, {}, ("foreign", "rock")),
        (None, {"rock": 0.5}, {"ambient": 3}, ("unknown", "ambient")),
        (None, {"rock": 0.95}, {"ambient": 3}, ("untagged", "rock")),
    ],
)
def test_one_tag_against_the_genre_that_is_shown(
    tag: str | None, given: dict[str, float], strengths: dict[str, float], verdict: tuple[str, str]
) -> None:
    logits = np.array([strengths.get(name, 0.0) for name in STYLED.tags])
    analysis = replace(probable(**given), tags=(1 / (1 + np.exp(-logits))).astype(np.float32))
    found = compare_tag(STYLED, analysis, tag, 0.55, styles=True)
    assert (found.kind, found.genre) == verdict


def test_an_audit_goes_by_the_genres_that_sort_the_library(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "library.db", create=True)
    store.set_model(STYLED, "{}")
    ambient = (1 / (1 + np.exp(-np.array([3.0, 0, 0, 0])))).astype(np.float32)
    analysis = replace(probable(rock=0.58), tags=ambient)
    store.write(
        [record(f"/{tag}", analysis, tags=Tags(genre_tag=tag)) for tag in ("Ambient", "Jazz")]
    )
    options = AuditOptions(min_confidence=0.55)
    assert audit(store, options).counts == {"agrees": 1, "unsure": 1}
    assert audit(store, replace(options, genre="ambient")).counts == {"agrees": 1, "unsure": 1}
    store.set_genre_source("gtzan")
    assert audit(store, options).counts == {"foreign": 1, "disagrees": 1}
    with pytest.raises(QueryError, match="unknown genre 'ambient'"):
        audit(store, replace(options, genre="ambient"))


def library(folder: Path, rows: list[tuple[str, str | None, dict[str, float]]]) -> Store:
    """Make a library of (path, genre tag, probabilities)."""
    store = Store.open(folder / "library.db", create=True)
    store.set_model(INFO, "{}")
    store.write(
        [
            record(
                path,
                Analysis(probabilities(**probable), axis(0), INFO.fingerprint),
                tags=Tags(genre_tag=tag),
            )
            for path, tag, probable in rows
        ]
    )
    return store


ROCK, SURE_ROCK, JAZZ = {"rock": 0.9, "jazz": 0.02}, {"rock": 0.97}, {"jazz": 0.95}
MUSIC = [
    ("/m/mixed/1.mp3", "Jazz", SURE_ROCK),
    ("/m/mixed/2.mp3", "Rock", ROCK),
    ("/m/mixed/3.mp3", "Jazz", ROCK),
    ("/m/whole/1.mp3", "Jazz", ROCK),
    ("/m/whole/2.mp3", "jazz", ROCK),
    ("/m/whole/3.mp3", "Schlager", ROCK),
    ("/m/one/1.mp3", "Rock", JAZZ),
    ("/m/none/1.mp3", None, SURE_ROCK),
    ("/m/none/2.mp3", None, {"rock": 0.5, "jazz": 0.5}),
]


def found(store: Store, **options: object) -> list[tuple[str, bool, list[str]]]:
    report = audit(store, AuditOptions(**options))  # type: ignore[arg-type]
    return [
        (group.folder.name, group.whole, [finding.track.path.stem for finding in group.findings])
        for group in report.groups
    ]


def test_folders_that_disagree_as_a_whole_come_first_then_the_surest(tmp_path: Path) -> None:
    store = library(tmp_path, MUSIC)
    assert found(store) == [
        ("whole", True, ["1", "2"]),
        ("one", False, ["1"]),
        ("mixed", False, ["1", "3"]),
    ]
    report = audit(store)
    assert report.counts == {"disagrees": 5, "agrees": 1, "foreign": 1, "untagged": 1, "unknown": 1}
    assert report.foreign_names == {"Schlager": 1}
    assert [group.judged for group in report.groups] == [2, 1, 3]


def test_tracks_that_the_model_is_unsure_of_do_not_save_a_folder(tmp_path: Path) -> None:
    unsure, agreeing = {"rock": 0.5, "blues": 0.5}, {"jazz": 0.9}
    rows = [
        *((f"/m/half/{i}.mp3", "Jazz", ROCK if i < 2 else unsure) for i in range(4)),
        *((f"/m/less/{i}.mp3", "Jazz", SURE_ROCK if i < 2 else unsure) for i in range(5)),
        *((f"/m/one agrees/{i}.mp3", "Jazz", SURE_ROCK if i < 3 else agreeing) for i in range(4)),
    ]
    assert [(name, whole) for name, whole, _ in found(library(tmp_path, rows))] == [
        ("half", True),
        ("less", False),
        ("one agrees", False),
    ]


def test_missing_tags_are_suggested_on_request(tmp_path: Path) -> None:
    store = library(tmp_path, MUSIC)
    assert ("none", False, ["1"]) in found(store, missing=True)
    assert "none" not in {name for name, _, _ in found(store)}


def test_filters(tmp_path: Path) -> None:
    store = library(tmp_path, MUSIC)
    assert found(store, min_confidence=0.96) == [("mixed", False, ["1"])]
    assert found(store, paths=(Path("/m/one"), Path("/m/mixed/3.mp3"))) == [
        ("one", False, ["1"]),
        ("mixed", False, ["3"]),
    ]
    assert {name for name, _, _ in found(store, genre="ROCK")} == {"whole", "one", "mixed"}
    assert found(store, genre="blues") == []


def test_a_filter_by_genre_makes_no_folder_whole(tmp_path: Path) -> None:
    rows = [
        ("/m/a/1.mp3", "Jazz", ROCK),
        ("/m/a/2.mp3", "Jazz", ROCK),
        ("/m/a/3.mp3", "Blues", {"blues": 0.99}),
    ]
    store = library(tmp_path, rows)
    assert found(store, genre="rock") == [("a", False, ["1", "2"])]


def test_suggestions_are_spelled_as_the_library_spells_them(tmp_path: Path) -> None:
    rows = [("/m/1.mp3", "JAZZ", ROCK), ("/m/2.mp3", "blues", ROCK), ("/m/3.mp3", "blues", JAZZ)]
    report = audit(library(tmp_path, rows))
    assert {own.track.path.stem: own.suggestion for own in report.findings} == {
        "1": "Rock",
        "2": "Rock",
        "3": "JAZZ",
    }


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    store = library(tmp_path, MUSIC)
    with pytest.raises(QueryError, match="/nowhere"):
        audit(store, AuditOptions(paths=(Path("/nowhere"),)))
    with pytest.raises(QueryError, match="unknown genre 'jaz'; did you mean 'jazz'"):
        audit(store, AuditOptions(genre="jaz"))
    with pytest.raises(QueryError, match=r"1\.5 is no confidence"):
        audit(store, AuditOptions(min_confidence=1.5))
    empty = Store.open(tmp_path / "empty.db", create=True)
    with pytest.raises(QueryError, match="no tracks yet"):
        audit(empty)


def test_tracks_whose_files_are_gone_are_passed_over(tmp_path: Path) -> None:
    store = library(tmp_path, MUSIC)
    store.mark_missing([7])
    assert "one" not in {name for name, _, _ in found(store)}
