"""One run on a cluster: list files, skip those that are done, analyse, write shards."""

from __future__ import annotations

import contextlib
import pickle
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from recsys.classifier.card import is_onnx, load_card
from recsys.classifier.inference import place_for_any_process
from recsys.cluster.ray_cluster import Cluster, ClusterError
from recsys.cluster.shard_rows import FILE_COLUMNS, Row, ShardHeader, file_of, table_of
from recsys.cluster.shards import Outcome, ShardPlace, ShardWriter, read_known
from recsys.cluster.sources import (
    SourceFile,
    check_place,
    is_url,
    list_files,
    normal_place,
    outermost_places,
)
from recsys.cluster.worker import Pipeline, ShippedModel
from recsys.errors import ModelError, RecsysError
from recsys.indexing import IndexPlan
from recsys.indexing.examine import Examiner
from recsys.library import ScanReport
from recsys.mel import DEFAULT_EFFORT
from recsys.store import Store
from recsys.types import IndexEvent, IndexStatus, IndexSummary

if TYPE_CHECKING:
    from recsys.classifier.card import ModelCard
    from recsys.cluster.worker import Examine

ROUND_FILES = 100_000
"""Files of one dataset of Ray Data. Its driver keeps account of every block, so millions of files
would fill its memory; in rounds, only the last blocks of each leave machines without work."""

_SPOOLED = 1000  # files per pickle

_NO_RESULT = "no result after 2 attempts; will be retried on the next run"


@dataclass(frozen=True, slots=True)
class FilesAnalysed:
    """Files that came back from the cluster; they are stored with the next shard."""

    count: int
    failed: int


@dataclass(slots=True)
class _Counts:
    """Counts of a run."""

    report: ScanReport = field(default_factory=ScanReport)
    indexed: int = 0
    unchanged: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def event(self, name: str, outcome: Outcome, status: IndexStatus) -> IndexEvent:
        """Count a file, and return its event."""
        place = name if is_url(name) else Path(name)
        if outcome.failure is not None:
            self.failed += 1
            return IndexEvent(place, IndexStatus.FAILED, reason=outcome.failure)
        setattr(self, status, getattr(self, status) + 1)
        return IndexEvent(place, status, warning=outcome.warning, genre=outcome.genre)

    def summary(self) -> IndexSummary:
        notes = [
            f"{folder} could not be read ({why})" for folder, why in self.report.unreadable.items()
        ]
        return IndexSummary(
            found=self.report.found,
            indexed=self.indexed,
            unchanged=self.unchanged,
            failed=self.failed,
            notes=(*self.notes, *notes),
        )


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """The options of a run on a cluster."""

    out: str  # folder or URL for shards, see recsys.cluster.sources.normal_place
    address: str | None = None  # see recsys.cluster.ray_cluster.Cluster
    database: Path | None = None  # a library whose model and effort are used, if it exists
    model: Path | None = None  # checkpoint; None for the library's own, or else the shipped one
    device: str = "auto"  # GPUs where the cluster has some; or "cpu", "cuda"
    effort: str | None = None  # None for the library's own, or else recsys.mel.DEFAULT_EFFORT
    examine: Examine | None = None  # of one file; None for that of indexing

    def run(
        self, places: Sequence[str]
    ) -> Generator[IndexEvent | IndexPlan | IndexSummary | FilesAnalysed, None, None]:
        """Analyse everything new in some places.

        Parameters
        ----------
        places : sequence of str
            Folders and URLs; a file that is in two of them is analysed once.

        Yields
        ------
        IndexEvent
            One per file: first those that are done, then each after its shard is written.
        IndexPlan
            Once, between the two.
        FilesAnalysed
            Whenever some came back, before they are stored.
        IndexSummary
            At the end.

        Raises
        ------
        RecsysError
            If a place cannot be listed or written, or the cluster is not there or is lost.
        """
        for place in places:
            check_place(normal_place(place))
        places = outermost_places(places)
        card, checkpoint = self._settle_model()
        header = ShardHeader.of_model(card.info(), places)
        counts = _Counts()
        shards = ShardPlace(self.out)
        shards.prepare()
        known = read_known(shards, header, counts.notes)
        with tempfile.TemporaryFile(prefix="recsys-") as spool:
            pending = yield from self._list(places, known, counts, spool)
            yield IndexPlan(counts.report.found, pending)
            if pending:
                writer = ShardWriter(shards, header)
                yield from self._analyse(card, checkpoint, places, spool, writer, counts)
        yield counts.summary()

    def _settle_model(self) -> tuple[ModelCard, Path | None]:
        """Return the card and checkpoint of the model."""
        checkpoint, effort = self.model, self.effort
        if self.database is not None and self.database.exists():
            with Store.open(self.database, read_only=True) as store:
                info = store.model()
                checkpoint = checkpoint or store.model_path()
                if info is not None:
                    effort = effort or info.effort
        return load_card(checkpoint).at_effort(effort or DEFAULT_EFFORT), checkpoint

    def _list(
        self,
        places: Sequence[str],
        known: dict[bytes, Outcome],
        counts: _Counts,
        spool: IO[bytes],
    ) -> Generator[IndexEvent, None, int]:
        """Yield events of files that are done; spool the others to disk and return their number.

        On disk, because a bucket is slow to list a second time and its list may be long.
        """
        pending = 0
        batch: list[SourceFile] = []
        for place in places:
            for file in list_files(place, counts.report):
                outcome = known.get(file.key)
                if outcome is not None:
                    yield counts.event(file.name, outcome, IndexStatus.UNCHANGED)
                    continue
                pending += 1
                batch.append(file)
                if len(batch) == _SPOOLED:
                    pickle.dump(batch, spool)
                    batch = []
        pickle.dump(batch, spool)
        spool.seek(0)
        return pending

    def _analyse(
        self,
        card: ModelCard,
        checkpoint: Path | None,
        places: Sequence[str],
        spool: IO[bytes],
        writer: ShardWriter,
        counts: _Counts,
    ) -> Iterator[IndexEvent | FilesAnalysed]:
        folders = tuple(place for place in places if not is_url(place))
        with Cluster(self.address) as cluster:
            cluster.check_machines(folders)
            pipeline = self._pipeline(cluster.gpus, card, checkpoint)
            files = _spooled(spool)
            try:
                while batch := list(islice(files, ROUND_FILES)):
                    for table in _analyse_batch(cluster, pipeline, batch):
                        yield FilesAnalysed(table.num_rows, _failures(table))
                        writer.add(table)
                        if writer.is_due:
                            yield from _stored(writer, counts)
            except BaseException:  # Ctrl-C, a lost cluster: rows that came back are kept
                with contextlib.suppress(RecsysError):
                    writer.flush()
                raise
            yield from _stored(writer, counts)

    def _pipeline(self, gpus: int, card: ModelCard, checkpoint: Path | None) -> Pipeline:
        on_processors = checkpoint is not None and is_onnx(checkpoint)
        if on_processors and self.device == "cuda":
            raise ModelError(
                f"an ONNX model runs on the processor, not on {self.device!r}",
                "Leave --device out.",
            )
        if on_processors or self.device == "cpu":
            gpus = 0
        if self.device not in ("auto", "cpu", "cuda") or (self.device == "cuda" and not gpus):
            raise ClusterError(
                f"no machine of the cluster has a device {self.device!r} for the model",
                "Leave --device out, or start machines with GPUs.",
            )
        device = "cuda" if gpus else "cpu"
        return Pipeline(
            examine=self.examine or Examiner(None, card.features),
            model=ShippedModel.pack(card, device, checkpoint),
            together=not gpus and place_for_any_process(checkpoint, "cpu") is not None,
            gpus=gpus,
        )


