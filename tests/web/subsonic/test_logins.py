"""What players send when they log in and show their first page, and what they read of the answers.

The calls and their form are those of the sources of the players: Feishin 98b8409, Supersonic
e3c2499, Amperfy d3513f8, Tempus 1038261, Substreamer 8c2310b, DSub2000 79f904b; of Symfonium, those
that its users report. What must be in the answer, such as ``albumList2.album.0.id``, is what their
pages show.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.web.subsonic.conftest import Player

SONG = ("id", "title", "artist", "album", "albumId", "artistId", "duration", "suffix", "coverArt")
ALBUM = ("id", "name", "artist", "artistId", "songCount", "duration", "created", "coverArt")
ENVELOPE = ("status", "version", "type", "serverVersion", "openSubsonic")


def under(place: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{place}.{name}" for name in names)


MATCH, MATCH2 = under("similarSongs.song.0", SONG), under("similarSongs2.song.0", SONG)


@dataclass(frozen=True)
class Step:
    """A call, and what the player reads of its answer."""

    call: str
    params: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    login: str = "token"  # wrong, empty or none
    code: int | None = None


def albums(kind: str, **more: Any) -> Step:
    needs = () if kind in ("recent", "frequent") else under("albumList2.album.0", ALBUM)
    return Step("getAlbumList2", {"type": kind, "size": 10, **more}, needs)


PING = Step("ping", {}, ENVELOPE)
EXTENSIONS = Step("getOpenSubsonicExtensions", {}, ("openSubsonicExtensions.0.name",))
PLAYLISTS = Step("getPlaylists", {}, ("playlists",))
FOLDERS = Step("getMusicFolders", {}, ("musicFolders.musicFolder.0.id",))
GENRES = Step("getGenres", {}, ("genres.genre.0.value", "genres.genre.0.songCount"))
ARTISTS = Step(
    "getArtists",
    {},
    ("artists.ignoredArticles", *under("artists.index.0.artist.0", ("id", "name"))),
)
STARRED = Step("getStarred2", {}, ("starred2",))
SEARCH = under("searchResult3.song.0", SONG)

PLAYERS: dict[str, tuple[str, str, list[Step]]] = {
    "Feishin": (
        "1.13.0",
        "json",
        [
            *(PING, PING, EXTENSIONS, albums("newest", size=500), PLAYLISTS, FOLDERS, GENRES),
            Step("search3", {"query": "", "songCount": 100, "songOffset": 0}, SEARCH),
            Step("getSimilarSongs", {"id": "SONG", "count": 5}, MATCH),
        ],
    ),
    "Supersonic": (
        "1.15.0",
        "json",
        [
            Step("ping", {}, (*ENVELOPE, "error.code"), login="empty", code=10),
            *(PING, FOLDERS, albums("random"), ARTISTS, PLAYLISTS, STARRED),
            Step(
                "getSimilarSongs", {"id": "SONG", "count": 20}, under("similarSongs.song.0", SONG)
            ),
        ],
    ),
    "Amperfy": (
        "1.13.0",
        "xml",
        [
            *(PING, GENRES, ARTISTS, albums("newest", size=500, offset=0), PLAYLISTS),
            Step("getPodcasts", {"includeEpisodes": "true"}, ("podcasts",)),
            Step("getSimilarSongs2", {"id": "ARTIST"}, MATCH2),
        ],
    ),
    "Tempus": (
        "1.15.0",
        "json",
        [
            *(PING, EXTENSIONS, STARRED, albums("newest"), albums("recent"), albums("frequent")),
            Step("getRandomSongs", {"size": 10}, under("randomSongs.song.0", SONG)),
            Step(
                "getSimilarSongs", {"id": "SONG", "count": 10}, under("similarSongs.song.0", SONG)
            ),
            Step("getSimilarSongs2", {"id": "ARTIST"}, MATCH2),
            Step("getShares", {}, ("shares",)),
        ],
    ),
    "Substreamer": (
        "1.16.1",
        "json",
        [
            *(PING, EXTENSIONS, Step("getUser", {"username": "USER"}, ("user.username",))),
            Step("getScanStatus", {}, ("scanStatus.scanning", "scanStatus.count")),
            *(albums(kind) for kind in ("newest", "recent", "frequent", "random")),
            *(PLAYLISTS, STARRED),
        ],
    ),
    "DSub": (
        "1.2.0",
        "xml",
        [
            *(PING, Step("getLicense", {}, ("license.valid",)), FOLDERS),
            Step("getUser", {"username": "USER"}, ("user.username", "user.downloadRole")),
            Step(
                "getIndexes",
                {"ifModifiedSince": 0},
                ("indexes.lastModified", "indexes.index.0.artist.0.id"),
            ),
            ARTISTS,
            Step(
                "getMusicDirectory", {"id": "ARTIST"}, ("directory.name", "directory.child.0.title")
            ),
        ],
    ),
    "Symfonium": (
        "1.16.1",
        "json",
        [
            Step("ping", {}, (*ENVELOPE, "error.code"), login="wrong", code=40),
            *(PING, EXTENSIONS),
            Step("search3", {"query": '""', "songCount": 500, "songOffset": 0}, SEARCH),
            Step(
                "search3", {"query": '""', "songCount": 500, "songOffset": 500}, ("searchResult3",)
            ),
            *(GENRES, PLAYLISTS),
        ],
    ),
}


def login(player: Player, step: Step, version: str) -> dict[str, str]:
    secret, salt = player.device.secret, "abc123"
    if step.login == "wrong":
        secret = "dummy"
    token = hashlib.md5((secret + salt).encode(), usedforsecurity=False).hexdigest()
    if step.login == "empty":
        token = salt = ""
    return {"u": "phone", "t": token, "s": salt, "v": version, "c": "Player"}


def plain(element: ET.Element) -> dict[str, Any]:
    """Return an element of XML as the same answer in JSON has it, each child as a list."""
    found: dict[str, Any] = dict(element.attrib)
    for child in element:
        found.setdefault(child.tag.rpartition("}")[2], []).append(plain(child))
    if element.text:
        found["value"] = element.text
    return found


def read(answer: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(answer, list) and not part.isdecimal():
            answer = answer[0]
        answer = answer[int(part)] if part.isdecimal() else answer[part]
    return answer


@pytest.mark.parametrize("name", PLAYERS)
def test_a_player_logs_in_and_shows_its_first_page(shared: Player, name: str) -> None:
    version, form, steps = PLAYERS[name]
    album = shared.ask("search3", query="chamber")["searchResult3"]["album"][0]
    song = shared.ask("getAlbum", id=album["id"])["album"]["song"][0]["id"]
    names = {"SONG": song, "ARTIST": album["artistId"], "USER": "phone"}
    for step in steps:
        params = {key: names.get(str(value), value) for key, value in step.params.items()}
        given = {**login(shared, step, version), "f": form, **params}
        given = {key: value for key, value in given.items() if (key, value) != ("f", "xml")}
        found = shared.client.get(f"/rest/{step.call}.view", params=given)
        assert found.status_code == 200
        if form == "xml":
            answer = plain(ET.fromstring(found.content))
        else:
            answer = found.json()["subsonic-response"]
        if step.code is None:
            assert answer["status"] == "ok", (step, answer)
        else:
            assert int(read(answer, "error.code")) == step.code
        for path in step.needs:
            try:
                value = read(answer, path)
            except (KeyError, IndexError):
                pytest.fail(f"{name} reads {path} of {step.call}: {answer}")
            assert value is not None
