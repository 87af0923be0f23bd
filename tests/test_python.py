"""The library in Python: threads, asyncio, closing, options of a wrong type, notebooks."""

from __future__ import annotations

import asyncio
import doctest
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys import (
    Filters,
    IndexOptions,
    Library,
    ListOptions,
    PlaylistOptions,
    RadioOptions,
    RecsysError,
    SimilarOptions,
)
from recsys.errors import LibraryBusyError, QueryError
from recsys.quality import QualityOptions
from recsys.store import LibraryLock, Store
from recsys.store.connection import _open_files
from tests.planted import PlantedLibrary, Sound, scattered, unit

TRACKS = 40


@pytest.fixture
def planted(tmp_path: Path) -> PlantedLibrary:
    rng = np.random.default_rng(0)
    return PlantedLibrary(tmp_path, scattered(TRACKS, rng, artists=8))


@pytest.fixture
def library(planted: PlantedLibrary) -> Iterator[Library]:
    with Library(planted.store.path) as library:
        yield library


def ids(library: Library, seed: int) -> list[int]:
    return [track.id for track in library.similar(seed, k=5).tracks]


# Threads


def test_four_threads_ask_while_one_indexes(planted: PlantedLibrary, library: Library) -> None:
    """Every answer is whole: of tracks that are there, none twice, and the seed never in it."""
    rng = np.random.default_rng(1)
    stop, answers, trouble = threading.Event(), [0] * 4, []

    def ask(number: int) -> None:
        try:
            while not stop.is_set() or not answers[number]:
                found = ids(library, 1 + number)
                assert len(set(found)) == 5
                assert 1 + number not in found
                playlist = library.playlist(1 + number, PlaylistOptions(length=4, seed=number))
                assert len({track.id for track in playlist.tracks}) == 4
                assert sum(1 for _ in library.tracks()) >= TRACKS
                answers[number] += 1
        except BaseException as error:
            trouble.append(error)
            raise

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        planted.add(scattered(3, rng, artists=8))
    stop.set()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert min(answers) > 0
    # What was written is seen by all of them, and by a thread of its own.
    assert len(list(library.tracks())) == TRACKS + 90
    with ThreadPoolExecutor(1) as other:
        assert other.submit(ids, library, 1).result() == ids(library, 1)


def test_real_files_are_indexed_while_four_threads_ask(tmp_path: Path) -> None:
    from recsys.demo import make_library

    first, second = tmp_path / "first", tmp_path / "second"
    make_library(first, styles=("chamber", "overdrive"), per_style=2, duration_s=10)
    make_library(second, styles=("chamber", "overdrive"), per_style=2, duration_s=11)
    with Library(tmp_path / "library.db") as library, ThreadPoolExecutor(5) as threads:
        library.index(first, IndexOptions(workers=1))
        seed = next(library.tracks())
        running = threads.submit(library.index, second, IndexOptions(workers=1))
        asking = [threads.submit(library.similar, seed, k=3) for _ in range(40)]
        assert all(len(future.result().results) == 3 for future in asking)
        assert running.result().indexed == 4
        everything = SimilarOptions(k=7, show_duplicates=True)
        assert len(library.similar(seed, everything).results) == 7


def test_tasks_of_asyncio_ask_at_the_same_time(library: Library) -> None:
    async def main() -> list[list[int]]:
        return await asyncio.gather(*(asyncio.to_thread(ids, library, i) for i in (1, 2, 3, 1)))

    found = asyncio.run(main())
    assert found == [ids(library, i) for i in (1, 2, 3, 1)]


def test_a_thread_that_ends_closes_its_connection(library: Library) -> None:
    ids(library, 1)
    gc.collect()  # those of earlier tests are gone
    before = sum(_open_files.values())
    for _ in range(3):
        thread = threading.Thread(target=ids, args=(library, 1))
        thread.start()
        thread.join()
    gc.collect()
    assert sum(_open_files.values()) == before


def test_one_thread_indexes_at_a_time(planted: PlantedLibrary, library: Library) -> None:
    with LibraryLock(planted.store.path), pytest.raises(LibraryBusyError, match="being written by"):
        library.doctor(vacuum=True)


def test_opening_a_library_again_drops_no_lock(planted: PlantedLibrary) -> None:
    """POSIX drops all locks of a process with any descriptor of the file that it closes."""
    locks = Path("/proc/locks")
    if not locks.exists():
        pytest.skip("no /proc/locks")
    inode = f":{planted.store.path.stat().st_ino} "

    def held() -> int:
        return sum(inode in line for line in locks.read_text().splitlines())

    with Store.open(planted.store.path, read_only=True) as reader:
        assert reader.track(1) is not None
        before = held()
        assert before > 0
        Store.open(planted.store.path, read_only=True).close()
        assert held() == before


