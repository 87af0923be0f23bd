"""A server that listens, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import uvicorn

from recsys.api import Library
from recsys.web.app import create_app
from recsys.web.security import Rules
from recsys.web.tokens import Tokens

WAIT_S = 60.0


@contextmanager
def listening(
    database: Path, *, tokens: bool = False, players: bool = False
) -> Iterator[httpx.Client]:
    """Yield a client of a server of a library; its application is ``client.app``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        rules = Rules(frozenset({host}), Tokens(database) if tokens else None, players)
        app = create_app(partial(Library, database, paths=False), database, rules)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        until(lambda: server.started)
        # A small buffer: what is not read is not sent.
        small = httpx.HTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)])
        with httpx.Client(base_url=f"http://{host}", timeout=WAIT_S, transport=small) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client
        server.should_exit = True
        thread.join(WAIT_S)
        assert not thread.is_alive()


def until(is_so: Callable[[], object]) -> None:
    """Wait till something is so."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
