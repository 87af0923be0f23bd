"""Tags of any audio file, as clean and bounded text.

mutagen reads them, FFmpeg those that it does not know: Matroska, RIFF INFO, AIFF text chunks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from recsys.errors import AudioError, cannot_read
from recsys.keys import key_of
from recsys.library.encodings import repaired
from recsys.types import Tags

MAX_CHARACTERS = 1000
"""Longest text of a field."""

_MOST_VALUES = 50
_MOST_RAW_CHARACTERS = 4 * MAX_CHARACTERS  # of a value, before it is cleaned

# Names of one field in the formats: in lower case those of Vorbis comments and FFmpeg, and
# Matroska's with the level that they are of; ID3, MP4, ASF.
_FIELDS: dict[str, tuple[str, ...]] = {
    "artist": ("artist", "TPE1", "\xa9ART", "Author", "track/artist"),
    "album_artist": (
        *("albumartist", "album artist", "album_artist", "TPE2", "aART", "WM/AlbumArtist"),
        "album/artist",
    ),
    "album": ("album", "TALB", "\xa9alb", "WM/AlbumTitle", "album/title"),
    "title": ("title", "TIT2", "\xa9nam", "Title", "track/title"),
    "track_number": ("tracknumber", "track", "TRCK", "trkn", "WM/TrackNumber", "part_number"),
    "year": (
        *("date", "year", "TDRC", "TYER", "\xa9day", "WM/Year", "date_released", "date_recorded"),
        "album/date_released",
    ),
    "genre": ("genre", "TCON", "\xa9gen", "WM/Genre", "track/genre"),
    "language": ("language", "TLAN", "WM/Language"),
}
# Marks that change the direction of the text around them, and what has no width. The joiners stay:
# Persian, Indic scripts and emoji need them.
_WITHOUT_WIDTH = dict.fromkeys(
    (
        *(0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
    )
)
_JOINERS = "\u200c\u200d"
_LOST = "\ufffd"


class _EightBit(str):
    """Text of one byte per character, read as Latin-1, which may be of another code page."""

    __slots__ = ()


def read_tags(path: Path) -> Tags:
    """Read the tags of any file; empty where none can be parsed.

    Several values of a field are joined by ``"; "``. A field has at most 1,000 characters, without
    control characters and marks that reorder text. What ID3 calls Latin-1 and is another code page
    is read as that (:mod:`recsys.library.encodings`), and so is what should be UTF-8 and is none.
    ID3 comes before APE tags in the same file.
    PassingError if the file cannot be read.
    """
    return _tags_of(_values(path))


class MixTags(NamedTuple):
    """What programs for DJs write into files."""

    tempo: float | None = None  # beats per minute
    key: str | None = None  # one of recsys.keys.KEYS


_TEMPO_FIELDS = ("bpm", "TBPM", "tmpo", "WM/BeatsPerMinute", "tbpm")
_KEY_FIELDS = (
    *("initialkey", "initial key", "initial_key", "TKEY", "WM/InitialKey", "tkey"),
    *("----:com.apple.iTunes:initialkey", "----:com.apple.iTunes:KEY"),
)
_TAGGED_TEMPI = (30.0, 300.0)
"""Others are no tempo: 0 stands for an unknown one."""


def read_mix_tags(path: Path) -> MixTags:
    """Read tempo and key from the tags of a file; PassingError if it cannot be read."""
    tags = mutagen_tags(path) or _ffmpeg_tags(path)
    tempo = _decimal(_first(tags, _TEMPO_FIELDS))
    least, most = _TAGGED_TEMPI
    named = _first(tags, _KEY_FIELDS)
    return MixTags(
        tempo if tempo is not None and least <= tempo <= most else None,
        key_of(named) if named else None,
    )


def _first(tags: Any, keys: Iterable[str]) -> str | None:  # noqa: ANN401 (mutagen is untyped)
    texts = _texts(tags, keys) if tags else []
    if not texts:
        return None
    text = texts[0]
    if text.startswith("b'"):  # free-form tags of MP4 are bytes
        text = text[2:-1]
    return _clean(text)


def _decimal(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", "."))
    except ValueError:
        return None


def _tags_of(values: dict[str, list[str]]) -> Tags:
    flat = [value for name in _FIELDS for value in values.get(name, ())]
    meant = iter(repaired([value for value in flat if isinstance(value, _EightBit)]))
    flat = [next(meant) if isinstance(value, _EightBit) else value for value in flat]
    texts: dict[str, str | None] = {}
    for name in _FIELDS:
        count = len(values.get(name, ()))
        texts[name], flat = _joined(flat[:count]), flat[count:]
    return Tags(
        artist=texts["artist"],
        album_artist=texts["album_artist"],
        album=texts["album"],
        title=texts["title"],
        track_number=_number(texts["track_number"], r"\d{1,6}"),
        year=_number(texts["year"], r"\b\d{4}\b|^\d{4}"),
        genre_tag=texts["genre"],
        language=texts["language"],
    )


def _values(path: Path) -> dict[str, list[str]]:
    """Return the texts of each field, as the file has them."""
    found: dict[str, list[str]] = {}
    _add(found, mutagen_tags(path))
    if not {"artist", "album", "title"} <= found.keys():
        _add(found, _ape_tags(path))
    if not found:
        _add(found, _ffmpeg_tags(path))
    elif any(_LOST in text for texts in found.values() for text in texts):
        # mutagen replaces what is not UTF-8, FFmpeg gives its bytes.
        again: dict[str, list[str]] = {}
        _add(again, _ffmpeg_tags(path))
        found |= again
    return found


def _add(found: dict[str, list[str]], tags: Any) -> None:  # noqa: ANN401 (mutagen is untyped)
    """Fill the gaps among the fields that were found."""
    for name, keys in _FIELDS.items() if tags else ():
        if name not in found and (values := _texts(tags, keys)):
            found[name] = values


def mutagen_tags(path: Path) -> Any:  # noqa: ANN401 (mutagen is untyped)
    """Return the tags of a file as mutagen has them; None where it finds none, or damage."""
    import mutagen
    from mutagen.id3 import ID3

    def read(file: _TagFile) -> Any:  # noqa: ANN401
        with contextlib.suppress(mutagen.MutagenError):
            tagged = mutagen.File(file)
            if tagged is not None and tagged.tags is not None:
                return tagged.tags
        file.seek(0)
        return ID3(file)  # type: ignore[no-untyped-call]  # before ADTS, which has no tags

    return _read(path, read)


def _ape_tags(path: Path) -> Any:  # noqa: ANN401 (mutagen is untyped)
    """Read the APE tags of a format that has others of its own, such as MP3."""
    from mutagen.apev2 import APEv2

    def read(file: _TagFile) -> Any:  # noqa: ANN401
        return APEv2(file) if _ends_with_ape(file) else None  # type: ignore[no-untyped-call]

    return _read(path, read)


def _ends_with_ape(file: _TagFile) -> bool:
    file.seek(max(0, file.size - 8192))
    return b"APETAGEX" in file.read(8192)


class _TagFile:
    """An open file that remembers whether the disk failed: mutagen hides that.

    It never reads more than there is: a damaged tag may state any length.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.name = file.name
        self.size = os.fstat(file.fileno()).st_size
        self.failed: OSError | None = None

    def read(self, count: int = -1) -> bytes:
        left = max(0, self.size - self._file.tell())
        content: bytes = self._guarded(self._file.read, left if count < 0 else min(count, left))
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        place: int = self._guarded(self._file.seek, offset, whence)
        return place

    def tell(self) -> int:
        return self._file.tell()

    def _guarded(self, call: Callable[..., Any], *arguments: int) -> Any:  # noqa: ANN401
        try:
            return call(*arguments)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a damaged tag points before the start
                self.failed = error
            raise


