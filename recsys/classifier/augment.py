"""What happens to log-mel windows in training, so that the model learns music and not masters.

Everything works on standardised pictures and leaves them standardised: a codec that cuts the
treble also shifts the mean of the track, and the model sees exactly that at inference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly training windows are changed.

    Attributes
    ----------
    stretch : float
        Greatest change of speed: 0.15 means 0.85 to 1.15.
    mel_shift : float
        Greatest shift up or down the mel axis, bands (a transposition).
    tilt : float
        Greatest gain at either end of the spectrum, standard deviations of the picture.
    equaliser : float
        Standard deviation of a smooth random gain curve, same unit.
    low_pass, high_pass : float
        Share of the windows whose treble or bass is cut off.
    style : float
        Share of the windows that take over part of another's mean and deviation per mel band
        (Freq-MixStyle, Schmid et al., DCASE 2022): other microphones, rooms and masters.
    noise : float
        Greatest standard deviation of added noise.
    time_masks, mel_masks : int
        Number of masked stripes (SpecAugment, Park et al., arXiv:1904.08779).
    time_mask, mel_mask : int
        Greatest width of a stripe, frames and bands.
    mixup : float
        Parameter of the Beta distribution for mixing windows (Zhang et al.,
        arXiv:1710.09412); 0 leaves them unmixed.
    """

    stretch: float = 0.15
    mel_shift: float = 4.0
    tilt: float = 0.5
    equaliser: float = 0.15
    low_pass: float = 0.35
    high_pass: float = 0.1
    style: float = 0.1
    noise: float = 0.15
    time_masks: int = 2
    mel_masks: int = 2
    time_mask: int = 20
    mel_mask: int = 14
    mixup: float = 0.3


