from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from recsys.classifier.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else False
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(200_000_000, dtype=np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(int(kept), faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_once_used_is_not_asked_for_again() -> None:
    outcomes = {}
    for way in ("kept", "returned"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True
        )
        outcomes[way] = tuple(map(int, done.stdout.split()))
    assert outcomes["kept"][0] == 1
    assert outcomes["kept"][1] < 10
    assert outcomes["returned"][1] > 50
