"""The files of a library: scan, tags, and identity, which survives a move.

Nothing is decoded here. mutagen reads tags; the identity is a hash of the encoded packets, demuxed
by FFmpeg (PyAV).
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.errors import AudioError, PassingError, RecsysError
from recsys.types import Tags, TrackFile

if TYPE_CHECKING:
    import hashlib

    import av

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "au", "caf", "dff", "dsf", "eac3"),
        *("flac", "m4a", "m4b", "mka", "mp2", "mp3", "mpc", "oga", "ogg", "opus", "ra", "snd"),
        *("spx", "tak", "tta", "w64", "wav", "wave", "wma", "wv"),
    )
)
"""Extensions of the files that a scan finds."""


def absolute(path: str | Path) -> Path:
    """Return a path as the library stores it: absolute, ``~`` expanded, links kept.

    RecsysError for an empty one, as an unset shell variable is: not the current folder.
    """
    if not str(path):
        raise RecsysError("an empty path was given", "Check the variable or argument it came from.")
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (it would follow links)


def outermost(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return absolute folders or files, without repetitions and those inside another."""
    if isinstance(folders, str | Path):
        folders = [folders]
    roots: list[Path] = []
    # Paths sort by their components, so what is inside a folder follows it at once.
    for folder in sorted({absolute(folder) for folder in folders}):
        if not roots or not folder.is_relative_to(roots[-1]):
            roots.append(folder)
    return roots


@dataclass(slots=True)
class ScanReport:
    """Side results of a scan. Files of an unreadable folder count neither as found nor as gone."""

    found: int = 0  # audio files so far
    # Folders on another file system than their parent: mounts, and links to them.
    volumes: set[Path] = field(default_factory=set)
    unreadable: dict[Path, str] = field(default_factory=dict)  # folders, and why


