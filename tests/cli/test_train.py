"""``recsys train``, up to the use of the model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from recsys.classifier.card import load_card
from recsys.classifier.training import loop, teacher
from recsys.classifier.training import tune as settings
from recsys.classifier.training.architectures import load_model
from recsys.classifier.training.tune import TuneSettings
from recsys.cli import train as train_command
from recsys.cli.output import ProgressBar
from tests.classifier.training.published_weights import random_variables, write_checkpoint
from tests.classifier.training.small_network import QUICK
from tests.cli.genre_music import GENRES, make_genres
from tests.cli.running import call, refused

Train = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Few steps, copies and folds; the options of the command take precedence."""

    def quick(epochs: int, seed: int) -> TuneSettings:
        return replace(QUICK, training=replace(QUICK.training, epochs=epochs), seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "settings_for", quick)
        yield


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tracks by four artists of each of three genres."""
    return make_genres(tmp_path_factory.mktemp("genres"), tracks=8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "MSD_musicnn"
    return write_checkpoint(folder, random_variables()).parent


@pytest.fixture(scope="module")
def train(music: Path, weights: Path) -> Train:
    """What is given later wins."""

    def run(out: Path, *more: object) -> Result:
        usual = ("--out", out, "--weights", weights, "--workers", 1, "--epochs", 1)
        return call("train", music, *usual, *more)

    return run


@pytest.fixture(scope="module")
def made(train: Train, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A model, and the JSON about it."""
    out = tmp_path_factory.mktemp("model") / "mine.safetensors"
    result = train(out, "--json", "--seed", 3)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return out, json.loads(line)["summary"]


def test_json(made: tuple[Path, dict[str, Any]]) -> None:
    out, summary = made
    card = load_card(out)
    assert summary["model"] == str(out)
    assert summary["fingerprint"] == card.fingerprint
    assert (summary["labels"], summary["tags"]) == (list(GENRES), list(card.tags))
    assert (summary["tracks"], summary["failed"], summary["missing"]) == (24, 0, 0)
    assert summary["metrics"] == card.metrics
    assert summary["metrics"]["cross_validation"]["n"] == 24


def test_the_card_says_from_what(made: tuple[Path, dict[str, Any]], music: Path) -> None:
    card = load_card(made[0])
    assert (card.name, card.architecture, card.training["seed"]) == ("mine", "musicnn", 3)
    assert card.training["data"] == [music.name]
    assert card.training["teacher"]["name"] == "MSD_musicnn"
    assert "musicnn" in card.licence.lower()


def test_the_model_can_be_used(made: tuple[Path, dict[str, Any]], music: Path) -> None:
    tracks = [music / genre / f"{genre}.00000.flac" for genre in GENRES]
    result = call("classify", *tracks, "--model", made[0], "--json")
    assert result.exit_code == 0, result.output
    analyses = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(analyses) == 3
    for genre, one in zip(GENRES, analyses, strict=True):
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert max(one["probabilities"], key=one["probabilities"].get) == genre


def test_the_same_seed_makes_the_same_model(
    made: tuple[Path, dict[str, Any]], train: Train, tmp_path: Path
) -> None:
    train(tmp_path / "again.safetensors", "--json", "--seed", 3)
    first, again = load_model(made[0])[0], load_model(tmp_path / "again.safetensors")[0]
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)
    assert load_card(tmp_path / "again.safetensors").metrics == load_card(made[0]).metrics


def test_the_figures_are_printed(train: Train, music: Path, tmp_path: Path) -> None:
    """With lists: the held-out tracks first, and the problems."""
    tracks = [f"{genre}/{genre}.{number:05d}.au" for genre in GENRES for number in range(8)]
    lists = [tmp_path / name for name in ("train.txt", "valid.txt")]
    lists[0].write_text("\n".join([*tracks[::2], "blues/broken.wav"]))
    lists[1].write_text("\n".join([*tracks[1::2], "blues/lost.au"]))
    broken = music / "blues" / "broken.wav"
    broken.write_bytes(b"no sound")
    out = tmp_path / "mine"
    result = train(out, "--train-split", lists[0], "--valid-split", lists[1])
    broken.unlink()
    assert result.exit_code == 0, result.output
    first, second, *rest = result.stdout.splitlines()
    assert first.startswith(str(out.with_suffix(".safetensors")))
    assert first.endswith("tags, 3 genres")
    assert "validation list, trained on the training list: 12 tracks, accuracy" in second
    assert "artist-grouped cross-validation: 24 tracks, accuracy" in rest[0]
    assert rest[1].startswith("  artist-grouped cross-validation, accuracy by seed of the folds: ")
    assert [line.split()[0] for line in rest[2:]] == list(GENRES)
    assert "skipped" in result.stderr
    assert "broken.wav" in result.stderr
    # The broken file is in a list as well, and was not found as a track.
    assert "2 tracks of the lists were not found" in result.stderr
    assert "24 tracks of 3 genres" in result.stderr


