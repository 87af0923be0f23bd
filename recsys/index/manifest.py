"""The files of an index: parts of one generation, and the manifest that names them.

Parts are written first, under names that nothing refers to yet; then the manifest takes the place
of the old one in a single step, and only then do the old parts go. Whoever is killed in between
leaves an index that is whole, the old one or the new one. Parts that did not change are kept from
one generation to the next.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import zlib
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import GenreIndexError
from recsys.index.base import REBUILD_HINT, DamagedPartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    import numpy.typing as npt

MANIFEST = "manifest.json"
FORMAT = 2
METRIC = "cosine"

_OUR_PARTS = re.compile(r"part-\d{6,}-\d{4,}\.bin")
_OUR_MANIFESTS = re.compile(r"manifest\.json\.\d+")
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One part, or one segment of a part, as the manifest describes it.

    Attributes
    ----------
    genre : str
        The part.
    count : int
        Tracks in it.
    highest_id : int
        No track in it has a higher id.
    kind : str
        ``exact``, ``flat`` or ``coded``.
    compared : int or None
        Of an approximate part: how many times more tracks than are asked for are compared exactly.
    recall_at_20 : float or None
        Of an approximate part, against exact search, on a seeded sample of its own tracks.
    file : str
        Name in the directory.
    size : int
        Bytes of the file.
    crc32 : int
        Of the file (zlib).
    """

    genre: str
    count: int
    highest_id: int
    kind: str
    compared: int | None = None
    recall_at_20: float | None = None
    file: str = ""
    size: int = 0
    crc32: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a saved index is.

    Attributes
    ----------
    dimension : int
        Length of the embeddings.
    fingerprint : str
        What the embeddings were made with.
    revision : int
        Of the library that the index stands for.
    generation : int
        Rises with every save.
    parts : tuple of PartEntry
        Sorted by genre; a genre may have several, of different tracks.
    """

    dimension: int
    fingerprint: str
    revision: int
    generation: int
    parts: tuple[PartEntry, ...]


MappedPart = tuple[PartEntry, "npt.NDArray[np.uint8]"]


class ChecksumWriter:
    """Writes to a file and keeps count and checksum of what went by."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.crc32 = 0

    def __call__(self, data: bytes | memoryview) -> int:
        """Write some bytes; returns how many."""
        self._file.write(data)
        self.size += len(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        return len(data)


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part to be written: its entry without the file, and what writes it."""

    entry: PartEntry
    write: Callable[[ChecksumWriter], None]


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a saved index.

    Raises
    ------
    GenreIndexError
        It is missing, damaged or of another version.
    """
    path = directory / MANIFEST
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise GenreIndexError(f"There is no index in {directory}.", REBUILD_HINT) from error
    except (OSError, ValueError) as error:
        raise GenreIndexError(f"{path} cannot be read ({error}).", REBUILD_HINT) from error
    return _parse(path, fields)


def _parse(path: Path, fields: Any) -> Manifest:  # noqa: ANN401
    try:
        found = (fields["format"], fields["metric"])
        if found != (FORMAT, METRIC):
            raise GenreIndexError(
                f"{path} is of format {found[0]} with metric {found[1]}, not {FORMAT} with"
                f" {METRIC}: it was written by another version of recsys.",
                REBUILD_HINT,
            )
        return Manifest(
            dimension=int(fields["dimension"]),
            fingerprint=str(fields["fingerprint"]),
            revision=int(fields["revision"]),
            generation=int(fields["generation"]),
            parts=tuple(PartEntry(**part) for part in fields["parts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GenreIndexError(f"{path} is damaged ({error!r}).", REBUILD_HINT) from error


def open_parts(directory: Path) -> tuple[Manifest, list[MappedPart]]:
    """Read the manifest and map its parts into memory, where they stay whole.

    A mapped file can be read to its end even after it was deleted, so that a writer may replace
    the index at any time. One that does so between the reading of the manifest and the mapping of
    the parts makes parts vanish; then the manifest is a new one and is read again.

    Raises
    ------
    GenreIndexError
        The index is missing, damaged, or of another version.
    """
    manifest = read_manifest(directory)
    for _ in range(_ATTEMPTS):
        try:
            return manifest, [(entry, _map(directory, entry)) for entry in manifest.parts]
        except FileNotFoundError as error:
            before, manifest = manifest, read_manifest(directory)
            if manifest.generation == before.generation:
                raise GenreIndexError(
                    f"{error.filename} is missing, a part of the index.", REBUILD_HINT
                ) from error
    raise GenreIndexError(
        f"The index in {directory} was replaced {_ATTEMPTS} times while it was opened.",
        "Run the command again.",
    )


def _map(directory: Path, entry: PartEntry) -> npt.NDArray[np.uint8]:
    path = directory / entry.file
    try:
        with path.open("rb") as file:
            # Half a millisecond quicker than np.memmap, which is much for an index of many parts.
            place = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped = np.frombuffer(place, dtype=np.uint8)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise GenreIndexError(f"{path} cannot be read ({error}).", REBUILD_HINT) from error
    if len(mapped) != entry.size:
        raise GenreIndexError(
            f"{path} is damaged: {len(mapped)} bytes instead of {entry.size}.", REBUILD_HINT
        )
    return mapped


def verify_part(entry: PartEntry, mapped: npt.NDArray[np.uint8]) -> None:
    """Compare a part with its checksum.

    Raises
    ------
    DamagedPartError
        It does not match.
    """
    if zlib.crc32(mapped.data) != entry.crc32:
        raise DamagedPartError(
            f"The index part {entry.file} ({entry.genre}) is damaged: its checksum does not match.",
            REBUILD_HINT,
        )


def release(mapped: npt.NDArray[np.uint8]) -> None:
    """Let go of the pages of a part that were read; they come back when they are needed."""
    place = getattr(mapped.base, "obj", None)  # NumPy keeps it as a memoryview
    if isinstance(place, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        place.madvise(mmap.MADV_DONTNEED)


class NewGeneration:
    """The next generation of an index while it is written: nothing of it counts before the end.

    Parameters
    ----------
    directory : Path
        Made when it is not there.

    Raises
    ------
    GenreIndexError
        It cannot be written to.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with _writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
        _remove_unreferenced(directory)  # what others have begun and not finished
        self._number = _last_generation(directory) + 1
        self._written = 0

    def write(self, part: NewPart) -> MappedPart:
        """Write a part, and map it into memory where it lies now.

        Raises
        ------
        GenreIndexError
            It cannot be written; what was written of this generation is of no use then.
        """
        path = self.directory / part_file(self._number, self._written)
        self._written += 1
        with _writing(self.directory):
            entry = _write_part(path, part)
            return entry, _map(self.directory, entry)

    def finish(
        self, *, dimension: int, fingerprint: str, revision: int, parts: Sequence[PartEntry]
    ) -> None:
        """Let this generation take the place of the present one.

        Parameters
        ----------
        dimension, fingerprint, revision
            As in :class:`Manifest`.
        parts : sequence of PartEntry
            Those that were written, and those of the present generation that did not change.

        Raises
        ------
        GenreIndexError
            It cannot be written; the present generation is whole then.
        """
        in_order = tuple(sorted(parts, key=lambda entry: entry.genre))
        manifest = Manifest(dimension, fingerprint, revision, self._number, in_order)
        try:
            with _writing(self.directory):
                _replace_manifest(self.directory, manifest)
        finally:
            _remove_unreferenced(self.directory)

    @contextmanager
    def given_up_on_errors(self) -> Iterator[None]:
        """Remove what was written if it comes to nothing, by an error or by Ctrl-C."""
        try:
            yield
        except BaseException:
            _remove_unreferenced(self.directory)
            raise


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Say what it means that something cannot be written."""
    try:
        yield
    except OSError as error:
        raise GenreIndexError(
            f"The index in {directory} cannot be written ({error}).",
            "Check the permissions and the free space there; the library itself is safe.",
        ) from error


def part_file(generation: int, number: int) -> str:
    """Return the name of the file of a part: which of those that were written in a generation."""
    return f"part-{generation:06d}-{number:04d}.bin"


def _last_generation(directory: Path) -> int:
    try:
        return read_manifest(directory).generation
    except GenreIndexError:
        return 0


def _write_part(path: Path, part: NewPart) -> PartEntry:
    with path.open("wb") as file:
        writer = ChecksumWriter(file)
        part.write(writer)
        file.flush()
        os.fsync(file.fileno())
    fields = asdict(part.entry) | {
        "file": path.name,
        "size": writer.size,
        "crc32": writer.crc32,
    }
    return PartEntry(**fields)


def _replace_manifest(directory: Path, manifest: Manifest) -> None:
    fields = {"format": FORMAT, "metric": METRIC, **asdict(manifest)}
    path = directory / MANIFEST
    temporary = path.with_name(f"{MANIFEST}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _remove_unreferenced(directory: Path) -> None:
    """Remove earlier parts, and what a killed or failed save left behind; nothing else."""
    # Where a mapped file cannot be removed (Windows), a later save does it.
    with suppress(OSError, GenreIndexError):
        # Without a manifest nothing is referred to; a damaged one may yet be mended.
        there = (directory / MANIFEST).exists()
        current = {entry.file for entry in read_manifest(directory).parts} if there else set()
        for path in directory.iterdir():
            ours = _OUR_PARTS.fullmatch(path.name) or _OUR_MANIFESTS.fullmatch(path.name)
            if ours and path.name not in current:
                path.unlink()


def is_there(directory: Path, entry: PartEntry) -> bool:
    """Return whether the file of a part is still in its place."""
    try:
        return (directory / entry.file).stat().st_size == entry.size
    except OSError:
        return False
