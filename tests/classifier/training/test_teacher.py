"""The published weights: found, read, and cut down without a change in what they say."""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier.training import musicnn_torch as musicnn
from recsys.classifier.training import teacher
from recsys.classifier.training.teacher import (
    TAGS,
    build_pruned,
    describe,
    find_checkpoint,
    read_checkpoint,
)
from recsys.errors import ModelError
from tests.classifier.training.published_weights import (
    ALIVE,
    FILE,
    Variables,
    published_tags,
    random_variables,
    shapes,
    write_checkpoint,
)


def test_what_is_written_is_read(checkpoint: Path, variables: Variables) -> None:
    read = read_checkpoint(checkpoint)
    assert read.keys() == variables.keys()
    for name, value in variables.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)


def test_the_network_has_as_many_weights_as_was_published() -> None:
    """787 thousand that are trained."""
    trained = sum(np.prod(shape) for name, shape in shapes().items() if "moving" not in name)
    assert round(trained, -3) == 787_000
    assert len(TAGS) == len(set(TAGS)) == 50


@pytest.mark.parametrize("frames", [188, 60, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_left_out_changes_nothing(
    seed: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tags as the whole network written the slow way, up to rounding."""
    monkeypatch.setattr(musicnn, "bfloat16_is_quick", lambda _: False)
    variables = random_variables(seed)
    windows = 4 * torch.rand(2, 96, frames, generator=torch.Generator().manual_seed(seed))
    model = build_pruned(variables, n_genres=3)
    assert model.filters == ALIVE
    assert not model.training
    with torch.no_grad():
        expected, (_, _, found) = published_tags(variables, windows), model(windows)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_filters_that_are_nearly_zero_are_left_out() -> None:
    """A norm of 0.01 is rounding's; one of 0.05 is a filter's."""
    variables = random_variables()
    kernel = variables["conv2d/kernel"]
    dead = np.flatnonzero(~kernel.any(axis=(0, 1, 2)))[:2]
    kernel[3, 3, 0, dead] = (0.01, 0.05)
    assert build_pruned(variables, 3).filters == (ALIVE[0] + 1, *ALIVE[1:])


def test_weights_that_were_read_stay_as_they_are(variables: Variables) -> None:
    before = {name: value.copy() for name, value in variables.items()}
    model = build_pruned(variables, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    for name, value in before.items():
        np.testing.assert_array_equal(variables[name], value)


def test_a_folder_or_its_file_will_do(checkpoint: Path) -> None:
    assert find_checkpoint(checkpoint.parent) == find_checkpoint(checkpoint) == checkpoint


def test_the_installed_package_is_found_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "musicnn"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('must not be run')")
    file = package / "MSD_musicnn" / FILE
    file.parent.mkdir()
    file.touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert find_checkpoint() == file
    assert "musicnn" not in sys.modules


@pytest.mark.parametrize("spec", [None, ModuleSpec("musicnn", None)])
def test_a_package_that_is_not_installed(
    spec: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "find_spec", lambda _: spec)
    with pytest.raises(ModelError, match="musicnn is not installed") as caught:
        find_checkpoint()
    assert "pip install --no-deps musicnn==0.1.0" in caught.value.hint


def test_a_folder_without_weights(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ModelError, match="no MusiCNN weights") as caught:
            find_checkpoint(place)
        assert str(place) in caught.value.message
        assert "--weights" in caught.value.hint


@pytest.mark.parametrize("change", [-4, -1, 1, 4])
def test_a_file_of_another_size(checkpoint: Path, tmp_path: Path, change: int) -> None:
    content = checkpoint.read_bytes()
    file = tmp_path / FILE
    file.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(ModelError, match=f"{len(content) + change} bytes") as caught:
        read_checkpoint(file)
    assert str(len(content)) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, variables: Variables, bad: float) -> None:
    broken = {**variables, "dense/bias": variables["dense/bias"].copy()}
    broken["dense/bias"][5] = bad
    file = write_checkpoint(tmp_path, broken)
    with pytest.raises(ModelError, match="no numbers") as caught:
        read_checkpoint(file)
    assert str(file) in caught.value.message
    assert caught.value.hint


def test_the_card_identifies_the_file(checkpoint: Path) -> None:
    described = describe(checkpoint)
    assert described["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert described["licence"] == "ISC"
    assert "musicnn 0.1.0" in described["source"]
