"""``recsys list``, ``show`` and ``export``."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from recsys import Library, ListOptions
from recsys.export import COLUMNS
from recsys.mel import EFFORTS
from recsys.types import Effort
from tests.cli.conftest import DURATION_S, IndexedLibrary
from tests.cli.documented import documented
from tests.cli.running import call, json_of, lines_of, paths_of, refused
from tests.planted import PlantedLibrary, Sound, make_info, unit

Run = Callable[..., Result]
ODD = os.fsdecode(b"/music/\xff odd.flac")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    def sound(i: int, genre: str, **tags: Any) -> Sound:
        return Sound(genre, unit([1.0, i / 10, *[0] * 14]), title=f"Song {i}", **tags)

    info = make_info(tags=("mellow", "80s"))
    sounds = [
        sound(1, "jazz", artist="AC/DC", album="Back in Black", strengths=(2.0, 0.0)),
        sound(2, "jazz", artist="Bob Marley & The Wailers", album="Exodus", strengths=(2.0, 1.5)),
        sound(3, "rock", artist="Ziggy Marley", album="Fly Rasta", strengths=(0.5, 2.0)),
        sound(4, "rock", artist="Marley's Ghost", path=ODD, strengths=(0.0, 0.0)),
        sound(5, "rock"),
        sound(6, "blues", artist="Björk", album="Début", strengths=(1.0, 0.0)),
    ]
    return PlantedLibrary(tmp_path_factory.mktemp("listed"), sounds, info)


def listed(planted: PlantedLibrary, *options: str) -> list[int]:
    lines = lines_of(call("list", "--json", *options, db=planted.store.path))
    return [line["track_id"] for line in lines]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--genre", "Jazz"], [1, 2]),
        (["--tag", "mellow"], [1, 2, 6]),
        (["--tag", "Mellow", "--tag", "80s"], [2]),
        (["--artist", "marley"], [2, 3, 4]),
        (["--artist", "marley", "--genre", "rock"], [3, 4]),
        (["--artist", "the wailers bob"], [2]),
        (["--artist", "acdc"], [1]),
        (["--artist", "ac/dc"], [1]),
        (["--artist", "BJORK"], [6]),
        (["--artist", "exodus"], []),
        (["--album", "exodus"], [2]),
        (["--album", "debut", "--artist", "bjork"], [6]),
        (["--artist", "marley", "--tag", "80s"], [2, 3]),
        (["--added", "1d"], [1, 2, 3, 4, 5, 6]),
        (["--added", "2999-01-01"], []),
    ],
)
def test_each_option_leaves_out_tracks(
    planted: PlantedLibrary, options: list[str], ids: list[int]
) -> None:
    assert listed(planted, *options) == ids


def test_more_tracks_than_a_page_are_listed_once(tmp_path: Path) -> None:
    near = unit([1] + [0] * 15)
    sounds = [Sound("jazz", near, artist="A" if i % 2 else "B") for i in range(2500)]
    planted = PlantedLibrary(tmp_path, sounds)
    assert listed(planted) == list(range(1, 2501))
    assert listed(planted, "--artist", "a") == list(range(2, 2501, 2))


def test_added_counts_from_when_the_library_first_had_a_track(tmp_path: Path) -> None:
    near = unit([1] + [0] * 15)
    planted = PlantedLibrary(tmp_path, [Sound("jazz", near, title=str(i)) for i in range(3)])
    now = time.time()
    with closing(sqlite3.connect(planted.store.path, isolation_level=None)) as database:
        database.execute("UPDATE tracks SET added = ? WHERE id = 1", (int(now - 40 * 86400),))
        database.execute("UPDATE tracks SET added = NULL WHERE id = 2")
    planted.sounds.clear()
    planted.add([Sound("jazz", near, title=f"new {i}") for i in range(3)])  # known paths, new tags
    assert listed(planted, "--added", "30d") == [3]
    assert listed(planted, "--added", "6w") == [1, 3]
    assert listed(planted, "--added", "12h") == [3]
    with Library(planted.store.path) as library:
        assert library.track(2).added_s is None
        since = datetime.now(UTC) - timedelta(days=41)
        assert [t.id for t in library.tracks(ListOptions(added_since=since))] == [1, 3]


def test_formats_of_a_list_agree(planted: PlantedLibrary) -> None:
    lines = lines_of(call("list", "--json", db=planted.store.path))
    text = call("list", "--csv", db=planted.store.path).stdout_bytes
    rows = list(csv.DictReader(io.StringIO(os.fsdecode(text))))
    assert [row["path"] for row in rows] == [line["path"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in line.items()}
    paths = call("list", "--paths", db=planted.store.path).stdout_bytes
    assert paths.split(b"\n")[3] == os.fsencode(ODD)
    shown = call("list", db=planted.store.path)
    assert shown.stdout.splitlines()[0].split() == [
        "Id",
        "Artist",
        "-",
        "Title",
        "Length",
        "Energy",
        "Valence",
        "Genre",
        "Album",
    ]
    assert len(shown.stdout.splitlines()) == 7
    assert shown.stderr == "6 tracks\n"


def test_a_list_is_as_documented(run: Run) -> None:
    (example,) = documented("list")
    assert all(line.keys() == example.keys() for line in lines_of(run("list", "--json")))


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--added", "soon"], ["'soon'", "30d"], 2),
        (["--added", "2026-13-01"], ["'2026-13-01'"], 2),
        (["--csv", "--json"], ["exclude each other"], 2),
        (["--genre", "jaz"], ["unknown genre 'jaz'", "'jazz'"], 1),
        (["--tag", "melow"], ["unknown tag 'melow'", "'mellow'"], 1),
        (["--artist", ""], ["artist is empty"], 1),
    ],
)
def test_what_cannot_be_listed_is_said(
    planted: PlantedLibrary, options: list[str], words: list[str], code: int
) -> None:
    refused(call("list", *options, db=planted.store.path), *words, code=code)


def test_an_empty_list_says_which_conditions_none_meets(planted: PlantedLibrary) -> None:
    result = call("list", "--artist", "nobody", "--genre", "jazz", db=planted.store.path)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no track: genre 'jazz', artist 'nobody'" in result.stderr


def test_banned_tracks_are_listed_on_request_alone(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", unit([1.0, i / 10, *[0] * 14]), title=f"Song {i}", artist="AB"[i % 2])
        for i in range(4)
    ]
    planted = PlantedLibrary(tmp_path, sounds)
    with Library(planted.store.path) as library:
        library.ban("artist:B")
        library.like(library.track(1))
        assert [track.id for track in library.tracks()] == [1, 3]
        assert library.export(tmp_path / "all.npz", ListOptions(banned=True)) == 4
    assert listed(planted) == [1, 3]
    assert listed(planted, "--banned") == [1, 2, 3, 4]
    banned = json_of(call("show", 2, "--json", db=planted.store.path))
    assert [event["kind"] for event in banned["feedback"]] == ["ban"]
    assert banned["banned_by"]["kind"] == "ban"
    liked = call("show", 1, db=planted.store.path).stdout
    assert "like of it" in liked
    assert "Banned" not in liked


# One track


def test_a_shown_track_is_as_documented(run: Run, indexed: IndexedLibrary) -> None:
    path = indexed.track("chamber")
    details = json_of(run("show", path, "--json", "-k", 3))
    (example,) = documented("show")
    assert details.keys() == example.keys()
    assert details["analysis"].keys() == example["analysis"].keys()
    assert all(row.keys() == example["neighbours"][0].keys() for row in details["neighbours"])
    assert details["path"] == str(path)
    assert details["size"] == path.stat().st_size
    assert sum(details["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert details["genre"] == next(iter(details["probabilities"]))
    assert all(strength >= 1 for strength in details["tags"].values())


def test_windows_are_those_of_the_analysis(run: Run, indexed: IndexedLibrary) -> None:
    """Seven seconds hold two windows of three, each in the middle of its half."""
    analysis = json_of(run("show", indexed.track("chamber"), "--json"))["analysis"]
    assert analysis["effort"] == "balanced"
    assert len(analysis["windows"]) <= (EFFORTS[Effort.BALANCED] or 0)
    assert analysis["window_s"] == 3.0
    assert all(0 <= start <= DURATION_S - 3 + 0.1 for start in analysis["windows"])


def test_neighbours_are_those_of_similarity_alone(run: Run, indexed: IndexedLibrary) -> None:
    path = indexed.track("chamber")
    shown = json_of(run("show", path, "--json", "-k", 4))["neighbours"]
    similar = json_of(run("similar", path, "--strategy", "similarity", "-k", 4, "--json"))
    assert [row["track_id"] for row in shown] == [row["track_id"] for row in similar["results"]]


def test_a_shown_track_reads_well(run: Run, indexed: IndexedLibrary) -> None:
    result = run("show", indexed.track("chamber"))
    assert result.exit_code == 0, result.output
    for name in ("Track:", "Id:", "Genre:", "File:", "Added:", "Model:", "Windows:", "Nearest"):
        assert name in result.stdout


def test_only_one_track_of_the_library_is_shown(
    planted: PlantedLibrary, indexed: IndexedLibrary
) -> None:
    refused(
        call("show", "artist:Björk", db=planted.store.path),
        "is the artist Björk, not one track", "recsys list --artist 'Björk'",
    )  # fmt: skip
    outside = call("show", indexed.track("chamber"), db=planted.store.path)
    assert outside.exit_code == 1


# Files


@pytest.mark.parametrize("extension", ["csv", "npz", "parquet"])
def test_exported_values_are_those_of_the_library(
    planted: PlantedLibrary, tmp_path: Path, extension: str
) -> None:
    if extension == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out.{extension}"
    answer = json_of(call("export", out, "--json", db=planted.store.path))
    assert answer == {"file": str(out), "tracks": 6}
    columns, embeddings, probabilities, scores = _read(out)
    analyses = planted.store.analyses(range(1, 7))
    tracks = planted.store.tracks(range(1, 7))
    assert columns["track_id"] == [1, 2, 3, 4, 5, 6]
    assert columns["title"] == [tracks[i].title for i in range(1, 7)]
    assert columns["artist"] == [tracks[i].artist or "" for i in range(1, 7)]
    odd = ODD if extension != "parquet" else "/music/\\xff odd.flac"
    assert columns["path"][3] == odd
    for i in range(1, 7):
        np.testing.assert_array_equal(embeddings[i - 1], analyses[i].embedding)
        np.testing.assert_array_equal(probabilities[i - 1], analyses[i].probabilities)
        np.testing.assert_array_equal(scores[i - 1], analyses[i].tags)


def _read(out: Path) -> tuple[dict[str, list[Any]], Any, Any, Any]:
    if out.suffix == ".npz":
        with np.load(out) as arrays:
            columns = {name: arrays[name].tolist() for name in COLUMNS}
            assert arrays["labels"].tolist() == ["blues", "classical", "jazz", "rock"]
            assert arrays["tags"].tolist() == ["mellow", "80s"]
            return columns, arrays["embedding"], arrays["probabilities"], arrays["tag_scores"]
    if out.suffix == ".csv":
        with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [row[name] for row in rows] for name in COLUMNS}
        columns["track_id"] = [int(value) for value in columns["track_id"]]
        wide = [[row for row in rows[0] if row.startswith(kind)] for kind in _KINDS]
        return columns, *(
            np.array([[row[name] for name in names] for row in rows], np.float32) for names in wide
        )  # type: ignore[return-value]
    from pyarrow import parquet

    table = parquet.read_table(out)
    assert table.schema.metadata[b"labels"] == b'["blues", "classical", "jazz", "rock"]'
    columns = {n: [v if v is not None else "" for v in table[n].to_pylist()] for n in COLUMNS}
    wide = ("embedding", "probabilities", "tag_scores")
    return columns, *(np.array(table[n].to_pylist(), np.float32) for n in wide)  # type: ignore[return-value]


_KINDS = ("embedding:", "probability:", "tag:")


def test_an_export_holds_the_tracks_asked_for(planted: PlantedLibrary, tmp_path: Path) -> None:
    with Library(planted.store.path) as library:
        assert library.export(tmp_path / "jazz.npz", ListOptions(genre="jazz")) == 2
        assert library.export(tmp_path / "none.csv", ListOptions(artist="nobody")) == 0
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 1


def test_an_export_replaces_nothing_unasked(planted: PlantedLibrary, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    refused(call("export", out, db=planted.store.path), "out.csv exists", "--force")
    assert out.read_text() == "mine"
    refused(call("export", out, "--force", db=planted.store.path), "is not an export in csv", "")
    out.write_text("track_id,path,artist\n")
    assert call("export", out, "--force", db=planted.store.path).exit_code == 0
    assert out.read_bytes().startswith(b"track_id,path")
    refused(call("export", tmp_path / "x.xls", db=planted.store.path), "'x.xls'", ".parquet")
    refused(call("export", tmp_path / "no" / "x.csv", db=planted.store.path), "does not exist")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_an_export_is_as_documented(run: Run, tmp_path: Path) -> None:
    (example,) = documented("export OUT")
    assert json_of(run("export", tmp_path / "a.npz", "--json")).keys() == example.keys()
    assert paths_of(run("list", "--paths"))
