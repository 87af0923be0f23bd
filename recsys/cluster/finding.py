"""Which shards the arguments of a command mean."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from recsys.cluster.places import asked, file_system, is_url, normal_place
from recsys.cluster.shards import ShardPlace
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WILD = frozenset("*?[")


def find_shards(sources: Sequence[str]) -> list[str]:
    """Find shards, each once.

    Parameters
    ----------
    sources : sequence of str
        Paths and URLs of shards, of folders that hold some, and patterns with ``*``.

    Returns
    -------
    list of str
        Absolute paths and URLs, in the order of their names: that of the runs that wrote them.

    Raises
    ------
    RecsysError
        If one of the sources is not there, or means no shard.
    """
    found = {path for source in sources for path in _shards_of(normal_place(source))}
    return sorted(found, key=lambda path: (PurePosixPath(path).name, path))


def _shards_of(place: str) -> list[str]:
    system, path = file_system(place)
    if asked(place, lambda: system.isfile(path)):
        return [place]
    if asked(place, lambda: system.isdir(path)):
        shards = ShardPlace(place)
        paths = [shards.path(name) for name in shards.names()]
    elif _WILD & set(place):
        matching = asked(place, lambda: system.glob(path))
        url = is_url(place)
        paths = [str(system.unstrip_protocol(match) if url else match) for match in matching]
    else:
        raise RecsysError(f"no such shard: {place}", "Check the path, or whether it is mounted.")
    if not paths:
        raise RecsysError(
            f"no shards in {place}",
            "Give the place that `recsys index --engine ray` wrote to with --out.",
        )
    return paths
