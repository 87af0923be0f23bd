"""Tags on the command line, with a small model that has some and one that has none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mutagen
import numpy as np
import pytest
from click.testing import Result

from recsys.classifier.inference import Classifier
from recsys.genres import HOLDS_FROM, genres_among_all
from recsys.indexing.examine import DecodedTrack, FileAnalyser
from recsys.store import Store
from tests.classifier.tagging import TAGS, save_tagging_model
from tests.cli.conftest import make_music
from tests.cli.documented import documented
from tests.cli.running import call

Run = Callable[..., Result]

STYLES = {"rock", "electronic", "jazz", "ambient"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Music, a model with tags whose reference is this music, and a library analysed with it."""
    made = tmp_path_factory.mktemp("tags")
    music = make_music(made / "music")
    for number, path in enumerate(sorted(music.rglob("*.*"))):
        file = mutagen.File(path, easy=True)
        file["genre"] = ("Bossa Nova", "bossa-nova", "Tango")[number % 3]
        file.save()
    with pytest.MonkeyPatch.context() as patch:
        model = made / "tagging.safetensors"
        save_tagging_model(model, patch)
        classifier = Classifier.load(model, "cpu")
        analyser = FileAnalyser(classifier.features)
        decoded = [analyser(path) for path in sorted(music.rglob("*.*"))]
        sounds = [t.windows.astype(np.float32) for t in decoded if isinstance(t, DecodedTrack)]
        logits = classifier.scores(sounds).tag_logits.astype(float)
        means, deviations = logits.mean(axis=0).tolist(), logits.std(axis=0).tolist()
        save_tagging_model(model, patch, tag_means=means, tag_deviations=deviations)
        plain = {"tags": (), "tag_means": (), "tag_deviations": (), "name": "plain"}
        save_tagging_model(made / "plain.safetensors", patch, **plain)
        assert call("index", music, "--model", model, db=made / "library.db").exit_code == 0
        yield made


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    yield partial(call, db=folder / "library.db")
    with Store.open(folder / "library.db") as store:
        store.set_genre_source("gtzan")


@pytest.fixture(scope="module")
def strengths(folder: Path) -> dict[str, dict[str, float]]:
    """By path and tag."""
    with Store.open(folder / "library.db", read_only=True) as store:
        info, (ids, scores) = store.model(), store.all_tag_scores()
        assert info is not None
        rows = zip(ids.tolist(), info.tag_strengths(scores).tolist(), strict=True)
        tracks = store.tracks(ids.tolist())
        return {str(tracks[i].path): dict(zip(TAGS, row, strict=True)) for i, row in rows}


def results(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.stderr
    rows: list[dict[str, object]] = json.loads(result.stdout)["results"]
    return rows


def test_classify_lists_all_tags_the_strongest_first(
    run: Run, folder: Path, strengths: dict[str, dict[str, float]]
) -> None:
    path = next((folder / "music" / "overdrive").glob("0.*"))
    line = json.loads(run("classify", path, "--json").stdout)
    assert line.keys() == documented("classify")[0].keys()
    assert line["kind"] is None  # only the shipped model tells speech from music
    assert line["tags"].keys() == set(TAGS)
    for tag, tag_scores in line["tags"].items():
        assert tag_scores["strength"] == pytest.approx(strengths[str(path)][tag], abs=0.02)
        assert 0 <= tag_scores["score"] <= 1
    printed = [tag_scores["strength"] for tag_scores in line["tags"].values()]
    assert printed == sorted(printed, reverse=True)


def test_classify_names_the_tags_that_hold(
    run: Run, folder: Path, strengths: dict[str, dict[str, float]]
) -> None:
    path = max(strengths, key=lambda name: max(strengths[name].values()))
    strongest = max(TAGS, key=strengths[path].__getitem__)
    assert strengths[path][strongest] > HOLDS_FROM
    weakest = min(TAGS, key=strengths[path].__getitem__)
    table = run("classify", path).stdout
    assert "Tags" in table
    assert strongest in table
    assert weakest not in table.replace(path, "")
    plain = run("classify", path, "--model", folder / "plain.safetensors")
    assert "Tags" not in plain.stdout


def test_similar_keeps_to_a_tag(run: Run, strengths: dict[str, dict[str, float]]) -> None:
    seed, *_ = strengths
    everything = [row["path"] for row in results(run("similar", seed, "-k", 99, "--json"))]
    chill = [path for path in everything if strengths[str(path)]["chill"] >= HOLDS_FROM]
    found = results(run("similar", seed, "-k", 99, "--tag", "CHILL", "--json"))
    assert [row["path"] for row in found] == chill
    assert 0 < len(chill) < len(everything)


@pytest.mark.parametrize("command", [("similar", "--tag"), ("playlist", "--tag")])
def test_an_unknown_tag(run: Run, folder: Path, command: tuple[str, str]) -> None:
    seed = next((folder / "music").rglob("0.*"))
    result = run(command[0], seed, command[1], "chil")
    assert result.exit_code == 1
    assert "unknown tag 'chil'; did you mean 'chill'?" in result.stderr
    assert ", ".join(TAGS) in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("similar", "--tag", "chill"), ("playlist", "--tag", "chill")],
)
def test_a_library_whose_model_has_no_tags(folder: Path, arguments: tuple[str, ...]) -> None:
    music, database = folder / "music", "plain.db"
    model = folder / "plain.safetensors"
    call("index", music, "--model", model, db=folder / database)
    seed = next(music.rglob("0.*"))
    asked = arguments if arguments[0] == "index" else (*arguments, seed)
    result = call(*asked, db=folder / database)
    assert result.exit_code == 1
    assert "the model plain" in result.stderr
    assert f"recsys index --reanalyse {music}" in result.stderr
    assert call("status", db=folder / database).stdout.count("none in this model") == 1


