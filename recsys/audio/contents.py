"""What the first bytes of a file say: no sound at all, a length that is wrong, several recordings.

The decoders would search gigabytes for a sound that cannot be there, take a header at its word, or
stop behind the first of several recordings.
"""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from recsys.audio.files import BARREN_BYTES, HEADER_BYTES, AudioFile, Stretch
from recsys.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 4096
"""What is read of every file to see what it is."""

EMPTY_BYTES = 2**20
"""A file that begins with so many equal bytes holds nothing yet."""

HOLES = 0.5
"""A damaged file with a larger share of zeros is an unfinished download."""

PROBES = 16
"""Places at which a damaged file is looked at for holes."""

UNFINISHED = "Let the download finish, and index it again; or delete it."
_NOTES = "It holds notes or samples to play, not a recording: render it to audio first."
_NOT_AUDIO = "It is no audio file, whatever its name says; rename or delete it."

_BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"MThd", "a MIDI file: notes, no sound", _NOTES),
    (8, b"RMID", "a MIDI file: notes, no sound", _NOTES),
    (0, b"Extended Module: ", "a tracker module (XM): notes, no recording", _NOTES),
    (0, b"IMPM", "a tracker module (IT): notes, no recording", _NOTES),
    (44, b"SCRM", "a tracker module (S3M): notes, no recording", _NOTES),
    (0, b"PSID", "a SID tune: a program, no recording", _NOTES),
    (0, b"RSID", "a SID tune: a program, no recording", _NOTES),
    (0, b"NESM\x1a", "an NSF tune: a program, no recording", _NOTES),
    (0, b"SNES-SPC700", "an SPC tune: a program, no recording", _NOTES),
    (0, b"PK\x03\x04", "a ZIP archive", "Unpack it."),
    (0, b"PK\x05\x06", "a ZIP archive", "Unpack it."),
    (0, b"Rar!\x1a\x07", "a RAR archive", "Unpack it."),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it."),
    (0, b"\x1f\x8b\x08", "a gzip archive", "Unpack it."),
    (0, b"\xfd7zXZ\x00", "an xz archive", "Unpack it."),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (PNG)", _NOT_AUDIO),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", _NOT_AUDIO),
    (0, b"GIF87a", "a picture (GIF)", _NOT_AUDIO),
    (0, b"GIF89a", "a picture (GIF)", _NOT_AUDIO),
    (8, b"WEBPVP8", "a picture (WebP)", _NOT_AUDIO),
    (0, b"II*\x00", "a picture (TIFF)", _NOT_AUDIO),
    (0, b"MM\x00*", "a picture (TIFF)", _NOT_AUDIO),
    (0, b"%PDF-", "a PDF document", _NOT_AUDIO),
    (0, b"SQLite format 3\x00", "a database", _NOT_AUDIO),
    (0, b"\x7fELF", "a program", _NOT_AUDIO),
    (0, b"MZ\x90\x00", "a program", _NOT_AUDIO),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "a shortcut of Windows", "Give the file it points to."),
    (0, b"\x00\x05\x16\x07", "a companion file of macOS (AppleDouble)", "Delete it, or leave it."),
    (0, b"\x00\x05\x16\x00", "a companion file of macOS (AppleSingle)", "Delete it, or leave it."),
)

_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\s*#EXTM3U|\s*\[playlist\]", re.IGNORECASE), "a playlist"),
    (
        re.compile(rb"\s*<\?xml.{0,500}?<(playlist|smil|asx)\b", re.IGNORECASE | re.DOTALL),
        "a playlist",
    ),
    (re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(rb"\s*<\?xml|\s*<svg", re.IGNORECASE), "an XML document"),
    (re.compile(rb"\s*\{\\rtf"), "a text document (RTF)"),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS"),
)
_TORRENT = re.compile(rb"d\d{1,3}:(announce|comment|created by|creation date|info|nodes|encoding)")
_MODULE = re.compile(rb"M\.K\.|M!K!|M&K!|N\.T\.|FLT[48]|CD81|OKTA|[2468]CHN|[123][02468]C[HN]")
_NOT_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


