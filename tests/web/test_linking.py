"""Songs of other servers, and what their plugins ask: against stand-ins of both servers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys import linking
from recsys.api import Library
from recsys.errors import RecsysError
from recsys.linking import Linked, Links, OtherServer, OtherSong, TrackFinder, link
from recsys.playlists.files import RootMap
from recsys.types import Tags, Track
from tests.web.conftest import Indexed
from tests.web.stand_ins import PASSWORD, standing_in
from tests.web.subsonic.conftest import Player, copied_to, playing


def tracks_of(database: Path) -> list[Track]:
    with Library(database) as library:
        return list(library.tracks())


def as_navidrome(track: Track, *, path: str | None = None) -> dict[str, Any]:
    """The song as Navidrome has it, with a path that it made of tags, unless one is given."""
    tags = track.tags
    made = f"{track.artist}/{tags.album}/{tags.track_number or 0:02} - {track.title}.mp3"
    return {
        "id": f"nd{track.id:020}",
        "title": track.title,
        "artist": track.artist,
        "artistId": f"nda{track.artist}",
        "album": tags.album,
        "duration": round(track.duration_s),
        "path": made if path is None else path,
    }


def jellyfin_id(track: Track) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, str(track.path)).hex


def as_jellyfin(track: Track, folder: str) -> dict[str, Any]:
    return {
        "Id": jellyfin_id(track),
        "Name": track.title,
        "Album": track.tags.album,
        "ArtistItems": [{"Id": uuid.uuid5(uuid.NAMESPACE_URL, str(track.artist)).hex,
                         "Name": track.artist}],
        "RunTimeTicks": int(track.duration_s * 1e7),
        "Path": f"{folder}/{'/'.join(track.path.parts[-2:])}",
    }  # fmt: skip


def linked(database: Path, kind: str, songs: Any, **more: Any) -> tuple[Linked, list[str]]:
    with standing_in(kind, songs) as (url, server), Library(database) as library:
        found = link(library, OtherServer(kind, url, "admin", PASSWORD), **more)
        return found, server.asked


def test_a_server_on_this_machine_is_asked_past_the_proxies(
    indexed: Indexed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.delenv("no_proxy", raising=False)
    database = copied_to(tmp_path, indexed.database)
    songs = [as_navidrome(track) for track in tracks_of(database)]
    assert linked(database, "navidrome", songs)[0].found == len(songs)


def test_songs_of_navidrome_are_found_by_tags(
    indexed: Indexed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "PAGE", 4)
    database = copied_to(tmp_path, indexed.database)
    songs = [as_navidrome(track) for track in tracks_of(database)]
    strange = {**songs[0], "id": "strange", "title": "Elsewhere"}
    longer = {**songs[1], "id": "longer", "duration": 300}
    found, asked = linked(database, "navidrome", [*songs, strange, longer])
    assert (found.found, found.by_path, found.by_tags) == (12, 0, 10)
    assert [song.id for song in found.unmapped] == ["strange", "longer"]
    assert len(asked) == 4
    kept = json.loads((tmp_path / "library.links.json").read_text())
    assert PASSWORD not in json.dumps(kept)
    assert len(kept["navidrome"]["songs"]) == 10


def test_songs_are_found_by_path_wherever_the_folder_is(indexed: Indexed, tmp_path: Path) -> None:
    database = copied_to(tmp_path, indexed.database)
    tracks = tracks_of(database)
    # Jellyfin in a container, without tags: the last two names are the same.
    songs = [{**as_jellyfin(track, "/media/music"), "Name": "", "Album": ""} for track in tracks]
    found, _ = linked(database, "jellyfin", songs)
    assert (found.by_path, found.mapped) == (10, 10)
    # A folder whose name differs is told.
    songs = [{**as_jellyfin(track, "D:\\Musik"), "Name": ""} for track in tracks]
    renamed = [{**song, "Path": song["Path"].replace("/", "\\")} for song in songs]
    roots = [RootMap(indexed.music, "D:\\Musik")]
    found, _ = linked(database, "jellyfin", renamed, roots=roots)
    assert found.by_path == 10


def track(number: int, path: str, duration_s: float = 100.0, **tags: Any) -> Track:
    return Track(number, Path(path), Tags(**tags), duration_s, f"hash{number}", "rock")


def song(**more: Any) -> OtherSong:
    plain = OtherSong("1", "", "", "", "", "", None, 0.0)
    return replace(plain, **more)


def test_a_song_is_never_another_recording() -> None:
    tags = {"artist": "A feat. B", "album": "Live", "title": "One"}
    finder = TrackFinder(
        [
            track(1, "/m/a/live/1.mp3", **tags, track_number=1),
            track(2, "/m/a/live/2.mp3", **tags, track_number=2),
            track(3, "/m/b/cafe\u0301/3.mp3", **tags | {"title": "Other"}),
            track(4, "/m/x/live/1.mp3", **tags | {"title": "Fourth"}, duration_s=200),
        ],
        [Path("/m")],
        [],
    )
    asked = {"artist": "a", "album": "LIVE", "title": "one", "duration_s": 100.4}
    how, found = finder.find(song(**asked, number=2))
    assert (how, found and found.id) == ("tags", 2)
    assert finder.find(song(**asked))[1] is None  # one of two
    assert finder.find(song(**asked | {"duration_s": 200.0}, number=2))[1] is None
    how, found = finder.find(song(path="/other/b/caf\u00e9/3.mp3"))
    assert (how, found and found.id) == ("path", 3)
    # A path made of tags that is another file, as its length shows.
    how, found = finder.find(song(path="a/live/1.mp3", **asked | {"duration_s": 300.0}))
    assert found is None
    assert finder.find(song(path="1.mp3", duration_s=100.0))[1] is None  # the name alone
    # The very file, whose length the other server measures in its own way.
    how, found = finder.find(song(path="/m/a/live/1.mp3", duration_s=300.0))
    assert (how, found and found.id) == ("path", 1)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((200, {}, b"<html>"), "no JSON"),
        ((200, {}, b"[]"), "no object"),
        ((200, {}, b'{"other": 1}'), "no answer of Subsonic"),
        ((200, {}, b'{"subsonic-response": {"status": "ok", "searchResult3":'
                   b' {"song": [{"name": 1}]}}}'), "a song that cannot be read"),
        ((200, {}, b'{"subsonic-response": {"status": "ok", "searchResult3":'
                   b' {"song": [{"id": 1, "duration": 1%s}]}}}' % (b"0" * 400)), "cannot be read"),
        ((200, {}, b'{"subsonic-response": {"status": "ok", "searchResult3": {"song": 5}}}'),
         "no list of songs"),
        ((200, {}, b'{"subsonic-response": {"status": "ok", "searchResult3": [1]}}'),
         "no list of songs"),
        ((200, {}, b"[" * 200_000), "no JSON"),
        ((200, {}, b'{"subsonic-response": {"status": "failed"}}'), "refuses"),
        ((200, {}, b'{"subsonic-response": {"status": "failed", "error": "no"}}'), "refuses: no"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "answers 302 Found"),
        ((500, {}, b""), "answers 500"),
        ((403, {}, b""), "answers 403"),
        ((302, {"Location": "http://evil.example/steal"}, b""), "sends on to http://evil.example"),
    ],
)  # fmt: skip
def test_a_server_that_is_another_is_told_of(
    indexed: Indexed, tmp_path: Path, reply: Any, told: str
) -> None:
    database = copied_to(tmp_path, indexed.database)
    with standing_in("navidrome", []) as (url, server), Library(database) as library:
        server.reply = reply
        with pytest.raises(RecsysError) as caught:
            link(library, OtherServer("navidrome", url, "admin", PASSWORD))
    assert told in caught.value.message
    assert PASSWORD not in str(caught.value)
    assert not (tmp_path / "library.links.json").exists()


def test_a_wrong_password_and_no_server(indexed: Indexed, tmp_path: Path) -> None:
    database = copied_to(tmp_path, indexed.database)
    with Library(database) as library:
        for kind in ("navidrome", "jellyfin"):
            with standing_in(kind, []) as (url, _):
                with pytest.raises(RecsysError, match=r"refuses|401"):
                    link(library, OtherServer(kind, url, "admin", "wrong"))
                with pytest.raises(RecsysError, match="has no songs"):
                    link(library, OtherServer(kind, url, "admin", PASSWORD))
        for url in ("http://127.0.0.1:9", "file:///etc/passwd", "nas:4533", "http://[::1",
                    "http://127.0.0.1:9/a b"):  # fmt: skip
            with pytest.raises(RecsysError, match=r"cannot be reached|no address"):
                link(library, OtherServer("navidrome", url, "admin", PASSWORD))


def test_secrets_are_in_no_message(indexed: Indexed, tmp_path: Path) -> None:
    database = copied_to(tmp_path, indexed.database)
    with Library(database) as library:
        for kind, url, secret in (
            ("navidrome", f"http://admin:{PASSWORD}@127.0.0.1:9", "x"),
            ("navidrome", f"http://127.0.0.1:9/?p={PASSWORD}", "x"),
            ("navidrome", f"ftp://admin:{PASSWORD}@nas", "x"),
            ("jellyfin", "http://127.0.0.1:9", f"{PASSWORD}\n"),
        ):
            with pytest.raises(RecsysError, match=r"holds no user|letters and digits") as caught:
                link(library, OtherServer(kind, url, "admin", secret))
            assert PASSWORD not in f"{caught.value} {caught.value.hint}"


def test_a_server_that_repeats_a_page_is_told_of(
    indexed: Indexed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "PAGE", 1)
    database = copied_to(tmp_path, indexed.database)
    with standing_in("jellyfin", []) as (url, server), Library(database) as library:
        server.reply = 200, {}, b'{"Items": [{"Id": "1"}]}'
        with pytest.raises(RecsysError, match="the same songs"):
            link(library, OtherServer("jellyfin", url, "", PASSWORD))


# The plugins


@pytest.fixture(scope="module")
def plugin(indexed: Indexed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """A server whose library is linked with both others; one track is in neither."""
    database = copied_to(tmp_path_factory.mktemp("linked"), indexed.database)
    tracks = tracks_of(database)
    linked(database, "navidrome", [as_navidrome(track) for track in tracks[:-1]])
    linked(database, "jellyfin", [as_jellyfin(track, "/media") for track in tracks[:-1]])
    with playing(database) as player:
        yield player


def asked(player: Player, path: str, status: int = 200, **params: Any) -> Any:
    headers = {"Authorization": f"Bearer {player.device.secret}"}
    found = player.client.get(f"/api/{path}", params=params, headers=headers)
    assert found.status_code == status, found.text
    return found.json()


def nd(number: int) -> str:
    return f"nd{number:020}"


def test_a_plugin_of_navidrome_gets_its_own_songs(plugin: Player) -> None:
    """As AudioMuse-AI-NV-plugin 1f09303 asks, and reads the answers."""
    flags = {"eliminate_duplicates": "false", "radius_similarity": "true"}
    found = asked(plugin, "similar_tracks", item_id=nd(1), n=20, **flags)
    ids = [row["item_id"] for row in found]
    assert len({*ids}) == len(ids) == 8  # all but the song itself, and the one that is in neither
    with Library(plugin.database) as library:
        near = library.similar(1, k=20)
        by_id = {row.track.id: row.similarity for row in near.results}
    for row in found:
        assert {*row} == {"item_id", "title", "author", "album", "distance"}
        similarity = 1 - row["distance"]
        assert 0 <= similarity <= 1
    distances = [row["distance"] for row in found]
    assert distances == sorted(distances)
    assert by_id
    path = asked(
        *(plugin, "find_path"),
        **{"start_song_id": nd(1), "end_song_id": nd(7), "max_steps": 5, "count": 5},
        **{"path_fix_size": "false", "mood_pct": "100"},
    )["path"]
    assert (path[0]["item_id"], path[-1]["item_id"]) == (nd(1), nd(7))
    assert 2 <= len(path) <= 5


def test_a_plugin_of_navidrome_gets_artists_by_their_ids(plugin: Player) -> None:
    asks = {"artist": "ndaThe chamber band", "n": 3, "include_component_matches": "true"}
    artists = asked(plugin, "similar_artists", **asks)
    assert len(artists) == 3
    for row in artists:
        assert row["artist_id"] == f"nda{row['artist']}" or row["artist_id"]
        (match,) = row["component_matches"]
        assert match["artist1_representative_songs"]
        assert match["artist2_representative_songs"]
    by_name = asked(plugin, "similar_artists", artist="The chamber band", n=3)
    assert [row["artist"] for row in by_name] == [row["artist"] for row in artists]


def test_a_plugin_of_jellyfin_gets_its_own_songs(plugin: Player) -> None:
    """As audiomuse-ai-plugin 223cbf2 asks: it writes ids without dashes, a person with."""
    first = next(t for t in tracks_of(plugin.database) if t.id == 1)
    plain = jellyfin_id(first)
    for given in (plain, str(uuid.UUID(plain)), plain.upper()):
        found = asked(plugin, "similar_tracks", n=3, item_id=given)
        assert len(found) == 3
    assert asked(plugin, "active_tasks") == {}


def test_plugins_need_the_secret_of_a_device(plugin: Player) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "recsys_token=x"}):
        for path in ("similar_tracks", "find_path", "similar_artists", "active_tasks"):
            found = plugin.client.get(f"/api/{path}", headers=headers)
            assert found.status_code == 401
            assert {*found.json()} == {"error", "hint"}
            assert "access-control-allow-origin" not in found.headers
    assert "not linked" in asked(plugin, "similar_tracks", 404, item_id="../x")["error"]
    assert "not linked" in asked(plugin, "find_path", 404, start_song_id=nd(1))["error"]
    assert "not linked" in asked(plugin, "similar_artists", 404, artist="x" * 999)["error"]
    assert "no number" in asked(plugin, "similar_tracks", 400, item_id=nd(1), n="x")["error"]


def test_damaged_links_are_an_error_that_says_so(player_with_links: Player) -> None:
    links = Links(player_with_links.database).path
    for content in ("", "[]", '{"navidrome": 1}', '{"navidrome": {}}'):
        links.write_text(content)
        told = asked(player_with_links, "similar_tracks", 503, item_id=nd(1))
        assert "cannot be read" in told["error"]
    links.unlink()
    assert "recsys link" in asked(player_with_links, "similar_tracks", 404, item_id=nd(1))["hint"]


@pytest.fixture
def player_with_links(indexed: Indexed, tmp_path: Path) -> Iterator[Player]:
    with playing(copied_to(tmp_path, indexed.database)) as player:
        yield player