def _spooled(spool: IO[bytes]) -> Iterator[SourceFile]:
    while True:
        try:
            yield from pickle.load(spool)
        except EOFError:
            return


def _analyse_batch(
    cluster: Cluster, pipeline: Pipeline, files: Sequence[SourceFile]
) -> Iterator[Any]:
    """Analyse files; each comes back exactly once, if only as a failure.

    Those that are missed are retried once, each in a task of its own.
    """
    missing = {file.key: file for file in files}
    for alone in (False, True):
        if not missing:
            return
        for table in cluster.tables(pipeline, list(missing.values()), alone=alone):
            fresh = [missing.pop(file.key, None) is not None for file in _files(table)]
            # Ray computes a block twice where a machine died with the first result.
            whole = table if all(fresh) else table.filter(fresh)
            if whole.num_rows:
                yield whole
    if missing:
        yield table_of([Row(file, failure=_NO_RESULT, may_pass=True) for file in missing.values()])


def _files(table: Any) -> Iterable[SourceFile]:  # noqa: ANN401 (a pyarrow.Table)
    return map(file_of, table.select(FILE_COLUMNS).to_pylist())


def _failures(table: Any) -> int:  # noqa: ANN401 (a pyarrow.Table)
    failures = table.column("failure")
    return int(len(failures) - failures.null_count)


def _stored(writer: ShardWriter, counts: _Counts) -> Iterator[IndexEvent]:
    """Write a shard, then yield the events of its files."""
    columns = [*FILE_COLUMNS, "genre", "warning", "failure"]
    for plain in writer.flush().select(columns).to_pylist():
        yield counts.event(file_of(plain).name, Outcome.of(plain), IndexStatus.INDEXED)
