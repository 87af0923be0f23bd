"""Decoding and hearing as a stream of Ray Data over the machines of a cluster."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.cluster.worker import FAULT, Hearing, examine_files, hear_files
from recsys.errors import RecsysError
from recsys.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.cluster.sources import SourceFile
    from recsys.cluster.worker import Examine, ShippedModel

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
