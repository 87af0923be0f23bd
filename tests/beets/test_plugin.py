"""The plugin in the real beets: fields, imports, answers, a library that is half moved."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mutagen
import pytest

from recsys.api import Library
from recsys.demo import make_library

pytest.importorskip("beets", reason="needs beets from PyPI")

from beetsplug.recsys import RecsysPlugin, _in_beets, _progress, field_name, fields_of
from recsys.indexing import IndexPlan
from recsys.types import IndexEvent, IndexStatus, Kind, Range, Tags, Track

SETTINGS = """\
directory: {folder}/music
library: {folder}/beets.db
plugins: recsys
create_backup_before_migrations: no
import: {{copy: no, move: no, write: no, autotag: no, quiet: yes, duplicate_action: keep}}
recsys: {{db: own.db, auto: {auto}}}
"""


@dataclass(frozen=True)
class Beets:
    folder: Path

    def run(self, *words: object) -> str:
        """Run ``beet`` and return its output."""
        return self.done(*words).stdout

    def said(self, *words: object, code: int = 0) -> str:
        """Run ``beet`` and return what it tells: its output and its messages."""
        done = self.done(*words, code=code)
        return done.stdout + done.stderr

    def done(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "beets", *map(str, words)],
            env={**os.environ, "BEETSDIR": str(self.folder), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == code, done.stderr
        return done

    def titles(self, *query: str) -> list[str]:
        return self.run("ls", "-f", "$title", *query).splitlines()


def new_beets(folder: Path, *, auto: bool) -> Beets:
    make_library(folder / "music", styles=("chamber", "overdrive"), per_style=2, duration_s=8)
    settings = SETTINGS.format(folder=folder, auto="yes" if auto else "no")
    (folder / "config.yaml").write_text(settings)
    return Beets(folder)


@pytest.fixture(scope="module")
def beets(tmp_path_factory: pytest.TempPathFactory) -> Beets:
    """Return beets with four items that are analysed."""
    beets = new_beets(tmp_path_factory.mktemp("beets"), auto=False)
    beets.run("import", beets.folder / "music")
    assert "4 files: 4 analysed; 4 items changed" in beets.run("recsys", "index")
    return beets


CHAMBER = ["Chamber no. 1", "Chamber no. 2"]
OVERDRIVE = ["Overdrive no. 1", "Overdrive no. 2"]


@pytest.mark.slow
def test_fields_are_what_recsys_knows(beets: Beets) -> None:
    shown = beets.run("ls", "-f", "$path|$recsys_genre|$recsys_energy|$recsys_sad")
    with Library(beets.folder / "own.db") as library:
        for line in shown.splitlines():
            path, genre, energy, sad = line.split("|")
            track = library.store.track_by_path(Path(path))
            assert track is not None
            assert genre == track.genre_group
            assert float(energy) == pytest.approx(track.energy, abs=0.006)
            own = library.tag_strengths([track.id])[track.id]
            assert float(sad) == pytest.approx(own["sad"], abs=0.006)


@pytest.mark.slow
def test_queries_by_genre_mood_and_strength(beets: Beets) -> None:
    assert sorted(beets.titles("recsys_energy:0.5..")) == OVERDRIVE
    assert sorted(beets.titles("recsys_mood:sad", "recsys_sad:1..")) == CHAMBER
    assert beets.titles("recsys_sad:..-5") == []
    genre = beets.run("ls", "-f", "$recsys_genre", "title:Overdrive no. 1").strip()
    assert "Overdrive no. 1" in beets.titles(f"recsys_genre:{genre}")


@pytest.mark.slow
def test_answers_are_items(beets: Beets) -> None:
    nearest = beets.run("recsys", "similar", "-k", 1, "-f", "$title", "Chamber no. 1")
    assert nearest == "Chamber no. 2\n"
    listed = beets.run("recsys", "playlist", "-l", 3, "-f", "$title", "Overdrive no. 2")
    assert listed.splitlines()[:2] == OVERDRIVE[::-1]
    target = beets.folder / "evening.m3u8"
    beets.run("recsys", "playlist", "-l", 3, "-o", target, "Chamber")
    assert target.read_text().count("#EXTINF") == 3


@pytest.mark.slow
def test_genres_are_written_only_when_asked(beets: Beets) -> None:
    (path,) = beets.run("ls", "-f", "$path", "Chamber no. 1").splitlines()
    before = mutagen.File(path).tags
    beets.run("modify", "-y", "-M", "-W", "genres!", "Chamber no. 1")
    assert "0 items changed" in beets.run("recsys", "index", "Chamber no. 1")
    assert beets.run("ls", "-f", "[$genres]", "Chamber no. 1") == "[]\n"
    assert "1 items changed" in beets.run("recsys", "index", "--genres", "Chamber no. 1")
    genre = beets.run("ls", "-f", "$recsys_genre", "Chamber no. 1").strip()
    assert beets.run("ls", "-f", "$genres", "Chamber no. 1").strip() == genre.title()
    assert mutagen.File(path).tags == before  # import.write is off


@pytest.mark.slow
def test_what_cannot_be_answered(beets: Beets) -> None:
    assert "usage: beet recsys index|similar|playlist" in beets.said("recsys", "nonsense", code=1)
    assert "no item of beets matches: nosuch" in beets.said("recsys", "similar", "nosuch", code=1)
    assert "name the items" in beets.said("recsys", "playlist", code=1)
    assert "from 1" in beets.said("recsys", "similar", "-k", 0, "Chamber", code=1)


@pytest.mark.slow
def test_an_import_is_analysed_and_a_library_half_moved_is_told(tmp_path: Path) -> None:
    beets = new_beets(tmp_path, auto=True)
    assert "beets has no items yet" in beets.said("recsys", "index", code=1)
    beets.run("import", tmp_path / "music")
    assert sorted(beets.titles("recsys_energy:0.5..")) == OVERDRIVE
    # Half of it is elsewhere now: nothing is lost, and it says so.
    away = tmp_path / "away"
    away.mkdir()
    for folder in (tmp_path / "music").glob("*Chamber*"):
        folder.rename(away / folder.name)
    said = beets.said("recsys", "index")
    assert "2 of 4 files are not where beets has them" in said
    assert "2 files: 0 analysed; 0 items changed" in said
    assert "not where beets has them" in beets.said("recsys", "similar", "Chamber", code=1)
    assert beets.run("recsys", "similar", "-f", "$title", "Overdrive no. 1") == "Overdrive no. 2\n"
    with Library(tmp_path / "own.db") as library:
        assert library.status().tracks == 4
    # beets knows the new place of one: it is the same track.
    (moved,) = (away / "The Chamber Band").glob("*")
    beets.run("import", away / "The Chamber Band")
    with Library(tmp_path / "own.db") as library:
        assert library.store.track_by_path(moved) is not None
        assert library.status().tracks == 4


def test_a_note_names_no_command_for_another_library() -> None:
    note = "1 track is left out, because the file is gone, a.mp3 for one: run recsys index"
    assert _in_beets(note) == note.removesuffix(": run recsys index")


def test_names_of_fields() -> None:
    assert [field_name(tag) for tag in ("Hip-Hop", "80s", "rock & roll")] == [
        "hip_hop",
        "80s",
        "rock_roll",
    ]


def test_fields_of_a_track() -> None:
    track = Track(
        1, Path("/m/a.flac"), Tags(), 60.0, "h", "jazz", kind=Kind.MUSIC, energy=0.25, valence=0.1
    )
    moods = {
        "sad": {"valence": Range(None, 0.3)},
        "calm": {"energy": Range(None, 0.3), "valence": Range(0.5, None)},
        "still": {"energy": Range(None, 0.5)},
    }
    assert fields_of(track, {"Hip-Hop": 1.23456}, moods) == {
        "recsys_genre": "jazz",
        "recsys_mood": "sad; still",
        "recsys_energy": 0.25,
        "recsys_valence": 0.1,
        "recsys_hip_hop": 1.235,
    }


def test_a_long_analysis_tells_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    tell = _progress()
    tell(IndexPlan(found=300, pending=250))
    for i in range(250):
        tell(IndexEvent(Path(f"/m/{i}"), IndexStatus.INDEXED))
        tell(IndexEvent(Path(f"/n/{i}"), IndexStatus.UNCHANGED))
    assert capsys.readouterr().out == "".join(f"{n} of 250 files analysed\n" for n in (100, 200))


def test_fields_have_types_without_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DB", str(tmp_path / "none.db"))
    types = RecsysPlugin().item_types
    assert {"recsys_genre", "recsys_mood", "recsys_sad", "recsys_energy"} <= types.keys()
    assert types["recsys_sad"].model_type is float
