"""Record what the program answers: ``python -m tests.golden.record OUT.json``.

The public command line is run on the demo library, and on the real audio of RECSYS_REAL_DATA where
``--real`` is given; everything it answers is written to one JSON file. ``tests.golden.compare``
compares two such files. Because only commands, exit codes, JSON and the database file are used, a
recording survives any rearrangement of the modules.

What may be spelled differently by another version of the program stands in two tables: commands in
COMMANDS, queries of the database in QUERIES. The first spelling that the program knows is used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import soundfile

Answers = dict[str, Any]

DEMO = Path(__file__).with_name("demo.json")
"""The recording of the demo library that the repository keeps."""

COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "audit": (("audit",),),
    "classify": (("classify",),),
    "doctor": (("doctor",),),
    "evaluate": (("model", "evaluate"), ("evaluate",)),
    "explore": (("papers", "explore"), ("explore",)),
    "export": (("model", "export"), ("export",)),
    "features": (("papers", "features"), ("features",)),
    "import": (("cluster", "import"), ("import",)),
    "index": (("index",),),
    "index again with effort full": (("index", "--effort", "full", "--reanalyse"),),
    "index, keep missing": (("index", "--keep-missing"),),
    "playlist": (("playlist",),),
    "push": (("milvus", "push"), ("push",)),
    "quality": (("quality",),),
    "recipes": (("papers", "list"), ("recipes",)),
    "reproduce": (("papers", "reproduce"), ("reproduce",)),
    "robustness": (("model", "robustness"), ("robustness",)),
    "similar": (("similar",),),
    "sort by all genres": (("index", "--genres", "all"), ("index", "--genres", "tags")),
    "sort by genres of the model": (("index", "--genres", "gtzan"),),
    "sort by own genres": (("index", "--genres", "own"),),
    "status": (("status",),),
    "train": (("train",),),
    "train from folders": (("model", "own-genres", "--from-folders"), ("train", "--from-folders")),
    "train from tags": (("model", "own-genres", "--from-tags"), ("train", "--from-tags")),
}
"""Spellings of every command, the newest first. Options that may move belong to the spelling."""

QUERIES: dict[str, tuple[str, ...]] = {
    "tracks": (
        "SELECT t.path, t.audio_hash, m.fingerprint, a.probabilities, a.embedding, a.tag_scores"
        " FROM tracks t JOIN library l JOIN models m ON m.id = l.model"
        " JOIN analyses a ON a.audio_hash = t.audio_hash AND a.model = m.id",
        "SELECT t.path, t.audio_hash, a.fingerprint, a.probabilities, a.embedding, a.tags"
        " FROM tracks t JOIN analyses a ON a.audio_hash = t.audio_hash AND a.fingerprint ="
        " (SELECT value FROM meta WHERE key = 'model')",
    ),
    "failures": ("SELECT path, reason FROM failures",),
}
"""Queries of the database, the newest schema first: columns in this order."""

DROPPED = {
    *("track_id", "database", "database_bytes", "index_bytes", "seconds", "minutes"),
    *("run", "time", "model_file", "checkpoint"),
}
"""Keys that differ from run to run, or from machine to machine."""

DIGITS = {"embedding": 5}
DIGITS_ELSEWHERE = 4

RANDOM_SYSTEMS = ("random", "tag_genre")
"""Of `recsys quality`; tracks have their ids in the order in which their analyses were done."""

STOPS_WITHIN_S = 120
"""A command that gets Ctrl-C and has not ended by then is killed, which its exit code shows."""

GTZAN_EVERY = 20
"""Of the sorted tracks of GTZAN, each one of so many is a query."""


class Recorder:
    """Runs one program in a folder of its own and keeps what it answers, case by case."""

    def __init__(self, program: Path, work: Path, music: Iterable[Path]) -> None:
        self.program = program
        self.work = work
        self.database = work / "library.db"
        self.answers: Answers = {}
        self._names = {str(folder): f"<{folder.name}>" for folder in music}
        self._names[str(work)] = "<library>"
        self._known: dict[str, tuple[str, ...] | None] = {}
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")
        } | {
            "COLUMNS": "400",
            "HOME": str(work),
            "OMP_NUM_THREADS": "1",
            "RECSYS_DB": str(self.database),
            "XDG_DATA_HOME": str(work),
        }

    def call(self, case: str, command: str, *arguments: str | Path) -> Any:
        """Run a command, keep its exit code and answer as a case, and return the answer."""
        spelling = self.spelling(command)
        if spelling is None:
            self.answers[case] = {"exit": None, "message": f"no spelling of {command!r} is known"}
            return None
        done = self.run(*spelling, *arguments)
        found: Answers = {"exit": done.returncode}
        answer = self._answer(done.stdout)
        if answer not in ([], ""):
            found["answer"] = answer
        if done.returncode in (1, 2):
            lines = self._anonymous(done.stderr).strip().splitlines()
            found["message"] = lines if done.returncode == 1 else lines[-1:]
        self.answers[case] = found
        return answer

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *map(str, arguments)],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
            env=self._environment,
            stdin=subprocess.DEVNULL,
            cwd=self.work,
        )

    def spelling(self, command: str) -> tuple[str, ...] | None:
        """Return the first spelling whose --help the program prints; None if there is none."""
        if command not in self._known:
            known = (s for s in COMMANDS[command] if self.run(*s, "--help").returncode == 0)
            self._known[command] = next(known, None)
        return self._known[command]

    def stored(self, case: str) -> None:
        """Keep what the database file holds: identities, probabilities, embeddings, failures."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            tracks = _first(connection, QUERIES["tracks"])
            failures = _first(connection, QUERIES["failures"])
        connection.close()
        rows = {
            self._anonymous(_text(path)): {
                "audio_hash": _text(audio_hash),
                # A version of the schema wrote the effort after the fingerprint.
                "fingerprint": str(fingerprint).partition("-")[0],
                "probabilities": _numbers(probabilities),
                "embedding": _numbers(embedding, DIGITS["embedding"]),
                "tags": _numbers(tags) if tags is not None else [],
            }
            for path, audio_hash, fingerprint, probabilities, embedding, tags in tracks
        }
        reasons = {self._anonymous(_text(path)): {"reason": reason} for path, reason in failures}
        self.answers[case] = {
            "tracks": dict(sorted(rows.items())),
            "failures": dict(sorted(reasons.items())),
        }

    def interrupted(self, case: str, *arguments: str | Path) -> None:
        """Keep the exit code of a command that gets Ctrl-C at its first line."""
        process = subprocess.Popen(
            [str(self.program), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            cwd=self.work,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        self.answers[case] = {"exit": process.returncode}

    def _answer(self, text: str) -> Any:
        """Return standard output as JSON values where it is JSON, as lines where it is not."""
        text = self._anonymous(text)
        try:
            return _tidy(json.loads(text))
        except ValueError:
            pass
        lines = text.splitlines()
        try:
            found = [_tidy(json.loads(line)) for line in lines]
        except ValueError:
            return lines
        # The lines come as files are done, which differs from run to run.
        return sorted(found, key=lambda line: isinstance(line, dict) and line.get("path", "~"))

    def _anonymous(self, text: str) -> str:
        for folder, name in self._names.items():
            text = text.replace(folder, name)
        # The size of the database depends on the length of the paths.
        return re.sub(r"\d+ to \d+ bytes", "N to N bytes", text)


def _first(connection: sqlite3.Connection, queries: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return the rows of the first query that the schema knows."""
    for query in queries[:-1]:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            continue
    return connection.execute(queries[-1]).fetchall()


def _text(value: str | bytes) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else value


def _numbers(blob: bytes, digits: int = DIGITS_ELSEWHERE) -> list[float]:
    return [round(float(number), digits) for number in np.frombuffer(blob, dtype="<f4")]


def _tidy(value: Any) -> Any:
    """Drop what differs from run to run, round the rest."""
    if isinstance(value, dict):
        return {key: _tidy(inner) for key, inner in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [_tidy(inner) for inner in value]
    return round(value, DIGITS_ELSEWHERE) if isinstance(value, float) else value


def make_demo(python: Path, folder: Path) -> Path:
    """Make the demo library, with genre tags, an older copy of a track and five damaged files."""
    music = folder / "demo"
    if not music.is_dir():
        subprocess.run(
            [str(python), "-m", "recsys.demo", str(music)], check=True, stdout=subprocess.DEVNULL
        )
    tracks = sorted(path for path in music.rglob("*") if path.is_file())
    for path in tracks:
        genre = next((g for style, g in GENRE_TAGS.items() if style in path.name), None)
        if genre is not None:
            file = mutagen.File(path, easy=True)
            file["genre"] = genre
            file.save()
    bad = music / "bad"
    bad.mkdir()
    (bad / "empty.flac").touch()
    (bad / "text.mp3").write_text("These are words.\n" * 100, encoding="utf-8")
    flac = next(path for path in tracks if path.suffix == ".flac")
    (bad / "truncated.flac").write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    soundfile.write(bad / "silence.wav", np.zeros(44_100), 22_050)
    soundfile.write(bad / "short.wav", 0.5 * np.sin(np.arange(2_000) / 10), 22_050)
    return music


GENRE_TAGS = {
    **dict.fromkeys(("chamber", "nocturne", "walking bass", "shuffle"), "Acoustic"),
    **dict.fromkeys(("overdrive", "four on the floor", "breakbeat"), "Electric"),
}
"""Genre tags by style; the others have none."""


def record_demo(program: Path, work: Path, music: Path) -> Answers:
    """Record everything over the demo library."""
    run = Recorder(program, work, [music])
    tracks = sorted(path for path in music.rglob("*") if path.is_file() and "bad" not in path.parts)
    bad = sorted((music / "bad").iterdir())
    _without_library(run, tracks[0])
    run.call("index", "index", music, "--json")
    run.call("index, nothing new", "index", music, "--json")
    run.stored("stored")
    _questions(run, tracks[::4], ("Band", "nocturne 3", "acoustic"), ("ambient", "chillout"))
    playlists = {
        "words": ("shuffle no. 2", "--length", "12"),
        "from to": ("--from", tracks[0], "--to", tracks[-1], "--length", "8"),
    }
    _playlists(run, tracks[::8], ("pop", "rock", "classical"), ("ambient", "chillout"), playlists)
    run.call("classify", "classify", *tracks[::2], *bad, "--json")
    run.call("audit", "audit", "--json")
    _quality(run, "quality", "--labels", "tag", "--k", "5")
    _quality(run, "quality, folders", "--labels", "folder", "--k", "5")
    _changes(run, music, tracks)
    run.call("index, effort full", "index again with effort full", music, "--json")
    run.stored("stored, effort full")
    run.call("doctor", "doctor", "--json")
    run.call("doctor, rebuild", "doctor", "--rebuild", "--vacuum", "--json")
    _sorted_by(run, tracks[4::8], "train from tags")
    recipes = run.call("recipes", "recipes", "--json")
    kept = ("published", "protocol", "variants")
    # By name: a recipe that is added changes nothing.
    run.answers["recipes"]["answer"] = {
        row["name"]: {key: row.get(key) for key in kept} for row in recipes or ()
    }
    return run.answers


def _without_library(run: Recorder, track: Path) -> None:
    """Keep how commands fail: wrong usage, and no library."""
    run.call("wrong: no such option", "status", "--no-such-option")
    run.call("wrong: k", "similar", track, "--k", "0")
    run.call("wrong: nothing named", "classify")
    run.call("wrong: from without to", "playlist", "--from", track)
    run.call("wrong: train without out", "train", track.parent)
    for name in ("status", "doctor", "audit", "quality"):
        run.call(f"no library: {name}", name, "--json")
    run.call("no library: similar", "similar", track)
    run.call("no library: playlist", "playlist", track)
    run.call("no library: train from tags", "train from tags", "--json")
    run.call("no library: classify", "classify", track, "--json")
    run.call("no folder: index", "index", "no-such-folder")
    run.call("no folder: evaluate", "evaluate", "no-such-folder")
    run.call("no folder: robustness", "robustness", "no-such-folder")
    run.call("no folder: features", "features", "--data", "no-such-folder", "--out", "f.csv")
    run.call("no folder: explore", "explore", "--data", "no-such-folder", "--out", "pages")
    run.call("no folder: reproduce", "reproduce", "--data", "no-such-folder", "--out", "papers")
    run.call("no folder: train", "train", "no-such-folder", "--out", "model.safetensors")
    run.call("no shard: import", "import", "no-such-folder")
    run.call("no model: classify", "classify", track, "--model", "no-such-model.safetensors")
    run.call("no model: export", "export", "no-such-model.safetensors", "--onnx", "m.onnx")


def _questions(
    run: Recorder, tracks: list[Path], words: tuple[str, ...], tags: tuple[str, str]
) -> None:
    """Keep status and the answers of similar, with every strategy and filter."""
    run.call("status", "status", "--json")
    run.call("status, tags", "status", "--tags", "--json")
    run.call("status, failures", "status", "--failures", "--json")
    for track in tracks:
        run.call(f"similar {track.name}", "similar", track, "--json", "--explain", "--k", "10")
    first, other = tracks[0], tracks[-1]
    for name, *options in (
        ("by sound", first, "--strategy", "similarity", "--explain"),
        ("of a genre", first, "--genre", "rock"),
        ("of a tag", first, "--tag", tags[0]),
        ("of two tags", first, "--tag", tags[0], "--tag", tags[1]),
        ("one an artist", first, "--max-per-artist", "1"),
        ("no album", first, "--no-same-album"),
        ("duplicates", first, "--show-duplicates"),
        ("two seeds", first, other, "--explain"),
        *((f"words {word}", word) for word in words),
        ("no such words", "qxzzy nothing"),
        ("no such genre", first, "--genre", "polka"),
        ("no such tag", first, "--tag", "polka"),
        ("no such file", run.work / "nothing.mp3"),
    ):
        run.call(f"similar, {name}", "similar", *options, "--json", "--k", "8")
    run.call("similar, paths", "similar", first, "--paths", "--k", "5")
    run.call("similar, not indexed", "similar", _outside(run.work, first), "--json", "--k", "8")


def _outside(work: Path, track: Path) -> Path:
    """Return a copy of a track that no library holds, its sound cut short."""
    sound, sample_rate = soundfile.read(track)
    path = work / "outside.wav"
    soundfile.write(path, sound[: 12 * sample_rate], sample_rate)
    return path


def _playlists(
    run: Recorder,
    tracks: list[Path],
    genres: tuple[str, ...],
    moods: tuple[str, str],
    others: dict[str, tuple[str | Path, ...]],
) -> None:
    cases: dict[str, tuple[str | Path, ...]] = {
        **{f"like {track.name}": (track, "--length", "12") for track in tracks},
        "two seeds": (*tracks[:2], "--length", "12"),
        "no seed": ("--seed", "3", "--length", "10"),
        "gap": (tracks[0], "--artist-gap", "1", "--length", "12"),
        "diverse": (tracks[0], "--diversity", "0.5", "--seed", "4", "--length", "12"),
        "of a genre": (tracks[0], "--genre", genres[0], "--length", "8"),
        "cycle": ("--cycle", ",".join(genres), "--per-genre", "2", "--length", "12"),
        "cycle auto": ("--cycle", "auto", "--seed", "7", "--duration", "3m"),
        "mood": ("--tag", moods[0], "--length", "10"),
        "two moods": ("--tag", moods[0], "--tag", moods[1], "--length", "10"),
        "no such mood": ("--tag", "polka"),
        "no such genre": ("--cycle", "polka"),
        **others,
    }
    for name, arguments in cases.items():
        run.call(f"playlist, {name}", "playlist", *arguments, "--format", "json")
    for suffix in ("m3u8", "xspf"):
        run.call(
            f"playlist as {suffix}", "playlist", tracks[0], "--length", "4", "--format", suffix
        )


def _sorted_by(run: Recorder, tracks: list[Path], train: str, *arguments: str | Path) -> None:
    """Sort the library by its tags and by own genres, ask a little, and sort it back."""
    run.call("sort by all genres", "sort by all genres", "--json")
    run.call("status by tags", "status", "--json")
    run.call("similar by tags", "similar", tracks[0], "--json", "--explain", "--k", "8")
    run.call(train, train, *arguments, "--json", "--yes")
    _status_of_own(run, "status by own genres")
    for track in tracks[:2]:
        run.call(f"similar by own genres {track.name}", "similar", track, "--json", "--k", "8")
    run.call("classify by own genres", "classify", *tracks, "--json")
    run.call("sort by own genres", "sort by own genres", "--json")
    run.call("sort by genres of the model", "sort by genres of the model", "--json")
    _status_of_own(run, "status by genres of the model")


def _status_of_own(run: Recorder, case: str) -> None:
    status = run.call(case, "status", "--json")
    if isinstance(status, dict):  # the fingerprint of a trained head knows its last bit
        status["model"].pop("fingerprint")


def _quality(run: Recorder, case: str, *arguments: str) -> None:
    """Keep the figures but for the random rankings, which follow the ids of the tracks."""
    found = run.call(case, "quality", *arguments, "--json")
    if isinstance(found, dict):
        found["systems"] = [s for s in found["systems"] if s["name"] not in RANDOM_SYSTEMS]
        found.pop("lift", None)
        found["meaning"] = re.sub(r"^Of \d+ recommended .*?\)\. ", "", found["meaning"])


def _changes(run: Recorder, music: Path, tracks: list[Path]) -> None:
    """Move, retag, copy and remove files, and keep what index makes of that."""
    undo = run.work / "removed"
    shutil.move(tracks[0], music / f"moved{tracks[0].suffix}")
    shutil.move(tracks[1], undo)
    shutil.copy(tracks[2], music / f"copied{tracks[2].suffix}")
    file = mutagen.File(tracks[3], easy=True)
    file["artist"] = "Another Artist"
    file.save()
    run.call("index, keep missing", "index, keep missing", music, "--json")
    run.call("index after changes", "index", music, "--json")
    run.call("similar after changes", "similar", tracks[3], "--json", "--k", "8")
    run.call("similar to a copy", "similar", tracks[2], "--json", "--k", "8", "--show-duplicates")


def record_real(program: Path, work: Path, audio: Path, papers: Path | None) -> Answers:
    """Record everything over the real audio; `papers` keeps the reproduction of the reports."""
    folders = [audio / name for name in ("gtzan", "formats", "bad")]
    run = Recorder(program, work, folders)
    gtzan, formats, bad = (sorted(p for p in f.rglob("*") if p.is_file()) for f in folders)
    run.call("index", "index", *folders, "--json")
    run.call("index, nothing new", "index", *folders, "--json")
    run.stored("stored")
    queries = gtzan[::GTZAN_EVERY]
    _questions(run, [*queries, formats[0]], ("king", "bob marley"), ("rock", "guitar"))
    others: dict[str, tuple[str | Path, ...]] = {
        "from to": ("--from", gtzan[0], "--to", gtzan[200], "--length", "12"),
        "an hour": (gtzan[100], "--duration", "30m"),
    }
    _playlists(run, gtzan[::90], ("jazz", "blues", "rock"), ("rock", "guitar"), others)
    run.call("classify", "classify", *gtzan, *formats, *bad, "--json")
    run.call("audit", "audit", "--json")
    _quality(run, "quality", "--labels", "folder")
    run.call("evaluate", "evaluate", audio / "gtzan", "--json")
    run.call("index, effort full", "index again with effort full", *folders, "--json")
    run.stored("stored, effort full")
    run.call("doctor", "doctor", "--json")
    _sorted_by(run, gtzan[::60], "train from folders", audio / "gtzan")
    run.database.unlink()
    index = run.spelling("index") or ("index",)
    run.interrupted("stopped", *index, audio / "gtzan", "--json", "--db", work / "other.db")
    if papers is not None:
        arguments = ("--quick", "--data", audio / "gtzan", "--weights", "random", "--out", papers)
        run.call("reproduce", "reproduce", *arguments, "--json")
    return run.answers


def main(arguments: list[str] | None = None) -> int:
    """Record and write; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.record", description=__doc__)
    parser.add_argument("out", type=Path, help="the JSON file to write")
    parser.add_argument(
        "--recsys",
        type=Path,
        default=Path(sys.executable).with_name("recsys"),
        help="the program to record; by default the one of this environment",
    )
    parser.add_argument("--demo", type=Path, help="keep the demo library in this folder, reuse it")
    parser.add_argument("--real", action="store_true", help="record RECSYS_REAL_DATA instead")
    parser.add_argument(
        "--papers", type=Path, metavar="DIR", help="with --real: reproduce --quick too, kept in DIR"
    )
    chosen = parser.parse_args(arguments)
    program = chosen.recsys.absolute()
    with tempfile.TemporaryDirectory(prefix="golden-") as name:
        work = Path(name).resolve()
        if chosen.real:
            audio = Path(os.environ["RECSYS_REAL_DATA"]).resolve()
            papers = chosen.papers and chosen.papers.absolute()
            found = record_real(program, work, audio, papers)
        else:
            found = record(program, work, chosen.demo)
    write(chosen.out, found)
    return 0


def record(program: Path, work: Path, kept: Path | None = None) -> Answers:
    """Record the demo library; `kept` has it, or keeps it for the next time."""
    python = program.with_name("python")
    music = work / "music" / "demo"
    music.parent.mkdir()
    if kept is not None:
        if not kept.is_dir():
            make_demo(python, kept)
        shutil.copytree(kept / "demo", music)
    else:
        make_demo(python, music.parent)
    library = work / "library"
    library.mkdir()
    return record_demo(program, library, music)


def write(path: Path, answers: Answers) -> None:
    """Write one case per line, so that a change of the file can be read."""
    lines = (f"{json.dumps(case)}: {json.dumps(answer)}" for case, answer in answers.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
