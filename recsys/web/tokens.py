"""The tokens with which one logs in; only their hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys import atomic
from recsys.errors import QueryError, RecsysError

_PREFIX = "recsys_"


@dataclass(frozen=True, slots=True)
class Token:
    """What is stored of a token."""

    id: str  # to revoke it by
    sha256: str  # of its text, which has 256 bits of chance: nothing slower is needed
    made: str  # UTC


class Tokens:
    """The tokens of a file next to the library; read again when the file changes."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.stem}.tokens.json")
        self._known: tuple[Token, ...] = ()
        self._state: tuple[int, int] | None = None

    def all(self) -> tuple[Token, ...]:
        """Return the tokens that are valid; RecsysError if the file cannot be read."""
        try:
            found = self.path.stat()
            state = found.st_mtime_ns, found.st_ino
            if state != self._state:
                rows = json.loads(self.path.read_text(encoding="ascii"))
                self._known = tuple(Token(**row) for row in rows)
                self._state = state
        except FileNotFoundError:
            self._known, self._state = (), None
        except (OSError, ValueError, TypeError) as error:
            raise RecsysError(
                f"the tokens in {self.path} cannot be read: {error}",
                "Delete the file, and make new ones: recsys serve --token",
            ) from error
        return self._known

    def holds(self, text: str) -> bool:
        """Return whether this is a token; in a time that does not tell how much of it is right."""
        hashed = _hash(text)
        return any(hmac.compare_digest(hashed, token.sha256) for token in self.all())

    def make(self) -> tuple[Token, str]:
        """Store a new token; return it with its text, which nothing can tell later."""
        text = _PREFIX + secrets.token_urlsafe(32)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        token = Token(secrets.token_hex(3), _hash(text), made)
        self._write((*self.all(), token))
        return token, text

    def revoke(self, token_id: str) -> None:
        """Delete a token; QueryError if there is none of this id."""
        kept = tuple(token for token in self.all() if token.id != token_id)
        if len(kept) == len(self.all()):
            known = ", ".join(token.id for token in kept) or "none"
            raise QueryError(f"there is no token {token_id!r}", f"Known: {known}.")
        self._write(kept)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        content = json.dumps([asdict(token) for token in tokens], indent=1)
        try:
            atomic.write_bytes(self.path, content.encode("ascii"))
            os.chmod(self.path, 0o600)  # noqa: PTH101
        except OSError as error:
            raise RecsysError(
                f"cannot write {self.path}: {error.strerror or error}",
                "Check the permissions of the folder of the library.",
            ) from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
