"""The public feature table, made from audio: one row per track or per segment.

What is done is kept in a file beside the table to be, one line per track, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode, decode_whole
from recsys.classifier.training.datasets import LabelledFile, find_tracks
from recsys.errors import AudioError, ModelError, RecsysError, require
from recsys.papers.features import COLUMNS, PublicTable
from recsys.reports.drawing import EXTRA
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

# The features that the pictures of a collection are drawn from: read from a table, or heard.


WINDOW = PublicTable(window_s=30.0, max_windows=1)
"""One window of 30 s in the middle of a track, as long as a clip of GTZAN."""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features and genres.

    Attributes
    ----------
    values : ndarray of float64, shape (n, 57)
        In the order of :data:`recsys.papers.features.COLUMNS`; all finite.
    genres : tuple of str
        One per row.
    names : tuple of str
        Of the files, one per row.
    source : str
        Where they come from, for people.
    """

    values: npt.NDArray[np.float64]
    genres: tuple[str, ...]
    names: tuple[str, ...]
    source: str

    @property
    def counts(self) -> dict[str, int]:
        """Rows of every genre, sorted by its name."""
        return dict(sorted(Counter(self.genres).items()))

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return one column by its name."""
        return self.values[:, COLUMNS.index(name)]

    def of_genre(self, genre: str) -> npt.NDArray[np.bool_]:
        """Return which rows are of a genre."""
        return np.array([own == genre for own in self.genres], dtype=bool)

    def to_csv(self) -> str:
        """Return the table as the public one stands on disk, with the samples of a window."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("filename", "length", *COLUMNS, "label"))
        for name, row, genre in zip(self.names, self.values, self.genres, strict=True):
            writer.writerow((name, WINDOW.window_length, *row.tolist(), genre))
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class Gathered:
    """A table, and what did not get into it.

    Attributes
    ----------
    table : FeatureTable
        What there is.
    failed : tuple of (Path, str)
        Files that could not be heard, and why.
    notes : tuple of str
        What else a reader should know.
    """

    table: FeatureTable
    failed: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> Gathered:
    """Read a table with the columns of the public one.

    Parameters
    ----------
    path : Path
        CSV with the 57 feature columns and ``label``, the genre; ``filename`` if there is one.

    Returns
    -------
    Gathered
        Rows without a genre, or with a value that is no number, are left out and noted.

    Raises
    ------
    ModelError
        If it cannot be read, lacks a column, or not one row is whole.
    MissingExtraError
        If pandas is not installed.
    """
    pandas = require("pandas", EXTRA)
    try:
        frame = pandas.read_csv(path, dtype={"label": str, "filename": str})
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the table {path} cannot be read: {error}",
            "Give a CSV file, of `recsys features` say.",
        ) from error
    lacking = [name for name in (*COLUMNS, "label") if name not in frame.columns]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ModelError(
            f"the table {path} lacks the columns {', '.join(lacking[:3])}{more}",
            "It must have the columns of the public table; `recsys features` writes them.",
        )
    numbers = frame[list(COLUMNS)].apply(pandas.to_numeric, errors="coerce")
    values = numbers.to_numpy(dtype=np.float64)
    whole = np.isfinite(values).all(axis=1) & frame["label"].notna().to_numpy()
    if not whole.any():
        raise ModelError(
            f"not one of the {len(frame)} rows of {path} has a genre and all features",
            "Check the table.",
        )
    kept = frame[whole]
    names = kept["filename"].fillna("") if "filename" in frame.columns else [""] * len(kept)
    table = FeatureTable(values[whole], tuple(kept["label"]), tuple(names), path.name)
    left_out = len(frame) - len(kept)
    notes = (f"{left_out} of {len(frame)} rows of {path.name} are not whole",) if left_out else ()
    return Gathered(table, notes=notes)


def hear_features(
    files: Sequence[LabelledFile],
    source: str,
    *,
    workers: int | None = None,
    on_file: Callable[[bool], None] | None = None,
) -> Gathered:
    """Compute the features of many files, in worker processes.

    Parameters
    ----------
    files : sequence of LabelledFile
        What to hear: 30 s of each, from its middle.
    source : str
        Where they come from, for people.
    workers : int, optional
        Processes; by default as many as there are processors.
    on_file : callable, optional
        Called once per file, with whether it failed.

    Returns
    -------
    Gathered

    Raises
    ------
    ModelError
        If not one file could be heard.
    """
    heard: list[tuple[LabelledFile, _Heard]] = []
    failed: list[tuple[Path, str]] = []
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        outcomes = pool.map(_hear, (file.path for file in files))
        for file, (_, outcome) in zip(files, outcomes, strict=True):
            if isinstance(outcome, RecsysError):
                failed.append((file.path, outcome.message))
            else:
                heard.append((file, outcome))
            if on_file is not None:
                on_file(isinstance(outcome, RecsysError))
    if not heard:
        reason = failed[0][1] if failed else "there are none"
        raise ModelError(
            f"not one of {len(files)} files could be heard: {reason}", "Check the folder."
        )
    table = FeatureTable(
        np.stack([own.values for _, own in heard]).astype(np.float64),
        tuple(file.genre for file, _ in heard),
        tuple(file.path.name for file, _ in heard),
        source,
    )
    return Gathered(table, tuple(failed), _warnings(own.warning for _, own in heard))


