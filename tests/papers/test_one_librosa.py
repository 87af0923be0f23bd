import os
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import numpy as np
from recsys.one_librosa import librosa
noise = np.random.default_rng(0).normal(size=4096).astype(np.float32)
librosa.feature.chroma_stft(y=noise, sr=22_050)
librosa.zero_crossings(noise)
librosa.util.localmax(noise)
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_leave_what_later_ones_can_use(tmp_path: Path) -> None:
    """Without the lock two of three such starts end in later processes that crash."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CALL]
    together = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in together] == [0, 0]
    assert any(tmp_path.rglob("*.nbc")), "nothing was compiled here, so nothing was tried"
    assert subprocess.run(command, env=environment, check=False).returncode == 0
