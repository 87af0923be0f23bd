"""Shards into a library: what a cluster heard, as if it had been heard here. Needs no Ray."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.card import load_card
from recsys.cluster.rows import FILE_COLUMNS, Row, file_of, rows_of
from recsys.cluster.shards import OpenShard, find_shards
from recsys.cluster.sources import is_url
from recsys.errors import ModelError, RecsysError
from recsys.index_sync import bring_up_to_date, index_is_current
from recsys.indexing import IndexPlan
from recsys.indexing.session import SAVE_EVERY, change_model
from recsys.mel import effort_of
from recsys.store import Store, StoredFile, TrackRecord
from recsys.store.lock import LibraryLock
from recsys.types import Failure, IndexEvent, IndexSummary, TrackFile

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.cluster.rows import ShardHeader

_KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("version", "<u8"), ("good", "?")])


@dataclass(slots=True)
class _Counts:
    """What one import has done so far."""

    found: int
    by_status: Counter[str] = field(default_factory=Counter)
    unsaved: int = 0

    def attend(self, store: Store, events: Iterator[IndexEvent]) -> Iterator[IndexEvent]:
        """Count events, and write the index files now and then, so that queries stay quick."""
        for event in events:
            self.by_status[event.status] += 1
            self.unsaved += event.status == "indexed"
            if self.unsaved >= SAVE_EVERY:
                self.unsaved = 0
                bring_up_to_date(store)
            yield event

    def summary(self) -> IndexSummary:
        count = self.by_status
        return IndexSummary(
            found=self.found,
            indexed=count["indexed"],
            unchanged=count["unchanged"],
            failed=count["failed"],
        )


@dataclass(frozen=True, slots=True)
class ImportSession:
    """Everything that bringing shards into a library depends on.

    Attributes
    ----------
    database : Path
        Made if it is not there.
    model : Path or None
        Checkpoint of a new library; None for the shipped one.
    music : tuple of (str, Path)
        Beginnings of paths and URLs, and the folders in which they lie here.
    """

    database: Path
    model: Path | None = None
    music: tuple[tuple[str, Path], ...] = ()

    def run(
        self, sources: Sequence[str], *, wait_s: float | None = 0.0
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
        """Import shards.

        All of them are read once before anything is changed, so that a damaged one costs nothing.

        Parameters
        ----------
        sources : sequence of str
            Shards, folders of them or patterns, see :func:`recsys.cluster.shards.find_shards`.
        wait_s : float or None
            How long to wait while another process writes the library, seconds; None waits for
            ever.

        Yields
        ------
        IndexPlan
            First: how many files the shards hold.
        IndexEvent
            One per file, after it is stored.
        IndexSummary
            At the end.

        Raises
        ------
        RecsysError
            If a shard is damaged or of another model, a URL has no folder here, or the library
            is busy.
        """
        paths = find_shards(sources)
        header, chosen = self._look_through(paths)
        places = self._places(header)
        self._check_new(header)
        with (
            LibraryLock(self.database, wait_s),
            Store.open(self.database, create=True) as store,
        ):
            self._settle_model(store, header)
            counts = _Counts(sum(int(part.sum()) for part in chosen))
            yield IndexPlan(counts.found, counts.found)
            try:
                for path, wanted in zip(paths, chosen, strict=True):
                    events = self._import(store, path, wanted, header.fingerprint)
                    yield from counts.attend(store, events)
                for place in places:
                    store.add_root(place)
            finally:
                if store.model() is not None and not index_is_current(store):
                    bring_up_to_date(store)
        yield replace(counts.summary(), notes=self._useless(header))

    def _look_through(
        self, paths: Sequence[str]
    ) -> tuple[ShardHeader, list[npt.NDArray[np.bool_]]]:
        """Read every shard, and return for each which of its rows are the newest of their file.

        The header names the places of all shards, because each run may have listed others.
        """
        header: ShardHeader | None = None
        places: dict[str, None] = {}
        keys: list[npt.NDArray[np.void]] = []
        for path in paths:
            with OpenShard(path) as shard:
                header = header or shard.header
                if shard.header.fingerprint != header.fingerprint:
                    raise ModelError(
                        f"{path} was heard by model {shard.header.fingerprint}, {paths[0]} by "
                        f"{header.fingerprint}; results of two models do not mix",
                        "Import those of one model only.",
                    )
                places |= dict.fromkeys(shard.header.sources)
                parts = [self._keys(batch) for batch in shard.batches()]
                keys.append(np.concatenate([np.empty(0, _KEY), *parts]))
        if header is None:
            raise RecsysError("no shards were given", "Give what `recsys index --out` wrote.")
        newest = newest_rows(np.concatenate(keys))
        whole = replace(header, sources=tuple(places))
        return whole, np.split(newest, np.cumsum([len(part) for part in keys])[:-1])

    def _keys(self, batch: Any) -> npt.NDArray[np.void]:  # noqa: ANN401 (a pyarrow.RecordBatch)
        """Return what decides between rows: a few bytes each, so that millions fit in memory."""
        columns = [*FILE_COLUMNS, "failure"]
        plain = batch.select(columns).to_pylist()
        files = [file_of(row) for row in plain]
        paths = b"".join(_digest(os.fsencode(self._here(file.name)), 16) for file in files)
        versions = b"".join(_digest(file.key, 8) for file in files)
        keys = np.empty(len(plain), _KEY)
        keys["high"], keys["low"] = np.frombuffer(paths, "<u8").reshape(-1, 2).T
        keys["version"] = np.frombuffer(versions, "<u8")
        keys["good"] = [row["failure"] is None for row in plain]
        return keys

    def _here(self, name: str) -> Path:
        """Return where a file of a shard lies on this machine.

        Raises
        ------
        RecsysError
            If it is a URL and nobody has said where that is.
        """
        mapped = self._mapped(name)
        if mapped is None and is_url(name):
            raise RecsysError(
                f"{name} is no file of this machine, and a library holds only such",
                f"Say where its files lie here: --music {name.rpartition('/')[0]}=FOLDER, or any "
                "shorter beginning of it.",
            )
        return Path(name) if mapped is None else mapped

    def _mapped(self, name: str) -> Path | None:
        for beginning, folder in sorted(self.music, key=lambda pair: -len(pair[0])):
            stem = beginning.rstrip("/")
            if name == stem or name.startswith(stem + "/"):
                return folder / name[len(stem) :].lstrip("/")
        return None

    def _places(self, header: ShardHeader) -> list[Path]:
        """Return the folders that were listed, as far as they are on this machine."""
        found = [
            self._here(name) for name in header.sources if self._mapped(name) or not is_url(name)
        ]
        return [place for place in found if place.is_dir()]

    def _useless(self, header: ShardHeader) -> tuple[str, ...]:
        """Say what was told of places from which the shards hold nothing."""
        sources = [f"{source.rstrip('/')}/" for source in header.sources]
        return tuple(
            f"--music {beginning}={folder}: the shards hold nothing from {beginning}, but from "
            f"{', '.join(header.sources)}"
            for beginning, folder in self.music
            for stem in (f"{beginning.rstrip('/')}/",)
            if sources and not any(s.startswith(stem) or stem.startswith(s) for s in sources)
        )

    def _check_new(self, header: ShardHeader) -> None:
        """Make sure that a library can be made for these shards, before it is made."""
        if not self.database.exists() or self.model is not None:
            card = load_card(self.model).at_effort(effort_of(header.fingerprint))
            if card.fingerprint != header.fingerprint:
                raise ModelError(
                    f"the shards were heard by model {header.model} ({header.fingerprint}), not by "
                    f"{card.name} ({card.fingerprint})",
                    "Give the checkpoint that heard them with --model.",
                )

    def _settle_model(self, store: Store, header: ShardHeader) -> None:
        known = store.model()
        if known is None:
            self._check_new(header)
            card = load_card(self.model).at_effort(effort_of(header.fingerprint))
            change_model(store, card, self.model)
        elif known.fingerprint != header.fingerprint:
            raise ModelError(
                f"{self.database} was analysed with model {known.name} ({known.fingerprint}), the "
                f"shards with {header.model} ({header.fingerprint}); results of two models do not "
                "mix",
                "Import into another library with --db, or hear the music on the cluster with the "
                "library's model and effort: recsys cluster index --db LIBRARY.",
            )

    def _import(
        self,
        store: Store,
        path: str,
        wanted: npt.NDArray[np.bool_],
        fingerprint: str,
    ) -> Iterator[IndexEvent]:
        """Bring the wanted rows of one shard in, a batch at a time."""
        start = 0
        with OpenShard(path) as shard:
            for batch in shard.batches():
                mask = wanted[start : start + batch.num_rows]
                start += batch.num_rows
                if mask.any():
                    rows = rows_of(batch.filter(mask), fingerprint)
                    yield from self._write(store, rows)

    def _write(self, store: Store, rows: Sequence[Row]) -> Iterator[IndexEvent]:
        """Store what the library does not know yet, then tell of all."""
        records: list[TrackRecord] = []
        failures: list[Failure] = []
        events: list[IndexEvent] = []
        files = [self._present(row) for row in rows]
        known = store.lookups([file.path for file in files])
        for row, file, stored in zip(rows, files, known, strict=True):
            if row.failure is not None:
                if (failure := _failure_to_store(row, file, stored)) is not None:
                    failures.append(failure)
                events.append(IndexEvent(file.path, "failed", reason=row.failure))
            elif stored is not None and _is_known(row, file, stored):
                events.append(_unchanged(file.path, stored))
            else:
                records.append(_record(row, file))
        ids = store.write(records, failures) if records or failures else []
        yield from events
        tracks = store.tracks(ids)
        for track_id in ids:
            track = tracks[track_id]
            yield IndexEvent(
                track.path, "indexed", warning=track.warning, genre=track.genre, track_id=track_id
            )

    def _present(self, row: Row) -> TrackFile:
        """Return the file of a row as the library is to know it.

        A copy of what was heard has a time of its own. With it, the next `recsys index` of the
        folder finds nothing changed.
        """
        mapped = self._mapped(row.file.name)
        if mapped is None:
            return TrackFile(Path(row.file.name), row.file.size, row.file.mtime_ns)
        try:
            status = mapped.stat()
        except OSError:
            return TrackFile(mapped, row.file.size, row.file.mtime_ns)
        same = status.st_size == row.file.size
        return TrackFile(mapped, row.file.size, status.st_mtime_ns if same else row.file.mtime_ns)


def _digest(content: bytes, size: int) -> bytes:
    return hashlib.blake2b(content, digest_size=size).digest()


def newest_rows(keys: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return which rows stand for their file.

    The last row of a file says which version of it is the newest, and of the rows of that version
    the last that is good counts, or the last if none is. Times of modification decide nothing: a
    file may be replaced by an older copy.

    Parameters
    ----------
    keys : structured ndarray, shape (n,)
        Of all rows, in the order in which they were written.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    position = np.arange(len(keys))
    order = np.lexsort((position, keys["low"], keys["high"]))
    ordered = keys[order]
    paths = ordered[["high", "low"]]
    last = np.append(paths[1:] != paths[:-1], [True] * bool(len(keys)))
    file = np.cumsum(last) - last
    current = ordered["version"] == ordered["version"][last][file]
    # Sorted by file still, so that the ends of the files stay where they are.
    best = np.lexsort((position, current & ordered["good"], current, file))
    newest = np.zeros(len(keys), dtype=np.bool_)
    newest[order[best[last]]] = True
    return newest


def _is_known(row: Row, file: TrackFile, stored: StoredFile) -> bool:
    """Tell whether a library is to keep what it holds of a file."""
    if stored.failure is not None or stored.genre is None or stored.missing:
        return False
    if _is_version(stored, file):
        return stored.audio_hash == row.audio_hash
    return _is_on_disk(stored, file.path)


def _is_version(stored: StoredFile, file: TrackFile) -> bool:
    return (stored.size, stored.mtime_ns) == (file.size, file.mtime_ns)


def _is_on_disk(stored: StoredFile, path: Path) -> bool:
    """Tell whether a file is at this moment as the library knows it.

    What a library holds says neither which shard it came from nor when, and the time of the file
    says only how old the copy is. So the file itself decides between a library and a shard that
    know different versions: where it is the library's (`recsys index` has seen it since, or it
    was put back), the shard is out of date. Where it is not, or is out of reach, the library
    holds what an earlier import brought or what is gone, and the shard counts.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    return (stored.size, stored.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _unchanged(path: Path, stored: StoredFile) -> IndexEvent:
    return IndexEvent(
        path, "unchanged", warning=stored.warning, genre=stored.genre, track_id=stored.track_id
    )


def _failure_to_store(row: Row, file: TrackFile, stored: StoredFile | None) -> Failure | None:
    """Return the failure as a library remembers it, None where it is to stay as it is."""
    if row.failure is None:
        return None
    if stored is not None and stored.track_id is not None:
        if row.may_pass or _is_version(stored, file) or _is_on_disk(stored, file.path):
            return None  # what was heard of a version stands before a failure of the same one
        return Failure(file, row.failure)
    if row.may_pass:  # as no file is: the next `recsys index` tries it
        file = TrackFile(file.path, size=-1, mtime_ns=-1)
    if stored is not None and _is_version(stored, file) and stored.failure == row.failure:
        return None
    return Failure(file, row.failure)


def _record(row: Row, file: TrackFile) -> TrackRecord:
    return TrackRecord(
        file=file,
        tags=row.tags,
        audio_hash=row.audio_hash or "",
        duration_s=row.duration_s or 0.0,
        warning=row.warning,
        analysis=row.analysis,
    )
