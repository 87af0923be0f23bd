"""`recsys papers train` as users and scripts meet it, up to the use of what it makes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import Result

from recsys.classifier.card import DEFAULT_MODEL, card_path, load_card
from recsys.classifier.training import loop as network
from recsys.cli import papers_train
from tests.cli.documented import documented
from tests.cli.genre_music import GENRES, make_genres, sound_of, tag
from tests.cli.running import call, lines_of, refused
from tests.sounds import write

Train = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genres(tmp_path_factory.mktemp("genres"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def train(music: Path, out: Path) -> Train:
    """Train a recipe for one epoch; what is given later wins."""

    def run(recipe: object, *more: object, data: Path = music) -> Result:
        usual = ("--out", out, "--epochs", 1, "--workers", 1, "--device", "cpu")
        return call("papers", "train", recipe, data, *usual, *more)

    return run


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if anything is decoded."""

    def decode(*_: object, **__: object) -> None:
        raise AssertionError("a file was decoded")

    monkeypatch.setattr("recsys.papers.data.WorkerPool", decode)


@pytest.mark.slow
def test_a_model_is_trained_and_used(train: Train, music: Path, out: Path, tmp_path: Path) -> None:
    epoch, last = lines_of(train("mlp", "--json", "--protocol", "random"))
    assert (epoch["epoch"], epoch["epochs"]) == (1, 1)
    summary = last["summary"]
    documented_epoch, documented_last = documented("papers train")
    assert set(epoch) == set(documented_epoch)
    assert set(summary) == set(documented_last["summary"])
    assert summary["labels"] == sorted(GENRES)
    assert (summary["recipe"], summary["published"]) == ("mlp", 0.59)
    assert (summary["protocol"], summary["leaky"], summary["unit"]) == ("random", False, "track")
    # 30% of 12 tracks are tested.
    assert summary["test"]["n"] == 4
    assert summary["fingerprint"] == load_card(out).fingerprint
    assert set(tmp_path.iterdir()) == {card_path(out), out}

    database = tmp_path / "l.db"
    indexed = call("index", music, "--model", out, "--db", database, "--json", "--workers", 1)
    assert lines_of(indexed)[-1]["summary"]["indexed"] == 12
    query = music / "blues" / "blues.00000.flac"
    (similar,) = lines_of(call("similar", query, "--db", database, "--k", 3, "--json"))
    assert len(similar["results"]) == 3
    (classified,) = lines_of(call("classify", query, "--model", out, "--json"))
    assert set(classified["probabilities"]) == set(GENRES)
    assert sum(classified["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    # The card names the training tracks: an evaluation warns of them, or leaves them out.
    whole = call("model", "evaluate", music, "--model", out, "--json", "--workers", 1)
    (evaluation,) = lines_of(whole)
    trained = summary["tracks"]["train"] + summary["tracks"]["valid"]
    assert (evaluation["n"], evaluation["learned"]) == (12, trained)
    assert f"on {trained} of these 12 tracks" in evaluation["warnings"][0]
    rest = call("model", "evaluate", music, "--model", out, "--held-out", "--json")
    assert (lines_of(rest)[0]["n"], lines_of(rest)[0]["warnings"]) == (12 - trained, [])
    # A library belongs to the model that it was made with.
    other = call("index", music, "--db", database, "--model", DEFAULT_MODEL)
    refused(other, "model", "--reanalyse")


@pytest.fixture
def quick_svm(tmp_path: Path) -> Path:
    """A recipe of one's own: a report's features of 3 s instead of 30 s, and no grid."""
    path = tmp_path / "quick-svm.toml"
    path.write_text(
        'title = "t"\nsummary = "s"\nreport = "r"\nsource = "x"\n'
        '[features]\nkind = "summary"\nwindow_s = 3\n'
        '[estimator]\nname = "svm"\n[protocol]\nsplit = "random"\ntest = 0.2\n'
    )
    return path


def test_a_classical_model_learns_genres_that_are_far_apart(
    train: Train, quick_svm: Path, music: Path, out: Path, tmp_path: Path
) -> None:
    result = train(quick_svm, "--json")
    (last,) = lines_of(result)
    assert last["summary"]["test"]["accuracy"] == 1.0
    assert "fitting svm to" in result.stderr
    judged = call(
        "model", "evaluate", music, "--model", out, "--report", tmp_path / "page", "--json"
    )
    (measured,) = lines_of(judged)
    assert set(measured) == set(documented("model evaluate")[0])
    assert (measured["n"], measured["accuracy"], measured["weighted_f1"]) == (12, 1.0, 1.0)
    assert (tmp_path / "page" / "index.html").is_file()


def test_the_leaky_protocol_reports_it(train: Train, tmp_path: Path) -> None:
    data = make_genres(tmp_path / "long", tracks=3, duration_s=12.1)
    result = train("mlp", "--protocol", "by-segment", data=data)
    assert result.exit_code == 0, result.output
    assert "LEAKY" in result.stderr
    assert "the figure is too good" in result.stderr
    assert "published 0.590" in result.stdout


def test_lists_decide(train: Train, quick_svm: Path, tmp_path: Path) -> None:
    lists = [tmp_path / "train.txt", tmp_path / "valid.txt"]
    for path, numbers in zip(lists, ((0, 1, 2), (3,)), strict=True):
        names = (f"{genre}/{genre}.{n:05d}.wav\n" for genre in GENRES for n in numbers)
        path.write_text("".join(names))
    options = ("--train-split", lists[0], "--valid-split", lists[1])
    (last,) = lines_of(train(quick_svm, "--json", "--protocol", "filtered", *options))
    assert last["summary"]["test"]["n"] == 3
    refused(train(quick_svm, *options), "Lists belong to --protocol filtered")


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("no-such-system",), ("unknown recipe 'no-such-system'", "Known are svm-36")),
        (("mlp:big",), ("no variant 'big'",)),
        (("nowhere.toml",), ("nowhere.toml cannot be read",)),
        (("cnn-mel-base", "--protocol", "by-segment"), ("did not mix the segments",)),
        (("mlp", "--protocol", "filtered"), ("needs lists",)),
        (("mlp", "--out", "/no/such/folder/m.safetensors"), ("/no/such/folder does not exist",)),
        (("mlp", "--out", "model.pt"), ("must end in .safetensors",)),
        (("vgg16-transfer", "--weights", "none.pth"), ("none.pth cannot be read", "by hand")),
    ],
)
def test_what_cannot_be_is_refused_before_decoding(
    train: Train, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(train(*options), *words)


@pytest.mark.parametrize("options", [("--epochs", 0), ("--architecture", "cnn"), ("--seed", -1)])
def test_wrong_usage(train: Train, options: tuple[object, ...]) -> None:
    assert train("mlp", *options).exit_code == 2


def test_a_folder_in_the_place_of_the_model_is_wrong_usage(train: Train, tmp_path: Path) -> None:
    assert train("mlp", "--out", tmp_path).exit_code == 2


@pytest.mark.usefixtures("nothing_is_decoded")
def test_lists_that_miss_the_folder_are_refused_before_decoding(
    train: Train, tmp_path: Path
) -> None:
    right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
    right.write_text("".join(f"{genre}/{genre}.00000.au\n" for genre in GENRES[1:]))
    wrong.write_text("polka/polka.00000.au\n")

    def filtered(one: Path, other: Path) -> Result:
        lists = ("--train-split", one, "--valid-split", other)
        return train("mlp", "--protocol", "filtered", *lists)

    refused(filtered(wrong, right), "none of the 1 listed tracks to learn from")
    refused(filtered(right, wrong), "none of the 1 listed tracks to hold out")
    refused(filtered(right, right), "names no track of blues to learn from")


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patience = 3\nlearning_rte = 1", "unknown key 'training.learning_rte'"),
        ("epochs = 0", "training.epochs"),
        ("[network]", "is not TOML"),
    ],
)
def test_a_recipe_of_ones_own_with_a_mistake(
    train: Train, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(own_recipe("dense", text))
    refused(train(path), words)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_recipe_of_an_impossible_shape(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(own_recipe("cnn-mel", "epochs = 1"))
    refused(train(path), "inputs of shape (36,) do not fit")


def own_recipe(architecture: str, training: str) -> str:
    epochs = "" if "epochs" in training else "epochs = 1\n"
    return (
        'title = "t"\nsummary = "s"\nreport = "r"\nsource = "x"\n'
        f'[features]\nkind = "summary"\n[network]\narchitecture = "{architecture}"\n'
        f'[training]\n{epochs}{training}\n[protocol]\nsplit = "random"\ntest = 0.2\n'
    )


@pytest.mark.usefixtures("nothing_is_decoded")
def test_too_little_music_is_refused_before_decoding(
    train: Train, music: Path, tmp_path: Path
) -> None:
    refused(train("mlp", data=tmp_path / "none"), "does not exist")
    data = tmp_path / "data"
    data.mkdir()
    refused(train("mlp", data=data), "no genre folders")
    shutil.copytree(music / "blues", data / "blues")
    (data / "metal").mkdir()
    refused(train("mlp", data=data), "at least two genres are needed, found: blues")
    for name in ("metal.00000.flac", "metal.00001.flac"):
        shutil.copy(music / "metal" / name, data / "metal")
    refused(train("mlp", data=data), "too few tracks of metal (2)")


@pytest.mark.usefixtures("nothing_is_decoded")
def test_weights_that_are_none(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"no weights")
    refused(train("alexnet-transfer", "--weights", wrong), "is not a file of weights")

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    refused(train("alexnet-transfer"), "cannot be had from https://", "by hand", "--weights random")


def test_weights_for_a_recipe_without_any(train: Train) -> None:
    result = train("mlp", "--weights", "random")
    assert result.exit_code == 0, result.output
    assert "--weights has no effect: mlp begins from no pretrained weights" in result.stderr


def test_music_of_all_kinds(train: Train, tmp_path: Path) -> None:
    """Rates, channels and lengths may differ; unusable files are skipped and reported."""
    data = make_genres(tmp_path / "data", ("blues", "metal"), tracks=3)
    for rate, length in ((8_000, 3.4), (48_000, 7.0)):
        for genre in ("blues", "metal"):
            path = data / genre / f"at-{rate}.flac"
            write(path, sound_of(genre, rate, length, rate), rate)
            tag(path, "Another", "One")
    write(data / "metal" / "short.wav", sound_of("metal", 9, 1.0))
    (data / "blues" / "text.mp3").write_text("no music")
    (data / "pop").mkdir()
    result = train("mlp", "--json", data=data)
    assert lines_of(result)[-1]["summary"]["skipped"] == 2
    assert "short.wav: only 1.0 s long, shorter than a segment of 3 s" in result.stderr
    assert "text.mp3: not an audio file" in result.stderr
    assert "no audio in pop" in result.stderr


def test_a_genre_of_which_nothing_can_be_read(train: Train, tmp_path: Path) -> None:
    data = make_genres(tmp_path / "data", ("blues", "metal"), tracks=3)
    (data / "pop").mkdir()
    for number in range(3):
        (data / "pop" / f"{number}.mp3").write_text("no music")
    refused(train("mlp", data=data), "no track of pop could be used", "0.mp3: not an audio file")


def interrupt(_: object) -> str:
    raise KeyboardInterrupt


def test_ctrl_c_and_what_is_left_of_it(
    train: Train, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(papers_train, "_epoch_line", interrupt)
        result = train("mlp", "--epochs", 2)
        assert result.exit_code == 130
        assert "stopped before anything was kept" in result.stderr
        patch.setattr(network, "SAVE_EVERY_S", 0.0)
        result = train("mlp", "--epochs", 2)
        kept = out.with_name(f"{out.name}.partial.pt")
        assert result.exit_code == 130
        assert f"the same command goes on from {kept}" in result.stderr
    assert kept.exists()
    assert not out.exists()

    refused(train("mlp-reg", "--epochs", 2), "a run with other settings", f"Delete {kept}")
    refused(train("mlp", "--epochs", 2, "--seed", 1), "a run with other settings")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:1000])
    refused(train("mlp", "--epochs", 2), "is damaged", f"Delete {kept}")
    kept.write_bytes(whole)
    result = train("mlp", "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert "going on after epoch 1" in result.stderr
    assert "epoch   2/2" in result.stderr
    assert "epoch   1/2" not in result.stderr
    assert not kept.exists()


def test_a_model_with_the_card_of_another_recipe(
    train: Train, music: Path, out: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    assert train("mlp").exit_code == 0
    assert train("mlp-reg", "--out", other).exit_code == 0
    shutil.copy(card_path(other), card_path(out))
    result = call("index", music, "--model", out, "--db", tmp_path / "l.db")
    refused(result, "do not belong together")


KILLED = """
import sys, time
from recsys.classifier.training.loop import PartialRun
from recsys.cli.main import main
import recsys.classifier.training.loop as network

network.SAVE_EVERY_S, network.SAVING_SHARE = 0.0, 1e9
write, written = PartialRun.write, []

def write_and_wait(self, state):
    write(self, state)
    written.append(len(state["history"]))
    if len(written) == 2:
        print("kept", flush=True)
        time.sleep(600)

PartialRun.write = write_and_wait
main()
"""


@pytest.mark.slow
def test_a_killed_training_ends_where_an_undisturbed_one_does(
    train: Train, music: Path, out: Path, tmp_path: Path
) -> None:
    options = ("--epochs", 8, "--protocol", "random")
    undisturbed = tmp_path / "undisturbed.safetensors"
    assert train("mlp-reg", *options, "--out", undisturbed).exit_code == 0

    usual = ("--out", out, "--workers", 1, "--device", "cpu")
    command = [str(part) for part in ("papers", "train", "mlp-reg", music, *usual, *options)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == "kept\n"
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()

    result = train("mlp-reg", *options)
    assert result.exit_code == 0, result.output
    assert "going on after epoch 2" in result.stderr
    assert out.read_bytes() == undisturbed.read_bytes()
    assert load_card(out).fingerprint == load_card(undisturbed).fingerprint