@dataclass(frozen=True, slots=True)
class _Heard:
    values: npt.NDArray[np.float32]
    warning: str | None


def _hear(path: Path) -> _Heard:
    sound = decode(path, WINDOW)
    values = WINDOW.compute(sound.windows)[0]
    if not np.isfinite(values).all():
        raise ModelError("its features are not finite", "Look at the file, it may be damaged.")
    return _Heard(values, sound.warning)


def _warnings(warnings: Iterable[str | None]) -> tuple[str, ...]:
    """Say once what was odd about many files: the first words, and how many files they are of."""
    odd = [warning for warning in warnings if warning]
    short = sum("repeated to fill a window" in warning for warning in odd)
    notes = []
    if short:
        notes.append(f"{short} files are shorter than 30 s and were repeated to fill them")
    if len(odd) > short:
        notes.append(f"{len(odd) - short} files are damaged or end early; what is there was heard")
    return tuple(notes)


# ----------------------------------------------------------------------


HEADER = ("filename", "length", *COLUMNS, "label")
"""Columns of the table; ``length`` is in samples at 22,050 Hz."""

PARTIAL_VERSION = 1
"""To be raised when the values of a column change."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file.

    Attributes
    ----------
    path : Path
        The file.
    status : str
        ``extracted``, ``kept`` (from the run that was stopped) or ``failed``.
    rows : int
        Rows of the table.
    reason : str or None
        Why it failed.
    warning : str or None
        What was odd about it all the same.
    """

    path: Path
    status: str
    rows: int = 0
    reason: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class TableSummary:
    """What a table was made from.

    Attributes
    ----------
    files, rows : int
        Files that were found, and rows that were written.
    kept : int
        Files that a run that was stopped had done.
    failed : int
        Files without a row.
    """

    files: int
    rows: int
    kept: int
    failed: int


@dataclass(frozen=True, slots=True)
class Described:
    """The columns of one track.

    Attributes
    ----------
    lengths : list of int
        Samples per row.
    values : list of list of float
        :data:`~recsys.papers.features.COLUMNS` per row.
    warning : str or None
        What was odd about the file.
    """

    lengths: list[int]
    values: list[list[float]]
    warning: str | None = None


def write_feature_table(
    directory: Path,
    out: Path,
    *,
    segment_s: float | None = None,
    workers: int = 2,
    on_file: Callable[[FileOutcome, int], object] = lambda *_: None,
) -> TableSummary:
    """Describe every track in a folder of genre folders, and write the public table's columns.

    Parameters
    ----------
    directory : Path
        Holds ``GENRE/track.ext``; the label is the name of the folder.
    out : Path
        The table, CSV. It appears when all is done; until then ``OUT.partial`` keeps what is
        done, and the same call goes on from there.
    segment_s : float, optional
        Seconds of a row, as many full ones as the track has, from its start; by default a row
        describes a whole track.
    workers : int
        Processes.
    on_file : callable
        Told the outcome of each file as it comes, and how many files there are.

    Returns
    -------
    TableSummary

    Raises
    ------
    ModelError
        If the folder holds no genre folders, `out` cannot be written, the segments are too short,
        no file gave a row, or ``OUT.partial`` belongs to another folder or other segments.
    """
    settings = PublicTable() if segment_s is None else PublicTable(window_s=segment_s)
    _check_out(out)
    files = find_tracks(directory)
    rows, kept, failed = 0, 0, 0
    with _Partial(out, directory, segment_s) as partial:
        for outcome in _describe_all(files, partial, settings, segment_s is not None, workers):
            rows += outcome.rows
            kept += outcome.status == "kept"
            failed += outcome.status == "failed"
            on_file(outcome, len(files))
        if rows == 0:
            raise ModelError(
                f"none of the {len(files)} audio files in {directory} gave a row",
                "See the reasons above; shorter segments may help.",
            )
        _write(out, _all_rows(files, partial, directory, segment_s is not None))
    partial.remove()
    return TableSummary(len(files), rows, kept, failed)


