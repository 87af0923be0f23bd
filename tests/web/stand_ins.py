"""Stand-ins of Navidrome and Jellyfin: they answer as their documented protocols do.

The servers themselves are in no package registry. What they answer to the few calls that recsys
sends is taken from the OpenSubsonic specification, and from Jellyfin's API of ``/Items``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD = "sesame"


@dataclass
class StandIn:
    """What a server answers, and what it was asked."""

    songs: Sequence[dict[str, Any]]
    asked: list[str]
    reply: tuple[int, dict[str, str], bytes] | None = None  # instead of what it should


def navidrome(server: StandIn, path: str, query: dict[str, list[str]], _: Any) -> Any:
    if path != "/rest/search3":
        return None
    salted = hashlib.md5((PASSWORD + query["s"][0]).encode(), usedforsecurity=False).hexdigest()
    about = {"version": "1.16.1", "type": "navidrome", "openSubsonic": True}
    if query["t"][0] != salted:
        error = {"code": 40, "message": "Wrong username or password"}
        return {"subsonic-response": {"status": "failed", **about, "error": error}}
    start, count = int(query["songOffset"][0]), int(query["songCount"][0])
    songs = list(server.songs[start : start + count])
    # An empty result has no list at all.
    found = {"song": songs} if songs else {}
    return {"subsonic-response": {"status": "ok", **about, "searchResult3": found}}


def jellyfin(server: StandIn, path: str, query: dict[str, list[str]], headers: Any) -> Any:
    if path != "/Items":
        return None
    if headers.get("Authorization") != f'MediaBrowser Token="{PASSWORD}"':
        return 401
    start, count = int(query["StartIndex"][0]), int(query["Limit"][0])
    songs = list(server.songs[start : start + count])
    return {"Items": songs, "TotalRecordCount": len(server.songs), "StartIndex": start}


@contextmanager
def standing_in(kind: str, songs: Sequence[dict[str, Any]]) -> Iterator[tuple[str, StandIn]]:
    server = StandIn(songs, [])
    answer = {"navidrome": navidrome, "jellyfin": jellyfin}[kind]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            server.asked.append(self.path)
            found = answer(server, parts.path, parse_qs(parts.query), self.headers)
            status, headers, content = 200, {}, json.dumps(found).encode()
            if server.reply is not None:
                status, headers, content = server.reply
            elif found is None or isinstance(found, int):
                status, content = found or 404, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", server
        listener.shutdown()
        thread.join(30)
