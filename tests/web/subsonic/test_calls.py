"""Every call answers as the specification has it, and as `Library` does."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import av
import numpy as np
import pytest
from PIL import Image

from recsys.api import Library
from tests.web.subsonic.conftest import Player

SCHEMAS = json.loads(Path(__file__).with_name("schemas.json").read_text("utf-8"))["files"]
NS = "{http://subsonic.org/restapi}"


def artist_and_album(player: Player) -> tuple[str, str]:
    album = player.ask("search3", query="chamber", songCount=0)["searchResult3"]["album"][0]
    return album["artistId"], album["id"]


@cache
def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    from referencing.jsonschema import DRAFT202012

    resources = [
        (f"http://s/{path}", referencing.Resource(schema, DRAFT202012))
        for path, schema in SCHEMAS.items()
    ]
    registry = referencing.Registry().with_resources(resources)
    return jsonschema.Draft202012Validator({"$ref": f"http://s/{name}"}, registry=registry)


def schema_of(call: str) -> str:
    folder = "createShares" if call == "createShare" else call
    title = call[0].upper() + call[1:]
    name = f"endpoints/{folder}/{title}Response.json"
    return name if name in SCHEMAS else "schemas/SubsonicResponse.json"


CALLS: dict[str, dict[str, Any]] = {
    "ping": {},
    "getOpenSubsonicExtensions": {},
    "getLicense": {},
    "tokenInfo": {},
    "getUser": {"username": "phone"},
    "getMusicFolders": {},
    "getIndexes": {},
    "getMusicDirectory": {"id": "ARTIST"},
    "getArtists": {},
    "getArtist": {"id": "ARTIST"},
    "getAlbum": {"id": "ALBUM"},
    "getSong": {"id": 1},
    "getGenres": {},
    "getSongsByGenre": {"genre": "GENRE"},
    "getAlbumList": {"type": "newest"},
    "getAlbumList2": {"type": "alphabeticalByArtist"},
    "getRandomSongs": {"size": 4},
    "getStarred": {},
    "getStarred2": {},
    "search2": {"query": "chamber"},
    "search3": {"query": '""'},
    "getPlaylists": {},
    "getPlaylist": {"id": "PLAYLIST"},
    "createPlaylist": {"name": "two", "songId": [1, 2]},
    "updatePlaylist": {"playlistId": "PLAYLIST", "name": "three", "songIdToAdd": [3]},
    "scrobble": {"id": 2, "submission": "false"},
    "star": {"id": 1, "albumId": "ALBUM", "artistId": "ARTIST"},
    "unstar": {"id": 1},
    "setRating": {"id": 3, "rating": 1},
    "reportPlayback": {
        **{"mediaId": 1, "mediaType": "song", "positionMs": 100, "state": "playing"}
    },
    "getNowPlaying": {},
    "getSimilarSongs": {"id": 1, "count": 3},
    "getSimilarSongs2": {"id": "ARTIST", "count": 3},
    "getSonicSimilarTracks": {"id": 1, "count": 3},
    "findSonicPath": {"startSongId": 1, "endSongId": 7, "count": 4},
    "getScanStatus": {},
    "getArtistInfo": {"id": "ARTIST"},
    "getArtistInfo2": {"id": "ARTIST"},
    "getAlbumInfo": {"id": "ALBUM"},
    "getAlbumInfo2": {"id": "ALBUM"},
    "getTopSongs": {"artist": "The chamber band"},
    "savePlayQueue": {"id": [1, 2], "current": 2, "position": 1000},
    "getPlayQueue": {},
    "getPodcasts": {},
    "getNewestPodcasts": {},
    "getInternetRadioStations": {},
    "getShares": {},
    "getBookmarks": {},
    "getLyrics": {},
    "getLyricsBySongId": {"id": 1},
    "deletePlaylist": {"id": "PLAYLIST"},
}


def test_every_call_answers_by_the_schemas_of_the_specification(player: Player) -> None:
    artist, album = artist_and_album(player)
    genre = player.ask("getGenres")["genres"]["genre"][0]["value"]
    playlist = player.ask("createPlaylist", name="one", songId=[1, 2])["playlist"]["id"]
    names = {"ARTIST": artist, "ALBUM": album, "GENRE": genre, "PLAYLIST": playlist}
    for call, given in CALLS.items():
        params = {key: names.get(str(value), value) for key, value in given.items()}
        answer = player.raw(call, **params).json()
        assert answer["subsonic-response"]["status"] == "ok", (call, answer)
        errors = list(validator(schema_of(call)).iter_errors(answer))
        assert not errors, (call, errors[0].json_path, errors[0].message)
        if call not in ("updatePlaylist", "createPlaylist", "deletePlaylist"):
            text = player.raw(f"{call}.view", "xml", **params)
            assert text.headers["content-type"].startswith("text/xml")
            root = ET.fromstring(text.content)
            assert root.tag == f"{NS}subsonic-response"
            wanted = {*answer["subsonic-response"]} - {*root.attrib}
            # An empty list has no elements.
            assert {each.tag.removeprefix(NS) for each in root} == {
                name for name in wanted if answer["subsonic-response"][name] != []
            }


def test_xml_has_the_shapes_that_clients_read(shared: Player) -> None:
    def root(call: str, **params: Any) -> ET.Element:
        return ET.fromstring(shared.raw(call, "xml", **params).content)

    genre = root("getGenres").find(f"{NS}genres/{NS}genre")
    assert genre is not None
    assert genre.text
    assert int(genre.attrib["songCount"]) > 0
    versions = root("getOpenSubsonicExtensions").find(f"{NS}openSubsonicExtensions/{NS}versions")
    assert versions is not None
    assert versions.text == "1"
    match = root("getSonicSimilarTracks", id=1).find(f"{NS}sonicMatch")
    assert match is not None
    assert 0 < float(match.findtext(f"{NS}similarity") or 0) <= 1
    assert match.find(f"{NS}entry") is not None
    assert shared.raw("ping", "jsonp", callback="go").text.startswith('/**/go({"subsonic-response"')
    # What is no name of a function stays data.
    bad = shared.raw("ping", "jsonp", callback="alert(1)//")
    assert bad.headers["content-type"] == "application/json"
    assert "alert" not in bad.text


def test_a_form_that_is_posted_is_a_call(shared: Player) -> None:
    found = shared.client.post(
        "/rest/search3", data={**shared.login(), "f": "json", "query": "", "songCount": "3"}
    )
    assert len(found.json()["subsonic-response"]["searchResult3"]["song"]) == 3


def test_the_whole_library_is_paged(shared: Player) -> None:
    for query in ("", '""'):
        songs, albums = [], []
        for offset in range(0, 12, 3):
            page = shared.ask(
                *("search3",),
                **{"query": query, "songCount": 3, "songOffset": offset},
                **{"albumCount": 2, "albumOffset": offset * 2 // 3, "artistCount": 0},
            )["searchResult3"]
            songs += [song["id"] for song in page["song"]]
            albums += [album["id"] for album in page["album"]]
            assert page["artist"] == []
        assert sorted(map(int, songs)) == list(range(1, 11))
        assert len({*albums}) == len(albums) == 5


def test_albums_artists_and_songs_name_each_other(shared: Player) -> None:
    index = shared.ask("getArtists")["artists"]["index"]
    artists = [artist for letter in index for artist in letter["artist"]]
    assert [letter["name"] for letter in index] == sorted(letter["name"] for letter in index)
    seen = set()
    for artist in artists:
        found = shared.ask("getArtist", id=artist["id"])["artist"]
        assert found["albumCount"] == len(found["album"])
        for album in found["album"]:
            whole = shared.ask("getAlbum", id=album["id"])["album"]
            assert whole["songCount"] == len(whole["song"])
            for song in whole["song"]:
                assert (song["albumId"], song["artistId"]) == (album["id"], artist["id"])
                assert shared.ask("getSong", id=song["id"])["song"] == song
                seen.add(song["id"])
    assert len(seen) == 10


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("random", {}),
        ("newest", {}),
        ("alphabeticalByName", {}),
        ("alphabeticalByArtist", {}),
        ("byYear", {"fromYear": 1900, "toYear": 2100}),
        ("byGenre", {"genre": "no such genre"}),
        ("starred", {}),
        ("recent", {}),
        ("frequent", {}),
        ("highest", {}),
    ],
)
def test_every_list_of_albums_is_there(shared: Player, kind: str, more: dict[str, Any]) -> None:
    albums = shared.ask("getAlbumList2", type=kind, **more)["albumList2"]["album"]
    names = [album["name"] for album in albums]
    whole = kind in ("random", "newest", "alphabeticalByName", "alphabeticalByArtist")
    assert len(names) == (5 if whole else 0)
    if kind.startswith("alphabetical"):
        assert names == sorted(names)
    half = shared.ask("getAlbumList2", type=kind, size=2, offset=4, **more)["albumList2"]["album"]
    assert len(half) == (1 if whole else 0)


def test_similar_songs_are_as_many_as_asked_for(shared: Player) -> None:
    artist, album = artist_and_album(shared)
    for seed, of_it in (("1", 1), (album, 2), (artist, 2)):
        for call, name in (
            ("getSimilarSongs", "similarSongs"),
            ("getSimilarSongs2", "similarSongs2"),
        ):
            songs = shared.ask(call, id=seed, count=5)[name]["song"]
            assert len({song["id"] for song in songs}) == 5
            every = shared.ask(call, id=seed, count=50)[name]["song"]
            assert len({song["id"] for song in every}) == 10 - of_it  # all but the seeds
            assert not {song["id"] for song in every} & {"1"}
    assert shared.ask("getSimilarSongs", id=1, count=0)["similarSongs"]["song"] == []


def test_sonic_similarity_is_the_cosine(shared: Player) -> None:
    with Library(shared.database) as library:
        ids = list(range(1, 11))
        analyses = library.store.analyses(ids)
        first = analyses[1].embedding
        cosine = {i: float(first @ analyses[i].embedding) for i in ids}
    matches = shared.ask("getSonicSimilarTracks", id=1, count=20)["sonicMatch"]
    values = [match["similarity"] for match in matches]
    assert values == sorted(values, reverse=True)
    for match in matches:
        wanted = (1 + cosine[int(match["entry"]["id"])]) / 2
        assert match["similarity"] == pytest.approx(wanted, abs=1e-4)
    assert "1" not in {match["entry"]["id"] for match in matches}


@pytest.mark.parametrize("count", [2, 3, 6, 100])
def test_a_path_begins_and_ends_where_it_must(shared: Player, count: int) -> None:
    path = shared.ask("findSonicPath", startSongId=1, endSongId=7, count=count)["sonicMatch"]
    ids = [match["entry"]["id"] for match in path]
    assert (ids[0], ids[-1]) == ("1", "7")
    assert 2 <= len(ids) <= count
    assert len({*ids}) == len(ids)
    assert path[0]["similarity"] == pytest.approx(1)


def test_a_path_to_the_same_song_and_too_short_a_path(shared: Player) -> None:
    (match,) = shared.ask("findSonicPath", startSongId=1, endSongId=1)["sonicMatch"]
    assert match["entry"]["id"] == "1"
    assert shared.code("findSonicPath", startSongId=1, endSongId=2, count=1) == 0
    assert shared.code("findSonicPath", startSongId=1, endSongId=99) == 70


def a_flac(player: Player) -> str:
    songs = player.ask("search3", query="")["searchResult3"]["song"]
    return next(str(song["id"]) for song in songs if song["suffix"] == "flac")


def test_sound_comes_as_it_is_and_in_parts(shared: Player) -> None:
    one = a_flac(shared)
    whole = shared.raw("stream", id=one)
    assert whole.content == shared.raw("download", id=one).content
    assert "attachment" in shared.raw("download", id=one).headers["content-disposition"]
    params = {**shared.login(), "id": one}
    part = shared.client.get("/rest/stream", params=params, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    head = shared.client.head("/rest/stream.view", params=params)
    assert (head.content, int(head.headers["content-length"])) == (b"", len(whole.content))
    assert shared.raw("stream", id=one, format="raw", maxBitRate=32).content == whole.content
    for call in ("stream", "download"):
        for asked in ("99999999-", "a-b"):
            none = shared.client.get(
                f"/rest/{call}",
                params={**params, "f": "json"},
                headers={"Range": f"bytes={asked}"},
            )
            assert none.status_code in (400, 416)
            assert none.headers["access-control-allow-origin"] == "*"
            failed = none.json()["subsonic-response"]
            assert (failed["status"], failed["error"]["code"]) == ("failed", 0)


@pytest.mark.slow
def test_sound_is_transcoded(shared: Player) -> None:
    one = a_flac(shared)
    for form, kind in (("mp3", "audio/mpeg"), ("opus", "audio/ogg; codecs=opus")):
        for start in (0, 3):
            sound = shared.raw(
                *("stream",),
                **{"id": one, "format": form, "maxBitRate": 32, "estimateContentLength": "true"},
                timeOffset=start,
            )
            assert sound.headers["content-type"] == kind
            assert "content-length" not in sound.headers  # an estimate would cut the end off
            with av.open(io.BytesIO(sound.content)) as container:
                frames = [frame.samples / frame.sample_rate for frame in container.decode(audio=0)]
            assert sum(frames) == pytest.approx(6 - start, abs=0.15)


def test_covers_are_bounded(shared: Player) -> None:
    _, album = artist_and_album(shared)
    for size, most in ((None, 1280), (1, 64), (300, 320), (2_000_000_000, 1280)):
        more = {} if size is None else {"size": size}
        found = shared.raw("getCoverArt", id=album, **more)
        assert found.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(found.content)).size) <= most
    songs = [shared.raw("getCoverArt", "xml", id=number) for number in range(1, 11)]
    missing = [each for each in songs if each.headers["content-type"].startswith("text/xml")]
    assert len(missing) == 7  # one has a cover in its tags, two in their folder
    assert ET.fromstring(missing[0].content).attrib["status"] == "failed"


def test_lists_of_songs_keep_to_what_was_asked(shared: Player) -> None:
    for genre in shared.ask("getGenres")["genres"]["genre"]:
        songs = shared.ask("getSongsByGenre", genre=genre["value"], count=100)
        found = [song["genre"] for song in songs["songsByGenre"]["song"]]
        assert found == [genre["value"]] * genre["songCount"]
        drawn = shared.ask("getRandomSongs", genre=genre["value"], size=100)["randomSongs"]["song"]
        assert {song["genre"] for song in drawn} <= {genre["value"]}
    assert shared.ask("getSongsByGenre", genre="none")["songsByGenre"]["song"] == []
    assert shared.ask("getTopSongs", artist="nobody")["topSongs"]["song"] == []


def test_what_was_measured_is_shown(shared: Player) -> None:
    song = shared.ask("getSong", id=1)["song"]
    with Library(shared.database) as library:
        track = library.track(1)
    assert song["size"] == track.path.stat().st_size
    assert song["duration"] == round(track.duration_s)
    assert not song["path"].startswith("/")
    assert track.path.as_posix().endswith(song["path"])
    assert np.isclose(song["bitRate"], song["size"] * 8 / 1000 / track.duration_s, atol=1)