def scan(root: Path, report: ScanReport | None = None) -> Iterator[TrackFile]:
    """Find the audio files below a folder, in the order of their names.

    Links are followed; a folder that is reached twice (a loop, two links to it) is visited once.
    Hidden names are skipped, and so is everything but regular files with an extension of
    :data:`AUDIO_SUFFIXES`. Files that vanish meanwhile are no error. Memory grows with the depth
    and width of one folder, not with the library. The report is filled while the scan runs.
    """
    report = report if report is not None else ScanReport()
    visited: set[tuple[int, int]] = set()
    try:
        device = root.stat().st_dev
    except OSError as error:
        report.unreadable[root] = error.strerror or str(error)
        return
    folders = [(os.fspath(root), device)]
    while folders:
        folder, parent_device = folders.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116 (a str, for speed)
            key = (status.st_dev, status.st_ino)
            if key in visited:
                continue
            visited.add(key)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            report.unreadable[Path(folder)] = error.strerror or str(error)
            continue
        if status.st_dev != parent_device:
            report.volumes.add(Path(folder))
        subfolders = []
        parent = Path(folder)  # once: taking a path apart is what a scan does most
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                subfolders.append((entry.path, status.st_dev))
            elif (file := _track_file(parent, entry)) is not None:
                report.found += 1
                yield file
        folders.extend(reversed(subfolders))  # a stack: the first one is scanned next


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def track_file(path: Path) -> TrackFile | None:
    """Return a file as it is now, None where there is no regular file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return TrackFile(path, status.st_size, status.st_mtime_ns) if _is_regular(status) else None


def _track_file(folder: Path, entry: os.DirEntry[str]) -> TrackFile | None:
    if os.path.splitext(entry.name)[1].lower() not in AUDIO_SUFFIXES:  # noqa: PTH122 (speed)
        return None
    try:
        status = entry.stat()
    except OSError:
        return None
    if not _is_regular(status):
        return None
    return TrackFile(folder / entry.name, status.st_size, status.st_mtime_ns)


def _is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


# Names of one field in the formats: mutagen's "easy" names (ID3, MP4, Vorbis) and FFmpeg's, then
# raw ID3 (WAV, AIFF), then ASF. mutagen ignores the case of APE keys.
_FIELDS: dict[str, tuple[str, ...]] = {
    "artist": ("artist", "TPE1", "Author"),
    "album_artist": ("albumartist", "album artist", "album_artist", "TPE2", "WM/AlbumArtist"),
    "album": ("album", "TALB", "WM/AlbumTitle"),
    "title": ("title", "TIT2", "Title"),
    "track_number": ("tracknumber", "track", "TRCK", "WM/TrackNumber"),
    "year": ("date", "year", "TDRC", "TYER", "WM/Year"),
    "genre": ("genre", "TCON", "WM/Genre"),
    "language": ("language", "TLAN", "WM/Language"),
}


def read_tags(path: Path) -> Tags:
    """Read the tags of any file; empty where none can be parsed.

    Several values of a field are joined by ``"; "``.
    """
    fields = _mutagen_fields(path) or _ffmpeg_fields(path)
    texts = {name: _text(fields, keys) for name, keys in _FIELDS.items()}
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


def _mutagen_fields(path: Path) -> Any:  # noqa: ANN401 (mutagen is untyped)
    import mutagen

    try:
        with path.open("rb") as file:
            tagged = mutagen.File(file, easy=True)
    except Exception:  # noqa: BLE001 (on damaged tags mutagen raises almost anything)
        return None
    return None if tagged is None else tagged.tags


def _ffmpeg_fields(path: Path) -> dict[str, str]:
    """Read tags that mutagen does not: RIFF INFO lists in WAV files, AIFF text chunks."""
    from recsys.audio import open_container

    try:
        with open_container(path) as container:
            return dict(container.metadata)
    except AudioError:
        return {}


def _text(tags: Any, keys: Iterable[str]) -> str | None:  # noqa: ANN401 (mutagen is untyped)
    for key in keys:
        try:
            value = tags.get(key)
        except (KeyError, ValueError, TypeError):
            continue
        if value is None:
            continue
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        values = values if isinstance(values, list | tuple) else [values]
        cleaned = [_clean(str(part)) for part in values]
        if any(cleaned):
            return "; ".join(dict.fromkeys(part for part in cleaned if part))
    return None


def _clean(text: str) -> str:
    """Drop control characters, broken encodings and wide spaces."""
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(c if c.isprintable() else " " for c in encodable).split())


def _number(text: str | None, pattern: str) -> int | None:
    match = re.search(pattern, text or "")
    return int(match.group()) if match else None


# Identity: short files are hashed whole, long ones at their start and at a few later times.
_HASH_START_BYTES = 512 * 1024
_HASH_START_PACKETS = 300
_HASH_PLACES_S = (8, 32, 128, 512)
_HASH_PLACE_PACKETS = 4
_HASH_END_BYTES = 4096
_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 1 << 31
# FFmpeg's names of formats whose length comes from the sound, not from the size of the file.
_STATE_THEIR_LENGTH = frozenset({"aiff", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "wav"})


def audio_hash(path: Path) -> str:
    """Return the identity of the encoded sound of a file, independent of its name and tags.

    The hash covers the encoded packets of the audio stream: all of them up to 512 KiB or 300
    packets, then a few at fixed times, and the length where the file states it or else the end of
    the stream. It does not depend on tags, cover art, decoder or settings, so a retagged, renamed
    or copied file keeps its identity. A file that FFmpeg cannot demux is identified by its bytes.

    Returns 32 hexadecimal digits; AudioError if the file cannot be read at all.
    """
    import hashlib  # loads OpenSSL, which a query by a stored path never needs

    from recsys.audio import BARE_STREAMS, open_container

    digest = hashlib.blake2b(digest_size=16)
    try:
        with open_container(path) as container:
            if container.streams.audio and _hash_packets(container, digest):
                if container.format.name in BARE_STREAMS:
                    _hash_end(path, digest)
                return digest.hexdigest()
    except AudioError:
        pass
    return _hash_bytes(path)


def _hash_packets(container: av.container.InputContainer, digest: hashlib.blake2b) -> bool:
    """Hash the packets; return False if there are none."""
    import av

    stream = container.streams.audio[0]
    try:
        digest.update(f"{stream.codec_context.name}/{stream.sample_rate}".encode())
    except AttributeError:  # no decoder for this codec
        return False
    if container.format.name in _STATE_THEIR_LENGTH and container.duration is not None:
        digest.update(f"/{round(container.duration / av.time_base)} s".encode())
    length = packets = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:  # the flush packet: the stream has ended
                return packets > 0
            digest.update(bytes(packet))
            length += packet.size
            packets += 1
            if length >= _HASH_START_BYTES or packets >= _HASH_START_PACKETS:
                break
        for place_s in _HASH_PLACES_S:
            if not _hash_place(container, place_s, digest):
                break
    except av.FFmpegError:
        # Damaged from here on; the packets before identify it.
        return packets > 0
    return packets > 0


def _hash_place(
    container: av.container.InputContainer, place_s: int, digest: hashlib.blake2b
) -> bool:
    """Hash a few packets from a time on; return False if the stream ends before it."""
    import av

    stream = container.streams.audio[0]
    container.seek(place_s * av.time_base)
    packets = 0
    for packet in container.demux(stream):
        if packet.size == 0 or packet.pts is None or packet.time_base is None:
            return False
        if packet.pts * packet.time_base < place_s:
            continue  # seeking lands on an earlier packet
        digest.update(bytes(packet))
        packets += 1
        if packets == _HASH_PLACE_PACKETS:
            break
    return packets > 0


def _hash_end(path: Path, digest: hashlib.blake2b) -> None:
    """Hash the last bytes of a stream without a container, before ID3v1 and APE tags.

    They differ where the file was cut off, or is another edit.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _ID3V1_BYTES))
        if file.read(3) == b"TAG":
            end -= _ID3V1_BYTES
        file.seek(max(0, end - _APE_FOOTER_BYTES))
        footer = file.read(_APE_FOOTER_BYTES)
        if footer[:8] == b"APETAGEX" and len(footer) == _APE_FOOTER_BYTES:
            size, _, flags = struct.unpack("<III", footer[12:24])
            end -= size + (_APE_FOOTER_BYTES if flags & _APE_HAS_HEADER else 0)
        start = max(0, end - _HASH_END_BYTES)
        file.seek(start)
        digest.update(file.read(max(0, end - start)))


def _hash_bytes(path: Path) -> str:
    import hashlib

    # Personalised, so that bytes and packets never give the same identity.
    digest = hashlib.blake2b(digest_size=16, person=b"bytes")
    try:
        with path.open("rb") as file:
            digest.update(file.read(_HASH_START_BYTES))
            digest.update(str(os.fstat(file.fileno()).st_size).encode())
    except OSError as error:
        raise PassingError(f"cannot open it: {error.strerror}") from error
    return digest.hexdigest()