def test_progress_is_shown_to_its_end(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: dict[str, int] = {}
    totals: dict[str, int] = {}

    class Bar(ProgressBar):
        def update(self, *, failed: int = 0, **values: Any) -> None:
            stage = values["description"]
            done[stage], totals[stage] = values["completed"], values["total"]

    @contextlib.contextmanager
    def shown(unit: str) -> Iterator[ProgressBar]:
        yield Bar(None)

    monkeypatch.setattr(train_command, "progress", shown)
    assert train(tmp_path / "mine").exit_code == 0
    assert done == {
        "Decoding": 24,
        "Augmenting": 24,
        "Training, with cross-validation": QUICK.divisions * QUICK.folds + 1,
    }
    assert totals == done


def unwritten(result: Result, out: Path, *words: str) -> None:
    refused(result, "Error: ", *words)
    assert list(out.parent.iterdir()) == []


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "mine.safetensors"


def test_weights_that_are_not_there(train: Train, out: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    unwritten(train(out, "--weights", missing), out, f"no MusiCNN weights at {missing}", "pip")


def test_weights_of_something_else(train: Train, out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(1000))
    unwritten(train(out, "--weights", other), out, "other.bin has 1000 bytes", "--weights")


def test_a_package_that_is_not_installed(
    music: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "find_spec", lambda _: None)
    result = call("train", music, "--out", out)
    unwritten(result, out, "musicnn is not installed", "pip install --no-deps musicnn==0.1.0")


def test_too_few_tracks(weights: Path, out: Path, tmp_path: Path) -> None:
    few = make_genres(tmp_path / "few", tracks=2)
    usual = ("--out", out, "--weights", weights, "--workers", 1, "--epochs", 1)
    unwritten(call("train", few, *usual), out, "6 tracks are too few", "Give 20")


def test_one_artist_alone(train: Train, music: Path, out: Path, tmp_path: Path) -> None:
    table = tmp_path / "artists.csv"
    names = [f"{genre}.{number:05d},Somebody" for genre in GENRES for number in range(8)]
    table.write_text("\n".join(["track,artist", *names]))
    unwritten(train(out, "--artists", table), out, "by one artist", "--artists")


def test_one_list_alone(train: Train, out: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("blues/blues.00000.au\n")
    unwritten(train(out, "--train-split", tmp_path / "list.txt"), out, "one list", "two lists")


def test_a_folder_that_is_not_there(train: Train, tmp_path: Path) -> None:
    result = train(tmp_path / "nowhere" / "mine.safetensors")
    assert result.exit_code == 1
    assert "nowhere does not exist" in result.stderr


def test_the_help_fits_a_screen() -> None:
    assert len(call("train", "--help").stdout.splitlines()) <= 50


def test_an_interrupted_run_resumes(
    made: tuple[Path, dict[str, Any]], train: Train, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks that were finished are not trained again, and the model is the same."""
    trained: list[int] = []
    usual = loop.Training._train_epoch

    def counted(self: loop.Training, epoch: int) -> tuple[float, float | None]:
        trained.append(epoch)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return usual(self, epoch)

    monkeypatch.setattr(loop.Training, "_train_epoch", counted)
    assert train(out, "--seed", 3).exit_code == 130
    assert not out.exists()
    assert train(out, "--seed", 3).exit_code == 0
    # Two networks were finished; the third, which Ctrl-C met, begins again.
    assert len(trained) == 3 + QUICK.divisions * QUICK.folds + 1 - 2
    assert sorted(path.name for path in out.parent.iterdir()) == ["mine.json", "mine.safetensors"]
    assert load_card(out).fingerprint == load_card(made[0]).fingerprint
