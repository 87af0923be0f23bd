"""The scan: the files below a folder that are the library's, and a count of all others.

What has the extension of sound is taken by its name. What may be sound or a moving picture
(``.mp4``, ``.webm``), and what no extension tells, is taken by its first bytes. Everything else is
counted, so that nothing is passed over in silence.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from recsys.errors import RecsysError
from recsys.library.containers import streams
from recsys.library.paths import AUDIO_SUFFIXES, CONTAINER_SUFFIXES
from recsys.types import PassedOver, TrackFile

# Beside what mimetypes knows.
_OTHER_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("7z", "accurip", "als", "asd", "aup", "aup3", "cue", "db", "db-shm", "db-wal"),
        *("ffp", "flp", "ini", "iso", "lnk", "log", "lrc", "m3u", "mds", "md5", "mid", "midi"),
        *("mod", "nfo", "nrg", "par2", "pkf", "pls", "plist", "ptx", "rar", "reapeaks", "rpp"),
        *("s3m", "sfk", "sfv", "sqlite", "st5", "toc", "torrent", "url", "xm", "xspf", "yml"),
    )
)
_UNFINISHED = frozenset(
    f".{suffix}"
    for suffix in (
        *("!bt", "!qb", "!sync", "!ut", "aria2", "bc!", "crdownload", "dctmp", "download"),
        *("downloading", "filepart", "opdownload", "part", "partial", "td", "temp", "tmp", "xltd"),
        *("ytdl",),
    )
)
_INCOMPLETE = re.compile("INCOMPLETE(~|[0-9a-f]{32})")  # of Soulseek, before the name
_BACKUPS = frozenset({".bak", ".old", ".orig"})
_OF_SYSTEMS = frozenset({".ds_store", ".directory", "desktop.ini", "ehthumbs.db", "thumbs.db"})

NOT_MUSIC = frozenset(
    {
        # Recycle bins
        *("$recycle.bin", "recycle.bin", "#recycle", "@recycle", ".recycle", "recycler"),
        "recycled",
        *(".recycle.bin", ".trash", ".trashes", "network trash folder", ".local-trash"),
        # Snapshots and earlier versions
        *("#snapshot", "@recently-snapshot", ".snapshot", ".snapshots", "~snapshot", ".zfs"),
        *("@gmt-snapshot", ".stversions", "#snapshots", "backups.backupdb"),
        # Thumbnails, metadata and what file systems put aside
        *("@eadir", "@tmp", ".@__thumb", "@__thumb", ".thumbnails", "__macosx", ".appledouble"),
        *("system volume information", "lost+found", "lost.dir", "temporary items"),
    }
)
"""Names of folders, in lower case, in which systems keep what is not the library's."""

_PEEKED_ENTRIES = 500
_MOST_CUE_BYTES = 1 << 16


Shunned: TypeAlias = Literal["unfinished", "of systems", "hidden"]


@dataclass(frozen=True)
class ScanRules:
    """What of a folder is the library's."""

    exclude: tuple[str, ...] = ()  # patterns as of .gitignore, over the path below the folder
    video: bool = False  # take the sound of files with a moving picture, too
    named: frozenset[Path] = frozenset()  # folders that were asked for, whatever their names are

    def __post_init__(self) -> None:
        if self.exclude:
            _ = self.excludes  # a pattern that is none is refused at once

    def shuns(self, folder: str) -> Shunned | None:
        """Return as what a folder is passed over by its name, unless it, or one in it, was named.

        Every way to a file asks this of all folders above it: scans, watching, clusters.
        """
        name = folder.rpartition("/")[2]
        lower = name.lower()
        if lower.endswith(".download"):  # of Safari: a folder with the file
            kind: Shunned = "unfinished"
        elif lower in NOT_MUSIC or lower.startswith((".trash-", "found.00")):
            kind = "of systems"
        elif is_hidden(name):
            kind = "hidden"
        else:
            return None
        return None if any(named.is_relative_to(folder) for named in self.named) else kind

    def top_of(self, path: Path) -> Path:
        """Return the named folder above a path at which patterns begin; itself if below none."""
        above = [folder for folder in self.named if path.is_relative_to(folder)]
        return min(above, key=lambda folder: len(folder.parts), default=path)

    def shows(self, path: Path, root: Path) -> bool:
        """Return whether neither a path nor a folder between a root and it is passed over."""
        below = path.relative_to(root).parts
        return not any(
            self.shuns(os.fspath(folder)) for folder in [path, *path.parents][: len(below)]
        )

    @cached_property
    def excludes(self) -> Callable[[str], bool] | None:
        """Whether a path below the folder is left out: ``a/b``, or ``a/b/`` of a folder."""
        if not self.exclude:
            return None
        import pathspec

        spec = None
        for pattern in self.exclude:
            # Comments are for files: here a folder is meant that is named so.
            text = f"\\{pattern}" if pattern.startswith("#") else pattern
            try:
                new = pathspec.GitIgnoreSpec.from_lines([text])
            except ValueError as error:
                raise RecsysError(
                    f"the pattern {pattern!r} cannot be read: {error}",
                    "Patterns are those of .gitignore: 'Podcasts/', '*.wav', '/Old/**/Live'.",
                ) from error
            spec = new if spec is None else spec + new
        assert spec is not None
        return spec.match_file


