"""How much one client may ask for: so many a minute, and so many at once."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request, params

from recsys.web.answers import ApiProblem
from recsys.web.security import token_of

PER_MINUTE = {
    "logins": 20,
    "uploads": 30,
    "index runs": 30,
    "corrected tags": 120,
    "transcodes": 240,
    "waveforms and spectrograms": 300,
    "covers": 3000,
}
"""What a client may do in a minute, all of it at once if it likes; a page needs a tenth of it."""

MOST_CLIENTS = 4096
"""Clients that are counted; of more, the ones that asked last."""


class Rates:
    """Counts what each client does: it has so many tokens, which grow back in a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, what: str, client: str) -> None:
        """Count one; ApiProblem if that is too many, with the time after which it is not."""
        limit, now = PER_MINUTE[what], self._clock()
        left, then = self._left.pop((what, client), (float(limit), now))
        left = min(limit, left + (now - then) * limit / 60)
        enough = left >= 1
        self._left[what, client] = left - enough, now
        while len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        if not enough:
            wait_s = max(1, math.ceil((1 - left) * 60 / limit))
            raise ApiProblem(
                429,
                f"more than {limit} {what} in a minute",
                f"Ask again in {wait_s} s.",
                retry_after_s=wait_s,
            )


def limited(what: str) -> params.Depends:
    """Return the dependency of a route of which a client may ask so much: :data:`PER_MINUTE`."""

    async def check(request: Request) -> None:
        state = request.app.state
        address = request.client.host if request.client else ""
        # Behind a proxy all have one address, but each its token; before the login none is known.
        known = state.rules.tokens is not None and what != "logins"
        state.rates.take(what, token_of(request.headers) if known else address)

    return params.Depends(check)


class Slots:
    """A number of things that may go on at once."""

    def __init__(self, count: int, what: str) -> None:
        self.free = self._count = count
        self._what = what

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one; ApiProblem if none is free."""
        if self.free < 1:
            raise ApiProblem(429, f"{self._count} {self._what} already", "Wait for one to end.")
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1