# Closing


def test_a_closed_library_answers_nothing(planted: PlantedLibrary) -> None:
    library = Library(planted.store.path)
    assert len(ids(library, 1)) == 5
    library.close()
    library.close()
    for ask in (
        lambda: library.similar(1),
        lambda: library.playlist(1),
        library.tracks,
        library.status,
        library.index,
        library.folders,
        lambda: library.track(1),
        lambda: list(library.classify("a.wav")),
        lambda: library.store,
        lambda: library.database,
    ):
        with pytest.raises(QueryError, match="this library was closed") as caught:
            ask()
        assert str(planted.store.path) in caught.value.message
    assert repr(library) == f"<Library {planted.store.path}, closed>"


def test_closing_refuses_other_threads_too(library: Library) -> None:
    with ThreadPoolExecutor(1) as other:
        assert other.submit(ids, library, 1).result()
        library.close()
        with pytest.raises(QueryError, match="this library was closed"):
            other.submit(ids, library, 1).result()


def test_repairs_leave_the_library_open(library: Library) -> None:
    before = ids(library, 1)
    library.doctor(vacuum=True, rebuild=True)
    assert ids(library, 1) == before


# Tracks


def test_tracks_are_seeds_and_lists_to_continue(library: Library) -> None:
    track = library.track(7)
    assert ids(library, 7) == [t.id for t in library.similar(track, k=5).tracks]
    assert ids(library, 7) == [t.id for t in library.similar("id:7", k=5).tracks]
    playlist = library.playlist([track, 8], PlaylistOptions(length=5))
    more = library.extend(playlist.tracks, PlaylistOptions(length=2))
    assert len(more.tracks) == 2
    assert not {t.id for t in playlist.tracks} & {t.id for t in more.tracks}


@pytest.mark.parametrize("seed", [3.5, None, [1.5], [None], True, [False], b"x", 10**30])
def test_what_is_no_seed_is_named(library: Library, seed: object) -> None:
    with pytest.raises(QueryError, match=r"is no seed|no track") as caught:
        library.similar(seed)  # type: ignore[arg-type]
    assert caught.value.hint


def test_an_unknown_id_is_an_error(library: Library) -> None:
    for number in (4711, 0, -1, 10**30):
        with pytest.raises(QueryError, match=f"no track has the id {number}"):
            library.track(number)
    for other in (None, "1", 1.5, True, library.track(1)):
        with pytest.raises(QueryError, match="an id is a whole number, got") as caught:
            library.track(other)  # type: ignore[arg-type]
        assert caught.value.hint


def test_a_list_to_continue_may_have_ids(library: Library) -> None:
    paths = [library.track(each).path for each in (7, 8)]
    options = PlaylistOptions(length=2)
    assert library.extend([7, 8], options).tracks == library.extend(paths, options).tracks
    for strange in (None, "list.m3u8", [None], [1.5]):
        with pytest.raises(QueryError, match=r"is no seed|is no track of a list"):
            library.extend(strange)  # type: ignore[arg-type]


def test_a_session_of_radio_is_a_number(library: Library) -> None:
    with pytest.raises(QueryError, match="session must be a whole number, got '1'"):
        library.radio(session="1")  # type: ignore[arg-type]


def test_a_playlist_is_saved(library: Library, tmp_path: Path) -> None:
    playlist = library.playlist(1, PlaylistOptions(length=3))
    assert playlist.save(tmp_path / "list.m3u8") == ()
    lines = (tmp_path / "list.m3u8").read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert [line for line in lines if line[0] != "#"] == [str(t.path) for t in playlist.tracks]
    playlist.save(str(tmp_path / "list"), format="paths")
    assert (tmp_path / "list").read_text().splitlines() == [str(t.path) for t in playlist.tracks]
    with pytest.raises(RecsysError, match="no extension of a playlist format"):
        playlist.save(tmp_path / "list.doc")


def test_what_a_format_cannot_express_is_returned(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", unit([1] + [0] * 15), path="/music/a.flac", title="A"),
        Sound("jazz", unit([1, 1] + [0] * 14), path="/music/b\n.flac", title="B"),
    ]
    planted = PlantedLibrary(tmp_path, sounds)
    with Library(planted.store.path) as library:
        playlist = library.playlist(1, PlaylistOptions(length=2))
    assert [track.id for track in playlist.save(tmp_path / "list.m3u8")] == [2]


