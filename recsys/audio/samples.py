"""Samples: many channels to one, absurd values, sample rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import AudioError

if TYPE_CHECKING:
    from recsys.types import FloatArray

CANCELLED = 0.1
"""Channels cancel each other where their mean has less than this share of the power that the mean
of unrelated channels would have."""

COMPARED = 2**15
"""Samples of a block on which that is decided."""

LOUD = 8.0
"""Peaks up to here occur in intact files of floating-point samples."""

OUTLIER = 100.0
"""A sample that is so many times louder than all but a thousandth of its neighbours is damage."""

ABSURD = 1e12
"""No program writes samples of this size on purpose: those of 32 bits reach 2e9."""


class Mixdown:
    """Makes one channel of many, and silences samples that cannot be sound.

    The mean of the channels, unless :attr:`cancels` tells that they are the same upside down.
    """

    def __init__(self) -> None:
        self.channel: int | None = None  # the only one to use; None for the mean
        self.bounded = False  # samples are whole numbers, which cannot be absurd
        self.start_over()

    def start_over(self) -> None:
        """Forget what was mixed so far, but for the choice of a channel."""
        self._power = np.zeros(0)  # of each channel, where they cancel each other
        self._lost = self._kept = 0.0  # power of the blocks that cancel, and of the others
        self.samples = self.not_numbers = self.outliers = 0
        self._highest = 0.0

    def interleaved(self, block: FloatArray) -> FloatArray:
        """Mix samples of shape (n, channels)."""
        channels = block.shape[1]
        if channels == 1:
            return self._repaired(block[:, 0])
        if self.channel is not None:
            return self._repaired(block[:, min(self.channel, channels - 1)].copy())
        # As a product, because a mean over so short an axis takes longer than decoding.
        mono: FloatArray = block @ np.full(channels, 1.0 / channels, dtype=np.float32)
        self._compare(block[:COMPARED], mono[:COMPARED], axis=1)
        return self._repaired(mono)

    def planar(self, block: FloatArray) -> FloatArray:
        """Mix samples of shape (channels, n)."""
        channels = block.shape[0]
        if self.channel is not None:
            return self._repaired(block[min(self.channel, channels - 1)])
        mono: FloatArray = block.mean(axis=0)
        if channels > 1:
            self._compare(block[:, :COMPARED], mono[:COMPARED], axis=0)
        return self._repaired(mono)

    def _compare(self, block: FloatArray, mono: FloatArray, axis: int) -> None:
        """Count what the mean of the channels keeps of their sound."""
        channels = block.shape[axis]
        power, kept = _power(block) / channels, _power(mono)
        if not kept < CANCELLED * power / channels:  # the usual case, and absurd samples
            self._kept += power if np.isfinite(power) else 0.0
            return
        self._lost += power
        of_each = np.square(block, dtype=np.float64).sum(axis=1 - axis)
        more = channels - len(self._power)
        self._power = np.pad(self._power, (0, max(0, more)))
        self._power[:channels] += of_each

    @property
    def cancels(self) -> bool:
        """Whether the mean loses most of the sound that was mixed so far."""
        return self.channel is None and self._lost > self._kept

    def take_loudest(self) -> None:
        """Use the loudest channel from now on, and forget what was mixed so far."""
        self.channel = int(np.argmax(self._power))
        self.start_over()

    def _repaired(self, mono: FloatArray) -> FloatArray:
        self.samples += len(mono)
        if self.bounded or _power(mono) <= len(mono):  # that of full scale; not so for NaN
            return mono
        size = np.abs(mono)
        number = size < ABSURD
        bad = ~number
        highest = float(size.max(where=number, initial=0.0))
        if highest > LOUD:
            usual = float(np.quantile(size[number], 0.999))
            outlier = number & (size > max(LOUD, OUTLIER * usual))
            self.outliers += int(outlier.sum())
            self._highest = max(self._highest, float(size.max(where=outlier, initial=0.0)))
            bad |= outlier
        finite = np.isfinite(size)
        absurd = finite & ~number
        self.outliers += int(absurd.sum())
        self._highest = max(self._highest, float(size.max(where=absurd, initial=0.0)))
        self.not_numbers += int((~finite).sum())
        if not bad.any():
            return mono
        return np.where(bad, np.float32(0), mono)

    def warnings(self) -> list[str]:
        """Say what was silenced; AudioError if that is most of the sound."""
        share = self.not_numbers / max(1, self.samples)
        absurd = self.outliers / max(1, self.samples)
        if share > 0.5:
            raise AudioError(
                f"{share:.0%} of the samples are not numbers (NaN or infinite)",
                "The file was written by a faulty program; replace it.",
            )
        if absurd > 0.5:
            raise AudioError(
                f"{absurd:.0%} of the samples are absurd: up to {self._highest:.0e} times full"
                " scale",
                "The file was written by a faulty program, or is damaged; replace it.",
            )
        said = []
        if share:
            said.append(f"{share:.1%} of the samples are not numbers; they were silenced")
        if self.outliers:
            said.append(
                f"damaged: {self.outliers} samples are absurd (up to {self._highest:.0e} times full"
                " scale); they were silenced"
            )
        return said


def _power(block: FloatArray) -> float:
    flat = block.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(flat, flat))


def resample(samples: FloatArray, rate: int, wanted: int) -> FloatArray:
    """Bring samples to another rate."""
    if rate == wanted:
        return samples
    import soxr

    result: FloatArray = soxr.resample(samples, rate, wanted, quality="HQ")
    return result


def join(blocks: list[FloatArray]) -> FloatArray:
    """Join blocks of samples, which may be none."""
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
