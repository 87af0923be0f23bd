"""MusiCNN in PyTorch: its layers against those of the original, its heads, its products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training import musicnn_torch as musicnn
from recsys.classifier.training.architectures import build_model, complete_config
from recsys.classifier.training.musicnn_torch import (
    FrontEndBlock,
    MusiCNN,
    highest_over_bands,
    highest_over_time,
)
from recsys.errors import ModelError

SMALL = {"filters": [2, 3, 1, 2, 4], "channels": 5, "hidden": 7, "dimension": 9, "n_tags": 4}
N_GENRES = 3


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight and statistic a random value; slopes of either sign."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            random = torch.randn(value.shape, generator=generator)
            value.copy_(random.abs() + 0.5 if name.endswith("running_var") else 0.3 * random)
    return model.eval()


@pytest.fixture(params=["float32", "bfloat16"])
def precise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways through the front end, whatever this processor would choose."""
    quick = request.param == "bfloat16"
    monkeypatch.setattr(musicnn, "bfloat16_is_quick", lambda _: quick)
    return not quick


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(musicnn, "bfloat16_is_quick", lambda _: False)


def small(seed: int = 0) -> MusiCNN:
    model = shaken(build_model("musicnn", N_GENRES, (96, 188), SMALL), seed)
    assert isinstance(model, MusiCNN)
    return model


@pytest.fixture(scope="module")
def windows() -> Tensor:
    """Five windows in the range of compressed mel."""
    return 4 * torch.rand(5, 96, 40, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kernel", musicnn.KERNELS)
def test_the_maximum_may_go_before_the_normalisation(
    kernel: tuple[int, int], precise: bool, windows: Tensor
) -> None:
    """The original: convolution, bias, rectifier, normalisation, and then the maximum."""
    block = shaken(FrontEndBlock(8, kernel))
    slopes = block.norm.weight.detach()
    assert bool((slopes < 0).any())
    assert bool((slopes > 0).any())
    spectrograms = windows.transpose(1, 2).unsqueeze(1)
    before, after = (kernel[0] - 1) // 2, kernel[0] // 2
    padded = functional.pad(spectrograms, (0, 0, before, after))
    responses = torch.relu(functional.conv2d(padded, block.conv.weight, block.conv.bias))
    norm = nn.BatchNorm2d(8, eps=1e-3).eval()
    norm.load_state_dict(block.norm.state_dict())
    expected = norm(responses).amax(3)
    with torch.no_grad():
        found = block(spectrograms)
    assert found.shape == (5, 8, 40)
    scale = float(expected.detach().std())
    torch.testing.assert_close(found, expected, atol=(1e-5 if precise else 0.05) * scale, rtol=1e-3)


def test_both_precisions_agree(monkeypatch: pytest.MonkeyPatch, windows: Tensor) -> None:
    model, outputs = small(), []
    for quick in (False, True):
        monkeypatch.setattr(musicnn, "bfloat16_is_quick", lambda _, quick=quick: quick)
        with torch.no_grad():
            outputs.append(torch.cat(model(windows), dim=1))
    assert not torch.equal(*outputs)
    assert float(functional.cosine_similarity(*outputs, dim=1).min()) > 0.999


@pytest.mark.usefixtures("in_float32")
def test_layers_over_time_are_those_of_the_original(windows: Tensor) -> None:
    """A first layer, then two whose output is added to what came before; all of it is pooled."""
    model = small()
    with torch.no_grad():
        responses = model.front_end(windows)
        state = torch.cat([responses, torch.ones(5, 1, 40)], dim=1)
        first = model.norms[0](torch.relu(model.layers[0](state)))
        second = first + model.norms[1](torch.relu(model.layers[1](first)))
        third = second + model.norms[2](torch.relu(model.layers[2](second)))
        joined = torch.cat([responses, first, second, third], dim=1)
        expected = torch.cat([joined.max(dim=2).values, joined.mean(dim=2)], dim=1)
        torch.testing.assert_close(model.pooled(responses), expected)
    assert model.n_pooled == expected.shape[1] == 2 * (12 + 3 * 5)


@pytest.mark.usefixtures("in_float32")
def test_training_and_inference_differ_in_the_statistics_alone(windows: Tensor) -> None:
    """Normalised by the same statistics, the way that has gradients gives what the quick one
    gives, and passes them on to every weight."""
    model = small()
    for module in model.modules():
        if isinstance(module, FrontEndBlock):
            module.training = True
    logits, embedding, tags = model(windows)
    with torch.no_grad():
        quick = model.eval()(windows)
    for slow, other in zip((logits, embedding, tags), quick, strict=True):
        torch.testing.assert_close(slow, other, atol=1e-4, rtol=1e-4)
    (logits.square().sum() + embedding[:, -1].sum() + tags.sum()).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.usefixtures("precise")
def test_a_window_does_not_depend_on_its_batch(windows: Tensor) -> None:
    model = small()
    with torch.no_grad():
        together = model(windows)
        for row in range(5):
            alone = model(windows[row : row + 1])
            for one, all_of_them in zip(alone, together, strict=True):
                torch.testing.assert_close(one[0], all_of_them[row], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 7, 188, 300])