def test_status_counts_who_carries_what(run: Run, strengths: dict[str, dict[str, float]]) -> None:
    counts = json.loads(run("status", "--tags", "--json").stdout)["tags"]
    for tag in TAGS:
        assert counts[tag] == sum(row[tag] >= HOLDS_FROM for row in strengths.values())
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    table = run("status", "--tags").stdout
    assert all(tag in table for tag in TAGS)
    assert f"{len(TAGS)} (recsys status --tags lists them)" in run("status").stdout
    assert run("status", "--tags", "--failures").exit_code == 2


def test_a_playlist_keeps_a_mood(run: Run, strengths: dict[str, dict[str, float]]) -> None:
    result = run("playlist", "--tag", "party", "--length", 3, "--artist-gap", 0)
    assert result.exit_code == 0
    paths = result.stdout.splitlines()
    assert all(strengths[path]["party"] >= HOLDS_FROM for path in paths)
    assert len(paths) in (2, 3)
    assert ("no further track" in result.stderr) == (len(paths) < 3)


def test_a_library_is_sorted_by_all_genres_and_back(run: Run, folder: Path) -> None:
    with Store.open(folder / "library.db", read_only=True) as store:
        info, tracks = store.model(), list(store.all_tracks())
        assert info is not None
        analyses = store.analyses([track.id for track in tracks])
    expected = {
        str(track.path): genres_among_all(
            info,
            analyses[track.id].probabilities[np.newaxis],
            info.tag_strengths(analyses[track.id].tags)[np.newaxis],
        )[0]
        for track in tracks
    }
    printed = json.loads(run("index", "--genres", "all", "--json").stdout)
    assert printed["genres_from"] == "all"
    assert printed["genres"] == dict(Counter(expected.values()))
    assert set(printed["genres"]) & STYLES
    status = json.loads(run("status", "--json").stdout)
    assert (status["genres_from"], status["genres"]) == ("all", printed["genres"])
    assert status["index"]["fresh"]
    assert status["tags"] == list(TAGS)
    assert "all that the model knows" in run("status").stdout
    for row in results(run("similar", next(iter(expected)), "-k", 99, "--json")):
        assert row["label"] == expected[str(row["path"])]
    again = json.loads(run("index", "--genres", "gtzan", "--json").stdout)
    assert again["genres_from"] == "gtzan"
    assert all(
        row["label"] == row["genre"]
        for row in results(run("similar", next(iter(expected)), "--json"))
    )


def test_a_library_is_sorted_by_what_the_files_name(run: Run, folder: Path) -> None:
    result = run("index", folder / "music", "--genres", "own")
    assert result.exit_code == 0
    assert "unchanged" in result.stdout
    status = json.loads(run("status", "--json").stdout)
    assert status["genres"] == {"Bossa Nova": 11, "Tango": 5}
    rows = results(run("similar", next((folder / "music").rglob("0.*")), "--json"))
    assert {row["label"] for row in rows} == {"Bossa Nova", "Tango"}
    cycle = run("playlist", "--cycle", "tango,bossa nova", "--length", 4, "--format", "json")
    tags = [track["genre_tag"].lower()[:5] for track in json.loads(cycle.stdout)["tracks"]]
    assert tags == ["tango", "bossa"] * 2


def test_a_new_library_can_be_sorted_from_the_start(folder: Path) -> None:
    music, database = folder / "music" / "chamber", "new.db"
    model = folder / "tagging.safetensors"
    result = call("index", music, "--model", model, "--genres", "own", db=folder / database)
    assert result.exit_code == 0
    status = json.loads(call("status", "--json", db=folder / database).stdout)
    assert status["genres_from"] == "own"
    assert status["index"]["fresh"]
    assert sum(status["genres"].values()) == status["tracks"] == 2
    assert set(status["genres"]) <= {"Bossa Nova", "bossa-nova", "Tango"}


def test_labels_want_a_library(run: Run, tmp_path: Path) -> None:
    missing = run("index", "--genres", "own", "--db", tmp_path / "none.db")
    assert missing.exit_code == 1
    assert "There is no library" in missing.stderr
