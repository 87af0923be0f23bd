"""A damaged index is rebuilt or refused: it never answers wrongly, nor asks for much memory."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.errors import GenreIndexError
from recsys.index import genre_index
from recsys.index.genre_index import MANIFEST, GenreIndex, read_manifest
from recsys.types import FloatArray
from tests.fuzz.mutations import mutated
from tests.stored import unit_rows

DIMENSION = 16
FLAT_LIMIT = 700
PARTS = {"jazz": np.arange(900), "rock": np.arange(1000, 1040)}
QUERY: FloatArray = unit_rows(1, DIMENSION, 9)[0]


def fill(index: GenreIndex) -> None:
    """Add one part with codes, and a flat one."""
    for genre, ids in PARTS.items():
        index.add(genre, ids, unit_rows(len(ids), DIMENSION, len(ids)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    index = GenreIndex(DIMENSION, flat_limit=FLAT_LIMIT)
    fill(index)
    index.save(folder, fingerprint="model", revision=3)
    return folder


def answers(folder: Path) -> Any:
    index = GenreIndex.load(folder, flat_limit=FLAT_LIMIT, on_damage=fill)
    found = [index.search(genre, QUERY, 20) for genre in (None, "jazz", "rock")]
    identity = (index.fingerprint, index.revision, index.dimension, index.highest_id)
    return identity, index.genres, found, index.vectors([1, 1001]).tolist()


def check_damaged(saved: Path, folder: Path, count: int) -> dict[str, int]:
    """Damage one file after the other; return how often the answer was right or refused."""
    right, outcomes = answers(saved), {"right": 0, "refused": 0}
    names = sorted(path.name for path in saved.iterdir())
    for number in range(count):
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(saved, work)
        name = names[number % len(names)]
        data = (saved / name).read_bytes()
        (work / name).write_bytes(mutated(data, [data], f"{number}", 2))
        try:
            assert answers(work) == right, (number, name)
            outcomes["right"] += 1
        except GenreIndexError:
            outcomes["refused"] += 1
    return outcomes


def test_damaged_files(saved: Path, tmp_path: Path) -> None:
    outcomes = check_damaged(saved, tmp_path, 300)
    assert min(outcomes.values()) > 30


@pytest.mark.slow
def test_many_damaged_files(saved: Path, tmp_path: Path) -> None:
    check_damaged(saved, tmp_path, 20_000)


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads((folder / MANIFEST).read_text())
    edit(fields)
    (folder / MANIFEST).write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.update(revision=4),
        lambda fields: fields.update(dimension=2**40),
        lambda fields: fields["parts"][0].update(genre="jezz"),
        lambda fields: fields["parts"][0].update(count=2**40),
        lambda fields: fields["parts"].pop(),
    ],
)
def test_any_change_of_the_manifest_is_damage(
    edit: Callable[[dict[str, Any]], None], saved: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    change(tmp_path, edit)
    with pytest.raises(GenreIndexError, match="checksum"):
        GenreIndex.load(tmp_path)


def test_a_manifest_without_a_checksum_is_read(saved: Path, tmp_path: Path) -> None:
    """It is of an earlier recsys."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    change(tmp_path, lambda fields: fields.pop("crc32"))
    assert read_manifest(tmp_path) == read_manifest(saved)


def test_sizes_that_cannot_be_are_damage_without_a_checksum(saved: Path, tmp_path: Path) -> None:
    for name in ("count", "rows_at", "size", "highest_id", "k_factor"):
        for value in (-1, 0, 2**31, 2**62):
            shutil.copytree(saved, tmp_path, dirs_exist_ok=True)

            def edit(fields: dict[str, Any], name: str = name, value: int = value) -> None:
                fields["parts"][0][name] = value
                fields.pop("crc32")

            change(tmp_path, edit)
            if name in ("highest_id", "k_factor") and value > 0:  # speed alone depends on them
                GenreIndex.load(tmp_path).search("jazz", QUERY, 5)
                continue
            if name == "highest_id" and value == 0:
                continue
            with pytest.raises(GenreIndexError):
                GenreIndex.load(tmp_path).search("jazz", QUERY, 5)


def test_rows_of_a_large_part_are_checked_when_they_are_answers(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not checked at first use, and a NaN would be in every answer."""
    monkeypatch.setattr(genre_index, "CHECKED_BYTES", 0)
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    part = read_manifest(tmp_path).parts[1]
    content = bytearray((tmp_path / part.file).read_bytes())
    for row in range(part.count):
        at = part.rows_at + 2 * DIMENSION * row
        content[at : at + 2] = b"\x00\x7e"  # NaN
    (tmp_path / part.file).write_bytes(content)
    with pytest.raises(GenreIndexError, match="unit vector"):
        GenreIndex.load(tmp_path).search("rock", QUERY, 5)
    assert answers(tmp_path) == answers(saved)
    assert GenreIndex.load(tmp_path).verify() != []


def test_damage_to_large_parts_is_no_crash(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the files were too large to be checked: FAISS reads them as they are."""
    monkeypatch.setattr(genre_index, "CHECKED_BYTES", 0)
    names = [part.file for part in read_manifest(saved).parts]
    for number in range(150):
        shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
        rng = random.Random(number)
        path = tmp_path / names[number % 2]
        content = bytearray(path.read_bytes())
        start = {0: 0, 1: read_manifest(saved).parts[number % 2].rows_at - 200}[number // 2 % 2]
        for _ in range(rng.choice((1, 4, 16))):
            content[start + rng.randrange(300)] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            answers(tmp_path)
        except GenreIndexError:
            continue
