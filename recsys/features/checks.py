"""What every kind of features refuses: settings with which nothing could be computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.features.base import Features
    from recsys.types import FloatArray

HINT = "Correct the features in the recipe or the model card."


def check_framing(settings: Features) -> None:
    """Check the sample rate and how a track is cut into windows.

    Parameters
    ----------
    settings : Features
        Of any kind.

    Raises
    ------
    ModelError
        If a value is impossible.
    """
    check_whole(settings, "sample_rate", 1)
    check_whole(settings, "max_windows", 1)
    _check_number(settings, "window_s")
    _check_number(settings, "overlap")
    if settings.window_length < 1:
        raise ModelError(f"features {settings.kind}: window_s is {settings.window_s}", HINT)
    if not 0.0 <= settings.overlap < 1.0:
        raise ModelError(
            f"features {settings.kind}: overlap is {settings.overlap}, must be in [0, 1)", HINT
        )


def check_stft(settings: Features) -> None:
    """Check ``n_fft`` and ``hop_length``: a window must hold at least one frame.

    Parameters
    ----------
    settings : Features
        Of a kind with these two.

    Raises
    ------
    ModelError
        If a value is impossible.
    """
    check_framing(settings)
    check_whole(settings, "n_fft", 2, settings.window_length)
    check_whole(settings, "hop_length", 1)


def check_whole(settings: Features, name: str, least: int, most: int | None = None) -> None:
    """Check that a setting is a whole number within its range.

    Parameters
    ----------
    settings : Features
        Of any kind.
    name : str
        Name of the field.
    least : int
        Smallest value that makes sense.
    most : int, optional
        Largest one.

    Raises
    ------
    ModelError
        If it is not.
    """
    value = getattr(settings, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        span = f"at least {least}" if most is None else f"{least} to {most}"
        raise ModelError(
            f"features {settings.kind}: {name} is {value!r}, must be a whole number, {span}", HINT
        )


def check_choices(settings: Features, name: str, known: tuple[str, ...]) -> None:
    """Check a list of words: at least one, each known, none twice.

    Parameters
    ----------
    settings : Features
        Of any kind.
    name : str
        Name of the field.
    known : tuple of str
        The words that are understood.

    Raises
    ------
    ModelError
        If one is not.
    """
    words = getattr(settings, name)
    for word in words:
        if word not in known:
            raise ModelError(
                f"features {settings.kind}: {word!r} among {name} is not known",
                f"Known are {', '.join(known)}.",
            )
    if not words or len(set(words)) < len(words):
        raise ModelError(
            f"features {settings.kind}: {name} is {words!r}, must name at least one, each once",
            HINT,
        )


def compute_each(
    settings: Features, samples: FloatArray, one: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Apply a function to every window by itself, so that no window changes what another gives.

    Parameters
    ----------
    settings : Features
        Say how long a window is, and of what shape the result.
    samples : ndarray of float32, shape (n_windows, window_length)
        Windows of one track.
    one : callable
        From one window, shape (window_length,), to an array of ``settings.shape``.

    Returns
    -------
    ndarray of float32, shape (n_windows, *shape)

    Raises
    ------
    ValueError
        If `samples` has another shape or is empty.
    """
    if samples.ndim != 2 or len(samples) == 0 or samples.shape[1] != settings.window_length:
        raise ValueError(
            f"samples must have shape (n_windows, {settings.window_length}), got {samples.shape}"
        )
    result = np.empty((len(samples), *settings.shape), dtype=np.float32)
    for number, window in enumerate(samples):
        result[number] = one(np.ascontiguousarray(window, dtype=np.float32))
    return result


def _check_number(settings: Features, name: str) -> None:
    value = getattr(settings, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ModelError(f"features {settings.kind}: {name} is {value!r}, must be a number", HINT)
