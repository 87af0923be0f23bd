"""Decoding: a few windows of mono sound out of any audio file, or all of it."""

from recsys.audio.decoding import decode, decode_whole
from recsys.audio.readers import BARE_STREAMS, main_stream, open_container
from recsys.audio.windows import plan_offsets

__all__ = [
    "BARE_STREAMS",
    "decode",
    "decode_whole",
    "main_stream",
    "open_container",
    "plan_offsets",
]