def uniform(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    """Draw float32 values from ``[low, high)``."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def augment(
    windows: Tensor, frames: int, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """Change windows at random: speed, pitch, spectrum, noise, masks.

    Parameters
    ----------
    windows : Tensor, shape (b, n_mels, longer)
        Standardised log-mel; `longer` leaves room for a quicker reading, see
        :func:`crop_length`.
    frames : int
        Frames to return.
    settings : AugmentSettings
        How strongly.
    generator : torch.Generator
        Source of all chance.

    Returns
    -------
    Tensor of float32, shape (b, n_mels, frames)
    """
    out = stretch_and_shift(windows, frames, settings, generator)
    out = colour(out, settings, generator)
    out = mix_style(out, settings.style, generator)
    level = uniform(generator, 0.0, settings.noise, out.shape[0], 1, 1)
    out = out + level * torch.randn(out.shape, generator=generator)
    return mask(out, settings, generator)


def crop_length(frames: int, settings: AugmentSettings) -> int:
    """Return how many frames must be read so that the quickest speed fills a window."""
    return math.ceil(frames * (1.0 + settings.stretch))


def stretch_and_shift(
    windows: Tensor, frames: int, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """Resample the picture: another speed, another pitch; the edges are repeated."""
    batch, mels, longer = windows.shape
    speed = uniform(generator, 1.0 - settings.stretch, 1.0 + settings.stretch, batch)
    shift = uniform(generator, -settings.mel_shift, settings.mel_shift, batch)
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0] = speed * frames / longer
    theta[:, 0, 2] = theta[:, 0, 0] - 1.0
    theta[:, 1, 1] = 1.0
    theta[:, 1, 2] = 2.0 * shift / mels
    grid = functional.affine_grid(theta, [batch, 1, mels, frames], align_corners=False)
    return functional.grid_sample(
        windows.unsqueeze(1), grid, padding_mode="border", align_corners=False
    ).squeeze(1)


def colour(windows: Tensor, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Tilt, equalise and cut the spectrum, then restore each window's mean and deviation."""
    batch, mels, _ = windows.shape
    axis = torch.linspace(-1.0, 1.0, mels)
    gain = uniform(generator, -settings.tilt, settings.tilt, batch, 1) * axis
    points = settings.equaliser * torch.randn((batch, 1, 8), generator=generator)
    gain = gain + functional.interpolate(
        points, size=mels, mode="linear", align_corners=True
    ).squeeze(1)
    treble = uniform(generator, 0.2, 1.0, batch, 1)
    bass = uniform(generator, -1.0, -0.85, batch, 1)
    cut = (axis > treble) & (uniform(generator, 0, 1, batch, 1) < settings.low_pass)
    cut |= (axis < bass) & (uniform(generator, 0, 1, batch, 1) < settings.high_pass)
    gain = torch.where(cut, gain - 4.0, gain)
    floor = windows.amin((1, 2), keepdim=True)
    changed = torch.maximum(windows + gain.unsqueeze(2), floor)
    before = torch.std_mean(windows, (1, 2), keepdim=True)
    after = torch.std_mean(changed, (1, 2), keepdim=True)
    return (changed - after[1]) / after[0].clamp_min(1e-3) * before[0] + before[1]


def mix_style(windows: Tensor, share: float, generator: Generator) -> Tensor:
    """Move some windows' mean and deviation per mel band towards those of another window.

    Parameters
    ----------
    windows : Tensor, shape (b, n_mels, frames)
        Standardised log-mel.
    share : float
        How many of the windows, in [0, 1].
    generator : torch.Generator
        Source of all chance.

    Returns
    -------
    Tensor, same shape
    """
    batch = windows.shape[0]
    chosen = uniform(generator, 0, 1, batch, 1, 1) < share
    weight = uniform(generator, 0, 1, batch, 1, 1) * chosen
    partner = torch.randperm(batch, generator=generator)
    deviation, mean = torch.std_mean(windows, 2, keepdim=True)
    deviation = deviation.clamp_min(1e-2)
    new_mean = torch.lerp(mean, mean[partner], weight)
    new_deviation = torch.lerp(deviation, deviation[partner], weight)
    return (windows - mean) / deviation * new_deviation + new_mean


def mask(windows: Tensor, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Set random stripes of time and of frequency to the mean, which is 0."""
    batch, mels, frames = windows.shape
    keep = torch.ones(batch, mels, frames, dtype=torch.bool)
    keep &= ~_stripes(batch, frames, settings.time_masks, settings.time_mask, generator)[:, None]
    keep &= ~_stripes(batch, mels, settings.mel_masks, settings.mel_mask, generator)[:, :, None]
    return windows * keep


def _stripes(batch: int, length: int, count: int, widest: int, generator: Generator) -> Tensor:
    """Mark `count` random stripes in each row of a (batch, length) mask."""
    place = torch.arange(length)
    marked = torch.zeros(batch, length, dtype=torch.bool)
    for _ in range(count):
        width = uniform(generator, 0, widest, batch, 1)
        start = uniform(generator, 0, length, batch, 1) - width / 2
        marked |= (place >= start) & (place < start + width)
    return marked


def mix(
    windows: Tensor, targets: Tensor, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend pairs of windows with other pairs, and their targets likewise.

    Parameters
    ----------
    windows : Tensor, shape (2, b, n_mels, frames)
        Two readings of each of b tracks; both are blended with the same partner in the same
        ratio, so that they still belong together.
    targets : Tensor, shape (b, n_genres)
        Rows sum to 1.
    settings : AugmentSettings
        ``mixup`` is used.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    windows, targets : Tensor
        Same shapes.
    """
    if settings.mixup <= 0:
        return windows, targets
    batch = targets.shape[0]
    drawn = rng.beta(settings.mixup, settings.mixup, batch)
    share = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32))
    partner = torch.from_numpy(rng.permutation(batch))
    ratio = share[:, None, None]
    blended = windows * ratio + windows[:, partner] * (1 - ratio)
    return blended, targets * share[:, None] + targets[partner] * (1 - share[:, None])
