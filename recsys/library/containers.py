"""What a file is by its own bytes: which streams it holds, and where its encoded sound is.

A few kilobytes of each file are read, in Python: a scan asks thousands of files, in the process
that must not crash on any of them. Nothing is decoded.
"""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import BinaryIO, TypeAlias
from zlib import crc32

HEAD_BYTES = 4096
_MOST_BOXES = 100_000  # of one file: a damaged one must not be walked for ever
_MOST_HEADER_BYTES = 1 << 20
_MOST_WALKED_BYTES = 1 << 25  # of a file of which every packet is sought
_BLOCK_BYTES = 1 << 20  # read at once
_MOST_OFFSET = 1 << 43  # file systems refuse to seek further
_ID3V1_BYTES, _ID3V1_PLUS_BYTES, _APE_FOOTER_BYTES = 128, 227, 32
_APE_HAS_HEADER = 1 << 31

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (0, b"DSD ", "dsf"),
    (0, b"FRM8", "dff"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b".RMF", "rm"),
    (0, b"FLV\x01", "flv"),
    (0, b"\0\0\1\xba", "mpeg"),
    (0, b"\0\0\1\xb3", "mpeg"),
    *((4, name, "mp4") for name in (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")),
)
_FORMS = {b"WAVE": "wav", b"AVI ": "avi", b"AIFF": "aiff", b"AIFC": "aiff"}
_BARE_SIGNATURES = (
    *(b"wvpk", b"MAC ", b"MPCK", b"MP+", b"TTA1", b"TTA2", b"tBaK", b"OFR ", b".snd", b"#!AMR"),
    *(b"ajkg", b".ra\xfd", b"ADIF", b"\x7f\xfe\x80\x01", b"Creative Voice File"),
)
# First bytes of the streams of Ogg.
_OGG_PICTURE = (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video")
_OGG_SOUND = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex", b"PCM ", b"CELT")
_STILL = (b"jpeg", b"png ", b"mjpa", b"mjpb")  # codecs of cover art in MP4
_ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ASF_PICTURE = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_SEGMENT, _TRACKS, _TRACK, _TRACK_TYPE = 0x18538067, 0x1654AE6B, 0xAE, 0x83
_CLUSTER, _BLOCK_GROUP, _BLOCKS = 0x1F43B675, 0xA0, (0xA1, 0xA3)


@dataclass(frozen=True, slots=True)
class Streams:
    """What a file holds."""

    sound: bool
    moving_picture: bool  # cover art is none


_NOTHING = Streams(sound=False, moving_picture=False)
_SOUND = Streams(sound=True, moving_picture=False)


def streams(file: BinaryIO) -> Streams:
    """Return what an open file holds; OSError where it cannot be read."""
    start, tagged = _after_id3(file)
    kind = _kind(_read(file, start, HEAD_BYTES))
    if kind in _STREAMS_OF:
        try:
            return _STREAMS_OF[kind](file)
        except (struct.error, IndexError):  # cut off
            return _NOTHING
    return _SOUND if kind is not None or tagged else _NOTHING


def _kind(head: bytes) -> str | None:
    """Return the format that some first bytes are of; ``bare`` for sound without a container."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"FORM"):
        return _FORMS.get(head[8:12])
    if head.startswith(_BARE_SIGNATURES) or _is_framed(head):
        return "bare"
    if head[:1] == head[188:189] == b"G" or head[4:5] == head[196:197] == b"G":
        return "mpeg"  # a transport stream, of packets of 188 or 192 bytes
    return None


_KBITS = {  # of MPEG audio, by (version 1, layer)
    (True, 1): (*range(32, 449, 32),),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)


def _is_framed(head: bytes) -> bool:
    """Return whether bytes begin with two frames of MPEG audio or ADTS, or with AC-3."""
    if head[:2] == b"\x0b\x77":
        return True
    length = _frame_bytes(head)
    return length is not None and _frame_bytes(head[length:]) is not None


def _frame_bytes(head: bytes) -> int | None:
    """Return the length of the frame at the start of bytes; None where there is none."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = 4 - (head[1] >> 1 & 3)
    if layer == 4:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return length if head[1] & 0xF0 == 0xF0 and length > 7 else None
    version, kbit, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < kbit < 15 or rate == 3:
        return None
    bits: int = _KBITS[version == 3, layer][kbit - 1] * 1000
    hertz: int = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    samples = 72 if layer == 3 and version != 3 else 144
    return samples * bits // hertz + padding


# Streams of the formats that may hold a moving picture


def _mp4_streams(file: BinaryIO) -> Streams:
    sound = picture = False
    end = file.seek(0, os.SEEK_END)
    for name, start, stop in _boxes(file, 0, end):
        if name != b"moov":
            continue
        for _, track, track_end in _boxes(file, start, stop, b"trak"):
            for _, media, media_end in _boxes(file, track, track_end, b"mdia"):
                handler = codec = b""
                for inner, inside, inside_end in _boxes(file, media, media_end):
                    if inner == b"hdlr":
                        handler = _read(file, inside + 8, 4)
                    elif inner == b"minf":
                        codec = _mp4_codec(file, inside, inside_end)
                sound |= handler == b"soun"
                picture |= handler == b"vide" and codec not in _STILL
        break
    return Streams(sound, picture)


def _mp4_codec(file: BinaryIO, start: int, end: int) -> bytes:
    for _, table, table_end in _boxes(file, start, end, b"stbl"):
        for _, entry, _ in _boxes(file, table, table_end, b"stsd"):
            return _read(file, entry + 12, 4)
    return b""


def _boxes(
    file: BinaryIO, start: int, end: int, wanted: bytes | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of the boxes of MP4 in a range."""
    for _ in range(_MOST_BOXES):
        head = _read(file, start, 16)
        if len(head) < 8 or start >= end:
            return
        size, name, inside = int.from_bytes(head[:4]), head[4:8], start + 8
        if size == 1:
            size, inside = int.from_bytes(head[8:16]), start + 16
        stop = end if size == 0 else min(end, start + size)
        if stop < inside:
            return
        if wanted is None or name == wanted:
            yield name, inside, stop
        start = stop


def _matroska_streams(file: BinaryIO) -> Streams:
    kinds: set[int] = set()
    for name, start, size in _segment(file):
        if name == _CLUSTER:
            break
        if name == _TRACKS:
            tracks = _read(file, start, min(size or 0, _MOST_HEADER_BYTES))
            for track, content in _elements(tracks):
                if track == _TRACK:
                    kinds |= {c[0] for n, c in _elements(content) if n == _TRACK_TYPE and c}
            break
    return Streams(2 in kinds, 1 in kinds)


def _segment(file: BinaryIO) -> Iterator[tuple[int, int, int | None]]:
    """Yield name, start and size of the parts of a Matroska file; None for an unknown size."""
    start, inside = 0, False
    for _ in range(_MOST_BOXES):
        head = _read(file, start, 16)
        if not head:
            return
        name, size, length = _element(head)
        if name is None:
            return
        start += length
        if name == _SEGMENT and not inside:
            inside = True
            continue
        if inside:
            yield name, start, size
        if size is None:
            return
        start += size


def _element(head: bytes) -> tuple[int | None, int | None, int]:
    """Return name and size of an element of EBML, and the bytes that the two take."""
    name_bytes = 9 - head[0].bit_length()
    if name_bytes > 4 or len(head) <= name_bytes or not head[name_bytes]:
        return None, None, 0
    name = int.from_bytes(head[:name_bytes])
    size_bytes = 9 - head[name_bytes].bit_length()
    if len(head) < name_bytes + size_bytes:
        return None, None, 0
    ones = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(head[name_bytes : name_bytes + size_bytes]) & ones
    return name, None if size == ones else size, name_bytes + size_bytes


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(content):
        name, size, length = _element(content[start : start + 16])
        if name is None or size is None:
            return
        start += length
        yield name, content[start : start + size]
        start += size


def _asf_streams(file: BinaryIO) -> Streams:
    kinds = set()
    header_end = int.from_bytes(_read(file, 16, 8), "little")
    for name, start, _ in _asf_objects(file, 30, header_end):
        if name == _ASF_STREAM:
            kinds.add(_read(file, start, 16))
    return Streams(_ASF_SOUND in kinds, _ASF_PICTURE in kinds)


def _asf_objects(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST_BOXES):
        head = _read(file, start, 24)
        if len(head) < 24 or start >= end:
            return
        size = int.from_bytes(head[16:], "little")
        if size < 24:
            return
        yield head[:16], start + 24, start + size
        start += size


def _ogg_streams(file: BinaryIO) -> Streams:
    sound = picture = False
    for start, head, first in _ogg_pages(file):
        if not head[5] & 2:  # the first pages of all streams come first
            break
        content = _read(file, start + first, 16)
        picture |= content.startswith(_OGG_PICTURE)
        sound |= content.startswith(_OGG_SOUND)
    return Streams(sound, picture)


def _ogg_pages(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Yield start and header of the pages of an Ogg file, and how long the header is."""
    start = 0
    for _ in range(_MOST_BOXES):
        head = _read(file, start, 27 + 255)
        if head[:4] != b"OggS" or len(head) < 27:
            return
        first = 27 + head[26]
        yield start, head, first
        start += first + sum(head[27:first])


def _flv_streams(file: BinaryIO) -> Streams:
    flags = _read(file, 4, 1)[0]
    return Streams(bool(flags & 4), bool(flags & 1))


def _avi_streams(file: BinaryIO) -> Streams:
    kinds = set(re.findall(rb"strh....(vids|auds)", _read(file, 0, 1 << 16), re.DOTALL))
    return Streams(b"auds" in kinds, b"vids" in kinds)


def _rm_streams(file: BinaryIO) -> Streams:
    head = _read(file, 0, 1 << 16).partition(b"DATA\0")[0]
    return Streams(b"audio/" in head, b"video/" in head)


def _mpeg_streams(file: BinaryIO) -> Streams:
    head = _read(file, 0, 1 << 19)
    # Each piece of a stream begins with what it is of.
    sound = re.search(rb"\x00\x00\x01[\xbd\xc0-\xdf]", head) is not None
    return Streams(sound, re.search(rb"\x00\x00\x01[\xe0-\xef]", head) is not None)


_STREAMS_OF = {
    "asf": _asf_streams,
    "avi": _avi_streams,
    "flv": _flv_streams,
    "matroska": _matroska_streams,
    "mp4": _mp4_streams,
    "mpeg": _mpeg_streams,
    "ogg": _ogg_streams,
    "rm": _rm_streams,
}


# Where the encoded sound is: what a change of tags leaves as it is


@dataclass(frozen=True)
class SoundLayout:
    """Where the encoded sound of a file is, whatever its tags are."""

    kind: str  # of format
    pieces: tuple[tuple[int, int], ...]  # start and end, bytes; in the order of the sound
    facts: bytes = b""  # what the file says of all of its sound
    states_checksum: bool = False  # of all of its sound, among the facts

    @cached_property
    def _ends(self) -> list[int]:
        """Where each piece ends, counted from the start of the sound."""
        return list(accumulate(end - start for start, end in self.pieces))

    @property
    def length(self) -> int:
        """Bytes of encoded sound."""
        return self._ends[-1] if self.pieces else 0

    def read(self, file: BinaryIO, offset: int, count: int) -> bytes:
        """Return bytes from an offset into the sound on."""
        parts = []
        place = bisect_right(self._ends, offset)
        while count > 0 and place < len(self.pieces):
            end = self.pieces[place][1]
            start = end - (self._ends[place] - offset)
            take = min(count, end - start)
            parts.append(self._piece(file, start, take))
            count, offset, place = count - take, offset + take, place + 1
        return b"".join(parts)

    def checksum(self, file: BinaryIO) -> int:
        """Return the CRC-32 of all of the sound: a few times faster than any hash."""
        checksum = first = 0
        block = memoryview(b"")
        for start, end in self.pieces:
            while start < end:
                if not first <= start < first + len(block):  # pieces lie close together
                    first, block = start, memoryview(self._piece(file, start, _BLOCK_BYTES))
                    if not block:  # a damaged file states more than there is
                        return checksum
                part = block[start - first : end - first]
                checksum = crc32(part, checksum)
                start += len(part)
        return checksum

    def _piece(self, file: BinaryIO, start: int, count: int) -> bytes:
        if self.kind != "ogg pages":
            return _read(file, start, count)
        # New tags may number all pages of Ogg anew, which changes their checksums, too.
        before = min(25, start)
        block = bytearray(_read(file, start - before, count + before))
        found = block.find(b"OggS")
        while found >= 0:
            block[found + 18 : found + 26] = bytes(len(block[found + 18 : found + 26]))
            found = block.find(b"OggS", found + 26)
        return bytes(block[before:])


_LayoutOf: TypeAlias = Callable[[BinaryIO, int, int], SoundLayout]


def sound_layout(file: BinaryIO) -> SoundLayout:
    """Return where the sound of an open file is; OSError where it cannot be read."""
    start, _ = _after_id3(file)
    end = file.seek(0, os.SEEK_END)
    kind = _kind(_read(file, start, HEAD_BYTES)) or "bare"
    try:
        layout = _LAYOUT_OF[kind](file, start, end) if kind in _LAYOUT_OF else None
    except (struct.error, IndexError):
        layout = None
    if layout is not None and layout.length > 0:
        return layout
    start += _index_frame_bytes(_read(file, start, HEAD_BYTES))
    return SoundLayout("bare", ((start, max(start, _before_tags(file, start, end))),))


def _index_frame_bytes(head: bytes) -> int:
    """Return the length of a first frame of MP3 that is an index, which programs write anew."""
    length = _frame_bytes(head) or 0
    is_index = any(name in head[:length][:256] for name in (b"Xing", b"Info", b"VBRI"))
    return length if is_index else 0


def _flac_layout(file: BinaryIO, start: int, end: int) -> SoundLayout:
    place, facts = start + 4, b""
    for _ in range(_MOST_BOXES):
        head = _read(file, place, 4)
        size = int.from_bytes(head[1:])
        if head[0] & 0x7F == 0:  # STREAMINFO: number of samples, and a checksum of all of them
            facts = _read(file, place + 4, min(size, 64))
        place += 4 + size
        if head[0] & 0x80:
            break
    sound = (place, max(place, _before_tags(file, place, end)))
    # The last 16 bytes; some encoders leave them empty.
    return SoundLayout("flac", (sound,), facts, states_checksum=any(facts[18:34]))


def _ogg_layout(file: BinaryIO, _: int, end: int) -> SoundLayout:
    pieces: list[tuple[int, int]] = []
    stop = 0
    for start, head, first in _ogg_pages(file):
        # Those of tags hold no sound: none ends there, or they end at sample 0.
        if not pieces and int.from_bytes(head[6:14], "little", signed=True) <= 0:
            continue
        if end > _MOST_WALKED_BYTES:
            return SoundLayout("ogg pages", ((start, end),))
        stop = start + first + sum(head[27:first])
        pieces.append((start + first, min(end, stop)))
    if pieces and stop < end:
        pieces.append((stop, end))  # what is no page
    return SoundLayout("ogg", tuple(pieces))


def _mp4_layout(file: BinaryIO, _: int, end: int) -> SoundLayout:
    pieces = tuple((start, stop) for _, start, stop in _boxes(file, 0, end, b"mdat"))
    return SoundLayout("mp4", pieces)


def _matroska_layout(file: BinaryIO, _: int, end: int) -> SoundLayout:
    clusters = ((start, size) for name, start, size in _segment(file) if name == _CLUSTER)
    pieces = [(s, end if size is None else min(end, s + size)) for s, size in clusters]
    if end > _MOST_WALKED_BYTES:
        return SoundLayout("matroska clusters", tuple(pieces))
    blocks = [block for start, stop in pieces for block in _blocks(file, start, stop)]
    return SoundLayout("matroska", tuple(blocks))


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the content of the blocks of a cluster of Matroska is."""
    content = _read(file, start, end - start)
    place = 0
    while place < len(content):
        name, size, head = _element(content[place : place + 16])
        if name is None:
            return
        place += head
        if name in (_BLOCK_GROUP, _CLUSTER):  # a cluster of unknown size has the next one
            continue
        stop = len(content) if size is None else min(len(content), place + size)
        if name in _BLOCKS:
            # After the number of the track, a time in the cluster, and flags.
            yield start + min(stop, place + 4), start + stop
        place = stop


def _asf_layout(file: BinaryIO, _: int, end: int) -> SoundLayout:
    found = (
        # After the id of the file and the number of packets.
        (start + 26, min(end, stop))
        for name, start, stop in _asf_objects(file, 0, end)
        if name == _ASF_DATA
    )
    return SoundLayout("asf", tuple(found)[:1])


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How a format writes its chunks: a name, a size, the content."""

    first: int  # where the chunks begin
    name: int  # bytes
    size: str  # for struct
    sound: tuple[bytes, ...]
    facts: tuple[bytes, ...] = ()
    with_header: bool = False  # the size counts name and size
    multiple: int = 2  # of bytes, to which a chunk is filled up
    fact_start: int = 0

    def layout(self, kind: str, file: BinaryIO, end: int) -> SoundLayout:
        """Walk the chunks up to that of the sound."""
        place, facts, head_bytes = self.first, b"", self.name + struct.calcsize(self.size)
        for _ in range(_MOST_BOXES):
            head = _read(file, place, head_bytes)
            if len(head) < head_bytes:
                break
            name = head[: self.name]
            size = struct.unpack(self.size, head[self.name :])[0]
            inside = place + head_bytes
            size -= head_bytes if self.with_header else 0
            if name in self.sound:
                # A size of 0 or of all ones: the recorder never came to write it.
                known = 0 < size <= end - inside
                return SoundLayout(kind, ((inside, inside + size if known else end),), facts)
            if name in self.facts:
                facts += _read(file, inside, min(max(size, 0), 16))[self.fact_start :]
            place = inside + max(size, 0)
            place += -place % self.multiple
        return SoundLayout(kind, ())


_CHUNKS = {
    # Programs write the same samples with one of two numbers of the format, which comes first.
    "wav": _Chunks(12, 4, "<I", (b"data",), (b"fmt ",), fact_start=2),
    "aiff": _Chunks(12, 4, ">I", (b"SSND",), (b"COMM",)),
    "caf": _Chunks(8, 4, ">q", (b"data",), (b"desc",), multiple=1),
    "dff": _Chunks(16, 4, ">Q", (b"DSD ", b"DST "), ()),
    "dsf": _Chunks(28, 4, "<Q", (b"data",), (b"fmt ",), with_header=True, multiple=1),
    "rm": _Chunks(0, 4, ">I", (b"DATA",), (), with_header=True, multiple=1),
    "w64": _Chunks(
        40,
        16,
        "<Q",
        (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",),
        (b"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",),
        with_header=True,
        multiple=8,
        fact_start=2,
    ),
}


def _chunk_layout(kind: str) -> _LayoutOf:
    return lambda file, _, end: _CHUNKS[kind].layout(kind, file, end)


_LAYOUT_OF: dict[str, _LayoutOf] = {
    "asf": _asf_layout,
    "flac": _flac_layout,
    "matroska": _matroska_layout,
    "mp4": _mp4_layout,
    "ogg": _ogg_layout,
    **{kind: _chunk_layout(kind) for kind in _CHUNKS},
}


# Tags before and after the sound


def _after_id3(file: BinaryIO) -> tuple[int, bool]:
    """Return where a file begins after ID3v2 tags, and whether there are any."""
    start = 0
    for _ in range(8):
        head = _read(file, start, 10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        start += 10 + _id3_bytes(head) + (10 if head[5] & 0x10 else 0)
    return start, start > 0


def _id3_bytes(head: bytes) -> int:
    return int(sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10])))


def _before_tags(file: BinaryIO, start: int, end: int) -> int:
    """Return where a file ends before ID3v1, APEv2, Lyrics3 and appended ID3v2 tags."""
    for _ in range(8):
        tail_start = max(start, end - _ID3V1_PLUS_BYTES - _ID3V1_BYTES)
        tail = _read(file, tail_start, end - tail_start)
        footer = tail[-_APE_FOOTER_BYTES:]
        if tail[-_ID3V1_BYTES:][:3] == b"TAG":
            end -= _ID3V1_BYTES
            end -= _ID3V1_PLUS_BYTES if tail[:4] == b"TAG+" else 0
        elif footer[:8] == b"APETAGEX" and len(footer) == _APE_FOOTER_BYTES:
            size, _, flags = struct.unpack("<III", footer[12:24])
            end -= size + (_APE_FOOTER_BYTES if flags & _APE_HAS_HEADER else 0)
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            end -= 15 + int(tail[-15:-9])
        elif tail[-10:-7] == b"3DI":
            end -= 20 + _id3_bytes(tail[-10:])
        else:
            break
        if end <= start:
            return start
    return end


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    """Read bytes from a place on; fewer only at the end of the file, OSError if the disk fails."""
    if not 0 <= start < _MOST_OFFSET or count <= 0:  # as damaged files say
        return b""
    file.seek(start)
    content = file.read(count) or b""
    # What a disk read before it failed comes alone, the failure with the next call.
    while len(content) < count and (more := file.read(count - len(content))):
        content += more
    return content
