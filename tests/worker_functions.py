"""Functions for worker processes, which import them from the search path of the tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from recsys.errors import AudioError


def double(number: int) -> int:
    return 2 * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise AudioError("three is no sound", "Take four.")
    if number == 4:
        raise ValueError("four is no better")
    return number


def crash_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def crash_below_three(number: int) -> int:
    if number < 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def be_killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def be_killed_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def hang_on_three(number: int) -> int:
    if number == 3:
        time.sleep(1000)
    return number


def import_what_is_missing(_: int) -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def write_on_stderr(text: str) -> int:
    return os.write(2, text.encode())


def loaded(names: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(name in sys.modules for name in names)


def working_directory(_: int) -> Path:
    return Path.cwd()
