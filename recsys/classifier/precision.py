"""Where a shorter number format is quick, and where it is not wanted."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_full: ContextVar[bool] = ContextVar("full", default=False)


def bfloat16_is_quick(device: torch.device) -> bool:
    """Return whether the device computes in bfloat16 in hardware, and may."""
    if _full.get():
        return False
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


@contextmanager
def full_precision() -> Iterator[None]:
    """Let networks compute in 32 bits everywhere, so that what they say can be compared."""
    before = _full.set(True)
    try:
        yield
    finally:
        _full.reset(before)
