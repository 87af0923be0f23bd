"""Watching folders: the system reports what changed, or they are looked through again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.library import ScanRules, outermost
from recsys.mounts import mounted_under, network_file_system

if TYPE_CHECKING:
    from watchfiles import Change

QUIET_S = 2.0
"""A file is looked at once nothing has been written to it for this long."""

TICK_S = 1.0
"""How often something else than a report of the system is looked after."""

POLL_S = 30.0
"""Folders whose changes the system does not report are looked through this often at most."""

POLL_SHARE = 0.05
"""Looking through them takes at most this share of the time."""

_NOT_DECODED = "\ufffd"
_BY_NAME = ScanRules()


@dataclass(frozen=True, slots=True)
class Changed:
    """What to bring up to date."""

    paths: tuple[Path, ...]  # files and folders, none inside another; some may be gone
    whole: bool = False  # they are roots, to be looked through
    note: str | None = None  # for the user


class Watcher:
    """Yields what changes in some folders, for ever.

    A folder that is not there, or whose disk is unmounted, is waited for. The first changes are
    those before the system began to report: all folders. Folders of network file systems, whose
    changes by other machines are not reported, are polled, and all of them are where the system
    cannot watch so many.
    """

    def __init__(self, roots: Sequence[Path], rules: ScanRules = _BY_NAME) -> None:
        self._roots = list(roots)
        self._rules = rules
        self._polled: set[Path] = set()
        self._waiting: dict[Path, float] = {}  # changed paths, and when they last did

    def wait_for(self, paths: Sequence[Path]) -> None:
        """Yield these paths again when they have been quiet."""
        now = time.monotonic()
        self._waiting.update((path, now) for path in paths)

    def __iter__(self) -> Iterator[Changed]:
        """Watch, and begin again whenever a folder or disk appears or disappears."""
        yield from self._choose()
        while True:
            try:
                yield from self._until_moved()
            except FileNotFoundError:  # a folder vanished at this moment
                time.sleep(TICK_S)
            # watchfiles raises OSError at first, and later an error of its own.
            except (OSError, RuntimeError) as error:
                self._polled.update(self._roots)
                note = (
                    f"the system cannot watch so many folders ({error}); they are looked through "
                    f"every {POLL_S:g} s or more. To be told at once, raise "
                    "fs.inotify.max_user_watches (sysctl)"
                )
                yield Changed((), note=note)

    def _choose(self) -> Iterator[Changed]:
        for root in self._roots:
            kind = network_file_system(root)
            if kind is not None:
                self._polled.add(root)
                note = f"{root} is on a network ({kind}); it is looked through every {POLL_S:g} s"
                yield Changed((), note=f"{note} or more")

    def _until_moved(self) -> Iterator[Changed]:
        """Yield changes until a folder or disk appears or disappears."""
        places = self._places()
        watched = [root for root in self._roots if root not in self._polled and root.is_dir()]
        with_reports = _reported(watched, self._rules) if watched else _ticks()
        self._note(next(with_reports), watched)  # returns once the system reports changes
        yield Changed(tuple(self._roots), whole=True)
        polled_at, poll_after_s = time.monotonic(), POLL_S
        for reported in with_reports:
            self._note(reported, watched)
            if ready := self._quiet():
                yield Changed(tuple(ready))
            if self._places() != places:
                return
            if self._polled and time.monotonic() - polled_at >= poll_after_s:
                polled_at = time.monotonic()
                yield Changed(tuple(r for r in self._roots if r in self._polled), whole=True)
                now = time.monotonic()  # the caller has looked through them meanwhile
                poll_after_s = max(POLL_S, (now - polled_at) / POLL_SHARE)
                polled_at = now

    def _places(self) -> object:
        """Return what differs once a folder or disk appears or disappears."""
        return [_identity(root) for root in self._roots], mounted_under(self._roots)

    def _note(self, reported: set[tuple[Change, str]], watched: Sequence[Path]) -> None:
        now = time.monotonic()
        for _, name in reported:
            path = Path(name)
            while _NOT_DECODED in os.fspath(path):  # watchfiles knows names as UTF-8 only
                path = path.parent
            if any(path.is_relative_to(root) for root in watched):
                self._waiting[path] = now

    def _quiet(self) -> list[Path]:
        """Take the paths that have not changed for some time, without those inside another."""
        now = time.monotonic()
        quiet = [path for path, last in self._waiting.items() if now - last >= QUIET_S]
        for path in quiet:
            del self._waiting[path]
        return outermost(quiet)


def _reported(roots: Sequence[Path], rules: ScanRules) -> Iterator[set[tuple[Change, str]]]:
    """Yield what the system reports, at least every :data:`TICK_S` seconds."""
    from watchfiles import watch

    def is_shown(_: Change, name: str) -> bool:
        path = Path(name)
        return any(path.is_relative_to(root) and rules.shows(path, root) for root in roots)

    return watch(
        *roots,
        watch_filter=is_shown,
        rust_timeout=round(1000 * TICK_S),
        yield_on_timeout=True,
        raise_interrupt=True,
        force_polling=False,
        ignore_permission_denied=True,
    )


def _ticks() -> Iterator[set[tuple[Change, str]]]:
    """Yield nothing in the rhythm of the system's reports."""
    while True:
        yield set()
        time.sleep(TICK_S)


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
