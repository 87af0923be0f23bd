"""Audio files of folders and URLs: listed on one machine, fetched on those that analyse them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from recsys.errors import PassingError, RecsysError, require
from recsys.indexing.roots import check_folder
from recsys.library import (
    AUDIO_SUFFIXES,
    ScanReport,
    ScanRules,
    absolute,
    outermost,
    scan,
)
from recsys.types import TrackFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Places: folders of this machine, and URLs of fsspec


_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_LOCAL_URL = "file://"
# By name: the classes are botocore's, which only s3:// loads.
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError")


def is_url(place: str) -> bool:
    """Return whether a place is a URL, and no path of this machine.

    Examples
    --------
    >>> is_url("s3://bucket/music"), is_url("/music/a:/b"), is_url("file:///music")
    (True, False, False)
    """
    return _URL.match(place) is not None and not place.startswith(_LOCAL_URL)


def normal_place(place: str) -> str:
    """Return a place as an absolute path, or a URL without a last slash."""
    if is_url(place):
        return place.rstrip("/")
    return str(absolute(place.removeprefix(_LOCAL_URL)))


def outermost_places(places: Iterable[str]) -> list[str]:
    """Return normal places, folders first, without repetitions and those inside another.

    Examples
    --------
    >>> outermost_places(["/m/rock", "s3://b/m2", "/m", "s3://b/m", "s3://b/m/new/"])
    ['/m', 's3://b/m', 's3://b/m2']
    """
    normal = {normal_place(place) for place in places}
    urls: list[str] = []
    for url in sorted(filter(is_url, normal)):
        if not any(url.startswith(f"{outer}/") for outer in urls):
            urls.append(url)
    folders = outermost(place for place in normal if not is_url(place))
    return [*map(str, folders), *urls]


def file_system(place: str) -> tuple[Any, str]:
    """Return the fsspec file system of a normal place, and its path there."""
    core = require("fsspec.core", "ray")
    try:
        # No cache of listings: a key that was deleted meanwhile has to be noticed.
        system, path = core.url_to_fs(place, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise RecsysError(
            f"cannot open {place}: {error}",
            "URLs are those of fsspec; s3:// comes with recsys[ray], others (gs://, az://, "
            "sftp://) need a package of their own.",
        ) from error
    return system, str(path)


def file_system_error(error: Exception, place: str) -> RecsysError:
    """Return a file system's error as one with a hint; some raise their clients' own classes."""
    if isinstance(error, RecsysError):
        return error
    name = type(error).__name__
    text = " ".join(str(error).split()) or name
    if name in _NO_CREDENTIALS:
        return RecsysError(
            f"no credentials for {place} ({text})",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile with AWS_PROFILE; the "
            "machines of the cluster need theirs, too.",
        )
    if isinstance(error, PermissionError):
        return RecsysError(
            f"{place} may not be read or written ({text})", "Check the permissions and the keys."
        )
    if isinstance(error, FileNotFoundError):
        return RecsysError(f"{place} is not there ({text})", "Check the name.")
    return RecsysError(
        f"{place} cannot be reached ({name}: {text})",
        "Check the name and the network; AWS_ENDPOINT_URL names another server for s3://.",
    )


def call_file_system(place: str, question: Callable[[], Any]) -> Any:  # noqa: ANN401 (fsspec is untyped)
    """Call a file system; its errors become those of :func:`file_system_error`."""
    try:
        return question()
    except Exception as error:
        raise file_system_error(error, place) from error


# Files


_STAMPS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""Names of the time of the last modification in different file systems."""

