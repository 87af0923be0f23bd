"""Following folders: which of their parts changed, as the operating system tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.library import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from watchfiles import Change


def changed_folders(roots: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield, whenever something settles, the folders in which audio files may have changed.

    Parameters
    ----------
    roots : sequence of Path
        What to follow, with everything below. Those that are not there are left out.

    Yields
    ------
    list of Path
        Existing folders, none inside another. A burst of changes comes as one list. The first
        list has all roots, for what changed before the system began to report.
    """
    from watchfiles import watch

    present = [root for root in roots if root.is_dir()]
    if not present:  # with nothing to follow, watchfiles would wait for ever
        return

    def concerns_audio(_: Change, name: str) -> bool:
        return _may_be_audio(Path(name), present)

    following = watch(
        *present, watch_filter=concerns_audio, yield_on_timeout=True, raise_interrupt=True
    )
    next(following)  # returns once the system reports changes
    yield present
    for changes in following:
        if not changes:
            continue
        folders = {_nearest_folder(Path(name), present) for _, name in changes}
        folders.discard(None)
        found = sorted(folder for folder in folders if folder is not None)
        yield [
            folder
            for folder in found
            if not any(folder != other and folder.is_relative_to(other) for other in found)
        ]


def _may_be_audio(changed: Path, roots: Sequence[Path]) -> bool:
    """Let audio files through, and what may be a folder that came, went or was renamed."""
    root = next(root for root in roots if changed.is_relative_to(root))
    if any(part.startswith(".") for part in changed.relative_to(root).parts):
        return False
    suffix = changed.suffix.lower()
    return suffix in AUDIO_SUFFIXES or not suffix or changed.is_dir()


def _nearest_folder(changed: Path, roots: Sequence[Path]) -> Path | None:
    """Return the folder to look into: the changed one, or the nearest that still exists."""
    for folder in (changed, *changed.parents):
        if folder.is_dir():
            inside = any(folder.is_relative_to(root) for root in roots)
            return folder if inside else None
    return None