def describe(path: Path, settings: PublicTable, *, segmented: bool) -> Described:
    """Compute the columns of one file.

    Parameters
    ----------
    path : Path
        Audio.
    settings : PublicTable
        How; ``window_s`` is the length of a segment.
    segmented : bool
        A row per full segment, instead of one for the whole.

    Returns
    -------
    Described

    Raises
    ------
    AudioError
        If the file cannot be read or holds no full segment.
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
    return Described([settings.window_length] * len(values), values.tolist(), waveform.warning)


@dataclass(frozen=True, slots=True)
class _Job:
    file: LabelledFile
    settings: PublicTable
    segmented: bool


def _describe_one(job: _Job) -> Described:
    return describe(job.file.path, job.settings, segmented=job.segmented)


def _describe_all(
    files: Sequence[LabelledFile],
    partial: _Partial,
    settings: PublicTable,
    segmented: bool,
    workers: int,
) -> Iterator[FileOutcome]:
    """Yield what was done before, then what is done now, as it comes."""
    jobs = []
    for file in files:
        done = partial.get(file)
        if done is None:
            jobs.append(_Job(file, settings, segmented))
        else:
            yield FileOutcome(file.path, "kept", len(done.values), warning=done.warning)
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for job, result in pool.map_unordered(_describe_one, jobs):
            path = job.file.path
            if isinstance(result, RecsysError):
                yield FileOutcome(path, "failed", reason=result.message)
            else:
                partial.add(job.file, result)
                yield FileOutcome(path, "extracted", len(result.values), warning=result.warning)


def _all_rows(
    files: Sequence[LabelledFile], partial: _Partial, directory: Path, segmented: bool
) -> Iterator[list[object]]:
    """Yield the rows in the order of the files, named as the public tables name theirs."""
    for file in files:
        done = partial.get(file)
        if done is None:
            continue
        name = file.path.relative_to(directory / file.genre)
        for number, (length, values) in enumerate(zip(done.lengths, done.values, strict=True)):
            row_name = name.with_name(f"{name.stem}.{number}{name.suffix}") if segmented else name
            yield [row_name.as_posix(), length, *values, file.genre]


def _write(out: Path, rows: Iterator[list[object]]) -> None:
    """Write the table whole or not at all; what is not UTF-8 in a name stands as an escape."""
    unfinished = out.with_name(out.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)
    unfinished.replace(out)


def _check_out(out: Path) -> None:
    """Raise before hours of work if the table could not be written."""
    folder = out.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        state = "is not writable" if folder.is_dir() else "does not exist"
        raise ModelError(f"the folder {folder} {state}", "Choose another place with --out.")
    if out.is_dir():
        raise ModelError(f"{out} is a folder", "Give the name of a CSV file with --out.")


class _Partial:
    """What is done of a table: a line on what it is, then one line of JSON per track.

    A file that was changed since is done again.
    """

    def __init__(self, out: Path, directory: Path, segment_s: float | None) -> None:
        self._path = out.with_name(out.name + ".partial")
        identity = {
            "version": PARTIAL_VERSION,
            "directory": os.fspath(directory.resolve()),
            "segment_s": segment_s,
        }
        self._top = json.dumps(identity).encode("ascii") + b"\n"
        self._done: dict[str, tuple[list[int], Described]] = {}

    def __enter__(self) -> Self:
        whole = self._read()
        self._file = self._path.open("ab")
        self._file.truncate(whole)
        if not whole:
            self._file.write(self._top)
            self._file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._done:
            self.remove()

    def get(self, file: LabelledFile) -> Described | None:
        """Return what is known of a file in its present state."""
        stamp, described = self._done.get(os.fspath(file.path), ([], None))
        return described if stamp == _stamp(file.path) else None

    def add(self, file: LabelledFile, described: Described) -> None:
        """Keep what was found out about a file, whatever happens to this process."""
        key, stamp = os.fspath(file.path), _stamp(file.path)
        self._done[key] = stamp, described
        line = {"path": key, "stamp": stamp, "described": asdict(described)}
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the file: nothing is left to be done, or nothing was."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> int:
        """Take up what an earlier run did; return how many bytes of the file are whole lines."""
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        if not lines or not lines[0].endswith(b"\n"):
            return 0
        if lines[0] != self._top:
            raise ModelError(
                f"{self._path} belongs to another folder or to another --segment",
                f"Give the command that was stopped, or delete {self._path} to begin again.",
            )
        whole = len(lines[0])
        for text in lines[1:]:
            try:
                line = json.loads(text)
                done = line["stamp"], Described(**line["described"])
                self._done[line["path"]] = done
            except (ValueError, KeyError, TypeError):
                break  # half a line: the process was stopped while it wrote
            whole += len(text)
        return whole


def _stamp(path: Path) -> list[int]:
    """Return size and time of a file; nothing where it has gone."""
    try:
        state = path.stat()
    except OSError:
        return [-1, -1]
    return [state.st_size, state.st_mtime_ns]
