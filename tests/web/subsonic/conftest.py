"""A server of a small library that players reach, and what they send."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recsys.api import Library
from recsys.web.app import create_app
from recsys.web.devices import Devices, PlayerDevice
from recsys.web.security import Rules
from tests.web.conftest import Indexed

SALT = "c19b2d"


@dataclass(frozen=True)
class Player:
    """A client that is logged in."""

    client: TestClient
    device: PlayerDevice
    database: Path

    def login(self) -> dict[str, str]:
        token = hashlib.md5((self.device.secret + SALT).encode(), usedforsecurity=False)
        return {"u": self.device.name, "t": token.hexdigest(), "s": SALT, "v": "1.16.1", "c": "t"}

    def raw(self, call: str, form: str = "json", **params: Any) -> Any:
        return self.client.get(f"/rest/{call}", params={**self.login(), "f": form, **params})

    def ask(self, call: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a call that succeeds."""
        found = self.raw(call, **params).json()["subsonic-response"]
        assert found["status"] == "ok", found
        return dict(found)

    def code(self, call: str, **params: Any) -> int:
        """Return the error of a call that fails."""
        found = self.raw(call, **params).json()["subsonic-response"]
        assert found["status"] == "failed"
        return int(found["error"]["code"])


@contextmanager
def playing(database: Path) -> Iterator[Player]:
    devices = Devices(database)
    device = devices.named("phone") or devices.make("phone")
    rules = Rules(frozenset({"127.0.0.1:8337"}), players=True)
    app = create_app(partial(Library, database, paths=False), database, rules)
    # Whatever name a phone knows the machine by.
    with TestClient(app, "http://nas.local:8337", client=("192.168.1.7", 5)) as client:
        yield Player(client, device, database)


@pytest.fixture(scope="session")
def shared(indexed: Indexed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """A server that is only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with playing(copied_to(tmp_path_factory.mktemp("players"), indexed.database)) as player:
            yield player


@pytest.fixture
def player(indexed: Indexed, tmp_path: Path) -> Iterator[Player]:
    """A server with a database of its own."""
    with playing(copied_to(tmp_path, indexed.database)) as found:
        yield found


def copied_to(folder: Path, database: Path) -> Path:
    for path in database.parent.glob("library.*"):
        target = folder / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    return folder / database.name
