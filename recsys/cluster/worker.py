"""The work of the machines of a cluster: decode files and run the model.

Errors of one file, or of the model, come back as rows. :mod:`recsys.cluster.run` notices files that
are lost with their process.
"""

from __future__ import annotations

import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from recsys.classifier.card import card_path, is_onnx
from recsys.cluster.shard_rows import Row, table_of
from recsys.cluster.sources import SourceFile, fetched
from recsys.errors import PassingError, RecsysError, WorkerError, require
from recsys.indexing.examine import Examined, analyses_of
from recsys.types import TrackFile
from recsys.workers import WorkerPool

if TYPE_CHECKING:
    from recsys.classifier.card import ModelCard
    from recsys.classifier.inference import Classifier
    from recsys.types import Effort

FAULT = "fault"
"""Column added to those of a shard: why the machine cannot run the model; the run then ends."""

Examine: TypeAlias = Callable[[TrackFile], Examined]
Pair: TypeAlias = tuple[SourceFile, Examined | RecsysError]


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A model as it travels to other machines."""

    fingerprint: str  # checked when it is loaded
    effort: Effort
    device: str  # see recsys.classifier.inference.resolve_device
    files: tuple[tuple[str, bytes], ...] = ()  # checkpoint and card; none for the shipped model

    @classmethod
    def pack(cls, card: ModelCard, device: str, checkpoint: Path | None) -> ShippedModel:
        """Read a checkpoint, which the other machines need not have."""
        if checkpoint is None:
            return cls(card.fingerprint, card.effort, device)
        suffix = ".toml" if is_onnx(checkpoint) else card_path(checkpoint).suffix
        paths = (checkpoint, checkpoint.with_suffix(suffix))
        files = tuple((path.name, path.read_bytes()) for path in paths)
        return cls(card.fingerprint, card.effort, device, files)

    def load(self) -> Classifier:
        """Load it on this machine; RecsysError where the recsys here comes with another one."""
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


def _fetch_and_examine(examine: Examine, file: SourceFile) -> Examined:
    with fetched(file) as here:
        return examine(here)


def examine_files(table: Any, examine: Examine) -> Any:  # noqa: ANN401 (pyarrow is untyped)
    """Decode the files of a block: column ``file`` of pickles in, column ``examined`` out."""
    pa = require("pyarrow", "ray")
    # Pickled, as Ray itself would: windows have a shape and a precision that Arrow does not keep.
    blobs = [pickle.dumps(pair, protocol=5) for pair in _examined(table, examine)]
    return pa.table({"examined": pa.array(blobs, pa.large_binary())})


def analyse_files(table: Any, examine: Examine, model: ShippedModel) -> Any:  # noqa: ANN401
    """Decode the files of a block and analyse them on the same processor.

    For models that are small and load quickly; the result is that of :class:`Analyser`.
    """
    return _analyser(model).table(_examined(table, examine))


@cache
def _analyser(model: ShippedModel) -> Analyser:
    """Return the model of this process, which serves one task after the other."""
    return Analyser(model, None)


@cache
def _decoder() -> WorkerPool:
    """Return the process that decodes for this one.

    If this process died of a file that crashes C decoders, Ray would try the file on one machine
    after the other.
    """
    return WorkerPool(1)


def _examined(table: Any, examine: Examine) -> list[Pair]:  # noqa: ANN401
    files = [pickle.loads(item.as_py()) for item in table.column("file")]
    try:
        return list(_decoder().map_unordered(partial(_fetch_and_examine, examine), files))
    except WorkerError as error:  # this machine cannot decode now; no file is to blame
        failure = PassingError(f"{platform.node()}: {error.message}", error.hint)
        return [(file, failure) for file in files]


class Analyser:
    """The model in a process, an actor of Ray Data; `threads` are PyTorch's on a processor."""

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
        """Return the rows of a block of :func:`examine_files`."""
        return self.table([pickle.loads(item.as_py()) for item in table.column("examined")])

    def table(self, pairs: list[Pair]) -> Any:  # noqa: ANN401 (a pyarrow.Table)
        """Return the columns of a shard, and ``fault``, for decoded files."""
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
            failure = PassingError(f"the model failed on {platform.node()}: {error}")
            return bad + [_failed(file, failure) for file, _ in good]


def _failed(file: SourceFile, error: RecsysError) -> Row:
    return Row(file, failure=error.message, may_pass=isinstance(error, PassingError))


def _analysed(good: list[tuple[SourceFile, Examined]], classifier: Classifier) -> list[Row]:
    decoded = [(file, found, found.result) for file, found in good if found.result is not None]
    analyses = analyses_of([result for *_, result in decoded], lambda: classifier)
    return [
        Row(
            file=file,
            audio_hash=found.audio_hash,
            tags=found.tags,
            duration_s=result.duration_s,
            warning=result.warning,
            genre=classifier.info.top_genre(analysis.probabilities),
            analysis=analysis,
        )
        for (file, found, result), analysis in zip(decoded, analyses, strict=True)
    ]


def machine_info(folders: tuple[str, ...]) -> dict[str, Any]:
    """Return what a machine of the cluster has: its name, versions, and which folders it lacks."""
    from importlib.metadata import version

    return {
        "node": platform.node(),
        "recsys": version("recsys"),
        "missing": [folder for folder in folders if not Path(folder).is_dir()],
    }


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How a cluster analyses files."""

    examine: Examine  # of one file, see recsys.indexing.examine.Examiner
    model: ShippedModel
    # A small model that loads quickly runs where files are decoded, another in actors of its own.
    together: bool
    gpus: int = 0  # that the model may use, one actor on each; 0 for processors alone
