"""Programs of recsys that the server starts: each ends with what asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

END_S = 5.0
"""Time that a program has to end by itself."""


@asynccontextmanager
async def child(
    module: str, *arguments: str | Path, cwd: str | None = None, limit: int = 2**16
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module as a program whose output can be read; it does not outlast the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=cwd,
        limit=limit,
    )
    try:
        yield process
    finally:
        await asyncio.shield(_ended(process))


async def _ended(process: asyncio.subprocess.Process) -> None:
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_S)
