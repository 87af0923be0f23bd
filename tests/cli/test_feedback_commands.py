"""like, dislike, ban, unban and feedback, on files that move, are retagged and analysed again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import mutagen
import pytest
from click.testing import Result

from recsys import Library, SimilarOptions
from recsys.demo import make_library
from recsys.errors import QueryError
from tests.cli.documented import documented
from tests.cli.running import call, json_of, lines_of, paths_of, refused

Run = Callable[..., Result]

STYLES = ("chamber", "overdrive")
PER_STYLE = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of music, and its library."""
    folder = tmp_path_factory.mktemp("made")
    make_library(folder / "music", styles=STYLES, per_style=PER_STYLE, duration_s=6)
    (folder / "music" / "Christmas").mkdir()
    for path in sorted((folder / "music").glob("*/*chamber no. [34]*")):
        path.rename(folder / "music" / "Christmas" / path.name)
    lines_of(call("index", folder / "music", "--json", db=folder / "library.db"))
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of both whose files may be changed; its library is indexed, not analysed, again."""
    for name in ("music", "library.index"):
        shutil.copytree(made / name, tmp_path / name)
    shutil.copy(made / "library.db", tmp_path / "library.db")
    done = lines_of(call("index", tmp_path / "music", "--json", db=tmp_path / "library.db"))
    assert done[-1]["summary"]["failed"] == 0
    call("doctor", "--forget", made / "music", db=tmp_path / "library.db")
    return tmp_path


@pytest.fixture
def run(home: Path) -> Run:
    return partial(call, db=home / "library.db")


def music(home: Path) -> list[str]:
    return sorted(map(str, (home / "music").rglob("*.*")))


def answers(run: Run, home: Path) -> set[str]:
    """Return the paths in the answers to every track, in all commands."""
    files = music(home)
    found: set[str] = set()
    for seed in files:
        for command in (
            ("similar", seed, "--show-duplicates"),
            ("similar", seed, "--strategy", "similarity"),
            ("radio", seed, "--new", "--length", 20),
        ):
            found.update(paths_of(run(*command, "--paths")))
        found.update(path for path in paths_of(run("playlist", seed, "--length", 20)))
    for number in range(4):
        found.update(paths_of(run("playlist", "--seed", number, "--length", 20)))
    found.update(paths_of(run("playlist", "--cycle", "auto", "--length", 20)))
    found.update(paths_of(run("playlist", "--from", files[0], "--to", files[-1], "--length", 6)))
    return found


def test_a_banned_track_never_comes_back_though_it_moves_is_retagged_and_analysed_again(
    run: Run, home: Path
) -> None:
    (path,) = (home / "music").rglob("*chamber no. 2*")
    assert str(path) in answers(run, home)
    (event,) = lines_of(run("ban", path, "--json"))
    assert (event["kind"], event["subject"]) == ("ban", "track")
    assert str(path) not in answers(run, home)

    moved = home / "music" / "elsewhere" / f"new name{path.suffix}"
    moved.parent.mkdir()
    path.rename(moved)
    file = mutagen.File(moved, easy=True)
    file["artist"], file["title"] = "Somebody Else", "Something Else"
    file.save()
    run("index")
    assert answers(run, home) == {each for each in music(home) if each != str(moved)}

    again = lines_of(run("index", "--reanalyse", "--effort", "fast", home / "music", "--json"))
    assert again[-1]["summary"]["failed"] == 0
    assert answers(run, home) == {each for each in music(home) if each != str(moved)}

    assert run("unban", "something else").stdout == "Unbanned Somebody Else - Something Else\n"
    assert answers(run, home) == set(music(home))


def test_a_banned_artist_stays_banned_under_another_name_and_with_new_tracks(
    run: Run, home: Path
) -> None:
    result = run("ban", "artist:The Chamber Band")
    assert result.stdout == "Banned the artist The Chamber Band: 2 tracks\n"
    first, second, other = (
        next((home / "music").rglob(f"*chamber no. {number}.*")) for number in (1, 3, 2)
    )
    for path, artist in ((first, "The Chamber Bnd"), (other, "The Chamber Band")):
        file = mutagen.File(path, easy=True)
        file["artist"] = artist
        file.save()
    run("index")
    banned = {str(path) for path in (first, second, other)}
    assert answers(run, home) == set(music(home)) - banned
    run("unban", "artist:The Chamber Band")
    assert answers(run, home) == set(music(home))


def test_a_banned_folder_stays_banned_when_it_is_renamed(run: Run, home: Path) -> None:
    folder = home / "music" / "Christmas"
    assert run("ban", folder).stdout == f"Banned the folder {folder}: 2 tracks\n"
    others = {each for each in music(home) if "Christmas" not in each}
    assert answers(run, home) == others
    folder.rename(folder.with_name("Xmas"))
    run("index")
    assert answers(run, home) == others
    assert run("unban", folder).exit_code == 0
    assert answers(run, home) == set(music(home))


def test_a_banned_track_can_be_asked_for_and_is_said_to_be_banned(run: Run, home: Path) -> None:
    (path,) = (home / "music").rglob("*chamber no. 2*")
    run("ban", path)
    for command in (("similar", path), ("radio", path, "--new"), ("playlist", path)):
        result = run(*command)
        assert result.exit_code == 0
        assert "is banned: it says what is wanted, and is in no answer" in result.stderr
        assert path.name not in result.stdout
    (other,) = (home / "music").rglob("*chamber no. 4*")
    way = paths_of(run("playlist", "--from", path, "--to", other, "--length", 3))
    assert str(path) not in way
    assert way[-1] == str(other)
    artist = run("similar", "artist:The Chamber Collective")
    assert "1 of the tracks of The Chamber Collective are banned and left out" in artist.stderr


def test_what_is_not_banned_cannot_be_unbanned(run: Run, home: Path) -> None:
    refused(run("unban", "chamber no. 1"), "Chamber no. 1 is not banned", "recsys feedback bans")
    run("ban", "chamber no. 1")
    refused(run("unban", "artist:The Chamber Band"), "is not banned", "1 of its tracks are")
    (path,) = (home / "music").rglob("*chamber no. 1*")
    path.unlink()
    run("index")
    assert "Chamber no. 1" in run("feedback", "bans").stdout
    assert run("unban", "The Chamber Band - Chamber no. 1").exit_code == 0
    assert "there are none" in run("feedback", "bans").stderr


def test_nothing_is_stored_when_one_of_several_is_not_found(run: Run, home: Path) -> None:
    refused(run("like", "chamber no. 1", "no such song"), "no such song")
    assert run("feedback", "list", "--json").stdout == ""
    outside = home / "outside.flac"
    shutil.copy(next((home / "music").rglob("*.flac")), outside)
    assert run("like", outside).exit_code == 0  # a copy of a track
    assert len(lines_of(run("feedback", "list", "--json"))) == 1


def test_feedback_changes_the_order_and_can_be_left_out(run: Run, home: Path) -> None:
    (seed,) = (home / "music").rglob("*chamber no. 1*")
    asked = ("similar", seed, "--strategy", "similarity", "--json")

    def order(answer: dict[str, Any]) -> list[int]:
        return [int(row["title"][-1]) for row in answer["results"][:3]]

    before = json_of(run(*asked))
    _, second, third = order(before)
    assert "taste" not in before["results"][0]
    run("dislike", f"chamber no. {second}")
    run("like", f"chamber no. {third}")
    after = json_of(run(*asked, "--explain"))
    assert order(after).index(third) < order(after).index(second)
    by_number = dict(zip(order(after), after["results"][:3], strict=True))
    liked, disliked = by_number[third], by_number[second]
    assert liked["reasons"][0].endswith("; you liked it")
    assert liked["reasons"][-1] == f"moved up by {liked['taste']:.2f}"
    assert disliked["reasons"][0].endswith("; you disliked it")
    assert disliked["reasons"][-1] == f"moved down by {-disliked['taste']:.2f}"
    assert json_of(run(*asked, "--no-taste")) == before


def test_playlist_and_radio_follow_the_taste_and_can_leave_it_out(run: Run, home: Path) -> None:
    seed = "title:overdrive no. 3"
    (two,), (four,) = (
        list((home / "music").rglob(f"*{name}.*"))
        for name in ("overdrive no. 2", "overdrive no. 4")
    )
    asked = (
        ("radio", seed, "--new", "--length", 1, "--paths"),
        ("playlist", seed, "--length", 2, "--artist-gap", 0),
    )

    def last(*options: str) -> list[str]:
        return [paths_of(run(*command, *options))[-1] for command in asked]

    assert last() == [str(four)] * 2
    run("dislike", four)
    run("like", two)
    assert last() == [str(two)] * 2
    assert last("--no-taste") == [str(four)] * 2
    assert run("dislike", two).exit_code == run("like", four).exit_code == 0
    assert last() == [str(four)] * 2


def test_what_is_exported_is_imported_once(run: Run, home: Path, tmp_path: Path) -> None:
    run("like", "chamber no. 1", "artist:The Chamber Band")
    run("ban", home / "music" / "Christmas")
    at = ("--source", "mpd", "--at", "2026-11-27T12:30:00+01:00")
    for _ in range(2):
        assert run("feedback", "record", "skip", "chamber no. 2", *at).exit_code == 0
    exported = run("feedback", "export")
    events = lines_of(exported)
    assert [each["kind"] for each in events] == ["skip", "like", "like", "ban"]
    assert (events[0]["time"], events[0]["source"]) == ("2026-11-27T11:30:00.000000Z", "mpd")
    assert json_of(run("feedback", "import", "-", "--json", input=exported.stdout)) == {
        "events": 4,
        "new": 0,
    }
    other = tmp_path / "other.db"
    lines_of(call("index", home / "music", "--json", db=other))
    file = tmp_path / "feedback.jsonl"
    assert run("feedback", "export", "-o", file).exit_code == 0
    for new in (4, 0):
        result = call("feedback", "import", file, db=other)
        assert result.stdout == f"4 events, {new} of them new\n"
    assert call("feedback", "export", db=other).stdout == exported.stdout
    assert not any("Christmas" in path for path in answers(partial(call, db=other), home))


def test_a_line_may_name_its_track_as_a_person_does(run: Run) -> None:
    line = {"time": "2026-11-27T12:30:00Z", "kind": "play", "track": "chamber no. 1"}
    for new in (1, 0):
        result = run("feedback", "import", "-", "--json", input=json.dumps(line) + "\n\n")
        assert json_of(result) == {"events": 1, "new": new}
    (event,) = lines_of(run("feedback", "list", "--json"))
    assert event["name"] == "The Chamber Band - Chamber no. 1"
    assert event["source"] == "import"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "line 2: no JSON"),
        ("[1]", "line 2: no JSON object"),
        ('{"time": "2026-11-27T12:30:00Z", "kind": "love", "key": "x"}', "unknown kind 'love'"),
        ('{"time": "2026-11-27T12:30:00Z", "kind": "play", "track": "nobody"}', "'nobody'"),
    ],
)
def test_a_file_with_a_bad_line_is_refused_as_a_whole(run: Run, line: str, said: str) -> None:
    good = '{"time": "2026-11-27T12:30:00Z", "kind": "play", "track": "chamber no. 1"}'
    refused(run("feedback", "import", "-", input=f"{good}\n{line}\n"), "line 2", said)
    assert run("feedback", "list", "--json").stdout == ""


def test_json_is_as_documented(run: Run) -> None:
    shown = documented("like")
    (event,) = lines_of(run("like", "chamber no. 1", "--json"))
    assert event.keys() == shown[0].keys()
    assert lines_of(run("feedback", "list", "--json")) == [event]
    assert lines_of(run("feedback", "bans", "--json")) == []
    counts = json_of(run("feedback", "import", "-", "--json", input=""))
    assert counts.keys() == shown[-1].keys()


def test_what_was_said_last_is_forgotten_as_a_whole(run: Run, home: Path) -> None:
    everything = answers(run, home)
    run("like", "chamber no. 1")
    run("ban", "chamber no. 1", "chamber no. 2")
    assert answers(run, home) < everything
    result = run("feedback", "undo")
    assert result.stdout == (
        "Forgot the ban of The Chamber Band - Chamber no. 1\n"
        "Forgot the ban of The Chamber Collective - Chamber no. 2\n"
    )
    assert answers(run, home) == everything
    assert [each["kind"] for each in lines_of(run("feedback", "undo", "--json"))] == ["like"]
    refused(run("feedback", "undo"), "no event to undo")


def test_show_tells_what_was_said_and_what_bans_a_track(run: Run) -> None:
    plain = json_of(run("show", "chamber no. 1", "--json"))
    assert (plain["feedback"], plain["banned_by"]) == ([], None)
    run("dislike", "chamber no. 1")
    run("ban", "artist:The Chamber Band")
    run("like", "chamber no. 2")
    shown = json_of(run("show", "chamber no. 1", "--json"))
    assert [(each["kind"], each["subject"]) for each in shown["feedback"]] == [
        ("dislike", "track"),
        ("ban", "artist"),
    ]
    assert shown["banned_by"] == shown["feedback"][-1]
    lines = run("show", "chamber no. 1").stdout
    assert "dislike of it, ban of the artist The Chamber Band" in lines
    assert "by the ban on the artist The Chamber Band" in lines


def test_the_status_counts_events_once_there_are_any(run: Run) -> None:
    assert "feedback" not in json_of(run("status", "--json"))
    run("like", "chamber no. 1")
    assert json_of(run("status", "--json"))["feedback"] == {"like": 1}
    assert "1 like (recsys feedback list)" in run("status").stdout


def test_the_same_in_python(home: Path) -> None:
    with Library(home / "library.db") as library:
        (liked,) = library.like("chamber no. 1")
        assert (liked.kind, liked.source, liked.name) == (
            *("like", "python"),
            "The Chamber Band - Chamber no. 1",
        )
        time = datetime(2026, 11, 27, 12, tzinfo=UTC)
        (played,) = library.record("play", "chamber no. 2", source="mpd", time=time)
        (banned,) = library.ban(home / "music" / "Christmas")
        assert library.feedback() == sorted([liked, played, banned], key=lambda each: each.time)
        assert library.bans() == [banned]
        answer = library.similar("chamber no. 1")
        assert not any("Christmas" in str(row.track.path) for row in answer.results)
        assert any(row.taste for row in answer.results)
        plain = library.similar("chamber no. 1", SimilarOptions(taste=False))
        assert not any(row.taste for row in plain.results)
        library.unban(home / "music" / "Christmas")
        assert library.bans() == []
        with pytest.raises(QueryError, match="'love'"):
            library.record("love", "chamber no. 1")
        with pytest.raises(QueryError, match="time zone"):
            library.record("play", "chamber no. 1", time=time.replace(tzinfo=None))


def test_a_library_from_before_feedback_is_brought_up_to_date_by_any_command(
    run: Run, home: Path
) -> None:
    with closing(sqlite3.connect(home / "library.db")) as connection:
        connection.execute("DROP TABLE events")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'add_events'")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    assert run("similar", "chamber no. 1").exit_code == 0
    assert run("like", "chamber no. 1").exit_code == 0
