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
from typing import TYPE_CHECKING, Generic, TypeVar

from recsys import atomic
from recsys.errors import QueryError, RecsysError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")

_PREFIX = "recsys_"


@dataclass(frozen=True, slots=True)
class Token:
    """What is stored of a token."""

    id: str  # to revoke it by
    sha256: str  # of its text, which has 256 bits of chance: nothing slower is needed
    made: str  # UTC


class KeptRows(Generic[R]):
    """Rows of a file that its owner alone may read; read again when the file changes."""

    def __init__(self, path: Path, kind: type[R], what: str, remedy: str) -> None:
        self.path = path
        self._kind = kind
        self._what, self._remedy = what, remedy
        self._known: tuple[R, ...] = ()
        self._state: tuple[int, int] | None = None

    def all(self) -> tuple[R, ...]:
        """Return the rows; RecsysError if the file cannot be read."""
        try:
            found = self.path.stat()
            state = found.st_mtime_ns, found.st_ino
            if state != self._state:
                rows = json.loads(self.path.read_text(encoding="ascii"))
                if not all(isinstance(value, str) for row in rows for value in row.values()):
                    raise ValueError("a value in it is no text")
                self._known = tuple(self._kind(**row) for row in rows)
                self._state = state
        except FileNotFoundError:
            self._known, self._state = (), None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RecsysError(
                f"the {self._what} in {self.path} cannot be read: {error}",
                f"Delete the file, and make new ones: {self._remedy}",
            ) from error
        return self._known

    def _write(self, rows: tuple[R, ...]) -> None:
        content = json.dumps([asdict(row) for row in rows], indent=1)
        with atomic.kept_with_library(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)  # before the first index run
            with atomic.replacing(self.path) as unfinished:
                unfinished.touch(0o600)  # nobody else may read it, at any moment
                unfinished.write_bytes(content.encode("ascii"))
            os.chmod(self.path, 0o600)  # noqa: PTH101


class Tokens(KeptRows[Token]):
    """The tokens of a file next to the library."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.stem}.tokens.json")
        super().__init__(path, Token, "tokens", "recsys serve --token")

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


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
