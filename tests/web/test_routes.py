"""Every route answers as `Library` does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.api import Library
from recsys.pages import SORTS
from tests.web.conftest import API, HOSTILE, Indexed, get, post

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def library(indexed: Indexed) -> Library:
    return Library(indexed.database)


def ids_of(rows: list[dict[str, int]]) -> list[int]:
    return [row["track_id"] for row in rows]


def test_pages_hold_every_track_once(client: TestClient) -> None:
    for sort in (*SORTS, *(f"-{name}" for name in SORTS)):
        found, cursor = [], None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = get(client, "tracks", sort=sort, limit=3, **more)
            found += ids_of(page["tracks"])
            assert page["total"] == 10
            cursor = page["next"]
            if cursor is None:
                break
        assert sorted(found) == list(range(1, 11)), sort


def test_the_ids_of_a_list_are_those_of_its_pages(client: TestClient) -> None:
    content = client.get(f"{API}/tracks/ids", params={"sort": "artist"}).content
    ids = np.frombuffer(content, "<u4").tolist()
    assert ids == ids_of(get(client, "tracks", sort="artist")["tracks"])


def test_tracks_of_ids_come_in_their_order_without_those_that_are_gone(client: TestClient) -> None:
    assert ids_of(get(client, "tracks", ids="5,99,1,3")["tracks"]) == [5, 1, 3]


def test_a_search_finds_beginnings_of_words(client: TestClient, library: Library) -> None:
    page = get(client, "tracks", q="best cham")
    assert {track["album"] for track in page["tracks"]} == {"Best of chamber"}
    assert page["total"] == 2 == get(client, "tracks", q="best cham", sort="title")["total"]


def test_filters_narrow_a_list(client: TestClient, library: Library, indexed: Indexed) -> None:
    for track in library.tracks():
        same = [t.id for t in library.tracks() if t.genre_group == track.genre_group]
        found = get(client, "tracks", genre=track.genre_group, banned=True)
        assert sorted(ids_of(found["tracks"])) == same
    folder = get(client, "tracks", folder=str(indexed.music / "chamber"))
    assert {row["album"] for row in folder["tracks"]} == {"Best of chamber"}
    by_energy = [t.id for t in library.tracks() if t.energy is not None and t.energy >= 0.5]
    assert sorted(ids_of(get(client, "tracks", energy="0.5..")["tracks"])) == by_energy
    assert get(client, "tracks", artist="no such")["tracks"] == []


def test_a_track_tells_what_the_library_knows(client: TestClient, library: Library) -> None:
    # Its title is as it is, but for control characters: whoever shows it takes it for text.
    hostile = HOSTILE.replace("\x1b", " ")
    (number,) = (track.id for track in library.tracks() if track.title == hostile)
    found = get(client, f"tracks/{number}")
    details = library.show(number)
    assert found["title"] == hostile
    assert found["audio_hash"] == details.track.audio_hash
    assert ids_of(found["neighbours"]) == [row.track.id for row in details.neighbours]
    assert found["threshold"].keys() == found["probabilities"].keys()
    assert found["media_type"] == "audio/flac"


def test_similar_tracks_are_those_of_the_library(client: TestClient, library: Library) -> None:
    answer = library.similar(3, k=4, explain=True)
    expected = [row.track.id for row in answer.results]
    of_track = get(client, "tracks/3/similar", k=4, explain=True)
    of_seeds = get(client, "similar", seed="3", k=4, explain=True)
    assert ids_of(of_track["results"]) == ids_of(of_seeds["results"]) == expected
    assert [row["reasons"] for row in of_track["results"]] == [
        list(r.reasons) for r in answer.results
    ]
    assert of_track["query"]["track_id"] == 3
    limited = get(client, "tracks/3/similar", not_artists="The chamber band")
    assert all(row["artist"] != "The chamber band" for row in limited["results"])


def test_words_and_names_are_seeds(client: TestClient) -> None:
    assert get(client, "similar", words="calm piano")["results"]
    by_artist = get(client, "similar", seed="artist:The chamber band")
    assert by_artist["query"]["readings"][0]["as"] == "artist"
    many = get(client, "similar", 422, seed="number")
    assert many["code"] == "ambiguous"
    assert get(client, "similar", seed=many["matches"][0]["seed"])["results"]


def test_a_radio_goes_on_and_is_kept(own: TestClient) -> None:
    first = post(own, "radio", {"seeds": ["1"], "length": 3})
    again = post(own, f"radio/{first['session']}/next", {"length": 3})
    given = ids_of(first["results"]) + ids_of(again["results"])
    assert len(set(given)) == 6
    assert [row["position"] for row in again["results"]] == [4, 5, 6]
    kept = get(own, f"radio/{first['session']}")
    assert ids_of(kept["tracks"]) == given
    assert get(own, "radio")["sessions"][0]["given"] == 6


def test_a_radio_is_steered_at_once_and_found_by_its_seeds_after_that(own: TestClient) -> None:
    session = post(own, "radio", {"seeds": ["1"], "length": 1})["session"]
    liked = post(own, f"radio/{session}/steer", {"kind": "like", "track": 7})
    assert ids_of(liked["like"]) == [7]
    skipped = post(own, f"radio/{session}/steer", {"kind": "skip", "track": 7})
    assert (ids_of(skipped["like"]), ids_of(skipped["not_like"])) == ([], [7])
    assert [event["kind"] for event in get(own, "feedback")["events"]] == ["skip", "like"]
    assert post(own, "radio", {"seeds": ["1"], "length": 1})["session"] == session
    assert post(own, f"radio/{session}/steer", {"kind": "dance", "track": 7}, 400)["hint"]


def test_rules_of_a_radio_count_at_once(own: TestClient) -> None:
    rules = {"not_artists": ["The chamber band"], "length": 8}
    results = post(own, "radio", {"seeds": ["5"], **rules})["results"]
    assert results
    assert all(row["artist"] != "The chamber band" for row in results)


def test_a_playlist_is_made_and_stores_nothing(client: TestClient, library: Library) -> None:
    made = post(client, "playlists/make", {"seeds": ["2"], "length": 5})
    assert made["tracks"][0]["track_id"] == 2
    assert len(made["tracks"]) == 5
    way = post(client, "playlists/make", {"seeds": ["2"], "to": "9", "length": 4})
    assert ids_of(way["tracks"])[0] == 2
    assert ids_of(way["tracks"])[-1] == 9
    more = post(client, "playlists/make", {"extend": [1, 2], "length": 3})
    assert not {1, 2} & {*ids_of(more["tracks"])}
    cycle = post(client, "playlists/make", {"cycle": "auto", "length": 4})
    assert len(cycle["tracks"]) == 4
    assert get(client, "playlists")["playlists"] == []
    both = post(client, "playlists/make", {"extend": [1], "words": "calm"}, 400)
    assert both["code"] == "bad_request"


def test_a_playlist_is_kept_changed_refreshed_and_forgotten(own: TestClient) -> None:
    recipe = {"seeds": ["2"], "length": 4}
    body = {"name": "sunday", "tracks": [3, 2, 3], "recipe": recipe}
    kept = post(own, "playlists", body, 201)
    number = kept["playlist"]
    assert ids_of(kept["tracks"]) == [3, 2, 3]
    assert get(own, f"playlists/{number}")["recipe"] == recipe
    made = ids_of(post(own, "playlists/make", recipe)["tracks"])
    assert ids_of(post(own, f"playlists/{number}/refresh")["tracks"]) == made
    changed = own.put(f"{API}/playlists/{number}", json={"name": "monday", "tracks": [1]})
    assert (changed.json()["name"], ids_of(changed.json()["tracks"])) == ("monday", [1])
    post(own, f"playlists/{number}/refresh", code=409)
    (listed,) = get(own, "playlists")["playlists"]
    assert (listed["tracks"], listed["refreshes"]) == (1, False)
    gone = own.request("DELETE", f"{API}/playlists/{number}", json={})
    assert gone.status_code == 204
    assert get(own, f"playlists/{number}", 404)["code"] == "not_found"


def test_a_playlist_is_exported(own: TestClient, indexed: Indexed) -> None:
    post(own, "playlists", {"name": 'a/b "c"\nd', "tracks": [1, 2]}, 201)
    root = f"{indexed.music}=/mnt/music"
    found = own.get(f"{API}/playlists/1/file", params={"format": "m3u8", "root": root})
    assert found.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    paths = [line for line in found.text.splitlines() if not line.startswith("#")]
    assert all(path.startswith("/mnt/music/") for path in paths)
    assert len(paths) == 2
    same = own.post(f"{API}/playlists/file", json={"name": "x", "tracks": [1, 2], "roots": [root]})
    assert same.text.splitlines()[2:] == found.text.splitlines()[2:]


def test_what_the_listener_says_is_stored_and_undone(own: TestClient) -> None:
    post(own, "feedback", {"kind": "like", "seeds": ["1", "2"]}, 201)
    post(own, "feedback", {"kind": "ban", "seeds": ["artist:The chamber band"]}, 201)
    said = get(own, "feedback/tracks")
    assert said["like"] == [1, 2]
    banned = said["ban"]
    assert banned
    left = get(own, "tracks", limit=50)
    assert left["total"] == 10 - len(banned)
    assert not {*banned} & {*ids_of(left["tracks"])}
    assert get(own, "tracks", banned=True)["total"] == 10
    assert post(own, "feedback/undo")["events"][0]["kind"] == "ban"
    assert get(own, "feedback/tracks")["ban"] == []


def test_a_like_is_taken_back_and_counts_no_more(own: TestClient) -> None:
    before = get(own, "tracks/3/similar")["results"]
    for kind, seed in (("like", "5"), ("dislike", "6"), ("like", "5"), ("skip", "6")):
        post(own, "feedback", {"kind": kind, "seeds": [seed]}, 201)
    assert get(own, "tracks/3/similar")["results"] != before
    for kind, track in (("like", 5), ("dislike", 6), ("like", 9)):
        gone = own.request("DELETE", f"{API}/feedback/tracks/{track}/{kind}", json={})
        assert gone.status_code == 204
    said = get(own, "feedback/tracks")
    assert (said["like"], said["dislike"]) == ([], [])
    assert [event["kind"] for event in get(own, "feedback")["events"]] == ["skip"]
    post(own, "feedback/undo")
    assert get(own, "tracks/3/similar")["results"] == before


def test_the_library_as_a_whole(client: TestClient, library: Library, indexed: Indexed) -> None:
    status = get(client, "status")
    assert (status["tracks"], status["failures"], status["run"]) == (10, 1, None)
    genres = get(client, "genres")["genres"]
    assert {each["genre"]: each["tracks"] for each in genres} == library.status().genres
    tags = get(client, "tags")["tags"]
    assert {each["tag"]: each["tracks"] for each in tags} == library.tag_counts()
    moods = get(client, "moods")["moods"]
    assert {each["mood"] for each in moods} == library.moods().keys()
    for mood in moods[:3]:
        assert get(client, "tracks", mood=mood["mood"])["total"] == mood["tracks"]
    assert get(client, "languages")["languages"] == [
        {"language": "de", "tracks": 4},
        {"language": "fr", "tracks": 2},
    ]
    assert get(client, "tracks", language="german")["total"] == 4
    assert get(client, "tracks", language=["fre", "nl"])["total"] == 2
    (failure,) = get(client, "failures")["failures"]
    assert failure["path"] == str(indexed.music / "bad.mp3")


def test_folders_and_suggestions(client: TestClient, indexed: Indexed) -> None:
    (root,) = get(client, "folders")["folders"]
    assert root == {"folder": str(indexed.music), "name": "music", "tracks": 10, "there": True}
    inside = get(client, "folders", folder=root["folder"])
    assert {each["tracks"] for each in inside["folders"]} == {2}
    assert inside["parent"] is None
    one = get(client, "folders", folder=inside["folders"][0]["folder"])
    assert (one["tracks"], one["folders"], one["parent"]) == (2, [], root["folder"])
    said = get(client, "suggest", q="the cham")
    assert said["artists"] == [
        {"name": "The chamber band", "tracks": 2, "seed": "artist:The chamber band"}
    ]


def test_artists_come_in_pages_by_name(client: TestClient, library: Library) -> None:
    counts = Counter(track.artist for track in library.tracks())
    found, cursor = [], {}
    while True:
        page = get(client, "artists", limit=2, **cursor)
        assert page["total"] == len(counts)
        found += page["artists"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert [each["name"] for each in found] == sorted(counts)
    assert {each["name"]: each["tracks"] for each in found} == counts
    named = get(client, "artists", q="the cham")
    assert named["artists"] == get(client, "suggest", q="the cham")["artists"]
    assert get(client, "artists", q="best of")["artists"] == []  # an album
    assert get(client, "artists", q="!!!")["total"] == 0
    similar = get(client, "similar", seed=named["artists"][0]["seed"])
    assert similar["query"]["readings"][0]["as"] == "artist"
    for bad in ("no cursor", "AAAA", "Lg"):
        get(client, "artists", 400, cursor=bad)


def test_preferences_are_the_defaults_of_lists(own: TestClient) -> None:
    body = {"not_artists": ["The chamber band"], "ranges": {"energy": "0..1"}}
    changed = own.put(f"{API}/preferences", json=body).json()
    assert changed == get(own, "preferences") == body
    assert all(r["artist"] != "The chamber band" for r in get(own, "tracks/5/similar")["results"])


def test_an_answer_that_the_client_has_is_left_out(client: TestClient) -> None:
    first = client.get(f"{API}/tracks")
    again = client.get(f"{API}/tracks", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_file_that_is_sent_is_classified_and_a_seed(client: TestClient, indexed: Indexed) -> None:
    content = next(indexed.music.glob("chamber/0.*")).read_bytes()
    headers = {"Content-Type": "application/octet-stream"}
    sent = client.post(
        f"{API}/classify", params={"name": "../../x.ogg"}, content=content, headers=headers
    )
    assert sent.status_code == 200, sent.text
    (expected,) = Library(indexed.database).classify(next(indexed.music.glob("chamber/0.*")))
    assert sent.json()["genre"] == expected.genre
    assert get(client, "similar", upload=sent.json()["upload"])["results"]
    assert get(client, "similar", 410, upload="no")["code"] == "gone"
    noise = client.post(f"{API}/classify?name=x.mp3", content=b"no sound", headers=headers)
    assert noise.status_code == 422
    assert noise.json()["hint"]


def test_the_description_names_every_route(client: TestClient) -> None:
    described = get(client, "openapi.json")["paths"]
    assert f"{API}/tracks/{{track_id}}/similar" in described
    page = client.get("/docs").text
    assert all(path in page for path in described)


def test_an_unknown_name_is_refused_with_its_name(client: TestClient) -> None:
    found = get(client, "tracks", 400, colour="red")
    assert found["fields"][0]["field"] == "colour"
    assert found["code"] == "bad_request"
