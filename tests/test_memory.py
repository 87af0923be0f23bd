from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from recsys.memory import keep_freed_memory
how = {"all": {}, "small": {"large": False}}
kept = keep_freed_memory(**how[sys.argv[1]]) if sys.argv[1] in how else False
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(int(sys.argv[2]), dtype=np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(int(kept), faults)
"""

LARGE, SMALL = 200_000_000, 20_000_000


def faults_at_the_fourth_time(how: str, size: int) -> tuple[int, int]:
    """Whether memory is kept, and how many pages are asked for when it is needed again."""
    words = [sys.executable, "-c", PROGRAM, how, str(size)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    kept, faults = map(int, done.stdout.split())
    return kept, faults


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.parametrize(
    ("how", "size", "asked_again"),
    [
        ("nothing", LARGE, True),
        ("small", LARGE, True),
        ("small", SMALL, False),
        ("all", LARGE, False),
    ],
)
def test_memory_once_used_is_not_asked_for_again(how: str, size: int, asked_again: bool) -> None:
    kept, faults = faults_at_the_fourth_time(how, size)
    assert kept == (how != "nothing")
    assert faults > 50 if asked_again else faults < 10


COMMAND = "import sys; sys.argv[0] = 'recsys'; from recsys.cli.main import main; main()"
IN_PYTHON = (
    "import sys; from recsys import Library; Library(sys.argv[4]).index(sys.argv[2])",
    "recsys.errors.RecsysError: too little memory",
)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
@pytest.mark.parametrize(("program", "says"), [(COMMAND, "Error: too little memory"), IN_PYTHON])
def test_too_little_address_space_stops_a_run_before_anything_is_recorded(
    tmp_path: Path, program: str, says: str
) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    limited = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, (350 * 2**20, -1)); {program}"
    )
    database = tmp_path / "l.db"
    command = [sys.executable, "-c", limited, "index", str(tmp_path), "--db", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{says}: this process may have 350 MiB of address space" in done.stderr
    assert not database.exists()
