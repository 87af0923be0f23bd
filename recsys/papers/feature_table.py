"""The public feature table, read from a CSV file or made from audio.

``recsys papers features`` makes one with a row per track or per segment: it keeps finished tracks
in a file ``OUT.partial``, one line per track, so that an interrupted run resumes.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsys.atomic import check_replaceable
from recsys.audio import decode, decode_whole
from recsys.classifier.training.datasets import LabelledFile, find_tracks
from recsys.errors import AudioError, ModelError, RecsysError, require
from recsys.papers.features import COLUMNS, PublicTable
from recsys.reports.drawing import EXTRA, write_file
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

HEADER = ("filename", "length", *COLUMNS, "label")
"""Columns of the table; ``length`` is in samples at 22,050 Hz."""

WINDOW = PublicTable(window_s=30.0, max_windows=1)
"""One window of 30 s in the middle of a track, as long as a clip of GTZAN."""

PARTIAL_VERSION = 1
"""To be raised when the values of a column change."""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features and genres, a row per track or segment."""

    frame: pd.DataFrame  # COLUMNS (finite float64), label and, where files are known, filename
    source: str  # for people
    failed: tuple[tuple[Path, str], ...] = ()  # files that could not be analysed, and why
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Rows of every genre, sorted by its name."""
        counts: dict[str, int] = self.frame["label"].value_counts().sort_index().to_dict()
        return counts


def read_table(path: Path) -> FeatureTable:
    """Read a CSV table with the 57 feature columns of the public one and ``label``, the genre.

    Rows without a genre, or with a value that is no number, are left out and noted. Raises
    ModelError if the table cannot be read, lacks a column, or not one row is complete.
    """
    pandas = require("pandas", EXTRA)
    try:
        # Genres and names may look like numbers: 1980.
        frame = pandas.read_csv(path, dtype={"label": str, "filename": str})
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the table {path} cannot be read: {error}",
            "Give a CSV file, such as one of `recsys papers features`.",
        ) from error
    lacking = [name for name in (*COLUMNS, "label") if name not in frame]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ModelError(
            f"the table {path} lacks the columns {', '.join(lacking[:3])}{more}",
            "It must have the columns of the public table; `recsys papers features` writes them.",
        )
    numbers = frame[list(COLUMNS)].apply(pandas.to_numeric, errors="coerce").astype(np.float64)
    whole = np.isfinite(numbers).all(axis=1) & frame["label"].notna()
    if not whole.any():
        raise ModelError(
            f"not one of the {len(frame)} rows of {path} has a genre and all features",
            "Check the table.",
        )
    left_out = int((~whole).sum())
    notes = (f"{left_out} of {len(frame)} rows of {path.name} are not whole",) if left_out else ()
    frame[list(COLUMNS)] = numbers
    return FeatureTable(frame[whole].reset_index(drop=True), path.name, notes=notes)


# The rows of one file.


@dataclass(frozen=True, slots=True)
class TrackFeatures:
    """The rows of one track."""

    length: int  # of a row, in samples
    values: list[list[float]]  # COLUMNS per row
    warning: str | None = None  # from decoding

    def rows(self, name: str, genre: str, *, numbered: bool = False) -> list[tuple[object, ...]]:
        """Return the rows in the order of HEADER; `numbered` as the public table names segments.

        That is ``blues.00000.3.wav`` for segment 3 of ``blues.00000.wav``.
        """
        stem, dot, suffix = name.rpartition(".")
        return [
            (f"{stem}.{number}{dot}{suffix}" if numbered else name, self.length, *values, genre)
            for number, values in enumerate(self.values)
        ]


def describe(path: Path, settings: PublicTable, *, segmented: bool) -> TrackFeatures:
    """Compute the rows of a file: one per full segment of ``window_s``, or one for all of it.

    Raises AudioError if the file cannot be read or holds no full segment.
    """
    waveform = decode_whole(path, settings.sample_rate)
    samples = waveform.windows[0]
    if segmented:
        count = len(samples) // settings.window_length
        if count == 0:
            raise AudioError(
                f"too short: {waveform.duration_s:.1f} s, a segment takes {settings.window_s:g} s",
                "Give a shorter --segment, or take the file out.",
            )
        windows = samples[: count * settings.window_length].reshape(count, -1)
    else:
        settings = replace(settings, window_s=len(samples) / settings.sample_rate)
        windows = samples[None]
    values = settings.compute(windows)
    return TrackFeatures(settings.window_length, values.tolist(), waveform.warning)


def _describe_middle(path: Path) -> TrackFeatures:
    """Compute one row for 30 s from the middle of a file."""
    waveform = decode(path, WINDOW)
    values = WINDOW.compute(waveform.windows)
    if not np.isfinite(values).all():
        raise ModelError("its features are not finite", "Look at the file, it may be damaged.")
    return TrackFeatures(WINDOW.window_length, values.tolist(), waveform.warning)


def _frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return require("pandas", EXTRA).DataFrame(rows, columns=list(HEADER))


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text


# Many files at once.


def compute_table(
    files: Sequence[LabelledFile],
    source: str,
    *,
    workers: int | None = None,
    on_file: Callable[[bool], None] | None = None,
) -> FeatureTable:
    """Compute the features of 30 s from the middle of every file, in worker processes.

    `on_file` is called once per file, with whether it failed. Raises ModelError if not one file
    could be analysed.
    """
    rows: list[tuple[object, ...]] = []
    failed: list[tuple[Path, str]] = []
    warnings: list[str] = []
    with WorkerPool(workers, librosa=True, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        outcomes = pool.map(_describe_middle, (file.path for file in files))
        for file, (_, outcome) in zip(files, outcomes, strict=True):
            if isinstance(outcome, RecsysError):
                failed.append((file.path, outcome.message))
            else:
                rows += outcome.rows(file.path.name, file.genre)
                warnings += [outcome.warning] if outcome.warning else []
            if on_file is not None:
                on_file(isinstance(outcome, RecsysError))
    if not rows:
        reason = failed[0][1] if failed else "there are none"
        raise ModelError(
            f"not one of {len(files)} files could be analysed: {reason}", "Check the folder."
        )
    short = sum("repeated to fill a window" in warning for warning in warnings)
    notes = []
    if short:
        notes.append(f"{short} files are shorter than 30 s and were repeated to fill them")
    if odd := len(warnings) - short:
        notes.append(f"{odd} files are damaged or end early; what is there was analysed")
    return FeatureTable(_frame(rows), source, tuple(failed), tuple(notes))


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """Result of one file of a feature table."""

    path: Path
    status: str  # "extracted", "kept" (from an interrupted run) or "failed"
    rows: int = 0
    reason: str | None = None  # of a failure
    warning: str | None = None


def write_feature_table(
    directory: Path,
    out: Path,
    *,
    segment_s: float | None = None,
    workers: int = 2,
    on_file: Callable[[FileOutcome, int], object] = lambda *_: None,
) -> list[FileOutcome]:
    """Describe every track in a folder of genre folders, and write the public table's columns.

    Parameters
    ----------
    directory : Path
        Holds ``GENRE/track.ext``; the label is the name of the folder.
    out : Path
        CSV, written when all is done. Until then ``OUT.partial`` keeps finished tracks, and the
        same call resumes.
    segment_s : float, optional
        Seconds of a row, as many full ones as the track has, from its start; by default a row
        describes a whole track.
    workers : int
        Processes.
    on_file : callable
        Called with the outcome of each file as it comes, and the number of files.

    Raises
    ------
    ModelError
        If the folder holds no genre folders, `out` cannot be written, the segments are too short,
        no file gave a row, or ``OUT.partial`` belongs to another folder or other segments.
    MissingExtraError
        If pandas is not installed.
    """
    require("pandas", EXTRA)
    segmented = segment_s is not None
    settings = PublicTable() if segment_s is None else PublicTable(window_s=segment_s)
    _check_out(out)
    files = find_tracks(directory)
    journal = _Journal(out, directory, segment_s)
    outcomes: list[FileOutcome] = []
    try:
        work = partial(describe, settings=settings, segmented=segmented)
        for outcome in _describe_all(files, journal, work, workers):
            outcomes.append(outcome)
            on_file(outcome, len(files))
    finally:
        journal.close()
    rows: list[tuple[object, ...]] = []
    for file in files:
        if (features := journal.get(file)) is not None:
            name = file.path.relative_to(directory / file.genre).as_posix()
            rows += features.rows(name, file.genre, numbered=segmented)
    if not rows:
        raise ModelError(
            f"none of the {len(files)} audio files in {directory} gave a row",
            "See the reasons above; shorter segments may help.",
        )
    write_file(out, as_csv(_frame(rows)))
    journal.remove()
    return outcomes


def _describe_all(
    files: Sequence[LabelledFile],
    journal: _Journal,
    work: Callable[[Path], TrackFeatures],
    workers: int,
) -> Iterator[FileOutcome]:
    """Yield the files of an interrupted run, then the others as they finish."""
    missing = {}
    for file in files:
        done = journal.get(file)
        if done is None:
            missing[file.path] = file
        else:
            yield FileOutcome(file.path, "kept", len(done.values), warning=done.warning)
    with WorkerPool(workers, librosa=True, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for path, result in pool.map_unordered(work, missing):
            if isinstance(result, RecsysError):
                yield FileOutcome(path, "failed", reason=result.message)
            else:
                journal.add(missing[path], result)
                yield FileOutcome(path, "extracted", len(result.values), warning=result.warning)


def _check_out(out: Path) -> None:
    """Raise before hours of work if the table could not be written."""
    folder = out.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        state = "is not writable" if folder.is_dir() else "does not exist"
        raise ModelError(f"the folder {folder} {state}", "Choose another place with --out.")
    if out.is_dir():
        raise ModelError(f"{out} is a folder", "Give the name of a CSV file with --out.")
    check_replaceable(out, "a table of features", lambda head: head.startswith(b"filename,length,"))


class _Journal:
    """The finished tracks of a table: a line that identifies the run, then JSON per track.

    A file that has changed since is analysed again.
    """

    def __init__(self, out: Path, directory: Path, segment_s: float | None) -> None:
        self._path = out.with_name(out.name + ".partial")
        identity = {
            "version": PARTIAL_VERSION,
            "directory": os.fspath(directory.resolve()),
            "segment_s": segment_s,
        }
        top = json.dumps(identity).encode("ascii") + b"\n"
        self._done: dict[str, tuple[list[int], TrackFeatures]] = {}
        whole = self._read(top)
        self._file = self._path.open("ab")
        # A process that was killed while it wrote leaves half a line at the end.
        self._file.truncate(whole)
        if not whole:
            self._file.write(top)
            self._file.flush()

    def _read(self, top: bytes) -> int:
        """Read an earlier run; return how many bytes of the file are whole lines."""
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        if not lines or not lines[0].endswith(b"\n"):
            return 0
        if lines[0] != top:
            raise ModelError(
                f"{self._path} belongs to another folder or to another --segment",
                f"Give the command that was stopped, or delete {self._path} to begin again.",
            )
        whole = len(top)
        for text in lines[1:]:
            try:
                line = json.loads(text)
                self._done[line["path"]] = line["stamp"], TrackFeatures(**line["features"])
            except (ValueError, KeyError, TypeError):
                break
            whole += len(text)
        return whole

    def get(self, file: LabelledFile) -> TrackFeatures | None:
        """Return the rows of a file unless it has changed since."""
        stamp, features = self._done.get(os.fspath(file.path), (None, None))
        return features if stamp == _stamp(file.path) else None

    def add(self, file: LabelledFile, features: TrackFeatures) -> None:
        """Append the rows of a file at once, so that a crash cannot lose them."""
        key, stamp = os.fspath(file.path), _stamp(file.path)
        self._done[key] = stamp, features
        line = {"path": key, "stamp": stamp, "features": asdict(features)}
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Keep the file for the next run, if it holds anything."""
        self._file.close()
        if not self._done:
            self.remove()

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)


def _stamp(path: Path) -> list[int]:
    """Return size and modification time of a file; nothing where it is gone."""
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]