@dataclass(slots=True)
class ScanReport:
    """Side results of a scan. Files of an unreadable folder count neither as found nor as gone."""

    found: int = 0  # audio files so far
    # Folders on another file system than their parent: mounts, and links to them.
    volumes: set[Path] = field(default_factory=set)
    unreadable: dict[Path, str] = field(default_factory=dict)  # folders, and why
    extensions: Counter[str] = field(default_factory=Counter)  # of files that are no audio
    leftovers: Counter[str] = field(default_factory=Counter)  # by kind
    folders: Counter[str] = field(default_factory=Counter)  # of systems, by name
    videos: int = 0
    hidden: int = 0
    hidden_music: list[Path] = field(default_factory=list)
    excluded: int = 0
    cue_sheets: int = 0

    def passed_over(self) -> PassedOver:
        """Return the counts of what was seen and not taken."""
        return PassedOver(
            extensions=dict(self.extensions.most_common()),
            videos=self.videos,
            leftovers=dict(self.leftovers.most_common()),
            folders=dict(self.folders.most_common()),
            hidden=self.hidden,
            hidden_music=tuple(map(os.fspath, self.hidden_music)),
            excluded=self.excluded,
            cue_sheets=self.cue_sheets,
        )


def is_hidden(name: str) -> bool:
    """Return whether a name is hidden: it begins with a dot, and a letter or the like follows.

    Albums such as "...And Justice for All" and ".5: The Gray Chapter" are music.
    """
    return name[:1] == "." and not (name[1:2] in (".", " ") or name[1:2].isdigit())


def scan(
    root: Path,
    report: ScanReport | None = None,
    rules: ScanRules = ScanRules(),
    top: Path | None = None,
) -> Iterator[TrackFile]:
    """Find the audio files below a folder, in the order of their names.

    `top` is the folder at which patterns of the rules begin, if not this one.

    Links are followed; a folder that is reached twice (a loop, two links to it) is visited once.
    Hidden names are skipped, and so are folders of :data:`NOT_MUSIC`, what the rules exclude, and
    everything but regular files. Files that vanish meanwhile are no error. Memory grows with the
    depth and width of one folder, not with the library. The report is filled while the scan runs.
    """
    report = report if report is not None else ScanReport()
    try:
        device = root.stat().st_dev
    except OSError as error:
        report.unreadable[root] = error.strerror or str(error)
        return
    sieve = _Sieve(report, rules, rules.excludes, len(os.fspath(top or root).rstrip(os.sep)) + 1)
    visited: set[tuple[int, int]] = set()
    folders = [(os.fspath(root), device)]
    while folders:
        folder, parent_device = folders.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116 (a str, for speed)
            key = (status.st_dev, status.st_ino)
            if key in visited:
                continue
            visited.add(key)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            report.unreadable[Path(folder)] = error.strerror or str(error)
            continue
        if status.st_dev != parent_device:
            report.volumes.add(Path(folder))
        subfolders: list[str] = []
        yield from sieve.files(Path(folder), entries, subfolders)
        # A stack: the first one is scanned next.
        folders.extend((path, status.st_dev) for path in reversed(subfolders))


