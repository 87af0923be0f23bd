"""Songs of full length in five formats, made on the spot, to time the analysis of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile

from recsys.demo import SAMPLE_RATE, STYLES, render
from recsys.robustness import Codec, write_encoded, write_vorbis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.types import FloatArray

DURATION_S = 240.0

CODECS: dict[str, tuple[Codec, int, int]] = {
    ".mp3": ("libmp3lame", 192_000, SAMPLE_RATE),
    ".opus": ("libopus", 128_000, 48_000),
    ".m4a": ("aac", 192_000, SAMPLE_RATE),
}
"""By suffix: encoder, bits a second, sample rate."""

FORMATS = (".mp3", ".flac", ".ogg", ".opus", ".m4a")

_RENDERED_S = 30.0


def make_songs(
    folder: Path,
    count: int,
    *,
    duration_s: float = DURATION_S,
    seed: int = 0,
    on_song: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Write songs in five formats in turn; files that are there already are kept.

    A song is half a minute of a style of the demo, repeated, with a noise of its own, so that no
    two files hold the same audio.
    """
    folder.mkdir(parents=True, exist_ok=True)
    styles = list(STYLES.values())
    phrases: dict[int, FloatArray] = {}
    paths = []
    for number in range(count):
        path = folder / f"{number:04}{FORMATS[number % len(FORMATS)]}"
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            own = number % len(styles)
            if own not in phrases:
                phrase = render(styles[own], np.random.default_rng((seed, own)), _RENDERED_S)
                phrases[own] = phrase.astype(np.float32)
            _write(path, _song(phrases[own], rng, duration_s))
        paths.append(path)
        on_song()
    return paths


def _song(phrase: FloatArray, rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return a song in stereo, shape (n_samples, 2)."""
    length = round(duration_s * SAMPLE_RATE)
    begun = np.roll(phrase, int(rng.integers(len(phrase))))
    mono = np.resize(begun, length)
    noise = 0.003 * rng.standard_normal((length, 2), dtype=np.float32)
    song: FloatArray = 0.8 * mono[:, np.newaxis] + noise
    return song


def _write(path: Path, song: FloatArray) -> None:
    partial = path.with_name(f"partial-{path.name}")
    try:
        if path.suffix in CODECS:
            write_encoded(partial, song, SAMPLE_RATE, *CODECS[path.suffix])
        elif path.suffix == ".ogg":
            write_vorbis(partial, song, SAMPLE_RATE)
        else:
            soundfile.write(partial, song, SAMPLE_RATE)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
