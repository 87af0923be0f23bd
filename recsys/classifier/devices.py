"""Where to compute: what the user may name, and what there is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import ModelError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")

_TRACES = (
    *("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/kfd", "/dev/dxg"),
    r"C:\Windows\System32\nvcuda.dll",
)
"""What drivers of accelerators leave: NVIDIA's, AMD's, that of Linux under Windows, Windows'."""


def resolve_device(name: str = "auto") -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    name : str
        ``auto`` (the best there is), ``cpu``, ``cuda`` or ``mps``.

    Returns
    -------
    torch.device

    Raises
    ------
    ModelError
        If the device is not known or not there; there is no silent fall to the CPU.
    """
    import torch

    _check_known(name)
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present[name]:
        raise ModelError(
            f"the device {name!r} is not available here",
            "Use --device cpu, or install a PyTorch that supports it.",
        )
    return torch.device(name)


def is_processor(name: str) -> bool:
    """Return whether a device is the processor, without loading PyTorch where that can be told.

    Loading it takes seconds. For ``auto`` it is asked only where a driver has left its traces.

    Raises
    ------
    ModelError
        As :func:`resolve_device` does.
    """
    _check_known(name)
    if name == "cpu" or (name == "auto" and not _may_have_accelerator()):
        return True
    return resolve_device(name).type == "cpu"


def _check_known(name: str) -> None:
    if name not in DEVICES:
        raise ModelError(f"unknown device {name!r}", f"Known are {', '.join(DEVICES)}.")


def _may_have_accelerator() -> bool:
    return sys.platform == "darwin" or any(Path(trace).exists() for trace in _TRACES)
