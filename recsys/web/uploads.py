"""Files that were sent: a few, for an hour, in a folder of their own."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path

from recsys.library.paths import AUDIO_SUFFIXES, CONTAINER_SUFFIXES
from recsys.web.answers import ApiProblem
from recsys.web.rates import Slots

MOST_FILES = 8
MOST_AT_ONCE = 4
KEPT_S = 3600.0


class Uploads:
    """The files that were sent last, by keys that cannot be guessed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="recsys-serve-", ignore_cleanup_errors=True
        )
        self._slots = Slots(MOST_AT_ONCE, "files are sent")
        self._files: OrderedDict[str, tuple[Path, float]] = OrderedDict()

    async def take(self, name: str, content: AsyncIterator[bytes]) -> tuple[str, Path]:
        """Store a file under a name of our own; of the sender's, the extension counts alone."""
        key = secrets.token_urlsafe(16)
        suffix = Path(name.replace("\0", "")).suffix.lower()
        known = suffix if suffix in AUDIO_SUFFIXES | CONTAINER_SUFFIXES else ""
        path = Path(self._folder.name) / f"{key}{known}"
        try:
            with self._slots.taken(), path.open("wb") as file:
                async for chunk in content:
                    file.write(chunk)
                size = file.tell()
        except OSError as error:
            path.unlink(missing_ok=True)
            reason = f"the file cannot be kept: {error.strerror or error}"
            raise ApiProblem(503, reason, f"Free some space in {path.parent.parent}.") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if not size:
            path.unlink(missing_ok=True)
            raise ApiProblem(400, "no file was sent", "Send its bytes as the body.")
        self._files[key] = path, time.monotonic() + KEPT_S
        self._forget_old()
        return key, path

    def path(self, key: str) -> Path:
        """Return the file of a key; ApiProblem if it is not there any more."""
        self._forget_old()
        if key not in self._files:
            raise ApiProblem(410, "the file that was sent is not kept any more", "Send it again.")
        return self._files[key][0]

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key, (path, until) in list(self._files.items()):
            if until < now or len(self._files) > MOST_FILES:
                path.unlink(missing_ok=True)
                del self._files[key]

    def close(self) -> None:
        """Delete all files."""
        self._folder.cleanup()
