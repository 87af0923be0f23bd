"""What the machines of a cluster do: decode files, and let the model hear them.

Nothing here raises for what is wrong with one file, or with the model: that comes back as a row.
What dies with its process is missed by the machine that asked, see :mod:`recsys.cluster.run`.
"""

from __future__ import annotations

import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from recsys.classifier.checkpoint import card_path, is_onnx
from recsys.cluster.rows import Row, table_of
from recsys.cluster.sources import SourceFile, fetched
from recsys.errors import PassingError, RecsysError
from recsys.extras import require
from recsys.indexing.examine import Examined, analyses_of
from recsys.types import TrackFile
from recsys.workers import WorkerPool

if TYPE_CHECKING:
    from recsys.classifier.checkpoint import ModelCard
    from recsys.classifier.inference import Classifier
    from recsys.types import Effort

FAULT = "fault"
"""Column beside those of a shard: why no row at all can be made, so that the run has to end."""

Examine: TypeAlias = Callable[[TrackFile], Examined]
Pair: TypeAlias = tuple[SourceFile, Examined | RecsysError]


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A model as it travels to other machines.

    Attributes
    ----------
    fingerprint : str
        Which it must turn out to be.
    effort : Effort
        How many windows of a track it analyses.
    device : str
        Where it runs, see :func:`recsys.classifier.devices.resolve_device`.
    files : tuple of (str, bytes)
        The checkpoint, then what lies beside it; empty for the model that comes with recsys.
    """

    fingerprint: str
    effort: Effort
    device: str
    files: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def pack(cls, card: ModelCard, device: str, checkpoint: Path | None) -> ShippedModel:
        """Read a checkpoint, so that it need not lie on the other machines."""
        if checkpoint is None:
            return cls(card.fingerprint, card.effort, device)
        suffix = ".toml" if is_onnx(checkpoint) else card_path(checkpoint).suffix
        beside = checkpoint.with_suffix(suffix)
        files = tuple((path.name, path.read_bytes()) for path in (checkpoint, beside))
        return cls(card.fingerprint, card.effort, device, files)

    def load(self) -> Classifier:
        """Load it here.

        Raises
        ------
        RecsysError
            If it cannot be used here, or this machine's recsys comes with another one.
        """
        from recsys.classifier.inference import Classifier

        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            for name, content in self.files:
                (Path(folder) / name).write_bytes(content)
            checkpoint = Path(folder) / self.files[0][0] if self.files else None
            classifier = Classifier.load(checkpoint, self.device, self.effort)
        found = classifier.info.fingerprint
        if found != self.fingerprint:
            raise RecsysError(
                f"{platform.node()} has the model {found}, not {self.fingerprint}",
                "Install the same version of recsys on all machines of the cluster.",
            )
        return classifier


@dataclass(frozen=True, slots=True)
class Fetching:
    """Examines a file of any place; can be sent to a process.

    Attributes
    ----------
    examine : callable
        What to do with it once it is a file of this machine.
    """

    examine: Examine

    def __call__(self, file: SourceFile) -> Examined:
        """Fetch and examine a file.

        Raises
        ------
        AudioError
            If it is not sound, or cannot be had now.
        """
        with fetched(file) as here:
            return self.examine(here)


def examine_files(table: Any, examine: Examine) -> Any:  # noqa: ANN401 (pyarrow is untyped)
    """Decode the files of a block, as a task of Ray Data.

    Parameters
    ----------
    table : pyarrow.Table
        Column ``file``: pickled :class:`SourceFile`.
    examine : callable
        Of one file of this machine.

    Returns
    -------
    pyarrow.Table
        Column ``heard``: pickled pairs of the file and what came of it.
    """
    pa = require("pyarrow", "ray")
    # Pickled, as Ray itself would: windows have a shape and a precision that Arrow does not keep.
    blobs = [pickle.dumps(pair, protocol=5) for pair in _examined(table, examine)]
    return pa.table({"heard": pa.array(blobs, pa.large_binary())})


def hear_files(table: Any, examine: Examine, model: ShippedModel) -> Any:  # noqa: ANN401
    """Decode the files of a block and hear them on the same processor, as a task of Ray Data.

    For models that are small and ready at once; parameters as in :func:`examine_files`.

    Returns
    -------
    pyarrow.Table
        As :class:`Hearing` makes it.
    """
    return _hearing(model).table(_examined(table, examine))


@cache
def _hearing(model: ShippedModel) -> Hearing:
    """Return the model of this process, which serves one task after the other."""
    return Hearing(model, None)


@cache
def _decoder() -> WorkerPool:
    """Return the process that decodes for this one.

    A file that makes a C decoder crash must take that one with it: if this one went, Ray would
    try the file on one machine after the other, without end.
    """
    return WorkerPool(1, librosa=False)


def _examined(table: Any, examine: Examine) -> list[Pair]:  # noqa: ANN401
    files = [pickle.loads(item.as_py()) for item in table.column("file")]
    return list(_decoder().map_unordered(Fetching(examine), files))


class Hearing:
    """The model; as it is called, an actor of Ray Data.

    Parameters
    ----------
    model : ShippedModel
        Which.
    threads : int or None
        For PyTorch on a processor; None leaves that as it is.
    """

    def __init__(self, model: ShippedModel, threads: int | None) -> None:
        self._classifier: Classifier | None = None
        self._fault: str | None = None
        try:
            self._classifier = model.load()
        except RecsysError as error:
            self._fault = f"{error.message}\n{error.hint}"
        if threads is not None and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)

    def __call__(self, table: Any) -> Any:  # noqa: ANN401 (a pyarrow.Table)
        """Make rows of a block, as :func:`examine_files` gives it."""
        return self.table([pickle.loads(item.as_py()) for item in table.column("heard")])

    def table(self, pairs: list[Pair]) -> Any:  # noqa: ANN401 (a pyarrow.Table)
        """Make rows of what was decoded.

        Returns
        -------
        pyarrow.Table
            Columns of a shard, and ``fault``.
        """
        pa = require("pyarrow", "ray")
        rows = self._rows(pairs)
        fault = pa.array([self._fault] * len(rows), pa.string())
        return table_of(rows).append_column(FAULT, fault)

    def _rows(self, pairs: list[Pair]) -> list[Row]:
        if self._classifier is None:
            return [Row(file) for file, _ in pairs]
        bad = [_failed(file, found) for file, found in pairs if isinstance(found, RecsysError)]
        good = [(file, found) for file, found in pairs if not isinstance(found, RecsysError)]
        try:
            return bad + _analysed(good, self._classifier)
        except Exception as error:  # noqa: BLE001 (a run must not end with one block)
            told = PassingError(f"the model failed on {platform.node()}: {error}")
            return bad + [_failed(file, told) for file, _ in good]


def _failed(file: SourceFile, error: RecsysError) -> Row:
    return Row(file, failure=error.message, may_pass=isinstance(error, PassingError))


def _analysed(good: list[tuple[SourceFile, Examined]], classifier: Classifier) -> list[Row]:
    heard = [(file, found, found.sound) for file, found in good if found.sound is not None]
    analyses = analyses_of([sound for *_, sound in heard], lambda: classifier)
    return [
        Row(
            file=file,
            audio_hash=found.audio_hash,
            tags=found.tags,
            duration_s=sound.duration_s,
            warning=sound.warning,
            genre=classifier.info.top_genre(analysis.probabilities),
            analysis=analysis,
        )
        for (file, found, sound), analysis in zip(heard, analyses, strict=True)
    ]


def look_around(folders: tuple[str, ...]) -> dict[str, Any]:
    """Return what a machine of the cluster has: its name, versions, and which folders it lacks."""
    from importlib.metadata import version

    return {
        "node": platform.node(),
        "recsys": version("recsys"),
        "missing": [folder for folder in folders if not Path(folder).is_dir()],
    }