@dataclass(frozen=True, slots=True)
class _Sieve:
    """Takes the files and folders that are the library's, and counts all others."""

    report: ScanReport
    rules: ScanRules
    excludes: Callable[[str], bool] | None
    base: int  # characters of the folder at which patterns begin

    def files(
        self, parent: Path, entries: Sequence[os.DirEntry[str]], subfolders: list[str]
    ) -> Iterator[TrackFile]:
        """Yield the audio files among the entries of a folder; add the folders to be scanned."""
        sheets = []
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 (speed)
            if _is_folder(entry):
                if self._enters(entry):
                    subfolders.append(entry.path)
                continue
            if suffix == ".cue":
                sheets.append(entry)
            # The parent once: taking a path apart is what a scan does most.
            if self._takes(entry, suffix) and (file := self._track_file(parent, entry)) is not None:
                self.report.found += 1
                yield file
        self.report.cue_sheets += _whole_albums(sheets, entries)

    def _track_file(self, parent: Path, entry: os.DirEntry[str]) -> TrackFile | None:
        """Return a file that was taken; count what is named like one and is none."""
        try:
            status = entry.stat()
        except OSError as error:
            if entry.is_symlink():
                self.report.leftovers["broken link"] += 1
            elif not isinstance(error, FileNotFoundError):  # it has not vanished meanwhile
                self.report.unreadable[parent] = error.strerror or str(error)
            return None
        file = _as_scanned(parent / entry.name, status)
        if file is None:  # a named pipe, a socket, a device
            self.report.leftovers["special file"] += 1
        return file

    def _enters(self, entry: os.DirEntry[str]) -> bool:
        """Return whether a folder is scanned; count it if not."""
        name = entry.name
        if self.excludes is not None and self.excludes(f"{entry.path[self.base :]}/"):
            self.report.excluded += 1
            return False
        kind = self.rules.shuns(entry.path)
        if kind is None:
            return True
        if kind == "unfinished":
            self.report.leftovers["unfinished download"] += 1
            return False
        if kind == "of systems":
            self.report.folders[name] += 1
            return False
        self.report.hidden += 1
        if _has_music(entry.path):
            self.report.hidden_music.append(Path(entry.path))
        return False

    def _takes(self, entry: os.DirEntry[str], suffix: str) -> bool:
        """Return whether a file holds sound that is the library's; count it if not."""
        name, report = entry.name, self.report
        if self.excludes is not None and self.excludes(entry.path[self.base :]):
            report.excluded += 1
            return False
        dotted = name[0] == "."
        if suffix in AUDIO_SUFFIXES and not dotted and not _INCOMPLETE.match(name):
            return True
        if (leftover := _leftover(name, suffix)) is not None:
            report.leftovers[leftover] += 1
            return False
        if dotted and is_hidden(name):
            report.hidden += 1
            return False
        if suffix in AUDIO_SUFFIXES:
            return True
        content = _content(entry.path, suffix) if _tells_nothing(suffix) else "other"
        if content == "sound" or (content == "video" and self.rules.video):
            return True
        if content == "video":
            report.videos += 1
        else:
            report.extensions[suffix] += 1
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _has_music(folder: str, depth: int = 1) -> bool:
    """Return whether a hidden folder has audio by its names, in it or one level below."""
    try:
        with os.scandir(folder) as listing:
            for seen, entry in enumerate(listing):
                if seen >= _PEEKED_ENTRIES:
                    return False
                if Path(entry.name).suffix.lower() in AUDIO_SUFFIXES:
                    return True
                if depth and entry.is_dir(follow_symlinks=False) and _has_music(entry.path, 0):
                    return True
    except OSError:
        pass
    return False


def _leftover(name: str, suffix: str) -> str | None:
    if suffix in _UNFINISHED or suffix.startswith(".part-") or _INCOMPLETE.match(name):
        return "unfinished download"
    if suffix in _BACKUPS or name.endswith("~"):
        return "backup"
    if name.startswith("._"):
        return "AppleDouble file"
    return "system file" if name.lower() in _OF_SYSTEMS else None


@lru_cache(maxsize=4096)
def _tells_nothing(suffix: str) -> bool:
    """Return whether an extension leaves open what a file holds."""
    if suffix in CONTAINER_SUFFIXES:
        return True
    if suffix in _OTHER_SUFFIXES:
        return False
    import mimetypes  # a query by a stored path never needs it

    # Python's own table, the same on every machine.
    others, standard = mimetypes.MimeTypes(filenames=()).types_map
    known = standard.get(suffix) or others.get(suffix)
    return known is None or known.startswith(("audio/", "video/", "application/octet-stream"))


