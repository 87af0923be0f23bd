"""The NumPy network has the outputs of the one in PyTorch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier import inference
from recsys.classifier.card import ModelCard, load_card, write_model
from recsys.classifier.inference import (
    NETWORK_PREFIX,
    Classifier,
    check_device,
    n_network_genres,
    place_for_any_process,
)
from recsys.classifier.musicnn import BandFilters, MusicnnArrays, TimeFilters, band_spectra, fits
from recsys.classifier.training.architectures import (
    TorchNetwork,
    build_model,
    load_model,
    save_model,
)
from recsys.errors import MissingExtraError, ModelError
from recsys.indexing.examine import AnalysedTrack, DecodedTrack, FileAnalyser, analyses_of
from tests.classifier.modules import torch_classifier
from tests.sounds import staircase, write

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from recsys.types import FloatArray

SIZES = {"filters": [5, 3, 2, 2, 4], "channels": 8, "hidden": 12, "dimension": 16, "n_tags": 3}


def strange_windows(n: int = 5) -> FloatArray:
    """Noise, silence, one loud band and one moment, in the units of the model's spectrograms."""
    rng = np.random.default_rng(0)
    windows = rng.normal(1.0, 1.0, (n, *load_card().features.shape)).astype(np.float32)
    windows[1] = 0
    windows[2] = 0
    windows[2, 40] = 6
    windows[3, :, :90] = 0
    return windows


def check_same(arrays: tuple[FloatArray, ...], module: tuple[FloatArray, ...]) -> None:
    assert len(arrays) == len(module)
    for found, expected in zip(arrays, module, strict=True):
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-4)


def planted(tmp_path: Path, config: dict[str, object], seed: int = 3) -> Path:
    """Write a MusiCNN with weights that no training gives, falling slopes among them."""
    torch.manual_seed(seed)
    card = replace(
        load_card(),
        config=config,
        dimension=16,
        tags=("a", "b", "c"),
        tag_means=(0.0,) * 3,
        tag_deviations=(1.0,) * 3,
    )
    n_genres = n_network_genres(card)
    model = build_model("musicnn", n_genres, card.features.shape, config).eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.is_floating_point() and "conv" not in name and "layers" not in name:
                value.uniform_(-0.7, 0.7)
    path = tmp_path / "planted.safetensors"
    if "track_head" not in config:
        save_model(path, model, card)
        return path
    rng = np.random.default_rng(0)
    tensors = {f"{NETWORK_PREFIX}{name}": v.numpy() for name, v in model.state_dict().items()}
    for part, shape in (("weight", (len(card.labels), 16)), ("bias", (len(card.labels),))):
        tensors[f"genres.{part}"] = rng.standard_normal(shape).astype(np.float32)
    write_model(path, tensors, card)
    return path


def both_ways(path: Path | None) -> tuple[MusicnnArrays, nn.Module, ModelCard]:
    classifier = Classifier.load(path, "cpu")
    assert isinstance(classifier.network, MusicnnArrays)
    return classifier.network, load_model(path)[0], classifier.card


def test_the_shipped_model_agrees_in_both_runtimes() -> None:
    network, module, _ = both_ways(None)
    windows = strange_windows()
    check_same(
        network.of_windows(windows), TorchNetwork(module, torch.device("cpu")).of_windows(windows)
    )


def test_falling_slopes_and_other_sizes(tmp_path: Path) -> None:
    network, module, _ = both_ways(planted(tmp_path, SIZES))
    slopes = np.concatenate([block.norm.weight.detach().numpy() for block in module.front])
    assert slopes.min() < 0 < slopes.max()
    windows = strange_windows(4)
    check_same(
        network.of_windows(windows), TorchNetwork(module, torch.device("cpu")).of_windows(windows)
    )


def test_a_head_on_own_genres(tmp_path: Path) -> None:
    head = {"dimension": 16, "network_genres": 4}
    path = planted(tmp_path, {**SIZES, "track_head": head})
    arrays = Classifier.load(path, "cpu")
    assert arrays.head is not None
    module, card = load_model(path)
    windows = strange_windows()
    tracks = [windows[:1], windows[1:]]
    other = torch_classifier(module, card)
    other.head = arrays.head
    check_same(arrays.scores(tracks), other.scores(tracks))


def test_a_window_does_not_depend_on_its_company() -> None:
    network, _, _ = both_ways(None)
    windows = strange_windows()
    together = network.of_windows(windows)
    for number in range(len(windows)):
        alone = network.of_windows(windows[number : number + 1])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(many[number], one[0], rtol=1e-5, atol=1e-5)


