from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from recsys.demo import SAMPLE_RATE
from tests.cli.conftest import IndexedLibrary
from tests.cli.running import json_of, paths_of
from tests.sounds import staircase, write

Run = Callable[..., Result]


def test_json_contract(run: Run, indexed: IndexedLibrary) -> None:
    query = indexed.track("overdrive")
    data = json_of(run("similar", query, "--k", 5, "--json"))
    assert {"query", "genres", "results"} <= set(data)
    assert data["query"]["path"] == str(query)
    scores = [row["score"] for row in data["genres"]]
    assert len(scores) > 10  # the genres of the head, and other styles
    assert scores == sorted(scores, reverse=True)
    assert [row["rank"] for row in data["results"]] == [1, 2, 3, 4, 5]
    wanted = {"rank", "track_id", "path", "artist", "title", "genre", "tier"}
    for row in data["results"]:
        assert wanted | {"genre_score", "similarity"} <= set(row)
        assert row["path"] != str(query)


def test_tiers_follow_the_genre_scores(run: Run, indexed: IndexedLibrary) -> None:
    data = json_of(run("similar", indexed.track("overdrive"), "--k", 50, "--json"))
    if data["query"]["genre"] == "unknown":
        pytest.skip("the model finds no genre in this synthetic track")
    genres_of = {row["tier"]: row["genres"] for row in data["tiers"]}
    assert data["tiers"][0]["genres"][0] == data["genres"][0]["genre"]
    assert [row["kind"] for row in data["tiers"]][:: len(genres_of) - 1] == ["first", "other"]
    tiers = [row["tier"] for row in data["results"]]
    assert tiers == sorted(tiers)
    for row in data["results"][1:]:  # the first may be the nearest of all
        assert row["genre"] in (genres_of[row["tier"]] or [row["genre"]])
    for tier in set(tiers):
        inside = [row["similarity"] for row in data["results"] if row["tier"] == tier]
        assert inside == sorted(inside, reverse=True)


def test_strategy_similarity_ranks_by_sound_alone(run: Run, indexed: IndexedLibrary) -> None:
    data = json_of(
        run(
            "similar",
            indexed.track("walking bass"),
            "--strategy",
            "similarity",
            "--json",
            "--k",
            50,
        )
    )
    similarities = [row["similarity"] for row in data["results"]]
    assert similarities == sorted(similarities, reverse=True)
    assert {row["tier"] for row in data["results"]} == {0}


def test_a_file_outside_the_library_is_analysed_on_the_fly(
    run: Run, indexed: IndexedLibrary, tmp_path: Path
) -> None:
    inside = indexed.track("offbeat")
    outside = inside.with_suffix(".copy" + inside.suffix)  # never indexed
    try:
        outside.write_bytes(inside.read_bytes())
        data = json_of(run("similar", outside, "--show-duplicates", "--json", "--k", 1))
        assert data["results"][0]["path"] == str(inside)
        assert data["results"][0]["similarity"] == pytest.approx(1, abs=1e-5)
        assert str(inside) not in run("similar", outside, "--paths", "--k", 50).stdout
    finally:
        outside.unlink()


def test_new_sound_outside_the_library(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "new.wav", staircase(8, SAMPLE_RATE), SAMPLE_RATE)
    data = json_of(run("similar", path, "--json"))
    assert data["query"]["path"] == str(path)
    assert data["query"]["track_id"] is None
    assert data["results"]


