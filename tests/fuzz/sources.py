"""What is damaged: a short sound in every format, with all the tags that the format can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
from mutagen import aiff, apev2, asf, flac, id3, mp4, wave, wavpack

from tests.sounds import encode, staircase, write

RATE = 22_050
SECONDS = 3.5
COVER = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2
FIELDS = {
    "artist": "Die Ärzte; Пикник",
    "albumartist": "Various",
    "album": "Schöne neue Welt",
    "title": "A \u202eright-to-left\u202c title",
    "tracknumber": "7/12",
    "date": "1984-05-01",
    "genre": "Rock",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file to damage."""

    name: str
    data: bytes


ENCODERS: dict[str, tuple[str | None, int]] = {
    "s.flac": (None, RATE),
    "s.ogg": (None, RATE),
    "s.mp3": (None, RATE),
    "s.wav": (None, RATE),
    "s.aiff": (None, RATE),
    "s.opus": ("libopus", 48_000),
    "s.m4a": ("aac", 44_100),
    "s.wv": ("wavpack", 44_100),
    "s.wma": ("wmav2", 44_100),
    "s.tta": ("tta", 44_100),
    "s.mka": ("libopus", 48_000),
    "s.aac": ("aac", 44_100),
    "s.ac3": ("ac3", 44_100),
}
"""Names, with the FFmpeg encoder and rate of those that libsndfile does not write."""


def synthetic(folder: Path) -> list[Source]:
    """Return a small tagged file of every format; `folder` is for making them."""
    sources = []
    for name, (codec, rate) in ENCODERS.items():
        path, sound = folder / name, staircase(SECONDS, rate)
        if codec is None:
            write(path, sound, rate)
        else:
            encode(path, sound, codec, rate)
        _tag(path)
        sources.append(Source(name, path.read_bytes()))
    return sources


def in_folder(folder: Path) -> list[Source]:
    """Return the files of a folder."""
    return [Source(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def _tag(path: Path) -> None:
    """Write the fields, a cover and a lyric, as the format has them; some formats have no tags."""
    kind = path.suffix
    if kind in (".flac", ".ogg", ".opus"):
        file: Any = mutagen.File(path)
        file.update(FIELDS)
        picture = flac.Picture()
        picture.data, picture.mime = COVER, "image/png"
        if kind == ".flac":
            file.add_picture(picture)
        file.save()
    elif kind in (".mp3", ".aac", ".tta"):
        tags = id3.ID3()
        _fill_id3(tags)
        tags.save(path)
        ape = apev2.APEv2()
        ape.update({"Artist": "APE", "Title": "A", "Year": "1984"})
        ape.save(path)
    elif kind in (".wav", ".aiff"):
        riff: Any = wave.WAVE(path) if kind == ".wav" else aiff.AIFF(path)
        riff.add_tags()
        _fill_id3(riff.tags)
        riff.save()
    elif kind == ".m4a":
        names = {"\xa9ART": "artist", "\xa9alb": "album", "\xa9nam": "title", "\xa9day": "date"}
        m4a = mp4.MP4(path)
        m4a.update({atom: FIELDS[field] for atom, field in names.items()})
        m4a["trkn"], m4a["covr"] = [(7, 12)], [mp4.MP4Cover(COVER, mp4.MP4Cover.FORMAT_PNG)]
        m4a.save()
    elif kind == ".wma":
        wma = asf.ASF(path)
        wma.update({"Author": "A", "Title": "B", "WM/TrackNumber": "7", "WM/Year": "1984"})
        wma.save()
    elif kind == ".wv":
        tagged = wavpack.WavPack(path)
        tagged.update({"Artist": FIELDS["artist"], "Cover Art (Front)": "x", "Year": "1984"})
        tagged.save()


def _fill_id3(tags: id3.ID3) -> None:
    text = {"TPE1": "artist", "TALB": "album", "TIT2": "title", "TRCK": "tracknumber"}
    for frame, field in text.items():
        tags.add(getattr(id3, frame)(encoding=3, text=FIELDS[field]))
    tags.add(id3.TDRC(encoding=1, text="1984"))
    tags.add(id3.TCON(encoding=0, text="(17)"))
    tags.add(id3.USLT(encoding=1, lang="eng", text="la la\n" * 20))
    tags.add(id3.APIC(encoding=0, mime="image/png", type=3, data=COVER))
