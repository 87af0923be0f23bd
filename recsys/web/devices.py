"""The secrets with which players log in: one for each device, made by chance, revoked alone.

Most players send the MD5 hash of the secret and a salt, which only who knows the secret can check.
So the file keeps secrets as they are, readable by its owner alone. Each opens nothing but what
players ask for, and is nobody's own password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys.errors import QueryError
from recsys.web.tokens import KeptRows

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Typed on televisions, so without those that look alike."""

_GROUPS, _PER_GROUP = 4, 5
"""20 letters of 32: 100 bits, which nobody guesses, however often they try."""

MOST_NAME = 40


@dataclass(frozen=True, slots=True)
class PlayerDevice:
    """A device, with the secret that it logs in with."""

    name: str  # which is its user name, too
    secret: str
    made: str  # UTC

    def knows(self, password: str) -> bool:
        """Return whether this is the secret, with or without the dashes between its groups."""
        given = password.replace("-", "").lower()
        return hmac.compare_digest(given.encode(), self.secret.replace("-", "").encode())

    def signed(self, token: str, salt: str) -> bool:
        """Return whether a token is the hash of the secret, as it may be typed, and a salt."""
        hashed = (
            hashlib.md5((secret + salt).encode(), usedforsecurity=False).hexdigest()
            for form in (self.secret, self.secret.replace("-", ""))
            for secret in (form, form.upper())
        )
        return any(hmac.compare_digest(each.encode(), token.lower().encode()) for each in hashed)


class Devices(KeptRows[PlayerDevice]):
    """The devices of a file next to the library; read again when the file changes."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.stem}.devices.json")
        super().__init__(path, PlayerDevice, "devices", "recsys serve --device NAME")

    def named(self, user: str) -> PlayerDevice | None:
        """Return the device of a user name."""
        wanted = user.strip().casefold()
        return next((each for each in self.all() if each.name.casefold() == wanted), None)

    def of_key(self, key: str) -> PlayerDevice | None:
        """Return the device of a secret."""
        return next((each for each in self.all() if each.knows(key)), None)

    def make(self, name: str) -> PlayerDevice:
        """Store a new device; QueryError if there is one of this name."""
        name = " ".join(name.split())
        if not name or len(name) > MOST_NAME or not name.isprintable():
            raise QueryError(
                f"{name[:60]!r} names no device", f"Give 1 to {MOST_NAME} letters: phone."
            )
        if self.named(name) is not None:
            raise QueryError(
                f"there is a device {name!r} already",
                f"Give another name, or revoke it: recsys serve --revoke {name!r}",
            )
        groups = (
            "".join(secrets.choice(_LETTERS) for _ in range(_PER_GROUP)) for _ in range(_GROUPS)
        )
        made = datetime.now(UTC).isoformat(timespec="seconds")
        device = PlayerDevice(name, "-".join(groups), made)
        self._write((*self.all(), device))
        return device

    def revoke(self, name: str) -> None:
        """Delete a device; QueryError if there is none of this name."""
        device = self.named(name)
        if device is None:
            known = ", ".join(each.name for each in self.all()) or "none"
            raise QueryError(f"there is no device {name!r}", f"Known: {known}.")
        self._write(tuple(each for each in self.all() if each is not device))
