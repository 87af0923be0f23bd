"""What fits is known from the settings of the layers, and what does not is said."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier.training.architectures import build_model, image_after
from recsys.errors import ModelError
from recsys.papers.networks import convolutions
from recsys.papers.transfer import build_backbone
from tests.papers.small_networks import N_GENRES, NO_IMAGES, SMALL

SIZES = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(
    layers=st.lists(st.tuples(SIZES, SIZES, SIZES), min_size=1, max_size=3),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    same=st.booleans(),
    flat=st.booleans(),
)
@torch.no_grad()
def test_sizes_are_those_of_a_real_pass(
    layers: list[tuple[int, int, int]], height: int, width: int, same: bool, flat: bool
) -> None:
    filters, kernels, pools = (list(sizes) for sizes in zip(*layers, strict=True))
    trunk = convolutions(2, filters, kernels, pools, same=same, flat=flat)
    expected = image_after(trunk, (2, height, width))
    if min(expected) > 0:
        assert trunk(torch.zeros(1, 2, height, width)).shape == (1, *expected)
    else:
        with pytest.raises(RuntimeError):
            trunk(torch.zeros(1, 2, height, width))


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 97), (63, 63), (130, 71)])
def test_overlapping_pools(height: int, width: int) -> None:
    backbone = build_backbone("alexnet")
    seen = backbone(torch.zeros(1, 3, height, width))
    assert seen.shape == (1, *image_after(backbone, (3, height, width)))


IMAGES = sorted(SMALL.keys() - NO_IMAGES)


@pytest.mark.parametrize("architecture", IMAGES)
def test_an_image_that_is_too_small_is_an_error_with_the_size(architecture: str) -> None:
    config = SMALL[architecture][1]
    with pytest.raises(ModelError, match="2 x 3 is too small") as caught:
        build_model(architecture, N_GENRES, (2, 3), config)
    found = re.search(r"(\d+) x (\d+) at least", caught.value.hint)
    assert found
    height, width = map(int, found.groups())
    build_model(architecture, N_GENRES, (height, width), config)
    for smaller in ((height - 1, width), (height, width - 1)):
        with pytest.raises(ModelError, match=r"too small|do not fit"):
            build_model(architecture, N_GENRES, smaller, config)


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("cnn-elbir", (6, 6)),
        ("cnn-mel", (128,)),
        ("cnn-mel", (1, 1, 128, 128)),
        ("cnn-mfcc", (13,)),
        ("cnn-stft", (1, 513, 128)),
        ("lstm-mfcc", (13,)),
        ("lstm-mfcc", (0, 13)),
        ("vgg16-transfer", ()),
        ("dense", ()),
        ("dense", (0,)),
    ],
)
def test_inputs_of_another_kind(architecture: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="do not fit") as caught:
        build_model(architecture, N_GENRES, shape, {})
    assert caught.value.hint


def test_four_channels_are_no_colours() -> None:
    with pytest.raises(ModelError, match="4 channels"):
        build_model("alexnet-transfer", N_GENRES, (4, 64, 64), {})
