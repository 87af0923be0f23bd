"""Tracks of the library as MPD names them, and how they get into its queue."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recsys.errors import QueryError, shell
from recsys.players.mpd.connection import NOT_THERE, MpdRefusedError
from recsys.playlists.files import RootMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recsys.api import Library
    from recsys.players.mpd.connection import MpdConnection, MpdStatus
    from recsys.types import Track

HIGHEST = 255
"""Priority of the entry that MPD plays next in random mode."""


class MusicFolders:
    """The files of a library, and what MPD calls them.

    Parameters
    ----------
    library : Library
    roots : sequence of RootMap
        Folders, and how the names of MPD for what is in them begin: usually empty.
    absolute : bool
        Whether MPD takes absolute paths, too: only over its socket.
    """

    def __init__(
        self, library: Library, roots: Sequence[RootMap], *, absolute: bool = False
    ) -> None:
        self._library = library
        resolved = (RootMap(root.source.resolve(), root.target) for root in roots)
        self._roots = tuple(dict.fromkeys([*roots, *resolved]))
        self._absolute = absolute

    @classmethod
    def of(cls, library: Library, connection: MpdConnection, roots: Sequence[RootMap] = ()) -> Self:
        """Return the folders of MPD: those given, else those that it tells, else the library's."""
        told = None if roots else connection.music_directory()
        if told is not None:
            roots = [RootMap(Path(told), "")]
        if not roots:
            roots = [RootMap(folder, "") for folder in library.folders()]
        return cls(library, roots, absolute=connection.address.is_socket)

    def track(self, uri: str) -> Track | None:
        """Return the track of a name of MPD, None if the library has none."""
        paths = [root.here(uri) for root in self._roots]
        if uri.startswith(("/", "file:///")):
            paths.append(Path(uri.removeprefix("file://")))
        for path in filter(None, paths):
            found = self._library.store.track_by_path(path)
            found = found or self._library.store.track_by_path(path.resolve())
            if found is not None:
                return found
        return None

    def uri(self, track: Track) -> str | None:
        """Return the name of MPD for a track, None if it can have none."""
        path = track.path
        within = [root for root in self._roots if path.is_relative_to(root.source)]
        if within:
            uri = max(within, key=lambda root: len(root.source.parts)).there(path)
        elif self._absolute:
            uri = os.fspath(path)
        else:
            return None
        # A line of the protocol ends at a line break, and is UTF-8.
        return None if "\n" in uri or not _is_utf8(uri) else uri

    def current(self, status: MpdStatus) -> Track | None:
        """Return the current track, None if there is none that the library has."""
        return None if status.uri is None else self.track(status.uri)

    def seeds(self, status: MpdStatus) -> tuple[str, ...]:
        """Return the current track as a seed, none if MPD has none.

        QueryError if the library does not have it.
        """
        if status.uri is None:
            return ()
        track = self.current(status)
        if track is None:
            raise self._unknown(status.uri)
        return (f"id:{track.id}",)

    def _unknown(self, uri: str) -> QueryError:
        """Return the error for a name of MPD that means no track."""
        where = ", ".join(map(str, dict.fromkeys(root.source for root in self._roots)))
        return QueryError(
            f"the library does not have what MPD calls {uri!r}; looked in {where or 'no folder'}",
            "Name the folder that MPD has its music in, --root ~/Music, or index it: "
            "recsys index ~/Music",
        )

    def strange(self, track: Track) -> QueryError:
        """Return the error for a library whose tracks MPD does not have."""
        return QueryError(
            f"MPD has none of the tracks, {track.path} for one",
            "Name the folder that MPD has its music in, --root ~/Music, or update its database: "
            "mpc update",
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Queued:
    """What has got into the queue, and what not."""

    tracks: tuple[Track, ...]
    unnamed: tuple[Track, ...]  # in no folder of MPD
    unknown: tuple[Track, ...]  # not in the database of MPD

    def notes(self) -> list[str]:
        """Return sentences on what is missing."""
        notes = []
        if self.unnamed:
            notes.append(
                f"{_counted(self.unnamed)} in no folder of MPD, {self.unnamed[0].path} for one "
                "(--root FOLDER names its music directory)"
            )
        if self.unknown:
            notes.append(
                f"{_counted(self.unknown)} not in the database of MPD, {self.unknown[0].path} for "
                "one (mpc update)"
            )
        return notes


def _counted(tracks: Sequence[Track]) -> str:
    return f"{len(tracks)} {'track is' if len(tracks) == 1 else 'tracks are'}"


def queue_next(
    connection: MpdConnection, folders: MusicFolders, tracks: Iterable[Track], *, replace: bool
) -> Queued:
    """Put tracks into the queue after the current song; what was queued before follows them.

    Parameters
    ----------
    connection : MpdConnection
    folders : MusicFolders
    tracks : iterable of Track
        In playing order. In random mode, priorities keep that order.
    replace : bool
        Remove everything but the current song from the queue before.

    Raises
    ------
    RecsysError
        MPD is gone, or refuses.
    """
    status = connection.status()
    if replace:
        _crop(connection, status)
        status = connection.status()
    # A queue that stopped has a current song, too.
    position = 0 if status.position is None else status.position + 1
    queued, ids = _put(
        folders, tracks, lambda uri, n: tried(connection, "addid", uri, position + n)
    )
    if status.random:
        prioritise(connection, ids)
    return queued


def _put(
    folders: MusicFolders, tracks: Iterable[Track], put: Callable[[str, int], int | None]
) -> tuple[Queued, list[int]]:
    """Put each track where `put` says, given how many are there; it returns None for a failure."""
    added: list[Track] = []
    ids: list[int] = []
    unnamed: list[Track] = []
    unknown: list[Track] = []
    for track in tracks:
        uri = folders.uri(track)
        song_id = None if uri is None else put(uri, len(added))
        if song_id is not None:
            added.append(track)
            ids.append(song_id)
        else:
            (unnamed if uri is None else unknown).append(track)
    return Queued(tuple(added), tuple(unnamed), tuple(unknown)), ids


def tried(connection: MpdConnection, command: str, *values: object) -> int | None:
    """Return the number that MPD answers, 0 where it answers none; None for what it has not."""
    try:
        return int(connection.ask(command, *values) or 0)
    except MpdRefusedError as error:
        if error.code == NOT_THERE:
            return None
        raise


def prioritise(connection: MpdConnection, song_ids: Sequence[int]) -> None:
    """Let MPD play these entries next in random mode, in this order."""
    for place, song_id in enumerate(song_ids):
        tried(connection, "prioid", max(HIGHEST - place, 1), song_id)  # it may be gone already


def _crop(connection: MpdConnection, status: MpdStatus) -> None:
    if status.position is None:
        connection.ask("clear")
        return
    if status.following:
        connection.ask("delete", (status.position + 1, status.length))
    if status.position:
        connection.ask("delete", (0, status.position))


def store_playlist(
    connection: MpdConnection, folders: MusicFolders, tracks: Iterable[Track], name: str
) -> Queued:
    """Store a playlist in MPD, under a name that it has not yet.

    Parameters
    ----------
    connection : MpdConnection
    folders : MusicFolders
    tracks : iterable of Track
    name : str

    Raises
    ------
    RecsysError
        MPD has such a playlist, keeps none, or is gone.
    """
    if name in {each["playlist"] for each in connection.ask("listplaylists")}:
        raise QueryError(
            f"MPD at {connection.address} has a playlist {name!r} already",
            "Choose another name, or remove it first: " + shell("mpc", "rm", name),
        )

    def put(uri: str, _: int) -> int | None:
        return tried(connection, "playlistadd", name, uri)

    return _put(folders, tracks, put)[0]
