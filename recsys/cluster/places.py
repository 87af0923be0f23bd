"""Places that hold files: folders of this machine, and URLs that fsspec can open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recsys.errors import RecsysError
from recsys.extras import require
from recsys.library import absolute, outermost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_LOCAL_URL = "file://"
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError")


def is_url(place: str) -> bool:
    """Return whether a place is a URL, and not a path of this machine.

    Examples
    --------
    >>> is_url("s3://bucket/music"), is_url("/music/a:/b"), is_url("file:///music")
    (True, False, False)
    """
    return _URL.match(place) is not None and not place.startswith(_LOCAL_URL)


def normal_place(place: str) -> str:
    """Return a place as rows and shards name it: an absolute path, or a URL without a last slash.

    Raises
    ------
    RecsysError
        If it is empty.
    """
    if is_url(place):
        return place.rstrip("/")
    return str(absolute(place.removeprefix(_LOCAL_URL)))


def outermost_places(places: Iterable[str]) -> list[str]:
    """Return places without repetitions and without those inside another.

    What lies in two of them would else be listed, heard and counted twice.

    Parameters
    ----------
    places : iterable of str
        Folders and URLs, in any form.

    Returns
    -------
    list of str
        As :func:`normal_place` gives them: folders, then URLs, each kind sorted.

    Raises
    ------
    RecsysError
        If one is empty.

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
    """Return the file system of a place, and the name of the place in it.

    Parameters
    ----------
    place : str
        As :func:`normal_place` gives it.

    Returns
    -------
    (AbstractFileSystem, str)

    Raises
    ------
    RecsysError
        If there is no such file system, or what it needs is not installed.
    """
    core = require("fsspec.core", "ray")
    try:
        # Listings must not be remembered: a key that has vanished meanwhile has to be noticed.
        system, path = core.url_to_fs(place, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise RecsysError(
            f"cannot open {place}: {error}",
            "URLs are those of fsspec; s3:// comes with recsys[ray], others (gs://, az://, "
            "sftp://) need a package of their own.",
        ) from error
    return system, str(path)


def in_words(error: Exception, place: str) -> RecsysError:
    """Return what a file system says went wrong as an error for people.

    Parameters
    ----------
    error : Exception
        Any: file systems raise their clients' own errors beside OSError.
    place : str
        What was to be read or written.
    """
    if isinstance(error, RecsysError):
        return error
    name = type(error).__name__
    said = " ".join(str(error).split()) or name
    if name in _NO_CREDENTIALS:
        return RecsysError(
            f"no credentials for {place} ({said})",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile with AWS_PROFILE; the "
            "machines of the cluster need theirs, too.",
        )
    if isinstance(error, PermissionError):
        return RecsysError(
            f"{place} may not be read or written ({said})", "Check the permissions and the keys."
        )
    if isinstance(error, FileNotFoundError):
        return RecsysError(f"{place} is not there ({said})", "Check the name.")
    return RecsysError(
        f"{place} cannot be reached ({name}: {said})",
        "Check the name and the network; AWS_ENDPOINT_URL names another server for s3://.",
    )


def asked(place: str, question: Callable[[], Any]) -> Any:  # noqa: ANN401 (fsspec is untyped)
    """Ask a file system something; what goes wrong comes as words.

    Raises
    ------
    RecsysError
        See :func:`in_words`.
    """
    try:
        return question()
    except Exception as error:
        raise in_words(error, place) from error
