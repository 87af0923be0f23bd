"""Shards: Parquet files that are complete or absent, and the files that are done by them."""

from __future__ import annotations

import contextlib
import io
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys import atomic
from recsys.cluster.shard_rows import (
    DAMAGED_HINT,
    FILE_COLUMNS,
    DamagedShardError,
    ShardHeader,
    check_batch,
    file_of,
    schema,
)
from recsys.cluster.sources import (
    call_file_system,
    file_system,
    file_system_error,
    is_url,
    normal_place,
)
from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHARD_ROWS = 1000
"""Rows of a full shard: about 1.1 MB."""

SHARD_WAIT_S = 20.0
"""A shard that is not full is written after this time: the most that a crash costs."""

_PREFIX, _SUFFIX = "shard-", ".parquet"
_DAMAGED = ".damaged"
_ABANDONED_S = 3600.0
"""Age of an unfinished shard whose run was killed: writing one takes seconds."""

_KNOWN = [*FILE_COLUMNS, "genre", "warning", "failure", "may_pass"]


class Outcome(NamedTuple):
    """The result of a file that is done."""

    genre: str | None
    warning: str | None
    failure: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Outcome:
        """Return the result in a row of a shard."""
        return cls(row["genre"], row["warning"], row["failure"])


class ShardPlace:
    """A folder or a URL of shards, named as by :func:`recsys.cluster.sources.normal_place`."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._system, self._root = file_system(place)
        self._local = not is_url(place)

    def prepare(self) -> None:
        """Make the folder, and remove the unfinished files of killed runs."""
        if not self._local:
            return
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            for unfinished in Path(self._root).glob(f"{atomic.PREFIX}*"):
                # Two runs may write into one place, and remove the same file.
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - unfinished.stat().st_mtime > _ABANDONED_S:
                        unfinished.unlink()
        except OSError as error:
            raise RecsysError(
                f"{self.place} cannot be written: {error.strerror}",
                "Choose another place with --out.",
            ) from error

    def names(self) -> list[str]:
        """Return the names of the shards, the oldest first."""
        try:
            found = self._system.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except Exception:  # noqa: BLE001 (file systems raise errors of any kind)
            found = call_file_system(self.place, lambda: self._system.ls(self._root, detail=False))
        names = sorted(PurePosixPath(str(path)).name for path in found)
        return [name for name in names if name.startswith(_PREFIX) and name.endswith(_SUFFIX)]

    def path(self, name: str) -> str:
        """Return the path or URL of a shard."""
        return f"{self.place.rstrip('/')}/{name}"

    def write(self, name: str, table: Any) -> None:  # noqa: ANN401 (a pyarrow.Table)
        """Write a shard atomically."""
        parquet = require("pyarrow.parquet", "ray")
        content = io.BytesIO()
        parquet.write_table(table, content, compression="zstd", write_page_checksum=True)
        data = content.getvalue()
        if not self._local:  # object stores write an object as a whole
            call_file_system(
                self.path(name), lambda: self._system.pipe_file(f"{self._root}/{name}", data)
            )
            return
        try:
            atomic.write_bytes(Path(self._root) / name, data)
        except OSError as error:
            raise RecsysError(
                f"{self.path(name)} cannot be written: {error.strerror}",
                "Make room or choose another place with --out; what was written before is kept, "
                "and the same command goes on from there.",
            ) from error

    def set_aside(self, name: str) -> None:
        """Rename a damaged shard, so that it is not read again."""
        path = f"{self._root}/{name}"
        call_file_system(self.path(name), lambda: self._system.mv(path, path + _DAMAGED))


class OpenShard:
    """A shard at a path or URL, open for reading; use it with ``with``.

    DamagedShardError where it is no complete Parquet file, RecsysError where it is not there,
    cannot be read now, or is no shard of recsys.
    """

    def __init__(self, path: str) -> None:
        parquet = require("pyarrow.parquet", "ray")
        self.path = path
        system, name = file_system(path)
        self._file = call_file_system(path, lambda: system.open(name, "rb"))
        try:
            self._parquet = parquet.ParquetFile(self._file, page_checksum_verification=True)
        except Exception as error:
            self._file.close()
            raise self._read_error(error) from error
        self.rows = int(self._parquet.metadata.num_rows)
        try:
            self.header = ShardHeader.from_metadata(self._parquet.schema_arrow.metadata, path)
            found = self._parquet.schema_arrow
            for wanted in schema():
                if not (
                    found.get_all_field_indices(wanted.name)
                    and found.field(wanted.name).type.equals(wanted.type)
                ):
                    raise self._damaged()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> OpenShard:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def batches(self, columns: list[str] | None = None, rows: int = SHARD_ROWS) -> Iterator[Any]:
        """Yield its rows as pyarrow.RecordBatch; errors as on opening."""
        try:
            for batch in self._parquet.iter_batches(batch_size=rows, columns=columns):
                check_batch(batch, self.header, self.path)
                yield batch
        except RecsysError:
            raise
        except Exception as error:
            raise self._read_error(error) from error

    def _read_error(self, error: Exception) -> RecsysError:
        """Return the error for a failed read: only its content makes a shard damaged.

        A failing network raises here as well, and a good shard must not be renamed for it.
        """
        invalid = isinstance(error, (require("pyarrow", "ray").ArrowInvalid, EOFError))
        # pyarrow reports a wrong checksum by an OSError without a number; those of systems and
        # networks have one, or are of another class.
        wrong_sum = type(error) is OSError and error.errno is None
        return self._damaged() if invalid or wrong_sum else file_system_error(error, self.path)

    def _damaged(self) -> DamagedShardError:
        return DamagedShardError(
            f"{self.path} is no complete Parquet file: damaged, cut off, or another kind of file",
            DAMAGED_HINT,
        )


def read_known(place: ShardPlace, header: ShardHeader, notes: list[str]) -> dict[bytes, Outcome]:
    """Return the results of the files that are done, by key; failures that may pass are left out.

    A damaged shard is renamed, with a note, and its files are done again. RecsysError where a shard
    is of another model, or cannot be read now.
    """
    known: dict[bytes, Outcome] = {}
    outcomes: dict[Outcome, Outcome] = {}  # equal results share one object
    for name in place.names():
        try:
            with OpenShard(place.path(name)) as shard:
                _check_model(shard.header, header, place)
                batches = shard.batches(_KNOWN)
                found = [plain for batch in batches for plain in batch.to_pylist()]
        except DamagedShardError as error:
            place.set_aside(name)
            notes.append(f"{error.message}; it was renamed, and its files are done again")
            continue
        for plain in found:
            if not plain["may_pass"]:
                outcome = Outcome.of(plain)
                known[file_of(plain).key] = outcomes.setdefault(outcome, outcome)
    return known


def _check_model(found: ShardHeader, wanted: ShardHeader, place: ShardPlace) -> None:
    if found.identity != wanted.identity:
        raise RecsysError(
            f"{place.place} holds shards of model {found.model} ({found.fingerprint}, effort "
            f"{found.effort}), not of {wanted.model} ({wanted.fingerprint}, effort "
            f"{wanted.effort}); results of two models do not mix",
            "Choose another place with --out, or the same model and effort as before.",
        )


class ShardWriter:
    """Collects tables and writes them as shards of one header."""

    def __init__(self, place: ShardPlace, header: ShardHeader) -> None:
        self._place = place
        self._schema = schema().with_metadata(header.as_metadata())
        # Names sort by the time of their run, to the microsecond: imports go by that order.
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._run = f"{started}-{secrets.token_hex(4)}"
        self._tables: list[Any] = []
        self._rows = 0
        self._number = 0
        self._since = time.monotonic()

    def add(self, table: Any) -> None:  # noqa: ANN401 (a pyarrow.Table)
        """Add rows."""
        if not self._tables:
            self._since = time.monotonic()
        self._tables.append(table)
        self._rows += table.num_rows

    @property
    def is_due(self) -> bool:
        """Whether a shard is full, or has waited long enough."""
        waited = bool(self._tables) and time.monotonic() - self._since >= SHARD_WAIT_S
        return self._rows >= SHARD_ROWS or waited

    def flush(self) -> Any:  # noqa: ANN401 (a pyarrow.Table)
        """Write the rows collected and return them; where that fails, they are kept."""
        pa = require("pyarrow", "ray")
        whole = pa.concat_tables(self._tables) if self._tables else schema().empty_table()
        if whole.num_rows:
            whole = whole.combine_chunks().cast(self._schema)
            name = f"{_PREFIX}{self._run}-{self._number:06}{_SUFFIX}"
            self._place.write(name, whole)
            self._number += 1
        self._tables, self._rows = [], 0
        return whole


# Shards of an import


_WILD = frozenset("*?[")


def find_shards(sources: Sequence[str]) -> list[str]:
    """Find shards, each once, in the order of the runs that wrote them.

    Sources are paths and URLs of shards, of folders that hold some, and patterns with ``*``.
    RecsysError where one is not there or matches no shard.
    """
    found = {path for source in sources for path in _shards_of(normal_place(source))}
    return sorted(found, key=lambda path: (PurePosixPath(path).name, path))


def _shards_of(place: str) -> list[str]:
    system, path = file_system(place)
    if call_file_system(place, lambda: system.isfile(path)):
        return [place]
    if call_file_system(place, lambda: system.isdir(path)):
        shards = ShardPlace(place)
        paths = [shards.path(name) for name in shards.names()]
    elif _WILD & set(place):
        matching = call_file_system(place, lambda: system.glob(path))
        url = is_url(place)
        paths = [str(system.unstrip_protocol(match) if url else match) for match in matching]
    else:
        raise RecsysError(f"no such shard: {place}", "Check the path, or whether it is mounted.")
    if not paths:
        raise RecsysError(
            f"no shards in {place}",
            "Give the folder or URL that `recsys cluster index` wrote to with --out.",
        )
    return paths
