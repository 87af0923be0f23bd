"""The benchmarks: figures, their reports, planted libraries, and that what is timed is real."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from recsys import Library
from recsys.audio import decode
from recsys.classifier.log_mel import MEL
from recsys.errors import RecsysError
from recsys.library import audio_hash
from recsys.recommender.duplicates import NearDuplicates
from recsys.store import Store, TrackRecord
from recsys.types import Track
from tests.benchmarks import analysis, peers, rescan, search, songs
from tests.benchmarks.__main__ import main
from tests.benchmarks.measuring import (
    Figure,
    Peer,
    Table,
    compare,
    figure_of,
    memory_of,
    run_command,
    timed_calls,
)
from tests.benchmarks.peers import PEERS, absent, measure_peer, nearest_rows, recall_of
from tests.benchmarks.planted_libraries import (
    COPIES,
    DIMENSION,
    SHARES,
    TRACKS_PER_ARTIST,
    Batch,
    batches,
    later_batch,
    make_library,
    music_of,
    path_of,
    planted_model,
    records,
)
from tests.benchmarks.report import as_json, rows_of, surroundings, write_report
from tests.benchmarks.rescan import measure_rescan
from tests.benchmarks.search import SearchOptions, measure_search
from tests.benchmarks.songs import FORMATS, make_songs
from tests.cli.genre_music import make_genres
from tests.stored import unit_rows


def test_a_figure_of_repeats_is_their_median_with_both_ends() -> None:
    found = figure_of("search", [4.0, 1.0, 2.0, 9.0], "ms", target=5.0)
    assert (found.value, found.low, found.high, found.repeats) == (3.0, 1.0, 9.0, 4)
    assert figure_of("search", [4.0, 1.0, 2.0], "ms").value == 2.0
    with pytest.raises(ValueError, match="not measured"):
        figure_of("search", [], "ms")


@pytest.mark.parametrize(
    ("value", "higher", "met"), [(4.0, False, True), (6.0, False, False), (6.0, True, True)]
)
def test_a_promise_is_kept_on_its_own_side(value: float, higher: bool, met: bool) -> None:
    assert Figure("x", value, "ms", target=5.0, higher_is_better=higher).met is met


def test_without_a_promise_nothing_is_kept_or_broken() -> None:
    assert Figure("x", 1.0, "ms").met is None


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    quick, slow = Figure("a", 2.0, "ms"), Figure("b", 8.0, "ms")
    assert compare(quick, "slow 1.0", slow).ratio == 4.0
    many = Figure("a", 80.0, "tracks/s", higher_is_better=True)
    few = Figure("b", 10.0, "tracks/s", higher_is_better=True)
    assert compare(many, "few 1.0", few).ratio == 8.0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        Figure("a", 1.0, "ms").times_better_than(Figure("b", 1.0, "s"))
    with pytest.raises(ValueError, match="no ratio"):
        Figure("a", 0.0, "ms").times_better_than(Figure("b", 1.0, "ms"))


def test_a_table_survives_json_whole() -> None:
    ours, late = Figure("p50", 2.0, "ms", target=5.0), Figure("open", 3.0, "s", target=1.0)
    peer = compare(ours, "other 1.2", Figure("p50", 4.0, "ms"))
    table = Table("search", (ours, late), (peer,), ("absent: not installed",), ("two cores",))
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    assert table.figure("p50") is ours


ANALYSIS = Table(
    "Analysis of 5 files: mp3",
    (Figure("--effort balanced", 8.0, "tracks/s", 3, 7.5, 8.5, higher_is_better=True),),
    (Peer("bliss, two processes", Figure("bliss", 1.0, "tracks/s", higher_is_better=True), 8.0),),
    ("another: not installed",),
)
SEARCH = [
    Table(
        f"Search, {size:,} tracks", (Figure("similar, p50", value, "ms", target=1.0),), tracks=size
    )
    for size, value in ((1_000, 0.9), (10_000, 1.1))
]


def test_json_holds_every_table_whole() -> None:
    found = json.loads(json.dumps(as_json(surroundings(), [ANALYSIS, *SEARCH])))
    assert [Table.from_json(fields) for fields in found["tables"]] == [ANALYSIS, *SEARCH]
    assert found["surroundings"]["processors"] >= 1
    assert "torch" in found["surroundings"]["versions"]


def test_a_page_a_table_and_a_plot_are_written_of_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = {"analysis": [ANALYSIS], "search": SEARCH}
    names = [
        path.name for path in write_report(tmp_path / "new", surroundings(), found, " --quick")
    ]
    assert names == [f"{kind}.{end}" for kind in found for end in ("md", "csv", "png")]
    page = (tmp_path / "new" / "analysis.md").read_text()
    assert "| --effort balanced | 8 tracks/s | 7.5 to 8.5 |  |" in page
    assert "| bliss, two processes | 1 tracks/s |  | recsys is 8 times |" in page
    assert "Skipped: another: not installed." in page
    assert "`python -m tests.benchmarks --only analysis --quick`" in page
    with (tmp_path / "new" / "search.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["system"], float(row["value"])) for row in rows] == [
        ("recsys", 0.9),
        ("recsys", 1.1),
    ]


def test_targets_are_met_or_missed() -> None:
    assert [rows_of(table)[0][3] for table in SEARCH] == ["1, met", "1, missed"]


def test_one_size_alone_makes_no_curve(tmp_path: Path) -> None:
    files = write_report(tmp_path, surroundings(), {"search": SEARCH[:1]})
    assert [path.name for path in files] == ["search.md", "search.csv"]


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecsysError, match="file/out cannot be written to"):
        write_report(tmp_path / "file" / "out", surroundings(), {"search": SEARCH})


@pytest.mark.parametrize(
    ("only", "tables"), [("search", SEARCH), ("rescan", [ANALYSIS]), ("analysis", [ANALYSIS])]
)
def test_one_of_the_three(only: str, tables: list[Table], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "measure_analysis", lambda *_: ANALYSIS)
    monkeypatch.setattr(rescan, "measure_rescan", lambda *_, **__: ANALYSIS)
    monkeypatch.setattr(search, "measure_search", lambda *_: SEARCH)
    found = json.loads(CliRunner().invoke(main, ["--only", only, "--json"]).stdout)
    assert [Table.from_json(fields) for fields in found["tables"]] == tables


def test_a_folder_without_music_is_named(tmp_path: Path) -> None:
    words = ["--only", "analysis", "--audio", str(tmp_path / "none")]
    with pytest.raises(RecsysError, match="none"):
        CliRunner().invoke(main, words, catch_exceptions=False)


@pytest.mark.slow
def test_real_commands_are_timed(tmp_path: Path) -> None:
    music = make_genres(tmp_path / "music", ("blues",), tracks=2, duration_s=4)
    words = ["--only", "analysis", "--audio", str(music), "--quick", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    (table,) = (Table.from_json(fields) for fields in json.loads(result.stdout)["tables"])
    names = [figure.name for figure in table.figures if figure.unit == "tracks/s"]
    assert names == ["--effort fast", "--effort balanced, the default", "--effort full"]
    assert all(figure.value > 0 for figure in table.figures)
    assert not any(figure.note for figure in table.figures)


TRACKS = 600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("planted") / "library.db"
    make_library(path, TRACKS, seed=3)
    return path


def first_batch(tracks: int = 12_000, seed: int = 3) -> Batch:
    return next(batches(tracks, seed))


def test_the_same_seed_makes_the_same_tracks_whatever_their_number() -> None:
    few, many = list(batches(500, 3)), list(batches(13_000, 3))
    np.testing.assert_array_equal(few[0].embeddings, many[0].embeddings[:500])
    assert [(b.first, len(b.embeddings)) for b in many] == [(0, 12_000), (12_000, 1_000)]
    assert not np.array_equal(few[0].embeddings, first_batch(500, seed=4).embeddings)
    assert not np.array_equal(many[0].embeddings[:1000], many[1].embeddings)


def test_tracks_are_nearest_to_their_artist_and_then_to_their_genre() -> None:
    batch = first_batch()
    rows = batch.embeddings
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(batch.probabilities.sum(axis=1), 1, atol=1e-5)
    artists = np.arange(len(rows)) // TRACKS_PER_ARTIST
    genres = batch.probabilities.argmax(axis=1)
    cosines = rows[:1200] @ rows.T
    same_artist = artists[:1200, np.newaxis] == artists
    same_genre = (genres[:1200, np.newaxis] == genres) & ~same_artist
    means = [cosines[same_artist].mean(), cosines[same_genre].mean()]
    means.append(cosines[~same_genre & ~same_artist].mean())
    assert means == sorted(means, reverse=True)
    assert means[0] > means[1] + 0.1 > means[2] + 0.2


def test_genres_are_as_uneven_as_they_are_planted() -> None:
    genres = first_batch().probabilities.argmax(axis=1)
    shares = np.bincount(genres, minlength=len(SHARES)) / len(genres)
    np.testing.assert_allclose(shares, [share for _, share in SHARES], atol=0.04)
    assert SHARES[0][1] * 1_000_000 > 200_000


def test_copies_are_near_duplicates_and_nothing_else_is() -> None:
    batch, model = first_batch(2400), planted_model()
    assert 0 < batch.copies.sum() < 2 * COPIES * len(batch.copies)
    made = records(batch, model)
    with_ids = NearDuplicates()
    found = []
    for number, record in enumerate(made):
        track = as_track(number, record)
        found.append(with_ids.match(track, batch.embeddings[number]))
        with_ids.add(track, batch.embeddings[number])
    np.testing.assert_array_equal(found, batch.copies)


def as_track(number: int, record: TrackRecord) -> Track:
    return Track(
        number, record.file.path, record.tags, record.duration_s, record.audio_hash, "rock"
    )


def test_the_library_holds_what_was_planted(library: Path) -> None:
    batch, model = first_batch(TRACKS), planted_model()
    with Store.open(library, read_only=True) as store:
        assert store.counts()["tracks"] == store.counts()["analyses"] == TRACKS
        assert store.integrity_problems() == []
        ids, genres, rows = next(store.iter_embeddings())
        np.testing.assert_array_equal(ids, np.arange(1, TRACKS + 1))
        np.testing.assert_array_equal(rows, batch.embeddings)
        assert genres == [model.top_genre(p) for p in batch.probabilities]
        track = store.track_by_path(path_of(77, music_of(library)))
        assert track is not None
        assert (track.id, track.artist) == (78, "Artist 0000006")
        (found,) = store.find_tracks("artist 0000006 song 00000077")
        assert found.id == 78


def test_later_tracks_are_new_ones_of_the_same_kind() -> None:
    later, before = later_batch(TRACKS, 24, seed=3), first_batch(TRACKS)
    assert (later.first, len(later.embeddings)) == (TRACKS, 24)
    assert later.embeddings.shape[1] == DIMENSION
    assert (later.embeddings @ before.embeddings.T).max() < 0.999
    assert (later.embeddings @ before.embeddings.T).max() > 0.5


def test_every_file_is_there_and_unchanged(tmp_path: Path) -> None:
    told: list[str] = []
    table = measure_rescan(tmp_path, files=40, repeats=2, on_progress=told.append)
    assert [figure.unit for figure in table.figures] == ["s", "s", "MB", "s", "s"]
    assert table.figures[0].repeats == 2
    assert table.figures[0].target is None
    folder = tmp_path / "rescan-40"
    with Library(folder / "library.db") as library:
        summary = library.index(folder / "music")
    assert (summary.found, summary.unchanged, summary.removed) == (40, 40, 0)
    assert "making 40 files and their library" in told


def test_what_is_left_there_is_used_again(tmp_path: Path) -> None:
    measure_rescan(tmp_path, files=15, repeats=1)
    told: list[str] = []
    measure_rescan(tmp_path, files=15, repeats=1, on_progress=told.append)
    assert told == ["15 unchanged files", "one new file, while watching"]


OPTIONS = SearchOptions(
    sizes=(400,), queries=5, oracle_queries=3, cold_runs=1, peers=True, largest_peer=100
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("search")
    return place


def test_every_promise_is_measured_and_the_library_is_left_as_it_was(place: Path) -> None:
    said: list[str] = []
    (table,) = measure_search(place, OPTIONS, said.append)
    names = [figure.name for figure in table.figures]
    assert len(names) == len(set(names))
    assert {"similar, p50", "open the index", "recsys similar, cold", "index on disk"} <= set(names)
    assert table.figure("recall@20 of whole answers").value == 1.0  # parts so small are exact
    assert all(figure.value > 0 for figure in table.figures)
    assert all(figure.target is None for figure in table.figures[:3])  # none for this size
    assert said[0] == "400 tracks: making the library"
    (database,) = place.glob("*/library.db")
    with Store.open(database, read_only=True) as store:
        assert store.counts()["tracks"] == 400


def test_a_library_that_is_there_is_used_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "make_library", None)
    monkeypatch.setattr(search, "PEERS", {})
    assert measure_search(place, OPTIONS)[0].peers == ()


def test_graphs_of_large_libraries_are_left_out_by_name(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "absent", lambda name: name == "voyager")
    (table,) = measure_search(place, OPTIONS)
    assert [peer.name.split()[0] for peer in table.peers] == ["NumPy"]
    assert table.skipped == (
        "FAISS: not built above 100 tracks",
        "voyager: not installed (make bench installs it)",
        "usearch: not built above 100 tracks",
    )


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_finds_the_nearest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A graph that several threads build at once differs from run to run, and may miss some.
    monkeypatch.setattr(peers, "_processors", lambda: 1)
    if absent(name):
        pytest.skip(f"{name} is not installed")
    rows = unit_rows(300, 16)
    found = measure_peer(name, rows, rows[:10], nearest_rows(rows, rows[:10]))
    assert found.recall.value >= 0.99
    assert found.name.startswith(name)


def test_a_peer_looks_further_until_its_recall_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(300, 16)
    right, asked = nearest_rows(rows, rows[:2]), []

    def build(_: object) -> peers.Contender:
        answers = {40: right[0][::-1] + 1000, 80: right[0], 160: right[0]}
        return peers.Contender(lambda _: answers[asked[-1]], asked.append)

    monkeypatch.setitem(PEERS, "NumPy", ("numpy", "stub", build))
    found = measure_peer("NumPy", rows, rows[:1], right[:1])
    assert (asked, found.recall.value, found.p50.note) == ([40, 80], 1.0, "ef 80")


def test_recall_is_the_share_that_was_found() -> None:
    right = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert recall_of([np.array([4, 3, 2, 1]), np.array([5, 9, 10, 11])], right) == (1 + 1 / 4) / 2


def test_every_call_is_timed() -> None:
    calls: list[int] = []
    times = timed_calls(lambda: calls.append(1), 3)
    assert (len(calls), len(times.wall_s), len(times.cpu_s)) == (3, 3, 3)


def test_memory_is_seen_from_outside(tmp_path: Path) -> None:
    megabytes = 60
    script = f"import time; data = b'x' * {megabytes * 10**6}; time.sleep(0.5)"
    small = run_command([sys.executable, "-c", "import time; time.sleep(0.5)"], tmp_path)
    large = run_command([sys.executable, "-c", script], tmp_path)
    assert large.peak_pss_mb - small.peak_pss_mb == pytest.approx(megabytes, rel=0.1)
    assert memory_of(psutil.Process().pid) > 1


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="ended with 3"):
        run_command([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


@pytest.fixture
def _short_phrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(songs, "_RENDERED_S", 2.0)


@pytest.mark.usefixtures("_short_phrases")
def test_every_format_is_whole_and_no_two_sound_alike(tmp_path: Path) -> None:
    paths = make_songs(tmp_path, 10, duration_s=5.0)
    assert [path.suffix for path in paths] == [*FORMATS, *FORMATS]
    for path in paths:
        waveform = decode(path, MEL)
        assert waveform.duration_s == pytest.approx(5.0, abs=0.1)
        assert waveform.warning is None
    assert len({audio_hash(path) for path in paths}) == 10


@pytest.mark.usefixtures("_short_phrases")
def test_songs_that_are_there_are_taken_as_they_are(tmp_path: Path) -> None:
    first = make_songs(tmp_path, 2, duration_s=1.0)
    first[0].write_bytes(b"mine")
    again = make_songs(tmp_path, 3, duration_s=1.0)
    assert again[:2] == first
    assert first[0].read_bytes() == b"mine"