def test_any_number_of_frames(frames: int) -> None:
    with torch.no_grad():
        outputs = small()(torch.rand(2, 96, frames))
    assert [tuple(output.shape) for output in outputs] == [(2, 3), (2, 9), (2, 4)]
    assert all(bool(torch.isfinite(output).all()) for output in outputs)


def test_no_windows() -> None:
    with torch.no_grad():
        outputs = small()(torch.empty(0, 96, 188))
    assert [tuple(output.shape) for output in outputs] == [(0, 3), (0, 9), (0, 4)]


def penultimate(rows: int = 6) -> Tensor:
    return torch.randn(rows, SMALL["hidden"], generator=torch.Generator().manual_seed(2))


def set_logit(model: MusiCNN, logit: float) -> None:
    model.nothing.weight.zero_()
    model.nothing.bias.fill_(logit)


@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.5])
def test_what_may_be_no_music_is_mixed_with_equal_shares(logit: float) -> None:
    model, units = small(), penultimate()
    with torch.no_grad():
        set_logit(model, logit)
        genres = torch.softmax(model.genres(units), dim=1)
        nothing = 1 / (1 + np.exp(-logit))
        expected = (1 - nothing) * genres + nothing / N_GENRES
        logits, _, _ = model.heads(units)
    torch.testing.assert_close(logits.exp(), expected)


def test_what_is_no_music_belongs_to_every_genre_alike() -> None:
    model = small()
    with torch.no_grad():
        set_logit(model, 200.0)
        logits, _, _ = model.heads(penultimate())
    torch.testing.assert_close(logits, torch.full_like(logits, -np.log(N_GENRES)))


def test_what_surely_is_music_keeps_its_genres() -> None:
    model, units = small(), penultimate()
    with torch.no_grad():
        set_logit(model, -200.0)
        logits, _, _ = model.heads(units)
        expected = functional.log_softmax(model.genres(units), dim=1)
    torch.testing.assert_close(logits, expected)


def test_the_embedding_has_two_parts() -> None:
    """Square roots of flattened probabilities, and a direction of length 1."""
    model, units = small(), penultimate()
    with torch.no_grad():
        _, embedding, _ = model.heads(units)
        genres, sounding = embedding[:, :N_GENRES], embedding[:, N_GENRES:]
        flattened = torch.softmax(model.genres(units) / model.flatness, dim=1)
    torch.testing.assert_close(genres**2 / model.genre_weight**2, flattened)
    ones = torch.ones(len(units))
    torch.testing.assert_close(genres.norm(dim=1), model.genre_weight * ones)
    torch.testing.assert_close(sounding.norm(dim=1), ones)


def test_the_configuration_of_a_card_makes_the_same_network() -> None:
    whole = complete_config("musicnn", SMALL)
    assert whole.keys() == {*SMALL, "flatness", "genre_weight"}
    again = build_model("musicnn", N_GENRES, (96, 188), whole)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in small().state_dict().items()
    }


def test_a_network_without_tags() -> None:
    model = build_model("musicnn", N_GENRES, (96, 188), {**SMALL, "n_tags": 0}).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 96, 20))[2].shape == (2, 0)


@pytest.mark.parametrize("shape", [(64, 188), (66, 188), (96,), (1, 96, 188)])
def test_windows_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        build_model("musicnn", N_GENRES, shape, SMALL)
    assert str(shape[-2] if len(shape) == 2 else shape) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "change", [{"filters": [1, 2, 3]}, {"filters": [1, 1, 1, 1, 0]}, {"dimension": N_GENRES}]
)
def test_impossible_sizes(change: dict[str, object]) -> None:
    with pytest.raises(ModelError) as caught:
        build_model("musicnn", N_GENRES, (96, 188), {**SMALL, **change})
    assert caught.value.hint


# Matrix products against convolutions.


def highest_by_convolution(spectrograms: Tensor, filters: Tensor) -> Tensor:
    responses = functional.conv2d(spectrograms.unsqueeze(1), filters.unsqueeze(1))
    return responses.amax(3).transpose(1, 2)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("windows", [0, 1, 3])
@pytest.mark.parametrize(
    ("frames", "taps", "bands", "n_mels"),
    [(188, 7, 38, 96), (20, 7, 67, 96), (1, 3, 5, 5), (9, 1, 1, 2), (5, 4, 1, 7)],
)
def test_over_bands(windows: int, frames: int, taps: int, bands: int, n_mels: int) -> None:
    spectrograms, filters = random(windows, frames + taps - 1, n_mels), random(4, taps, bands)
    expected = highest_by_convolution(spectrograms, filters)
    found = highest_over_bands(spectrograms, filters)
    assert found.shape == (windows, frames, 4)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("windows", [0, 1, 3])
@pytest.mark.parametrize(
    ("frames", "taps", "n_mels"), [(188, 128, 96), (32, 64, 5), (1, 1, 1), (17, 2, 3), (15, 40, 2)]
)
def test_over_time(windows: int, frames: int, taps: int, n_mels: int) -> None:
    spectrograms, filters = random(windows, frames + taps - 1, n_mels), random(5, taps, 1)
    expected = highest_by_convolution(spectrograms, filters)
    found = highest_over_time(spectrograms, filters)
    assert found.shape == (windows, frames, 5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
