"""Mounted file systems: which lie below a folder, and which are of a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

NETWORK = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"),
        *("prl_fs", "smb3", "smbfs", "vboxsf", "fuse.ceph", "fuse.davfs2", "fuse.glusterfs"),
        *("fuse.gvfsd-fuse", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs"),
    )
)
"""File systems that other machines change without a word, by the names that Linux gives them."""

_TABLE = Path("/proc/self/mountinfo")


def mounts() -> dict[str, str]:
    """Return the type of the file system at each mount point; empty where that is not known."""
    found: dict[str, str] = {}
    try:
        lines = os.fsdecode(_TABLE.read_bytes()).splitlines()
    except OSError:  # not Linux
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) > 4 and kinds[0]:
            found[_unescaped(fields[4])] = kinds[0]  # the last one at a place hides the others
    return found


def _unescaped(name: str) -> str:
    raw = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), os.fsencode(name))
    return os.fsdecode(raw)


def network_file_system(path: Path) -> str | None:
    """Return the type of the file system of a path if it is one of :data:`NETWORK`.

    Of a path that is not there, the nearest folder above it counts.
    """
    table = mounts()
    real = Path(os.path.realpath(path))
    kind = next(
        (table[os.fspath(place)] for place in (real, *real.parents) if os.fspath(place) in table),
        None,
    )
    return kind if kind in NETWORK else None


def mounted_under(folders: list[Path]) -> frozenset[str]:
    """Return the mount points at these folders or below them."""
    if not (table := mounts()):
        return frozenset()
    real = [Path(os.path.realpath(folder)) for folder in folders]
    return frozenset(
        place for place in table if any(Path(place).is_relative_to(folder) for folder in real)
    )