# Options of a wrong type


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SimilarOptions(k="3"), "k must be a whole number, got '3'"),
        (lambda: SimilarOptions(k=2.5), "k must be a whole number, got 2.5"),
        (lambda: SimilarOptions(k=True), "k must be a whole number, got True"),
        (lambda: Filters(exclude=(3,)), "exclude must hold texts, got 3"),
        (lambda: SimilarOptions(k=None), "k must be a whole number, got None"),
        (lambda: SimilarOptions(tags="chill"), "tags must be several names, got the text 'chill'"),
        (lambda: SimilarOptions(tags=(1,)), r"tags must be several names, got \(1,\)"),
        (lambda: SimilarOptions(genre=5), "genre must be text, got 5"),
        (lambda: SimilarOptions(strategy="tears"), "unknown strategy 'tears'; did you mean"),
        (lambda: SimilarOptions(strategy=None), "unknown strategy None"),
        (lambda: SimilarOptions(no_same_album="no"), "no_same_album must be True or False"),
        (lambda: PlaylistOptions(tags="chill"), "tags must be several names, .* 'chill'"),
        (lambda: PlaylistOptions(length="20"), "length must be a whole number, got '20'"),
        (lambda: PlaylistOptions(duration_s="2h"), "duration_s must be a number, got '2h'"),
        (lambda: PlaylistOptions(diversity="0.5"), "diversity must be a number, got '0.5'"),
        (lambda: RadioOptions(tags="chill"), "tags must be several names, got the text 'chill'"),
        (lambda: RadioOptions(length=1.5), "length must be a whole number, got 1.5"),
        (lambda: Filters(min_length_s="60"), "min_length_s must be a number, got '60'"),
        (lambda: Filters(no_same_artist="no"), "no_same_artist must be True or False"),
        (lambda: IndexOptions(workers="2"), "workers must be a whole number, got '2'"),
        (lambda: IndexOptions(workers=0), "workers must be at least 1, got 0"),
        (lambda: QualityOptions(k="10"), "k must be a whole number, got '10'"),
        (lambda: ListOptions(tags="chill"), "tags must be several names, got the text 'chill'"),
        (lambda: ListOptions(added_since="30d"), "added_since must be a datetime .*, got '30d'"),
        (lambda: ListOptions(artist=" "), "artist is empty"),
        (lambda: Library(effort="medium"), "unknown effort 'medium'"),
    ],
)  # fmt: skip
def test_options_of_a_wrong_type_are_named(make: object, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.hint


def test_k_as_text_is_an_error_of_the_verb_too(library: Library) -> None:
    with pytest.raises(QueryError, match="k must be a whole number, got '3'"):
        library.similar(1, k="3")  # type: ignore[arg-type]


def test_numbers_of_numpy_and_lists_of_names_are_taken(library: Library) -> None:
    assert len(library.similar(1, k=np.int64(3)).results) == 3
    assert SimilarOptions(tags=["mellow"]).tags == ["mellow"]  # type: ignore[arg-type]


# Notebooks


def test_reprs_are_one_short_line(library: Library, planted: PlantedLibrary) -> None:
    track = library.track(1)
    answer, playlist = library.similar(1, k=3), library.playlist(1, PlaylistOptions(length=3))
    assert repr(track) == f"<Track 1: {track.display_name} ({track.genre})>"
    assert repr(answer).startswith(f"<Answer: 3 tracks like {track.display_name} (")
    assert repr(playlist).startswith(f"<Playlist 'Like {track.display_name}': 3 tracks, ")
    assert repr(library) == f"<Library {planted.store.path}>"
    radio = library.radio(1, RadioOptions(length=3))
    assert repr(radio) == f"<RadioAnswer: 3 tracks of session 1, from {track.display_name}>"
    assert radio.tracks == tuple(row.track for row in radio.results)
    assert all(len(repr(each)) < 200 for each in (track, answer, playlist, library, radio))


def test_notebooks_get_tables_with_escaped_names(tmp_path: Path) -> None:
    odd = "<b>&\udcff"
    sounds = [Sound("jazz", unit([1, i] + [0] * 14), title=f"{odd}{i}") for i in range(120)]
    planted = PlantedLibrary(tmp_path, sounds)
    with Library(planted.store.path) as library:
        answer = library.similar(1, SimilarOptions(k=110, show_duplicates=True))
        shown = [answer, library.playlist(1), library.track(1), library.radio(1), library]
        tables = [each._repr_html_() for each in shown]
    for table in tables:
        assert table.startswith("<table><caption>")
        assert "<b>" not in table
        table.encode()
    assert "<td>jazz</td><td>120</td>" in tables[-1]
    assert "and 10 more" in tables[0]
    assert "closed" in library._repr_html_()


def test_the_package_lists_what_it_loads_on_demand() -> None:
    assert set(recsys.__all__) <= set(dir(recsys))
    from recsys import classifier, store

    assert "predict_mel" in dir(classifier)
    assert "Store" in dir(store)


def test_the_page_on_python_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[1] / "docs" / "python.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 30
    assert failed == 0
