"""Augmentation changes what it should and leaves the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.classifier.training.train import (
    AugmentSettings,
    augment,
    colour,
    crop_length,
    mask,
    mix,
    mix_style,
    stretch_and_shift,
)

STILL = AugmentSettings(
    stretch=0.0, mel_shift=0.0, tilt=0.0, equaliser=0.0, low_pass=0.0, high_pass=0.0,
    style=0.0, noise=0.0, time_masks=0, mel_masks=0, mixup=0.0,
)  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def windows() -> torch.Tensor:
    return torch.randn(6, 32, 40, generator=generator(9))


def test_nothing_is_changed_when_everything_is_off(windows: torch.Tensor) -> None:
    out = augment(windows, 40, STILL, generator())
    torch.testing.assert_close(out, windows, atol=1e-5, rtol=1e-4)


def test_a_seed_decides_everything(windows: torch.Tensor) -> None:
    settings = AugmentSettings()
    first, second, other = (augment(windows, 34, settings, generator(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_stretching_reads_a_ramp_at_another_speed() -> None:
    """On a ramp over time the slope is the speed: within bounds, and not all the same."""
    settings = AugmentSettings(stretch=0.2, mel_shift=0.0)
    length = crop_length(50, settings)
    ramp = torch.arange(length, dtype=torch.float32).expand(8, 16, length)
    slopes = stretch_and_shift(ramp, 50, settings, generator())[:, 8].diff(dim=1)[:, 20]
    assert bool(((slopes > 0.79) & (slopes < 1.21)).all())
    assert float(slopes.std()) > 0.05


def test_shifting_moves_bands() -> None:
    settings = AugmentSettings(stretch=0.0, mel_shift=3.0)
    ramp = torch.arange(32, dtype=torch.float32)[:, None].expand(32, 20).expand(8, 32, 20)
    moved = stretch_and_shift(ramp, 20, settings, generator())[:, 16, 10] - 16
    assert bool((moved.abs() <= 3.001).all())
    assert float(moved.std()) > 0.5


def test_colour_keeps_mean_and_deviation(windows: torch.Tensor) -> None:
    settings = AugmentSettings(low_pass=1.0, tilt=1.0)
    out = colour(windows, settings, generator())
    assert float((out - windows).abs().max()) > 0.5
    for statistic in (torch.mean, torch.std):
        torch.testing.assert_close(
            statistic(out, dim=(1, 2)), statistic(windows, dim=(1, 2)), atol=1e-3, rtol=1e-3
        )


def test_low_pass_flattens_the_top(windows: torch.Tensor) -> None:
    settings = AugmentSettings(low_pass=1.0, high_pass=0.0, tilt=0.0, equaliser=0.0)
    out = colour(windows, settings, generator())
    assert bool((out[:, -1].std(dim=1) < 0.2).any())
    assert bool((out[:, 0].std(dim=1) > 0.5).all())


def test_style_lies_between_two_windows() -> None:
    """Bands of mean 0 take over a part, and no more, of bands of mean 4; the shape stays."""
    quiet = torch.randn(1, 8, 500, generator=generator(1))
    pair = torch.cat([quiet, quiet + 4.0])
    parts = [mix_style(pair, 1.0, generator(seed))[0] - quiet[0] for seed in range(12)]
    means = torch.stack([part.mean() for part in parts])
    assert float(means.min()) >= -1e-3
    assert 1.0 < float(means.max()) <= 4.0
    assert max(float(part.std()) for part in parts) < 1e-3


def test_masks_are_stripes(windows: torch.Tensor) -> None:
    settings = AugmentSettings(time_masks=1, mel_masks=0, time_mask=30)
    gone = mask(windows, settings, generator()) == 0
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    assert bool(gone.any())
    assert not bool(gone.all())


def test_mixing_keeps_pairs_together_and_targets_whole(windows: torch.Tensor) -> None:
    pairs = torch.stack([windows, windows])
    targets = torch.eye(6)
    mixed, shares = mix(pairs, targets, AugmentSettings(mixup=1.0), np.random.default_rng(0))
    assert torch.equal(mixed[0], mixed[1])
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    assert torch.equal(shares.argmax(dim=1), torch.arange(6))
    torch.testing.assert_close(mixed[0], torch.einsum("ij,jmf->imf", shares, windows))
