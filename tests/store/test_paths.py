"""Any bytes that a file system allows in a name are found again, and only where they belong."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.store import store as store_module
from recsys.store.rows import key_path, path_key
from recsys.types import Failure
from tests.stored import analysed, audio_file, new_library, record

if TYPE_CHECKING:
    from recsys.store import Store

NAMES = [b"a", b"ab", b"a%b", b"a_b", b"A", b"a b", "é".encode(), b"\xff", b"a\xff", b"a0", b"a."]
NAMES += ["日本".encode(), "e\u0301".encode(), b"a\n", b"'", b"\x7f", "\U0010ffff".encode()]

components = st.one_of(
    st.sampled_from(NAMES),
    st.binary(min_size=1, max_size=3).filter(lambda b: not set(b) & {0, 47} and b.strip(b".")),
)


def as_path(parts: list[bytes]) -> Path:
    return Path(os.fsdecode(b"/" + b"/".join(parts)))


paths = st.lists(components, min_size=1, max_size=3).map(as_path)


@given(paths)
def test_a_path_comes_back_from_its_key(path: Path) -> None:
    key = path_key(path)
    assert key_path(key) == path
    if isinstance(key, str):
        assert key.encode() == os.fsencode(path)


def fill(store: Store, found: list[Path]) -> None:
    store.write([record(path, analysed()) for path in found])
    store.write([], [Failure(audio_file(f"{path}.bad"), "no sound") for path in found])


@settings(max_examples=40, deadline=None)
@given(st.lists(paths, min_size=1, max_size=25, unique=True), st.lists(components, max_size=2))
def test_what_lies_under_a_folder_is_what_pathlib_says(
    found: list[Path], root: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder, new_library(Path(folder)) as store:
        fill(store, found)
        top = as_path(root)
        under = [path for _, path in store.iter_tracks_under(top)]
        assert sorted(under) == sorted(path for path in found if path.is_relative_to(top))
        failed = {Path(f"{path}.bad") for path in found}
        expected = {path for path in failed if path.is_relative_to(top)}
        assert set(store.iter_failures_under(top)) == expected
        for path in found:
            known = store.lookup(path)
            assert known is not None
            assert known.track_id is not None
            track = store.track(known.track_id)
            assert track is not None
            assert track.path == path


def test_every_pair_of_awkward_folders_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAGE", 2)
    folders = [as_path([b"music", name]) for name in NAMES]
    inside = {
        folder: {folder / "x.mp3", folder / "y\udcfe.mp3", folder / "z"} for folder in folders
    }
    with new_library(tmp_path) as store:
        store.write([record(path, analysed()) for found in inside.values() for path in found])
        for folder, expected in inside.items():
            found = [path for _, path in store.iter_tracks_under(folder)]
            assert len(found) == 3
            assert set(found) == expected
        everything = [path for _, path in store.iter_tracks_under(Path("/music"))]
        assert len(everything) == len(set(everything)) == 3 * len(NAMES)


def test_a_root_that_is_a_file_holds_itself(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        (track_id, _) = store.write(
            [record("/m/a.mp3", analysed()), record("/m/a.mp3x", analysed())]
        )
        assert list(store.iter_tracks_under(Path("/m/a.mp3"))) == [(track_id, Path("/m/a.mp3"))]


def test_tracks_under_a_folder_can_be_removed_while_they_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAGE", 3)
    with new_library(tmp_path) as store:
        store.write([record(f"/m/{i}", analysed()) for i in range(10)])
        seen = 0
        for track_id, _ in store.iter_tracks_under(Path("/m")):
            store.write([], removed=[track_id])
            seen += 1
        assert (seen, store.counts()["tracks"]) == (10, 0)


def test_many_paths_are_looked_up_at_once(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        text, raw = Path("/m/a.mp3"), as_path([b"m", b"\xff.mp3"])
        fill(store, [text, raw])
        asked = [raw, Path("/m/never"), Path(f"{raw}.bad"), text, Path(f"{text}.bad"), text]
        found = store.lookups(asked)
        assert found == [store.lookup(path) for path in asked]
        assert [None if one is None else one.failure is None for one in found] == [
            *(True, None, False, True, False, True)
        ]
        assert store.lookups([]) == []
