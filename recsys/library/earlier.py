"""The identity that earlier libraries hold for a sound; :mod:`recsys.library.identity` has today's.

It covers the first 512 KiB and a few later places, so that it takes some different sounds for one.
It is computed only for libraries that hold such identities, so that a file that was moved is
known there by the same one, and with it its likes, bans and analysis.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import AudioError, cannot_read

if TYPE_CHECKING:
    import hashlib

    import av

# Short files are hashed whole, long ones at their start and at a few later times.
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


def earlier_audio_hash(path: Path) -> str:
    """Return the earlier identity of a file: 32 hexadecimal digits; AudioError if unreadable."""
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
        raise cannot_read(error) from error
    return digest.hexdigest()
