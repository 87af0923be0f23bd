"""Damage to bytes, made from a seed: the same seed and number give the same bytes for ever."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

Mutation: TypeAlias = Callable[[random.Random, bytearray, Sequence[bytes]], None]

HEAD_BYTES = 4096
"""Half of all damage is done here: headers and tags are where the lengths are."""

NUMBERS = (0, 1, 2, 4, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**24, 2**28, 2**31 - 1)
"""Lengths and counts that programs stumble over, beside those one off, and all bits set."""

MARKS = re.compile(
    rb"RIFF|RF64|WAVE|fmt |data|LIST|INFO|id3 |ID3 |FORM|COMM|SSND|fLaC|OggS|OpusHead|vorbis|"
    rb"wvpk|ID3|TAG|APETAGEX|APIC|T[A-Z]{3}|ftyp|moov|mvhd|trak|mdia|stsd|stsz|stco|stts|ilst|"
    rb"udta|mdat|mp4a|alac|\xff[\xf0-\xff]|\x0b\x77|\x30\x26\xb2\x75"
)
"""Where the fields of a file begin, in the formats of sound; lengths stand around them."""


def mutated(data: bytes, others: Sequence[bytes], seed: str, most: int = 4) -> bytes:
    """Return data with one to `most` kinds of damage; `others` are spliced in."""
    rng = random.Random(seed)
    content = bytearray(data)
    for _ in range(rng.randint(1, most)):
        rng.choice(MUTATIONS)(rng, content, others)
    return bytes(content)


def _place(rng: random.Random, content: bytearray) -> int:
    """Return a position: near the start, at a field, or anywhere."""
    if not content:
        return 0
    kind = rng.random()
    if kind < 0.4:
        return rng.randrange(min(HEAD_BYTES, len(content)))
    if kind < 0.6:
        start = rng.randrange(len(content))
        if found := MARKS.search(content, start if rng.random() < 0.5 else 0):
            return found.start()
    return rng.randrange(len(content))


def _stretch(rng: random.Random, content: bytearray) -> slice:
    start = _place(rng, content)
    longest = rng.choice((8, 64, 1024, 65_536))
    return slice(start, min(len(content), start + rng.randint(1, longest)))


def flip(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Flip up to 32 bits."""
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        if content:
            content[_place(rng, content)] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Fill a stretch with zeros, ones or noise."""
    where = _stretch(rng, content)
    length = len(content[where])
    content[where] = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length)))


def cut(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Cut off the end."""
    del content[_place(rng, content) :]


def remove(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Remove a stretch."""
    del content[_stretch(rng, content)]


def repeat(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Repeat a stretch where it is, or copy it elsewhere."""
    piece = content[_stretch(rng, content)] * rng.choice((1, 1, 2, 30))
    at = _place(rng, content)
    content[at:at] = piece[:262_144]


def splice(rng: random.Random, content: bytearray, others: Sequence[bytes]) -> None:
    """Put the start of one file before the rest of another, or a piece of another into this."""
    if not others:
        return
    other = bytearray(rng.choice(others))
    if rng.random() < 0.5:
        content[_place(rng, content) :] = other[_place(rng, other) :]
    else:
        at = _place(rng, content)
        content[at:at] = other[_stretch(rng, other)]


def edit_number(rng: random.Random, content: bytearray, _others: Sequence[bytes]) -> None:
    """Write a length or count that is wrong near a field, in either order of bytes."""
    width = rng.choice((1, 2, 4, 4, 4, 8))
    whole = 256**width - 1
    value = rng.choice((*NUMBERS, len(content), len(content) - 1, whole, whole - 1, whole // 2 + 1))
    if rng.random() < 0.2:
        value = rng.randrange(whole)
    at = _place(rng, content) + rng.choice((0, 4, 4, 8, -4, 2, 16))
    if at >= 0 and at + width <= len(content):
        order = "little" if rng.random() < 0.5 else "big"
        content[at : at + width] = (value & whole).to_bytes(width, order)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, flip, edit_number, edit_number, edit_number),
    *(overwrite, cut, remove, repeat, splice),
)
