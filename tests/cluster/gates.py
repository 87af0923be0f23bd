"""Files at which a run waits for a test, and files that kill; importable on every node."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from recsys.indexing.examine import Examined, Examiner
from recsys.types import TrackFile

OPEN_WITHIN_S = 120.0


@dataclass(frozen=True)
class Gated:
    """Examines files as indexing does, but for two names.

    ``held.*`` says that it was reached, and waits until the gate is open; ``poison.*`` kills the
    process that reads it, as a file does that a decoder cannot survive.
    """

    examine: Examiner
    gate: Path

    def __call__(self, file: TrackFile) -> Examined:
        if file.path.stem == "poison":
            with (self.gate / "poisoned").open("a") as told:
                told.write("x")
            os.kill(os.getpid(), signal.SIGSEGV)
        if file.path.stem == "held":
            (self.gate / f"reached-{os.getpid()}").write_text(str(os.getppid()))
            deadline = time.monotonic() + OPEN_WITHIN_S
            while not (self.gate / "open").exists():
                assert time.monotonic() < deadline, "nobody opened the gate"
                time.sleep(0.05)
        return self.examine(file)
