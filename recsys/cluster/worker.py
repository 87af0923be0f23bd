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

from recsys.classifier.card import card_path, is_onnx
from recsys.cluster.rows import Row, table_of
from recsys.cluster.sources import SourceFile, fetched
from recsys.errors import PassingError, RecsysError, require
from recsys.indexing.examine import Examined, analyses_of
from recsys.types import TrackFile
from recsys.workers import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.classifier.card import ModelCard
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
        Where it runs, see :func:`recsys.classifier.inference.resolve_device`.
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


# Decoding and hearing as a stream of Ray Data over the machines of a cluster.


BLOCK_FILES = 16
"""Files of one task. What it makes of them is a few megabytes, and by such blocks Ray Data holds
decoding back when the model does not follow."""

GPU_TRACKS = 4 * BLOCK_FILES
"""Tracks that go through a GPU together: some four hundred windows."""

MODEL_SHARE = 0.4
"""Models per processor, where there are no GPUs: what hearing costs beside decoding."""

# A task that decodes has a processor, less a hundredth for a model beside it: so both run on a
# machine with a single one, and never more of either than it has.
_DECODING_CPUS, _MODEL_CPUS = 0.99, 0.01


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Hears files on a cluster.

    Attributes
    ----------
    ray : module
        Connected.
    examine : callable
        What to do with one file, see :class:`recsys.indexing.examine.Examiner`.
    model : ShippedModel
        What hears.
    together : bool
        The model is small and ready at once: it hears where files are decoded. Else it runs in
        actors of its own, one per GPU if `gpus`.
    gpus : int
        How many the model may use; 0 for processors alone.
    """

    ray: Any
    examine: Examine
    model: ShippedModel
    together: bool
    gpus: int = 0

    def tables(self, files: Sequence[SourceFile], *, alone: bool = False) -> Iterator[Any]:
        """Hear files.

        Ray tries what is lost with a process or a machine on another one. A block that fails for a
        reason of its own is left out: what comes back is to be compared with what was asked for.

        Parameters
        ----------
        files : sequence of SourceFile
            As many as the driver may keep account of, see :mod:`recsys.cluster.run`.
        alone : bool
            Each in a task of its own, for those that were missed.

        Yields
        ------
        pyarrow.Table
            Columns of a shard, in no particular order of files.

        Raises
        ------
        RecsysError
            If the cluster is lost, or its machines cannot hear.
        """
        self._settle_context()
        data = require("ray.data", "ray")
        size = 1 if alone else BLOCK_FILES
        blocks = [_block(files[i : i + size]) for i in range(0, len(files), size)]
        dataset = self._heard(data, data.from_arrow(blocks))
        try:
            for table in dataset.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                if table.num_rows:
                    yield _without_fault(table)
        except (self.ray.exceptions.RayError, ConnectionError) as error:
            raise RecsysError(
                f"the Ray cluster was lost: {_first_line(error)}",
                "What was written is kept; run the command again to go on from there.",
            ) from error

    def _heard(self, data: Any, files: Any) -> Any:  # noqa: ANN401
        """Return the stages as a dataset that is computed as it is read."""
        tasks = {
            "compute": data.TaskPoolStrategy(),
            "batch_size": None,  # a block as it is
            "batch_format": "pyarrow",
        }
        arguments: dict[str, Any] = {"examine": self.examine}
        if self.together:
            arguments["model"] = self.model
            return files.map_batches(hear_files, fn_kwargs=arguments, num_cpus=1, **tasks)
        decoded = files.map_batches(
            examine_files, fn_kwargs=arguments, num_cpus=_DECODING_CPUS, **tasks
        )
        # Actors that die with their machine start again on another; that is Ray Data's default.
        return decoded.map_batches(
            Hearing,
            fn_constructor_args=(self.model, None if self.gpus else 1),
            compute=data.ActorPoolStrategy(min_size=1, max_size=self._most_models()),
            num_cpus=_MODEL_CPUS,
            num_gpus=1 if self.gpus else None,
            batch_size=GPU_TRACKS if self.gpus else None,
            batch_format="pyarrow",
        )

    def _most_models(self) -> int:
        processors = self.ray.cluster_resources().get("CPU", 1)
        return self.gpus or max(1, round(MODEL_SHARE * processors))

    @staticmethod
    def _settle_context() -> None:
        context = require("ray.data", "ray").DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A block that is given up must not end the run: its files are missed and tried alone.
        context.max_errored_blocks = -1


def _block(files: Sequence[SourceFile]) -> Any:  # noqa: ANN401 (a pyarrow.Table)
    pa = require("pyarrow", "ray")
    return pa.table({"file": pa.array([pickle.dumps(file) for file in files], pa.binary())})


def _without_fault(table: Any) -> Any:  # noqa: ANN401 (a pyarrow.Table)
    """Return the columns of a shard, unless a machine cannot hear at all."""
    fault = table.column(FAULT)
    if fault.null_count < table.num_rows:
        message, _, hint = next(item.as_py() for item in fault if item.is_valid).partition("\n")
        raise RecsysError(message, hint)
    return table.drop_columns([FAULT])


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
