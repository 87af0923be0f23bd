"""Files as the decoders see them: regular, with a memory of what went wrong while they were read.

libsndfile and FFmpeg take an error of the disk for the end of the file. What they read through
here remembers it, so that a track is never analysed from its first seconds for that reason.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from typing import TYPE_CHECKING

import av

from recsys.errors import AudioError, being_written, cannot_read, not_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer, WriteableBuffer  # noqa: F401 (of the base class)

# FFmpeg reports damage line by line on standard error; here it becomes one warning per file.
av.logging.set_level(av.logging.PANIC)

HEADER_BYTES = 64 * 2**20
"""What may be read before the first sound: covers in tags, tables of long films."""

BARREN_BYTES = 16 * 2**20
"""What may be read between two pieces of sound, before the rest counts as empty."""

_OPTIONS = {
    # A playlist that calls itself a song must not open other files, nor the network.
    "protocol_whitelist": "none",
}


class AudioFile(io.FileIO):
    """A regular file that remembers errors of the disk and ends where no sound comes any more."""

    def __init__(self, path: Path) -> None:
        try:
            if not _may_hold_sound(path.stat().st_mode):
                raise not_regular()
            super().__init__(os.fspath(path), opener=_without_waiting)
            self._before = os.fstat(self.fileno())
        except OSError as error:
            raise cannot_read(error) from error
        self.size = self._before.st_size
        self.trouble: OSError | None = None
        self.allowance: int | None = None  # bytes to be read without a sound; None: all

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does, but take an error for the end, which :meth:`check` reports."""
        try:
            data = super().read(-1 if size is None else size) or b""
        except OSError as error:
            self.trouble = self.trouble or error
            return b""
        return data if self._allowed(len(data)) else b""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As :meth:`read`."""
        try:
            count = super().readinto(buffer) or 0
        except OSError as error:
            self.trouble = self.trouble or error
            return 0
        return count if self._allowed(count) else 0

    def _allowed(self, count: int) -> bool:
        if self.allowance is None:
            return True
        self.allowance -= count
        return self.allowance > 0

    def peek_at(self, offset: int, length: int) -> bytes:
        """Return bytes from anywhere, shorter at the end of the file; the position stays."""
        here = self.tell()
        self.seek(offset)
        allowance, self.allowance = self.allowance, None
        data = b""
        while len(data) < length and (more := self.read(length - len(data))):
            data += more
        self.allowance = allowance
        self.seek(here)
        return data

    def check(self) -> None:
        """PassingError if the disk failed while the file was read, or the file was written to."""
        if self.trouble is not None:
            raise cannot_read(self.trouble) from self.trouble
        try:
            now = os.fstat(self.fileno())
        except OSError as error:  # of a network disk that has gone
            raise cannot_read(error) from error
        if (now.st_size, now.st_mtime_ns) != (self.size, self._before.st_mtime_ns):
            raise being_written()


def _may_hold_sound(mode: int) -> bool:
    # A folder is refused when it is opened, with the words of the system.
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _without_waiting(name: str, flags: int) -> int:
    """Open for reading; a FIFO that has just taken the place of a file does not wait."""
    fd = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if not _may_hold_sound(os.fstat(fd).st_mode):
        os.close(fd)
        raise not_regular()
    return fd


class Stretch(io.RawIOBase):
    """A stretch of a file as a file of its own, behind a header of its own if it has one."""

    def __init__(self, file: AudioFile, start: int, end: int, header: bytes = b"") -> None:
        self._file, self._start, self._header = file, start, header
        self._position = 0
        self.size = len(header) + end - start
        self.name = file.name

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, counted from the header."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move as in a file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes."""
        left = max(0, self.size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        data = self._header[self._position : self._position + size]
        if len(data) < size:
            self._file.seek(self._start + self._position + len(data) - len(self._header))
            data += self._file.read(size - len(data))
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As :meth:`read`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def open_audio(path: Path) -> Iterator[AudioFile]:
    """Open a file for decoding.

    PassingError, at the end too, for trouble that is not the file's own: whatever was found until
    then says nothing about the file.
    """
    file = AudioFile(path)
    with contextlib.closing(file):
        try:
            yield file
        except AudioError:
            file.check()
            raise
        file.check()


def container_of(
    source: AudioFile | Stretch, metadata_errors: str = "ignore"
) -> av.container.InputContainer:
    """Open with FFmpeg, whatever bytes the name has; AudioError for an unknown format."""
    source.seek(0)
    try:
        return av.open(source, "r", metadata_errors=metadata_errors, options=dict(_OPTIONS))
    except (av.FFmpegError, OSError, ValueError) as error:
        out_of_memory(error)
        raise AudioError(f"FFmpeg cannot read it: {error}") from error


SPARE_BYTES = 256 * 2**20
"""While so much memory can be had, a decoder that lacks some was asked for it by a damaged file."""


def out_of_memory(error: Exception) -> None:
    """MemoryError if that is what an error of a decoder means: it is not the file's.

    FFmpeg says the same of the sizes that a damaged file makes up.
    """
    if getattr(error, "errno", None) == errno.ENOMEM:
        try:
            bytearray(SPARE_BYTES)  # not touched: it costs no more than an entry in a table
        except MemoryError:
            raise MemoryError(str(error)) from error
