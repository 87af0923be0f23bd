"""Who asks many tracks, or writes, holds up nobody whose question is quick."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from recsys.api import Library
from recsys.web.asking import Asking
from tests.stored import analysed, new_library, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    with new_library(tmp_path) as store:
        store.write([record(f"/{i}", analysed()) for i in range(3)])
        path = store.path
    made = Asking(lambda: Library(path, paths=False))
    yield made
    made.close()


@pytest.mark.parametrize("long", ["many", "slow", "write"])
def test_a_long_question_holds_up_no_quick_one(asking: Asking, long: str) -> None:
    begun, answered = threading.Event(), threading.Event()

    def takes_long(library: Library) -> int:
        begun.set()
        assert answered.wait(60)
        return library.store.track_count()

    async def both() -> tuple[int, int]:
        waiting = asyncio.create_task(getattr(asking, long)(takes_long))
        await asyncio.to_thread(begun.wait)
        quick = await asyncio.wait_for(asking(lambda library: library.store.track_count()), 60)
        answered.set()
        return quick, await waiting

    assert asyncio.run(both()) == (3, 3)
