"""Fit and measure the head that tells speech from music, ``data/speech-head.json``.

It learns from synthesised speech alone: espeak-ng in many languages and voices, and flite; each
track as it is, in a room, over music, in noise, and cut short. It is measured on the recorded
prompts of five speakers in Debian's packages ``asterisk-core-sounds-{en,es,fr,it,ru}-g722``, and
on music by artists that a fold of the fit did not see::

    apt-get install espeak-ng flite asterisk-core-sounds-{en,es,fr,it,ru}-g722
    python -m tests.benchmarks.fit_speech --music FOLDER --prompts /usr/share/asterisk/sounds \
        --work FOLDER
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, sosfilt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from recsys import Library

Sound = npt.NDArray[np.float64]

RATE, DURATION_S, TRACKS_PER_SPEAKER, C = 16_000, 30, 16, 10.0
ESPEAK, FLITE = 75, 60
LANGUAGES = (
    *("en-us", "en-gb", "en-gb-scotland", "en-029", "de", "fr-fr", "es", "it", "pt", "nl", "pl"),
    *("ru", "sv", "fi", "tr", "hu", "cs", "ro", "id", "sw", "el", "da", "hi", "ja", "cmn"),
)
VARIANTS = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak", "+whisper")
VOICES = ("awb", "rms", "slt", "kal16")
DATA = Path(__file__).parents[2] / "data" / "speech-head.json"
TEXTS = (Path("/usr/share/common-licenses/GPL-3"), DATA.parents[1] / "docs" / "guide.md")


def synthesise(folder: Path) -> None:
    rng = random.Random(1)
    text = " ".join(path.read_text(encoding="utf-8") for path in TEXTS)
    words = re.sub(r"[^A-Za-z ,.]", " ", text).split()
    for number in range(ESPEAK + FLITE):
        start = rng.randrange(len(words) - 130)
        said = " ".join(words[start : start + 130])
        if number < ESPEAK:
            voice = LANGUAGES[number % len(LANGUAGES)] + rng.choice(VARIANTS)
            speed, pitch, gap = rng.randint(120, 190), rng.randint(20, 80), rng.randint(0, 20)
            options = ["-s", str(speed), "-p", str(pitch), "-g", str(gap), "-w"]
            command = ["espeak-ng", "-v", voice, *options, f"{folder}/{number:03}.wav", said]
        else:
            stretch = f"duration_stretch={rng.uniform(0.85, 1.3):.2f}"
            voice = VOICES[number % len(VOICES)]
            command = ["flite", "-voice", voice, "--setf", stretch, "-t", said]
            command += ["-o", f"{folder}/{number:03}.wav"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def join_prompts(prompts: Path, folder: Path) -> None:
    """Write tracks of prompts of one speaker each, with pauses."""
    rng = np.random.default_rng(0)
    for speaker in sorted(path for path in prompts.iterdir() if path.is_dir()):
        files = [f for f in sorted(speaker.rglob("*.g722")) if "silence" not in f.parts]
        spoken = [f for f in files if f.stat().st_size > RATE]
        rng.shuffle(spoken)
        for number in range(TRACKS_PER_SPEAKER):
            parts: list[Sound] = []
            while spoken and sum(map(len, parts)) < DURATION_S * RATE:
                with av.open(str(spoken.pop()), format="g722") as container:
                    frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
                parts += [
                    np.concatenate(frames) / 32768,
                    np.zeros(int(RATE * rng.uniform(0.15, 0.8))),
                ]
            if spoken:
                save(folder / f"{speaker.name}-{number:02}.wav", np.concatenate(parts))


@cache
def load(path: Path) -> Sound:
    samples, rate = soundfile.read(path, always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate, RATE)[: DURATION_S * RATE])


def save(path: Path, sound: Sound) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.7 * sound / np.abs(sound).max(), RATE)


def level(sound: Sound) -> Sound:
    return sound / np.sqrt((sound**2).mean() + 1e-9)


def in_room(sound: Sound, rng: np.random.Generator, direct_db: float, decay_s: float) -> Sound:
    """Convolve with decaying noise; the direct sound is so many decibels above the rest."""
    times = np.arange(int(1.2 * decay_s * RATE)) / RATE
    echo = rng.standard_normal(len(times)) * np.exp(-6.9 * times / decay_s)
    echo *= np.sqrt(10 ** (-direct_db / 10) / (echo**2).sum())
    echo[0] += 1
    return np.asarray(fftconvolve(sound, echo)[: len(sound)])


def over(sound: Sound, other: Sound, decibels: float) -> Sound:
    """Add another sound, so many decibels below."""
    return level(sound) + level(np.resize(other, len(sound))) * 10 ** (-decibels / 20)


def noise(rng: np.random.Generator) -> Sound:
    coloured = butter(1, rng.uniform(300, 4000), fs=RATE, output="sos")
    return np.asarray(sosfilt(coloured, rng.standard_normal(DURATION_S * RATE)))


def change(folder: Path, changed: Path, music: Sequence[Path]) -> None:
    """Write four changed versions of each track of synthesised speech."""
    rng = np.random.default_rng(9)
    for path in sorted(folder.glob("*.wav")):
        said = load(path)
        room = in_room(said, rng, rng.uniform(-3, 10), rng.uniform(0.2, 0.7))
        save(changed / f"room-{path.name}", room)
        bed = load(music[int(rng.integers(len(music)))])
        save(changed / f"music-{path.name}", over(said, bed, rng.uniform(8, 25)))
        save(changed / f"noise-{path.name}", over(room, noise(rng), rng.uniform(10, 30)))
        save(changed / f"short-{path.name}", said[: int(rng.uniform(4, 10) * RATE)])


def harder(folder: Path, target: Path, music: Sequence[Path]) -> None:
    """Write every second track of recorded speech under conditions of one kind per folder."""
    rng = np.random.default_rng(77)
    conditions: dict[str, Callable[[Sound], Sound]] = {
        "room, direct 0 dB": lambda said: in_room(said, rng, 0, 0.5),
        "noise 15 dB below": lambda said: over(said, noise(rng), 15),
        "5 s": lambda said: said[: 5 * RATE],
        **{
            f"music {below} dB below": lambda said, below=below: over(
                said, load(music[int(rng.integers(len(music)))]), below
            )
            for below in (20, 10, 5, 0)
        },
    }
    for path in sorted(folder.glob("*.wav"))[::2]:
        for name, condition in conditions.items():
            save(target / name / path.name, condition(load(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--music", "--prompts", "--work"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    work: Path = given.work
    music = sorted(path for path in given.music.rglob("*") if path.suffix in (".ogg", ".mp3"))
    (work / "synthesised").mkdir(parents=True)
    synthesise(work / "synthesised")
    join_prompts(given.prompts, work / "recorded")
    change(work / "synthesised", work / "changed", music)
    harder(work / "recorded", work / "harder", music)
    with Library(work / "library.db") as library:
        library.index([work, given.music])
        info, tracks = library.store.model(), list(library.store.all_tracks())
        analyses = library.store.analyses([track.id for track in tracks])
    assert info is not None
    x = np.stack([analyses[track.id].embedding for track in tracks])
    kinds = np.array([kind_of(track.path, work) for track in tracks])
    artists = np.array([track.artist or str(track.path) for track in tracks])
    spoken, musical = np.isin(kinds, ("synthesised", "changed")), kinds == "music"
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=1000)
    learned = spoken | musical
    model.fit(x[learned], spoken[learned])
    # Every synthesised track is a group of its own: only the music of a fold is unseen.
    unseen = cross_val_predict(
        model, x[learned], spoken[learned], groups=artists[learned], cv=GroupKFold(5)
    )[musical[learned]]
    taken = {
        kind: [int(model.predict(x[kinds == kind]).sum()), int((kinds == kind).sum())]
        for kind in sorted(set(kinds.tolist()) - {"music", "synthesised", "changed"})
    }
    head: dict[str, Any] = {
        "made_by": "tests/benchmarks/fit_speech.py",
        "embeddings_of": info.fingerprint,
        "learned_from": {
            kind: int((kinds == kind).sum()) for kind in ("synthesised", "changed", "music")
        },
        "taken_for_speech": {**taken, "music by other artists": [int(unseen.sum()), len(unseen)]},
        "tag_means": list(info.tag_means),
        "bias": round(float(model.intercept_[0]), 6),
        "weights": [round(float(weight), 6) for weight in model.coef_[0]],
    }
    DATA.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(head["taken_for_speech"], indent=1) + "\n")


def kind_of(path: Path, work: Path) -> str:
    if not path.is_relative_to(work):
        return "music"
    parts = path.relative_to(work).parts
    return parts[1] if parts[0] == "harder" else parts[0]


if __name__ == "__main__":
    main()
