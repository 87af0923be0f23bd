"""The features that the pictures of a collection are drawn from: read from a table, or heard."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.errors import ModelError, RecsysError
from recsys.extras import require
from recsys.features.public_table import COLUMNS, PublicTable
from recsys.reports.output import EXTRA
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from recsys.classifier.datasets import LabelledFile

WINDOW = PublicTable(window_s=30.0, max_windows=1)
"""One window of 30 s in the middle of a track, as long as a clip of GTZAN."""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features and genres.

    Attributes
    ----------
    values : ndarray of float64, shape (n, 57)
        In the order of :data:`recsys.features.public_table.COLUMNS`; all finite.
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