def refuse_what_is_no_sound(file: AudioFile) -> bytes:
    """Return the first bytes; AudioError if they show that the file is something else."""
    head = file.peek_at(0, HEAD_BYTES)
    if not head:
        file.check()
        raise AudioError("the file is empty (0 bytes)", "Delete it or replace it.")
    if head[:1] in b"\x00\xff" and head == head[:1] * len(head):
        _refuse_what_is_empty(file, head[:1])
    if said := _something_else(head):
        raise AudioError(f"not an audio file: {said[0]}", said[1])
    return head


def _refuse_what_is_empty(file: AudioFile, byte: bytes) -> None:
    start = file.peek_at(0, EMPTY_BYTES)
    if start.strip(byte):
        return
    file.check()
    raise AudioError(
        f"unfinished download: {_size(len(start))} of {_size(file.size)} were read, all of them"
        f" {'zeros' if byte == bytes(1) else 'ones'}",
        UNFINISHED,
    )


def _something_else(head: bytes) -> tuple[str, str] | None:
    for offset, beginning, name, hint in _BEGINNINGS:
        if head.startswith(beginning, offset):
            return name, hint
    if _TORRENT.match(head):
        return "a torrent: where to get a file, not the file", "Download what it describes."
    if _MODULE.fullmatch(head[1080:1084]):
        return "a tracker module (MOD): notes, no recording", _NOTES
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> tuple[str, str] | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        # Also how a frame of MPEG audio can begin; in a text every second byte is 0.
        if head[3:64:2].strip(b"\0") and head[2:64:2].strip(b"\0"):
            return None
        return "a text file", _NOT_AUDIO
    if head.translate(None, _NOT_IN_TEXT) != head:
        return None
    try:
        head.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        # The last letter may be cut; in old encodings most bytes are still ASCII.
        if error.start < len(head) - 4 and sum(byte > 127 for byte in head) > len(head) // 2:
            return None
    text = head.removeprefix(b"\xef\xbb\xbf")
    return next(
        (name for pattern, name in _TEXTS if pattern.match(text)), "a text file"
    ), _NOT_AUDIO


_LONG_HEADERS = re.compile(
    rb"fLaC|\x1aE\xdf\xa3|OggS|RIFF|RF64|FORM|\x30\x26\xb2\x75|....(ftyp|moov|mdat|free|wide|skip)",
    re.DOTALL,
)


def header_bytes(file: AudioFile) -> int:
    """Return how much may be read before the first sound.

    Without a header, decoders search for anything that looks like a sound.
    """
    tag = mp3_table(file).start
    if _LONG_HEADERS.match(file.peek_at(tag, 8)):
        return tag + HEADER_BYTES
    return tag + BARREN_BYTES // 2


