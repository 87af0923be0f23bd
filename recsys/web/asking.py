"""The threads that ask the library: each has its own connection, which it keeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from recsys.errors import StoreError
from recsys.web.answers import ApiProblem

if TYPE_CHECKING:
    from recsys.api import Library

T = TypeVar("T")

MOST_WAITING = 512
"""Questions that wait for a thread; more are refused."""


class Asking:
    """Puts questions to a library, in threads of its own.

    Quick questions have a thread that no others can take: not those about many tracks (lists,
    playlists), nor slow ones (uploads, waveforms, statistics), nor writes, which wait while another
    process writes.
    """

    def __init__(self, make: Callable[[], Library]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._waiting = 0
        # One: threads that wait for the interpreter would make each other's answers half as slow
        # again, and their indexes take memory.
        self._quick = ThreadPoolExecutor(1, "recsys-ask")
        self._many = ThreadPoolExecutor(1, "recsys-many")
        self._slow = ThreadPoolExecutor(2, "recsys-slow")
        self._writing = ThreadPoolExecutor(1, "recsys-write")

    @property
    def library(self) -> Library:
        """The library as it is now."""
        with self._lock:
            if self._library is None:
                self._library = self._make()
            return self._library

    async def __call__(self, question: Callable[[Library], T]) -> T:
        """Return the answer of a question; ApiProblem if too many wait."""
        return await self._in(self._quick, question)

    async def many(self, question: Callable[[Library], T]) -> T:
        """Return the answer of a question about many tracks, which takes part of a second."""
        return await self._in(self._many, question)

    async def slow(self, question: Callable[[Library], T]) -> T:
        """Return the answer of a question that takes long."""
        return await self._in(self._slow, question)

    async def write(self, question: Callable[[Library], T]) -> T:
        """Return the answer of a question that changes the library: one at a time."""
        return await self._in(self._writing, question)

    async def _in(self, pool: ThreadPoolExecutor, question: Callable[[Library], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise ApiProblem(503, "too many requests wait", "Ask again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._ask, question)
        finally:
            self._waiting -= 1

    def _ask(self, question: Callable[[Library], T]) -> T:
        """Ask; where the file of the library was replaced meanwhile, ask the new one."""
        library = self.library
        try:
            library.store.check_in_place()
        except StoreError:
            library = self._renewed(library)
        return question(library)

    def _renewed(self, library: Library) -> Library:
        """Open the library anew: from now on in every thread. The old one closes with its users."""
        with self._lock:
            if self._library is library:
                self._library = None
        return self.library

    def close(self) -> None:
        """End the threads when their questions are answered."""
        for pool in (self._quick, self._many, self._slow, self._writing):
            pool.shutdown(cancel_futures=True)
        with self._lock:
            if self._library is not None:
                self._library.close()
