"""One connection to MPD; its errors, and those of the network, in words."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from recsys.errors import QueryError, RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recsys.players.mpd.address import MpdAddress

PATIENCE_S = 10.0
"""Limit for the answer to one command."""

EVENTS = ("player", "playlist", "options")
"""Subsystems of MPD whose changes matter to a queue."""

NOT_THERE = 50
"""Code of MPD for what it does not have."""

_REFUSALS = {
    3: ("refuses the password", "Correct it: MPD_HOST=password@host."),
    4: (
        "does not allow it without a password",
        "Give one with the host, MPD_HOST=password@host, or allow it in mpd.conf "
        "(default_permissions).",
    ),
    51: ("has a full queue", "Clear it (mpc clear), or raise max_playlist_length in mpd.conf."),
}


class LostMpdError(RecsysError):
    """MPD cannot be reached, or went away in the middle of a command."""


class MpdRefusedError(RecsysError):
    """MPD answered a command with an error; `code` is its number, see its protocol."""

    def __init__(self, message: str, hint: str = "", code: int | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class MpdStatus:
    """What MPD does."""

    state: str  # play, pause, stop
    length: int  # of the queue
    position: int | None  # of the current song in the queue, from 0
    song_id: int | None  # of the current song; it differs for each entry of the queue
    uri: str | None  # of the current song
    elapsed_s: float
    duration_s: float  # 0 where it is not known
    random: bool
    consume: bool
    single: bool

    @classmethod
    def of(cls, status: Mapping[str, str], song: Mapping[str, Any]) -> Self:
        """Return the status of the answers to ``status`` and ``currentsong``."""
        position, song_id = status.get("song"), status.get("songid")
        return cls(
            state=status.get("state", "stop"),
            length=int(status.get("playlistlength", 0)),
            position=None if position is None else int(position),
            song_id=None if song_id is None else int(song_id),
            # Without a current song, MPD says nothing.
            uri=None if position is None or "file" not in song else str(song["file"]),
            elapsed_s=float(status.get("elapsed", 0)),
            duration_s=float(status.get("duration") or song.get("duration") or 0),
            random=status.get("random") == "1",
            consume=status.get("consume", "0") != "0",
            single=status.get("single", "0") != "0",
        )

    @property
    def following(self) -> int:
        """Number of entries of the queue after the current one; all of them without one."""
        return self.length if self.position is None else self.length - self.position - 1


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One entry of the queue."""

    song_id: int
    uri: str


class MpdConnection:
    """A connection to MPD.

    Parameters
    ----------
    address : MpdAddress

    Raises
    ------
    MissingExtraError
        python-mpd2 is not installed.
    """

    def __init__(self, address: MpdAddress) -> None:
        self._mpd = require("mpd", "mpd")
        self.address = address
        self._client: Any = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Connect, or connect again; RecsysError if MPD is not there or refuses the password."""
        self.close()
        client = _client(self._mpd)
        client.timeout = PATIENCE_S
        try:
            client.connect(self.address.host, self.address.port)
        except (OSError, UnicodeError, self._mpd.MPDError) as error:
            raise self._lost(error) from error
        self._client = client
        if self.address.password is not None:
            self.ask("password", self.address.password)

    def close(self) -> None:
        """Close it; closing twice is fine."""
        if self._client is not None:
            with suppress(OSError, self._mpd.MPDError):
                self._client.disconnect()
            self._client = None

    def ask(self, command: str, *values: object) -> Any:  # noqa: ANN401 (as python-mpd2 has it)
        """Return the answer to a command; LostMpdError or MpdRefusedError."""
        if any("\n" in value for value in values if isinstance(value, str)):
            raise QueryError(f"a line break in {values!r}", "A line of MPD is one command.")
        if self._client is None:
            raise self._lost(ConnectionError("not connected"))
        try:
            return getattr(self._client, command)(*values)
        except self._mpd.CommandError as error:
            raise self._refused(command, error) from error
        except (OSError, ValueError, self._mpd.MPDError) as error:
            # ValueError: an answer that breaks off, or that is no protocol of MPD.
            self.close()
            raise self._lost(error) from error

    def status(self) -> MpdStatus:
        """Return what MPD does now."""
        status, song = self.ask("status"), self.ask("currentsong")
        with self._understood():
            return MpdStatus.of(status, song)

    def queue(self) -> list[QueueEntry]:
        """Return the entries of the queue, in its order."""
        rows = self.ask("playlistinfo")
        with self._understood():
            return [QueueEntry(int(each["id"]), str(each["file"])) for each in rows]

    def wait(self, limit_s: float) -> None:
        """Return at the next event, or after this time; events since the last call count.

        LostMpdError if MPD goes away meanwhile.
        """
        if self._client is None:
            raise self._lost(ConnectionError("not connected"))
        self._client.idletimeout = limit_s
        try:
            self._client.idle(*EVENTS)
        except TimeoutError:
            # The answer to a command that was given up would be taken for that to the next one.
            self.connect()
        except (OSError, ValueError, self._mpd.MPDError) as error:
            self.close()
            raise self._lost(error) from error

    def music_directory(self) -> str | None:
        """Return the music directory; None where MPD does not tell: over a network."""
        try:
            answer = self.ask("config")
        except MpdRefusedError:
            return None
        directory = answer.get("music_directory", "")
        return directory if directory.startswith("/") else None  # else a URL, such as smb://

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn values that MPD does not give into the error for what is no MPD."""
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise self._lost(ValueError("its answer is not understood")) from error

    def _lost(self, error: Exception) -> LostMpdError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return LostMpdError(
            f"MPD at {self.address} cannot be reached: {reason}",
            "Start it, or name another with --host and --port, or MPD_HOST and MPD_PORT.",
        )

    def _refused(self, command: str, error: Any) -> MpdRefusedError:  # noqa: ANN401
        code = None if error.errno is None else int(error.errno.value)
        reason, hint = _REFUSALS.get(code or 0, (f"says: {error.msg or error}", ""))
        return MpdRefusedError(f"MPD at {self.address} {reason} ({command})", hint, code)


def _client(mpd: Any) -> Any:  # noqa: ANN401
    """Return a client that understands ``config``, of which MPD 0.24 has more than one value."""

    class AskingClient(mpd.MPDClient):  # type: ignore[misc]
        pass

    AskingClient.add_command("config", mpd.MPDClient._parse_object)
    return AskingClient()
