"""Covers: from the tags of a file or its folder, in a few sizes, kept in a bounded folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutagen
from mutagen.flac import Picture
from PIL import Image

from recsys import atomic

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Formats of pictures that are read."""

MOST_BYTES = 20 * 2**20
"""Of a picture that is read."""

MOST_PIXELS = 50_000_000
"""Of a picture that is read: one of few bytes may unfold to gigabytes."""

MOST_KEPT = 256 * 2**20
"""Bytes of all pictures that are kept."""

_NAMES = ("cover", "folder", "front", "album", "albumart", "albumartsmall")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_FRONT = 3  # the type of a picture in ID3 and FLAC
_CHECK_EVERY = 200


class Covers:
    """Pictures of files, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def of(self, file: Path, size: int, form: str = "WEBP") -> bytes | None:
        """Return the cover of a file, its longest edge at most `size`; None without one."""
        key = self._key(file, size, form)
        kept = self._folder / key
        with contextlib.suppress(OSError):
            content = kept.read_bytes()
            return content or None
        picture = next(
            (small for raw in _pictures(file) if (small := _reduced(raw, size, form))), b""
        )
        with contextlib.suppress(OSError):  # a full disk: it is made again the next time
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(kept, picture)
            self._made += 1
            if self._made % _CHECK_EVERY == 1:
                self._prune()
        return picture or None

    def _key(self, file: Path, size: int, form: str) -> str:
        """Return a name that changes with the file, and with its folder."""
        states = []
        for path in (file, file.parent):
            with contextlib.suppress(OSError):
                states.append(path.stat().st_mtime_ns)
        text = f"{os.fsencode(file)!r} {states} {size} {form}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _prune(self) -> None:
        """Delete the pictures that were made first, down to half of what may be kept."""
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= MOST_KEPT:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            total -= size
            if total <= MOST_KEPT // 2:
                return


def _pictures(file: Path) -> Iterator[bytes]:
    """Yield the pictures of a file, those in its tags first."""
    with contextlib.suppress(Exception):  # tags of any kind of damage
        yield from _in_tags(file)
    with contextlib.suppress(OSError):
        found = {path.name.lower(): path for path in file.parent.iterdir()}
        for name in (f"{stem}{suffix}" for stem in _NAMES for suffix in _SUFFIXES):
            path = found.get(name)
            # A link may lead anywhere.
            if (
                path
                and path.is_file()
                and not path.is_symlink()
                and path.stat().st_size <= MOST_BYTES
            ):
                yield path.read_bytes()


def _in_tags(file: Path) -> Iterator[bytes]:
    opened: Any = mutagen.File(file)
    if opened is None:
        return
    pictures = list(getattr(opened, "pictures", ()))
    tags: Any = opened.tags if opened.tags is not None else {}
    if hasattr(tags, "getall"):
        pictures += tags.getall("APIC")
    for text in tags.get("metadata_block_picture", ()) if hasattr(tags, "get") else ():
        pictures.append(Picture(base64.b64decode(text)))  # type: ignore[no-untyped-call]
    pictures.sort(key=lambda each: each.type != _FRONT)
    yield from (bytes(each.data) for each in pictures)
    if not hasattr(tags, "get"):
        return
    yield from (bytes(each) for each in tags.get("covr", ()))
    of_ape = tags.get("Cover Art (Front)")
    if of_ape is not None:
        yield bytes(of_ape.value).partition(b"\0")[2]


def _reduced(raw: bytes, size: int, form: str) -> bytes | None:
    """Return a picture not larger than `size`; None for one that cannot be read."""
    if not raw or len(raw) > MOST_BYTES:
        return None
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            picture.draft("RGB", (size, size))
            small = picture.convert("RGB")
            small.thumbnail((size, size))
            target = io.BytesIO()
            small.save(target, form, quality=80)
            return target.getvalue()
    except Exception:  # noqa: BLE001 (a decoder of pictures raises anything)
        return None
