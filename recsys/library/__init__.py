"""The files of a library: scan, tags, and identity, which survives a move.

Nothing is decoded here. mutagen reads tags; formats are told apart by their first bytes.
"""

from recsys.library.earlier import earlier_audio_hash
from recsys.library.identity import audio_hash, is_earlier_identity
from recsys.library.scanning import (
    AUDIO_SUFFIXES,
    ScanReport,
    ScanRules,
    absolute,
    is_hidden,
    is_of_system,
    is_passed_over,
    may_concern_scan,
    outermost,
    scan,
    track_file,
    track_file_or_reason,
)
from recsys.library.tags import read_tags, read_tags_and_sheet

__all__ = [
    "AUDIO_SUFFIXES",
    "ScanReport",
    "ScanRules",
    "absolute",
    "audio_hash",
    "earlier_audio_hash",
    "is_earlier_identity",
    "is_hidden",
    "is_of_system",
    "is_passed_over",
    "may_concern_scan",
    "outermost",
    "read_tags",
    "read_tags_and_sheet",
    "scan",
    "track_file",
    "track_file_or_reason",
]