def _content(path: str, suffix: str) -> str:
    """Return whether a file holds ``sound``, is a ``video`` with sound, or ``other``.

    One that cannot be read now holds what its extension says: then the run tells why.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (a str, for speed)
            return "other"  # a FIFO waits for its writer
        with open(path, "rb", buffering=0) as file:
            held = streams(file)
    except FileNotFoundError:
        return "other"
    except OSError:
        return "sound" if suffix in CONTAINER_SUFFIXES else "other"
    if not held.sound:
        return "other"
    return "video" if held.moving_picture else "sound"


def track_file(path: Path) -> TrackFile | None:
    """Return a file as it is now, None where there is no regular file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _as_scanned(path, status)


def _as_scanned(path: Path, status: os.stat_result) -> TrackFile | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return TrackFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def track_file_or_reason(path: Path, rules: ScanRules) -> TrackFile | str | None:
    """Return a file that was named by itself, or why a scan would not take it; None if gone."""
    suffix = path.suffix.lower()
    if path.name.startswith("._"):
        return "it is AppleDouble, what macOS keeps beside a file"
    if suffix not in AUDIO_SUFFIXES:
        file = track_file(path)
        if file is None:
            return None
        verdict = _content(os.fspath(path), suffix)
        if verdict == "video" and not rules.video:
            return "it is a video; --video takes the sound of videos"
        if verdict == "other":
            return "neither its name nor its first bytes are those of audio"
    return track_file(path)


def is_passed_over(path: Path, root: Path, rules: ScanRules) -> bool:
    """Return whether a track that a scan of this root did not find is not the library's.

    It is in a folder of systems, excluded by the rules, or a video that is not wanted.
    """
    below = path.relative_to(root)
    folder = root
    excludes = rules.excludes
    for part in below.parts[:-1]:
        folder /= part
        relative = folder.relative_to(root).as_posix()
        if excludes is not None and excludes(f"{relative}/"):
            return True
        if rules.shuns(os.fspath(folder)) not in (None, "hidden"):  # what was named in it stays
            return True
    if excludes is not None and excludes(below.as_posix()):
        return True
    suffix = path.suffix.lower()
    if rules.video or suffix in AUDIO_SUFFIXES or not _tells_nothing(suffix):
        return False
    return _content(os.fspath(path), suffix) == "video"


def may_concern_scan(changed: Path, root: Path, rules: ScanRules) -> bool:
    """Return whether a change of a path below a root may be of audio, or of a folder with some."""
    if not rules.shows(changed, root):
        return False
    suffix = changed.suffix.lower()
    if _leftover(changed.name, suffix) is not None:
        return False
    return suffix in AUDIO_SUFFIXES or _tells_nothing(suffix) or changed.is_dir()


# Albums in one file


_LOSSLESS = frozenset({".ape", ".flac", ".tak", ".tta", ".wav", ".wv"})


def _whole_albums(sheets: Sequence[os.DirEntry[str]], entries: Sequence[os.DirEntry[str]]) -> int:
    """Return how many audio files of a folder hold several tracks by a CUE sheet beside them."""
    if not sheets:
        return 0
    names = {entry.name.lower() for entry in entries}
    stems = {Path(name).stem for name in names if Path(name).suffix in _LOSSLESS}
    albums: set[str | None] = set()
    for sheet in sheets:
        files, tracks = _cue_sheet(sheet.path)
        if len(files) != 1 or tracks < 2:
            continue  # a file for each track
        # Sheets often name the WAV that was made into another format later.
        stem = Path(files[0].replace("\\", "/")).stem.lower()
        own = Path(sheet.name.lower()).stem
        own = Path(own).stem if Path(own).suffix in _LOSSLESS else own  # album.flac.cue
        albums |= {next((each for each in (stem, own) if each in stems), None)}
    return len(albums - {None})


def _cue_sheet(path: str) -> tuple[list[str], int]:
    """Return the files that a CUE sheet names, and its number of tracks."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_CUE_BYTES).decode("utf-8", "replace")
    except OSError:
        return [], 0
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    files = [
        line.split('"')[1] if line.count('"') >= 2 else line[5:].rpartition(" ")[0]
        for line in lines
        if line.upper().startswith("FILE ")
    ]
    return files, sum(line.upper().startswith("TRACK ") for line in lines)