def share_of_holes(file: AudioFile) -> float:
    """Return the share of a few places of a file that hold nothing but zeros."""
    places = (round((i + 0.5) * file.size / PROBES) for i in range(PROBES))
    length = min(HEAD_BYTES, max(1, file.size // (4 * PROBES)))
    return sum(not file.peek_at(place, length).strip(b"\0") for place in places) / PROBES


def warn_of_holes(file: AudioFile) -> list[str]:
    """Return a warning if a damaged file has holes; AudioError if it is mostly empty."""
    share = share_of_holes(file)
    if share >= HOLES:
        raise AudioError(
            f"unfinished download: about {share:.0%} of the file are zeros", UNFINISHED
        )
    return [f"an unfinished download? about {share:.0%} of the file are zeros"] if share else []


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


# WAV: chunks, and headers that were never completed


class Repaired(NamedTuple):
    """A file to read in the place of one with a wrong header, and what to say about it."""

    source: AudioFile | Stretch
    warning: str | None


_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_GUID_END = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_UNKNOWN_SIZES = frozenset({0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFF000, 0x80000000})
"""Sizes that programs write into a header before they know the size, and any from here on:"""

_ENDLESS = 2**62

_CHUNKS_AT_MOST = 1000
_WAV_PCM, _WAV_FLOAT, _WAV_ANY = 1, 3, 0xFFFE


class _Wave(NamedTuple):
    form: bytes  # chunk "fmt "
    start: int  # of the sound
    size: int  # of the sound, as stated


def repaired_wav(file: AudioFile, head: bytes) -> Repaired:
    """Return a file with another header where a WAV holds more sound than its header says."""
    wave = _wave(file, head)
    if wave is None or len(wave.form) < 16:
        return Repaired(file, None)
    there = file.size - wave.start
    align = max(1, struct.unpack_from("<H", wave.form, 12)[0])
    second = min(max(1024, struct.unpack_from("<I", wave.form, 8)[0]), 2**24)
    unknown = wave.size in _UNKNOWN_SIZES or wave.size >= _ENDLESS
    warning = None
    if wave.size >= there or there < align:
        # Unknown and wrong sizes are read to the end of the file, but for unknown long ones.
        if not unknown and wave.size > there + second:
            warning = f"ends early: {_size(there)} of {_size(wave.size)} of sound are there"
        if not unknown or head[:4] == b"RIFF":
            return Repaired(file, warning)
    elif not unknown:
        if there - wave.size < second or _chunks_follow(file, head, wave.start + wave.size):
            return Repaired(file, None)
        stated = _size(wave.size)
        warning = f"its header says {stated} of sound; {_size(there)} were there and were read"
    size = there // align * align
    header = _header(wave.form, size, align)
    return Repaired(Stretch(file, wave.start, wave.start + size, header), warning)


def _wave(file: AudioFile, head: bytes) -> _Wave | None:
    """Return format and place of the sound of a WAV, RF64 or W64 file."""
    form, long_size = b"", None
    for name, start, size in _chunks(file, head):
        if name == b"fmt ":
            form = file.peek_at(start, min(size, 256))
        elif name == b"ds64" and size >= 16:
            long_size = struct.unpack("<Q", file.peek_at(start + 8, 8))[0]
        elif name == b"data":
            if size == 0xFFFFFFFF and long_size is not None:
                size = long_size
            return _Wave(form, start, size)
    return None


def _chunks(file: AudioFile, head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and size of the chunks up to the sound."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        position, at_once = 12, 8
    elif head.startswith(_W64_RIFF):
        position, at_once = 40, 24
    else:
        return
    for _ in range(_CHUNKS_AT_MOST):
        if position + at_once <= len(head):
            start = head[position : position + at_once]
        else:
            start = file.peek_at(position, at_once)
        if len(start) < at_once:
            return
        if at_once == 8:
            size = struct.unpack("<I", start[4:])[0]
            following = position + 8 + size + size % 2
        else:
            size = struct.unpack("<Q", start[16:])[0]
            following = position + max(24, size + -size % 8)
            size = max(0, size - 24)
        yield start[:4], position + at_once, size
        position = following


def _chunks_follow(file: AudioFile, head: bytes, position: int) -> bool:
    """Whether chunks or tags come at a place, and not more sound."""
    if head.startswith(_W64_RIFF):
        return file.peek_at(position + -position % 8 + 4, 12) == _W64_GUID_END
    position += position % 2
    start = file.peek_at(position, 8)
    if start.startswith((b"APETAGEX", b"ID3", b"TAG")):  # appended without a chunk
        return True
    size = struct.unpack("<I", start[4:])[0]
    named = re.fullmatch(rb"[A-Za-z0-9_ ]{4}", start[:4])
    return bool(named) and size <= file.size - position


def _header(form: bytes, size: int, align: int) -> bytes:
    form_chunk = b"fmt " + struct.pack("<I", len(form)) + form + b"\0" * (len(form) % 2)
    if size < 2**32 - 1024:
        data = b"data" + struct.pack("<I", size)
        return (
            b"RIFF"
            + struct.pack("<I", 4 + len(form_chunk) + 8 + size)
            + b"WAVE"
            + form_chunk
            + data
        )
    sizes = struct.pack("<QQQI", 4 + 36 + len(form_chunk) + 8 + size, size, size // align, 0)
    start = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes
    return start + form_chunk + b"data\xff\xff\xff\xff"


# MP3: whether its length is known or guessed


class Mp3Table(NamedTuple):
    """What an MP3 says about its length; None where it does not tell."""

    start: int  # of the sound, behind the tag
    frames: int | None = None
    size: int | None = None  # of the sound, bytes


def mp3_table(source: AudioFile | Stretch) -> Mp3Table:
    """Read the table that encoders of variable bit rates put into the first frame."""
    here = source.tell()
    source.seek(0)
    head = source.read(10)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        sizes = zip(head[6:], (21, 14, 7, 0), strict=True)
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in sizes)
    source.seek(start)
    frame = source.read(HEAD_BYTES)
    source.seek(here)
    found = _MP3_TABLE.search(frame)
    if found is None:
        return Mp3Table(start)
    size = found["size"] or found["bytes"]
    frames = found["frames"] or found["only"] or found["count"]
    if size is None:  # a table that tells no size is believed
        size = (source.size - start).to_bytes(8, "big")
    return Mp3Table(start, int.from_bytes(frames, "big"), int.from_bytes(size, "big"))


_MP3_TABLE = re.compile(
    rb"(?:Xing|Info)\0\0\0(?:[\x03\x07\x0b\x0f](?P<frames>.{4})(?P<size>.{4})"
    rb"|[\x01\x05\x09\x0d](?P<only>.{4}))|VBRI.{6}(?P<bytes>.{4})(?P<count>.{4})",
    re.DOTALL,
)


# Films' sound on a CD: DTS and AC-3 that call themselves PCM

_DISGUISES = (
    *(bytes.fromhex(sync) for sync in ("7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8")),
    *(bytes.fromhex(sync) for sync in ("72f81f4e", "f8724e1f")),
)
_DISGUISE_BYTES = 2**15


def is_disguised(samples: bytes) -> bool:
    """Whether 16-bit stereo samples are a stream of DTS or AC-3 that calls itself PCM."""
    return any(0 <= samples.find(sync) < samples.rfind(sync) for sync in _DISGUISES)


def is_disguised_wav(file: AudioFile, head: bytes) -> bool:
    """Whether a WAV holds DTS or AC-3 that calls itself PCM."""
    if head[8:12] != b"WAVE" or (wave := _wave(file, head)) is None or len(wave.form) < 16:
        return False
    kind, channels, _, _, _, bits = struct.unpack_from("<HHIIHH", wave.form)
    if (channels, bits) != (2, 16) or kind not in (_WAV_PCM, _WAV_ANY):
        return False
    return is_disguised(file.peek_at(wave.start, _DISGUISE_BYTES))


# Ogg: several recordings in one file

_PAGE_HEADER = 27
_BEGINNING = 2
_SERIAL = slice(14, 18)
_LAST_BYTES = 2**16
_LINKS_AT_MOST = 10_000


def ogg_links(file: AudioFile, head: bytes) -> list[tuple[int, int]]:
    """Return start and end of each recording of an Ogg file, as radio recorders chain them.

    Empty for any other file, and for those whose last page belongs to the first recording.
    """
    if not head.startswith(b"OggS") or len(head) < _PAGE_HEADER:
        return []
    end = file.peek_at(max(0, file.size - _LAST_BYTES), _LAST_BYTES)
    last = end[end.rfind(b"OggS") :]
    if len(last) < _PAGE_HEADER or last[_SERIAL] == head[_SERIAL]:
        return []
    starts: list[int] = []
    position, begins = 0, False
    while header := file.peek_at(position, _PAGE_HEADER + 255):
        if not header.startswith(b"OggS") or len(header) < _PAGE_HEADER:
            position = _next_page(file, position + 1)
            continue
        began, begins = begins, bool(header[5] & _BEGINNING)
        if begins and not began:  # streams side by side begin together
            starts.append(position)
            if len(starts) == _LINKS_AT_MOST:
                break
        segments = header[26]
        position += _PAGE_HEADER + segments + sum(header[27 : 27 + segments])
    return list(pairwise([*starts, file.size]))


def _next_page(file: AudioFile, position: int) -> int:
    """Return where the next page begins behind damage."""
    while block := file.peek_at(position, 2**20):
        if (found := block.find(b"OggS")) >= 0:
            return position + found
        position += max(1, len(block) - 3)
        if len(block) < 4:
            break
    return file.size
