"""Imports shards into a library: the analyses of a cluster, stored as those of this machine are.

Needs no Ray.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.card import load_card
from recsys.cluster.shard_rows import FILE_COLUMNS, Row, file_of, rows_of
from recsys.cluster.shards import OpenShard, find_shards
from recsys.cluster.sources import is_url
from recsys.errors import ModelError, RecsysError
from recsys.indexing import IndexPlan, settle
from recsys.indexing.session import attended, change_model
from recsys.store import LibraryLock, Store, TrackRecord
from recsys.types import Failure, IndexEvent, IndexSummary, SlowFile, TrackFile

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.cluster.shard_rows import ShardHeader

_KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("version", "<u8"), ("good", "?")])


@dataclass(frozen=True, slots=True)
class ImportSession:
    """The options of an import."""

    database: Path  # made if it is not there
    model: Path | None = None  # checkpoint of a new library; None for the shipped one
    music: tuple[tuple[str, Path], ...] = ()  # prefixes of paths and URLs, and their folders here

    def run(
        self, sources: Sequence[str], *, wait_s: float | None = 0.0
    ) -> Generator[IndexEvent | IndexPlan | IndexSummary | SlowFile, None, None]:
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
        header, newest = self._read_keys(paths)
        places = self._local_folders(header)
        self._check_checkpoint(header)
        with (
            LibraryLock(self.database, wait_s),
            Store.open(self.database, create=True) as store,
        ):
            self._settle_model(store, header)
            found = sum(int(rows.sum()) for rows in newest)
            yield IndexPlan(found, found)
            batches = self._batches(paths, newest, header)
            events = self._adding_roots(store, places, header, settle(store, batches))
            yield from attended(store, events, load_ahead=False)

    def _adding_roots(
        self,
        store: Store,
        places: Sequence[Path],
        header: ShardHeader,
        events: Iterator[IndexEvent | IndexSummary],
    ) -> Iterator[IndexEvent | IndexSummary]:
        """Pass events on, and at the end add the folders of the shards to the library."""
        for event in events:
            if isinstance(event, IndexSummary):
                for place in places:
                    store.add_root(place)
                event = replace(event, notes=self._unused_prefixes(header))
            yield event

    def _read_keys(self, paths: Sequence[str]) -> tuple[ShardHeader, list[npt.NDArray[np.bool_]]]:
        """Read every shard, and return for each which of its rows are the newest of their file.

        The header names the places of all shards, because each run may have listed others.
        """
        header: ShardHeader | None = None
        places: dict[str, None] = {}
        keys: list[npt.NDArray[np.void]] = []
        for path in paths:
            with OpenShard(path) as shard:
                header = header or shard.header
                if shard.header.identity != header.identity:
                    raise ModelError(
                        f"{path} was analysed by model {shard.header.fingerprint} (effort "
                        f"{shard.header.effort}), {paths[0]} by {header.fingerprint} (effort "
                        f"{header.effort}); results of two models do not mix",
                        "Import those of one model only.",
                    )
                places |= dict.fromkeys(shard.header.sources)
                parts = [self._keys(batch) for batch in shard.batches()]
                keys.append(np.concatenate([np.empty(0, _KEY), *parts]))
        if header is None:
            raise RecsysError("no shards were given", "Give what `recsys cluster index` wrote.")
        newest = newest_rows(np.concatenate(keys))
        whole = replace(header, sources=tuple(places))
        return whole, np.split(newest, np.cumsum([len(part) for part in keys])[:-1])

    def _keys(self, batch: Any) -> npt.NDArray[np.void]:  # noqa: ANN401 (a pyarrow.RecordBatch)
        """Return the keys of rows: a few bytes each, because all rows are compared in memory."""
        columns = [*FILE_COLUMNS, "failure"]
        plain = batch.select(columns).to_pylist()
        files = [file_of(row) for row in plain]
        paths = b"".join(_digest(os.fsencode(self._local_path(file.name)), 16) for file in files)
        versions = b"".join(_digest(file.key, 8) for file in files)
        keys = np.empty(len(plain), _KEY)
        keys["high"], keys["low"] = np.frombuffer(paths, "<u8").reshape(-1, 2).T
        keys["version"] = np.frombuffer(versions, "<u8")
        keys["good"] = [row["failure"] is None for row in plain]
        return keys

    def _local_path(self, name: str) -> Path:
        """Return the path of a file on this machine; RecsysError for a URL without a folder."""
        if "\0" in name:
            raise RecsysError(f"{name!r} is no path", "The shard is damaged; delete it.")
        mapped = self._mapped(name)
        if mapped is None and is_url(name):
            raise RecsysError(
                f"{name} is no file of this machine, and a library holds only such",
                f"Give the folder of its files: --music {name.rpartition('/')[0]}=FOLDER, or any "
                "shorter prefix.",
            )
        return Path(name) if mapped is None else mapped

    def _mapped(self, name: str) -> Path | None:
        for beginning, folder in sorted(self.music, key=lambda pair: -len(pair[0])):
            stem = beginning.rstrip("/")
            if name == stem or name.startswith(stem + "/"):
                return folder / name[len(stem) :].lstrip("/")
        return None

    def _local_folders(self, header: ShardHeader) -> list[Path]:
        """Return the folders that were listed and exist on this machine."""
        found = [
            self._local_path(name)
            for name in header.sources
            if self._mapped(name) or not is_url(name)
        ]
        return [place for place in found if place.is_dir()]

    def _unused_prefixes(self, header: ShardHeader) -> tuple[str, ...]:
        """Return notes on the prefixes of --music under which no shard has files."""
        sources = [f"{source.rstrip('/')}/" for source in header.sources]
        return tuple(
            f"--music {beginning}={folder}: the shards hold nothing from {beginning}, but from "
            f"{', '.join(header.sources)}"
            for beginning, folder in self.music
            for stem in (f"{beginning.rstrip('/')}/",)
            if sources and not any(s.startswith(stem) or stem.startswith(s) for s in sources)
        )

    def _check_checkpoint(self, header: ShardHeader) -> None:
        """Make sure that a library can be made for these shards, before it is made."""
        if not self.database.exists() or self.model is not None:
            card = load_card(self.model).at_effort(header.effort)
            if card.info().identity != header.identity:
                raise ModelError(
                    f"the shards were analysed by model {header.model} ({header.fingerprint}, "
                    f"effort {header.effort}), not by {card.name} ({card.fingerprint}, effort "
                    f"{card.effort})",
                    "Give the checkpoint that analysed them with --model.",
                )

    def _settle_model(self, store: Store, header: ShardHeader) -> None:
        known = store.model()
        if known is None:
            self._check_checkpoint(header)
            card = load_card(self.model).at_effort(header.effort)
            change_model(store, card, self.model)
        elif known.identity != header.identity:
            raise ModelError(
                f"{self.database} was analysed with model {known.name} ({known.fingerprint}, "
                f"effort {known.effort}), the shards with {header.model} ({header.fingerprint}, "
                f"effort {header.effort}); results of two models do not mix",
                "Import into another library with --db, or analyse the music on the cluster with "
                "the library's model and effort: recsys cluster index --db LIBRARY.",
            )

    def _batches(
        self, paths: Sequence[str], newest: Sequence[npt.NDArray[np.bool_]], header: ShardHeader
    ) -> Iterator[list[TrackRecord | Failure]]:
        """Yield the rows that count, a batch at a time."""
        for path, wanted in zip(paths, newest, strict=True):
            start = 0
            with OpenShard(path) as shard:
                for batch in shard.batches():
                    mask = wanted[start : start + batch.num_rows]
                    start += batch.num_rows
                    if mask.any():
                        yield [self._result(row) for row in rows_of(batch.filter(mask), header)]

    def _result(self, row: Row) -> TrackRecord | Failure:
        file = self._present(row)
        if row.failure is not None:
            return Failure(file, row.failure, retry=row.may_pass)
        return TrackRecord(
            file=file,
            tags=row.tags,
            audio_hash=row.audio_hash or "",
            duration_s=row.duration_s or 0.0,
            warning=row.warning,
            analysis=row.analysis,
        )

    def _present(self, row: Row) -> TrackFile:
        """Return the file of a row as the library is to know it.

        A copy has a modification time of its own. With that, the next `recsys index` of the folder
        finds nothing changed.
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
    """Return a mask of the rows that count, one per file; keys (n,) in the order of writing.

    The last row of a file has its newest version. Of the rows of that version the last good one
    counts, or the last if none is. Times of modification decide nothing: a file may be replaced by
    an older copy.
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