_ETAGS = ("ETag", "etag", "md5Hash")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An audio file of a place, before anything is read from it."""

    name: str  # URL, or absolute path with bytes that are not UTF-8 as surrogate escapes
    size: int  # bytes
    mtime_ns: int  # of the last modification, since the epoch; 0 where it is not known
    etag: str | None = None  # an object store's name of this version

    @property
    def key(self) -> bytes:
        """16 bytes that identify this version of this file; a run holds one per file done."""
        text = f"{self.size}\0{self.mtime_ns}\0{self.etag or ''}\0".encode()
        return hashlib.blake2b(text + os.fsencode(self.name), digest_size=16).digest()


def check_place(place: str) -> None:
    """Raise an error unless a place is a folder that can be listed."""
    if not is_url(place):
        check_folder(Path(place))
        return
    system, path = file_system(place)
    if call_file_system(place, lambda: system.isfile(path)):
        parent = place.rpartition("/")[0]
        raise RecsysError(f"not a folder: {place}", f"Give its folder: {parent}")
    call_file_system(place, lambda: system.ls(path, detail=False))


def list_files(place: str, report: ScanReport) -> Iterator[SourceFile]:
    """Yield the audio files below a normal place, by the rules of :func:`recsys.library.scan`."""
    if not is_url(place):
        for file in scan(Path(place), report):
            yield SourceFile(os.fspath(file.path), file.size, file.mtime_ns)
        return
    system, root = file_system(place)
    for entry in _entries(system, root, place):
        below = PurePosixPath(str(entry["name"]).removeprefix(root).lstrip("/"))
        if any(map(ScanRules().shuns, below.parts)):
            continue
        if below.suffix.lower() in AUDIO_SUFFIXES:
            report.found += 1
            yield _source_file(system, entry)


def _entries(system: Any, root: str, place: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """List objects by the folders of the first level.

    A listing of everything at once would hold a kilobyte per object; one per folder would ask
    the store once per album.
    """
    top = call_file_system(place, lambda: system.ls(root, detail=True))
    for entry in sorted(top, key=lambda found: str(found["name"])):
        name = str(entry["name"])
        if name.rstrip("/") == root.rstrip("/"):  # an empty object, made for the folder itself
            continue
        if entry["type"] != "directory":
            yield entry
        elif ScanRules().shuns(name.rstrip("/")) is None:
            below = call_file_system(place, partial(system.find, name, detail=True))
            yield from (below[key] for key in sorted(below))


def _source_file(system: Any, entry: dict[str, Any]) -> SourceFile:  # noqa: ANN401
    stamp = next((entry[key] for key in _STAMPS if entry.get(key)), None)
    etag = next((entry[key] for key in _ETAGS if entry.get(key)), None)
    return SourceFile(
        name=str(system.unstrip_protocol(entry["name"])),
        size=int(entry.get("size") or 0),
        mtime_ns=_nanoseconds(stamp),
        etag=None if etag is None else str(etag).strip('"'),
    )


def _nanoseconds(stamp: object) -> int:
    """Return a file system's time in nanoseconds since the epoch, 0 where there is none."""
    if isinstance(stamp, datetime):
        return round(stamp.timestamp() * 1_000_000) * 1000
    if isinstance(stamp, int | float):
        return round(stamp * 1_000_000) * 1000
    if isinstance(stamp, str):
        with contextlib.suppress(ValueError):
            return _nanoseconds(datetime.fromisoformat(stamp))
    return 0


@contextlib.contextmanager
def fetched(file: SourceFile) -> Iterator[TrackFile]:
    """Yield the file, or a temporary copy of an object; PassingError if it cannot be fetched."""
    if not is_url(file.name):
        yield TrackFile(Path(file.name), file.size, file.mtime_ns)
        return
    # Decoders go by the suffix, too.
    suffix = PurePosixPath(file.name).suffix
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        copy = Path(folder) / f"object{suffix}"
        _fetch(file.name, copy)
        yield TrackFile(copy, file.size, file.mtime_ns)


def _fetch(url: str, copy: Path) -> None:
    try:
        system, path = file_system(url)
        system.get_file(path, os.fspath(copy))
    except FileNotFoundError as error:
        raise PassingError("the object is not there any more") from error
    except Exception as error:
        raise PassingError(f"cannot fetch it: {file_system_error(error, url).message}") from error