def test_the_query_does_not_come_back_through_a_link(
    run: Run, indexed: IndexedLibrary, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(indexed.music)
    track = indexed.track("overdrive")
    linked = tmp_path / "link" / track.relative_to(indexed.music)
    assert str(track) not in paths_of(run("similar", linked, "--show-duplicates", "--paths"))


def test_several_seeds(run: Run, indexed: IndexedLibrary) -> None:
    seeds = [indexed.track("overdrive"), indexed.track("chamber")]
    data = json_of(run("similar", *seeds, "--json", "--k", 50))
    assert [seed["path"] for seed in data["query"]["seeds"]] == [str(seed) for seed in seeds]
    assert not {str(seed) for seed in seeds} & {row["path"] for row in data["results"]}


def test_words(run: Run, indexed: IndexedLibrary) -> None:
    data = json_of(run("similar", "OVERDRIVE band number 1", "--json"))
    assert data["query"]["path"] == str(indexed.track("overdrive", 1))


def ids_of(run: Run, *paths: Path) -> list[int]:
    data = json_of(run("similar", *paths, "--json"))
    return [seed["track_id"] for seed in data["query"]["seeds"]]


def test_several_matches_are_listed_not_guessed(run: Run, indexed: IndexedLibrary) -> None:
    tracks = [indexed.track(style, 1) for style in ("overdrive", "chamber")]
    result = run("similar", "number 1")
    assert result.exit_code == 1
    for track_id, track in zip(ids_of(run, *tracks), tracks, strict=True):
        assert f"\n  {track_id}  The {track.parent.name} band - Number 1 (0:07): {track}" in (
            result.stderr
        )


def test_an_artist_stands_for_the_tracks(run: Run, indexed: IndexedLibrary) -> None:
    tracks = [indexed.track("overdrive", number) for number in range(2)]
    result = run("similar", "overdrive band", "--json", "--k", 50)
    data = json_of(result)
    reading = {"given": "overdrive band", "as": "artist", "name": "The overdrive band", "tracks": 2}
    reading["role"] = "seed"
    assert data["query"]["readings"] == [reading]
    assert {seed["path"] for seed in data["query"]["seeds"]} == {*map(str, tracks)}
    assert not {*map(str, tracks)} & {row["path"] for row in data["results"]}
    note = "'overdrive band' is read as the artist The overdrive band: 2 tracks"
    assert data["notes"][0] == note
    assert f"Note: {note}\n" in result.stderr
    heading = run("similar", "overdrive band").stdout.splitlines()[0]
    assert heading.startswith("Like the artist The overdrive band: ")


def test_an_id_is_a_seed(run: Run, indexed: IndexedLibrary) -> None:
    track = indexed.track("overdrive", 1)
    (track_id,) = ids_of(run, track)
    data = json_of(run("similar", track_id, "--json"))
    assert data["query"]["path"] == str(track)
    assert data["query"]["readings"][0]["as"] == "id"


def test_ids_from_json_are_seeds(run: Run) -> None:
    for row in json_of(run("similar", "overdrive number 0", "--json", "--k", 3))["results"]:
        again = json_of(run("similar", row["track_id"], "--json", "--k", 1))
        assert again["query"]["path"] == row["path"]


def test_what_is_printed_can_be_typed(run: Run, indexed: IndexedLibrary) -> None:
    rows = json_of(run("similar", indexed.track("overdrive"), "--json", "--k", 50))["results"]
    printed = run("similar", indexed.track("overdrive"), "--explain", "--k", 50).stdout
    for row in rows[:6]:
        name = f"{row['artist']} - {row['title']} (0:07)"
        assert name in printed
        assert json_of(run("similar", name, "--json", "--k", 1))["query"]["path"] == row["path"]


def test_on_a_terminal_an_ambiguous_name_is_a_numbered_choice(
    run: Run, indexed: IndexedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("similar", "number 1", input="2\n")
    listed = [line.strip() for line in refused.stderr.splitlines() if " - Number 1 (" in line]
    assert refused.exit_code == 1
    monkeypatch.setattr("recsys.cli.choosing._is_terminal", lambda: True)
    chosen = run("similar", indexed.track("chamber"), "number 1", "--paths", input="2\n")
    assert chosen.exit_code == 0
    for number, line in enumerate(listed, start=1):
        assert f"\n{number}) {line}\n" in chosen.stderr
    wanted = run("similar", indexed.track("chamber"), listed[1].split("  ")[0], "--paths")
    assert chosen.stdout == wanted.stdout
    assert run("similar", "number 1", "--json", input="2\n").exit_code == 1


def test_a_misspelt_name_is_suggested(run: Run) -> None:
    result = run("similar", "overdirve bnad number 1")
    assert result.exit_code == 1
    assert "did you mean 'The overdrive band - Number 1'?" in result.stderr


@pytest.mark.parametrize("name", ["hiphop", "Hip-Hop", "hip hop", "HIP_HOP"])
def test_genres_and_tags_have_one_spelling_everywhere(run: Run, name: str) -> None:
    for verb in (("similar", "overdrive number 1", "--json"), ("playlist", "--format", "json")):
        plain = run(*verb, "--genre", "hiphop", "--tag", "Hip-Hop")
        assert "Error" not in plain.stderr or "holds no track" in plain.stderr
        assert run(*verb, "--genre", name, "--tag", name).stdout == plain.stdout


def test_a_tag_given_as_a_genre_is_pointed_out(run: Run) -> None:
    genre = run("similar", "overdrive number 1", "--genre", "mellow")
    assert "unknown genre 'mellow'; it is a tag: --tag 'Mellow'" in genre.stderr


def test_a_path_wins_over_words(
    run: Run, indexed: IndexedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed.music / "four on the floor")
    data = json_of(run("similar", indexed.track("four on the floor", 1).name, "--json"))
    assert data["query"]["path"] == str(indexed.track("four on the floor", 1))


def test_explain_says_why(run: Run, indexed: IndexedLibrary) -> None:
    result = run("similar", indexed.track("overdrive"), "--explain", "--k", 3)
    assert result.exit_code == 0
    assert "similarity" in result.stdout
    assert "Filtered out: the query itself (1)" in result.stdout
    data = json_of(run("similar", indexed.track("overdrive"), "--explain", "--json", "--k", 1))
    reasons = data["results"][0]["reasons"]
    assert "sounds " in reasons[0]
    assert reasons[1].startswith("similarity ")


def test_classify_and_similar_show_the_same_probabilities(
    run: Run, indexed: IndexedLibrary
) -> None:
    track = indexed.track("overdrive")
    asked = json_of(run("similar", track, "--json"))["query"]["probabilities"]
    alone = json_of(run("classify", track, "--json", "--db", indexed.database))["probabilities"]
    assert asked == pytest.approx(alone, abs=0.01)


def test_the_first_scores_are_printed(run: Run, indexed: IndexedLibrary) -> None:
    track = indexed.track("overdrive")
    scores = {
        row["genre"]: row["score"] for row in json_of(run("similar", track, "--json"))["genres"]
    }
    (printed,) = re.findall(r"\(scores: (.+?)\)", " ".join(run("similar", track).stdout.split()))
    shown = dict(re.fullmatch(r"(.+) ([\d.]+)", part).groups() for part in printed.split(", "))
    assert len(shown) == 4
    assert {genre: float(text) for genre, text in shown.items()} == {
        genre: round(scores[genre], 2) for genre in shown
    }


def test_only_one_genre(run: Run, indexed: IndexedLibrary) -> None:
    genre = indexed.events[0].get("genre") or indexed.events[1]["genre"]
    data = json_of(run("similar", indexed.track("four on the floor"), "--genre", genre, "--json"))
    assert {row["genre"] for row in data["results"]} <= {genre}


def test_one_track_per_artist(run: Run, indexed: IndexedLibrary) -> None:
    data = json_of(run("similar", indexed.track("overdrive"), "--max-per-artist", 1, "--json"))
    artists = [row["artist"] for row in data["results"]]
    assert len(artists) == len(set(artists)) > 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--k", "0"], 2, "'--k'"),
        (["--k", "-1"], 2, "'--k'"),
        (["--genre", "jaz"], 1, "did you mean 'jazz'"),
        (["--strategy", "magic"], 2, "'magic'"),
        (["--json", "--paths"], 2, "exclude each other"),
    ],
)
def test_wrong_options(
    run: Run, indexed: IndexedLibrary, arguments: list[str], code: int, message: str
) -> None:
    result = run("similar", indexed.track("overdrive"), *arguments)
    assert result.exit_code == code
    assert message in result.stderr


@pytest.mark.parametrize("seed", ["no such words", "no/such/path.mp3", "", "x" * 5000])
def test_seeds_that_are_nothing(run: Run, seed: str) -> None:
    result = run("similar", seed)
    assert result.exit_code == 1
    assert repr(seed) in result.stderr or "folder" in result.stderr


def test_a_library_that_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("similar", "x", "--db", f"{tmp_path}/none.db")
    assert result.exit_code == 1
    assert "none.db" in result.stderr


def test_an_indexed_track_needs_neither_torch_nor_librosa(indexed: IndexedLibrary) -> None:
    script = (
        "import sys; from recsys.cli.main import cli\n"
        f"cli(['similar', {str(indexed.track('overdrive'))!r}, '--db', {str(indexed.database)!r}],"
        " standalone_mode=False)\n"
        "print([m for m in ('torch', 'librosa', 'av', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[]\n")