def _read(path: Path, parse: Callable[[_TagFile], Any]) -> Any:  # noqa: ANN401 (mutagen is untyped)
    """Return what a parser of mutagen finds; None where it finds damage."""
    try:
        with path.open("rb") as opened:
            file = _TagFile(opened)
            try:
                found = parse(file)
            except Exception:  # noqa: BLE001 (on damaged tags mutagen raises almost anything)
                found = None
    except OSError as error:
        raise cannot_read(error) from error
    if file.failed is not None:
        raise cannot_read(file.failed)
    return found


def _ffmpeg_tags(path: Path) -> dict[str, str]:
    from recsys.audio import open_container

    try:
        with open_container(path, metadata_errors="surrogateescape") as container:
            streams = [stream.metadata for stream in container.streams.audio[:1]]
            found = [item for tags in (*streams, container.metadata) for item in tags.items()]
    except AudioError:
        return {}
    return {key.lower(): _as_latin1(text) for key, text in found}


def _as_latin1(text: str) -> str:
    """Return text that holds bytes, because it was not UTF-8, as Latin-1."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return _EightBit(raw.decode("latin-1"))
    return text


def _texts(tags: Any, keys: Iterable[str]) -> list[str]:  # noqa: ANN401 (mutagen is untyped)
    """Return the values of the first of some keys that has text."""
    for key in keys:
        try:
            value = tags.get(key)
            if value is None:
                continue
            values = getattr(value, "genres", None) or getattr(value, "text", value)
            values = values if isinstance(values, list | tuple) else [values]
            # ID3 states the encoding of each frame, 0 for Latin-1; other formats are Unicode.
            latin1 = isinstance(value, _EightBit) or getattr(value, "encoding", None) == 0
            kind = _EightBit if latin1 else str
            texts = [kind(str(part)[:_MOST_RAW_CHARACTERS]) for part in values[:_MOST_VALUES]]
        except Exception:  # noqa: BLE001 (damaged tags, again)
            continue
        if any(map(_clean, texts)):
            return texts
    return []


def _joined(values: Sequence[str]) -> str | None:
    cleaned = dict.fromkeys(part for value in values if (part := _clean(value)))
    return "; ".join(cleaned)[:MAX_CHARACTERS].rstrip() or None


def _clean(text: str) -> str:
    """Drop control characters, marks that reorder text, broken encodings and wide spaces."""
    encodable = text.encode("utf-8", "replace").decode("utf-8").translate(_WITHOUT_WIDTH)
    shown = (c if c.isprintable() or c in _JOINERS else " " for c in encodable)
    return " ".join("".join(shown).split()).strip(_JOINERS)


def _number(text: str | None, pattern: str) -> int | None:
    match = re.search(pattern, text or "")
    return int(match.group()) if match else None
