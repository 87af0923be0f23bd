"""The identity of a sound: a hash of its encoded bytes, which neither tags nor names change."""

from __future__ import annotations

from pathlib import Path

from recsys.errors import cannot_read
from recsys.library.containers import sound_layout

_KIND = "v2"  # what the identities begin with; those of before are hexadecimal throughout
_WHOLE_BYTES = 512 * 1024
_PLACES = 128
_PLACE_BYTES = 4096
_MOST_CHECKED_BYTES = 1 << 30  # a film on a network would take minutes


def audio_hash(path: Path) -> str:
    """Return the identity of the encoded sound of a file, independent of its name and tags.

    The hash covers format, exact length in bytes, what the file states of all of its sound, and
    the encoded bytes: all of them up to 512 KiB, else 128 blocks of 4 KiB, spread evenly, and up to
    1 GiB a checksum of all of them: stems of one length that are silent but for a moment are two
    sounds. A FLAC file states a checksum of its samples, and is not read whole. Where the sound is
    in a file follows from the layout of its format (:mod:`recsys.library.containers`): new tags,
    which move it, keep its identity, and so does a program that writes the same packets into new
    pages of Ogg or clusters of Matroska (in files up to 32 MiB). What is no known format counts
    from its first byte to its last.

    Returns 32 characters: ``v2`` and 30 hexadecimal digits. PassingError if the file cannot be
    read; a read error never gives an identity.
    """
    import hashlib  # loads OpenSSL, which a query by a stored path never needs

    digest = hashlib.blake2b(digest_size=15)
    try:
        with path.open("rb", buffering=0) as file:
            layout = sound_layout(file)
            length = layout.length
            digest.update(f"{layout.kind}/{length}/".encode())
            digest.update(layout.facts)
            if length <= _WHOLE_BYTES:
                digest.update(layout.read(file, 0, length))
            else:
                last = length - _PLACE_BYTES
                for place in range(_PLACES):
                    offset = last * place // (_PLACES - 1)
                    digest.update(layout.read(file, offset, _PLACE_BYTES))
                if length <= _MOST_CHECKED_BYTES and not layout.states_checksum:
                    digest.update(layout.checksum(file).to_bytes(4))
    except OSError as error:
        raise cannot_read(error) from error
    return _KIND + digest.hexdigest()


def is_earlier_identity(identity: str) -> bool:
    """Return whether a library of before recorded this identity."""
    return not identity.startswith(_KIND)
