"""Where filters over a picture of sound respond the most, with NumPy alone.

Both kinds of filter respond at many places, of which only the strongest counts. Filters over mel
bands are applied by way of the spectrum along the bands, which takes a quarter of the products of a
convolution; those over time alone are laid out as a Toeplitz matrix, so that all places are one
matrix product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.types import FloatArray

FRAMES_TOGETHER = 16
"""Frames that share a row of the product over time: more of them are fewer rows of more zeros."""


class BandFilters:
    """Filters a few frames long and many mel bands high.

    A correlation is a product of spectra. Its inverse transform is wanted at few pitches and for a
    maximum only, so it is a matrix product; counted from the middle, the responses at a pitch and
    at its mirror image are the sum and the difference of an even and an odd part, of which the
    larger is the even part plus the size of the odd one. That halves the product.

    Parameters
    ----------
    filters : ndarray, shape (n, taps, bands)
    n_mels : int
        Of the pictures; `bands` at least.
    """

    def __init__(self, filters: FloatArray, n_mels: int) -> None:
        n, self.taps, bands = filters.shape
        self.n = n
        pitches = n_mels - bands + 1
        middle = (pitches - 1) / 2
        frequency = np.arange(n_mels // 2 + 1)
        turn = 2j * np.pi / n_mels
        spectrum = np.conj(np.fft.rfft(filters.astype(np.float64), n=n_mels, axis=2))
        # Of a real signal every frequency counts twice, but for the first and the last.
        twice = np.where((frequency == 0) | (2 * frequency == n_mels), 1, 2) / n_mels
        spectrum = (spectrum * np.exp(turn * frequency * middle) * twice).transpose(2, 1, 0)
        real, imaginary = spectrum.real, spectrum.imag
        self._spectra = np.stack(
            [np.hstack([real, -imaginary]), np.hstack([imaginary, real])]
        ).astype(np.float32)
        places = middle - np.arange((pitches + 1) // 2)
        angles = turn.imag * np.outer(places, frequency)
        self._even = np.cos(angles).astype(np.float32)
        self._odd = np.sin(angles).astype(np.float32)

    def strongest(self, spectra: FloatArray) -> FloatArray:
        """Return the highest response over the pitches at every frame.

        Parameters
        ----------
        spectra : ndarray of float32, shape (n_frequencies, rows, 2 * taps)
            What :func:`band_spectra` makes of pictures, with as many taps.

        Returns
        -------
        ndarray of float32, shape (rows, n)
        """
        products = np.matmul(spectra, self._spectra)
        n_frequencies = len(spectra)
        responses = self._even @ products[0].reshape(n_frequencies, -1)
        odd = self._odd @ products[1].reshape(n_frequencies, -1)
        responses += np.abs(odd, out=odd)
        strongest: FloatArray = responses.max(axis=0).reshape(-1, self.n)
        return strongest


def band_spectra(pictures: FloatArray, taps: int) -> FloatArray:
    """Return the spectra along the bands of as many frames as filters are long, for every frame.

    Parameters
    ----------
    pictures : ndarray of float32, shape (b, frames, n_mels)
    taps : int
        Frames of a filter. Beyond the ends of a picture there is nothing (0).

    Returns
    -------
    ndarray of float32, shape (n_mels // 2 + 1, b * frames, 2 * taps)
        By frequency; of every frame the real parts of its surroundings, then the imaginary ones.
    """
    b, frames, n_mels = pictures.shape
    padded = np.zeros((b, frames + taps - 1, n_mels), dtype=np.float32)
    padded[:, (taps - 1) // 2 :][:, :frames] = pictures
    spectrum = np.fft.rfft(padded, axis=2).transpose(2, 0, 1)
    around = np.empty((len(spectrum), b, frames, 2, taps), dtype=np.float32)
    for part, values in enumerate((spectrum.real, spectrum.imag)):
        joined = np.ascontiguousarray(values)
        for tap in range(taps):
            around[..., part, tap] = joined[:, :, tap : tap + frames]
    return around.reshape(len(spectrum), b * frames, 2 * taps)


class TimeFilters:
    """Filters over time alone, one mel band high.

    Parameters
    ----------
    filters : ndarray, shape (n, taps)
    """

    def __init__(self, filters: FloatArray) -> None:
        self.n, self._taps = filters.shape
        self._reach = FRAMES_TOGETHER + self._taps - 1
        matrix = np.zeros((FRAMES_TOGETHER, self.n, self._reach), dtype=np.float32)
        for frame in range(FRAMES_TOGETHER):
            matrix[frame, :, frame : frame + self._taps] = filters
        self._matrix = np.ascontiguousarray(matrix.reshape(-1, self._reach).T)

    def strongest(self, pictures: FloatArray) -> FloatArray:
        """Return the highest response over the bands at every frame.

        Parameters
        ----------
        pictures : ndarray of float32, shape (b, n_mels, frames)
            Beyond the ends there is nothing (0).

        Returns
        -------
        ndarray of float32, shape (b, frames, n)
        """
        b, n_mels, frames = pictures.shape
        heard = -(-frames // FRAMES_TOGETHER) * FRAMES_TOGETHER
        padded = np.zeros((b, n_mels, heard + self._taps - 1), dtype=np.float32)
        padded[:, :, (self._taps - 1) // 2 :][:, :, :frames] = pictures
        rows = _pieces(padded, self._reach).reshape(-1, self._reach)
        responses = (rows @ self._matrix).reshape(b, n_mels, -1)
        strongest: FloatArray = responses.max(axis=1).reshape(b, heard, self.n)
        return strongest[:, :frames]


def _pieces(padded: FloatArray, length: int) -> npt.NDArray[np.float32]:
    """Return pieces of a length, one for every `FRAMES_TOGETHER` frames; each overlaps the next."""
    pieces = np.lib.stride_tricks.sliding_window_view(padded, length, axis=2)
    return np.ascontiguousarray(pieces[:, :, ::FRAMES_TOGETHER])