def fewer_labels(card: ModelCard) -> ModelCard:
    confusion = tuple((*row[:-2], row[-2] + row[-1]) for row in card.confusion[:-1])
    return replace(
        card, labels=card.labels[:-1], thresholds=card.thresholds[:-1], confusion=confusion
    )


def test_weights_that_are_not_those_of_the_card(tmp_path: Path) -> None:
    path = planted(tmp_path, SIZES)
    model, card = load_model(path)
    for wrong in (
        replace(card, dimension=20),
        fewer_labels(card),
        replace(card, config={**SIZES, "track_head": {"dimension": 16, "network_genres": 4}}),
    ):
        save_model(path, model, wrong)
        with pytest.raises(ModelError) as with_arrays:
            Classifier.load(path, "cpu")
        with pytest.raises(ModelError) as with_torch:
            load_model(path)
        assert with_arrays.value.message.startswith(str(tmp_path))
        assert with_torch.value.message.startswith(str(tmp_path))


def test_which_models_it_can_be(tmp_path: Path) -> None:
    card = load_card()
    assert fits(card)
    assert not fits(replace(card, architecture="cnn"))
    assert not fits(replace(card, config={**card.config, "standardise": True}))
    assert place_for_any_process(None, "cpu") is not None
    assert place_for_any_process(tmp_path / "any.onnx", "cpu") is None


def test_a_process_with_the_model_gives_the_same_analysis(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    write(path, staircase(9.0))
    classifier = Classifier.load(None, "cpu", "fast")
    sounds = [
        FileAnalyser(classifier.features)(path),
        FileAnalyser(classifier.features, classifier.place)(path),
    ]
    assert isinstance(sounds[0], DecodedTrack)
    assert isinstance(sounds[1], AnalysedTrack)
    one, other = analyses_of(sounds, lambda: classifier)
    assert one.fingerprint == other.fingerprint == classifier.info.fingerprint
    np.testing.assert_array_equal(one.embedding, other.embedding)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.tags, other.tags)


def test_analysis_with_it_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    write(path, staircase(4.0))
    script = (
        "import sys; from recsys import Library; library = Library(sys.argv[1], device='cpu');"
        "files = list(library.classify(sys.argv[2])); library.index(sys.argv[3]);"
        "print(files[0].error, len(library.similar(sys.argv[2], k=1).results));"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "library.db", path, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["None", "0"]


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_shipped_architecture_runs_in_numpy(device: str) -> None:
    check_device(device)
    assert isinstance(Classifier.load(None, device).network, MusicnnArrays)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_by_name_needs_the_extra(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    with pytest.raises(MissingExtraError, match=f"the device '{device}' needs torch") as caught:
        check_device(device)
    assert "[train]" in caught.value.hint


def test_a_model_that_needs_torch_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = planted(tmp_path, {**SIZES, "standardise": True})
    without_torch(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"the model planted\.safetensors needs torch"):
        Classifier.load(path)


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(inference, "find", find)


def test_an_unknown_device() -> None:
    with pytest.raises(ModelError, match="abacus"):
        check_device("abacus")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(6, 17), st.integers(1, 20), st.integers(1, 8), st.integers(1, 6), st.integers(0, 99)
)
def test_band_filters_respond_as_correlation_does(
    n_mels: int, frames: int, taps: int, bands: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spectrograms = rng.standard_normal((2, frames, n_mels)).astype(np.float32)
    filters = rng.standard_normal((3, taps, bands)).astype(np.float32)
    before = (taps - 1) // 2
    padded = np.pad(spectrograms, ((0, 0), (before, taps - 1 - before), (0, 0)))
    positions = np.lib.stride_tricks.sliding_window_view(padded, (taps, bands), axis=(1, 2))
    expected = np.einsum("bfptk,ntk->bfpn", positions, filters).max(axis=2)
    found = BandFilters(filters, n_mels).strongest(band_spectra(spectrograms, taps))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 50), st.integers(1, 40), st.integers(0, 99))
def test_time_filters_respond_as_correlation_does(
    n_mels: int, frames: int, taps: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spectrograms = rng.standard_normal((2, n_mels, frames)).astype(np.float32)
    filters = rng.standard_normal((3, taps)).astype(np.float32)
    before = (taps - 1) // 2
    padded = np.pad(spectrograms, ((0, 0), (0, 0), (before, taps - 1 - before)))
    positions = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=2)
    expected = np.einsum("bmft,nt->bmfn", positions, filters).max(axis=1)
    np.testing.assert_allclose(TimeFilters(filters).strongest(spectrograms), expected, atol=1e-4)
