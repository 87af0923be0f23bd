"""A call of a player: its parameters, and whose it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from recsys.web.subsonic.protocol import CallError, Code

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from recsys.web.asking import Asking
    from recsys.web.devices import PlayerDevice
    from recsys.web.subsonic.desk import Desk

MOST_IDS = 20_000
"""Ids of one call."""

Content = Mapping[str, Any]
"""What is in the envelope of an answer, next to what all have."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is let in."""

    name: str
    params: Mapping[str, Sequence[str]]
    request: Request
    device: PlayerDevice
    desk: Desk

    @property
    def ask(self) -> Asking:
        """What asks the library."""
        asking: Asking = self.request.app.state.asking
        return asking

    def has(self, name: str) -> bool:
        """Return whether a parameter has a value."""
        return bool(self.params.get(name))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a parameter; CallError if it is missing and has no default."""
        values = self.params.get(name)
        if values:
            return values[0]
        if default is None:
            raise CallError(Code.MISSING, f"{self.name} needs the parameter {name}")
        return default

    def texts(self, name: str) -> Sequence[str]:
        """Return the values of a parameter that may be repeated."""
        values = self.params.get(name, ())
        if len(values) > MOST_IDS:
            raise CallError(
                Code.OTHER, f"{name} is given {len(values)} times, more than {MOST_IDS}"
            )
        return values

    def number(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**31
    ) -> int:
        """Return a whole number, brought between two limits."""
        return int(self.decimal(name, default, least=least, most=most))

    def decimal(
        self, name: str, default: float | None = None, *, least: float, most: float
    ) -> float:
        """Return a number, brought between two limits."""
        text = self.text(name, None if default is None else str(default))
        try:
            value = float(text or (default or 0))
            if not math.isfinite(value):
                raise ValueError
        except ValueError:
            raise CallError(Code.OTHER, f"{name} is no number: {text[:40]!r}") from None
        return min(max(value, least), most)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is true or false."""
        return self.text(name, str(default)).lower() in ("true", "1")


class Handler(Protocol):
    """What answers the calls of one name."""

    async def __call__(self, call: Call, /) -> Content | Response:
        """Return the content of the envelope, or bytes."""


HANDLERS: dict[str, Handler] = {}
"""What answers each call, by its name in lower case."""


def answers(*names: str) -> Callable[[Handler], Handler]:
    """Register what answers the calls of some names."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update({name.lower(): handler for name in names})
        return handler

    return register


def track_id(text: str) -> int:
    """Return the id of a song; CallError for a text that is none."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise CallError(Code.NOT_FOUND, f"there is no song {text[:60]!r}")
