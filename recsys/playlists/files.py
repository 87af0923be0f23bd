"""Playlists as files that players and scripts read.

A format is a function from a playlist to bytes and a row in :data:`FORMATS`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes
from xml.etree import ElementTree

from recsys import atomic
from recsys.checks import regular
from recsys.errors import QueryError, RecsysError
from recsys.library.paths import AUDIO_SUFFIXES, CONTAINER_SUFFIXES
from recsys.notebook import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.types import Playlist, Track

MOST_BYTES = 64 * 2**20
"""Of a playlist that is read: half a million paths."""

XSPF_NAMESPACE = "http://xspf.org/ns/0/"

BOM = b"\xef\xbb\xbf"
"""The mark of UTF-8 that some editors write; no player needs it."""

_TRIMMED = (b"#", b" ", b"\t", b"\v", b"\f", BOM[:1])
"""First bytes of a relative path that readers take for a comment, for space, or for a mark."""

_TRACK_SUFFIXES = frozenset(suffix.encode() for suffix in AUDIO_SUFFIXES | CONTAINER_SUFFIXES)

_ADDRESS = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+://")

_JSON_BEGINNING = re.compile(
    rb'\{\s*"name"\s*:.{,100000}?"seed"\s*:.{,1000}?"seeds"\s*:', re.DOTALL
)

_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What JSON need not escape, and what changes a terminal or an editor that shows it."""

# Control characters and lone surrogates, which XML 1.0 cannot hold in any form.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Written:
    """Result of writing a playlist."""

    tracks: tuple[Track, ...]
    left_out: tuple[Track, ...] = ()  # a format of one path per line cannot express a line break
    unmapped: tuple[Track, ...] = ()  # in none of the folders that were to be mapped


@dataclass(frozen=True, slots=True)
class RootMap:
    r"""A folder of this machine, and where another machine or program has it.

    ``target`` is a folder (``/music``), a folder of Windows (``Z:\Music``, ``\\nas\music``), a
    URL (``smb://nas/music``), or empty for paths that begin inside the folder, as MPD has them.

    Examples
    --------
    >>> RootMap(Path("/home/me/Music"), "/music").there(Path("/home/me/Music/a/b.mp3"))
    '/music/a/b.mp3'
    >>> RootMap(Path("/home/me/Music"), "").here("a/b.mp3").as_posix()
    '/home/me/Music/a/b.mp3'
    """

    source: Path  # absolute
    target: str

    @property
    def is_url(self) -> bool:
        """Whether the target is a URL."""
        return "://" in self.target

    @property
    def is_windows(self) -> bool:
        """Whether the target is a folder of Windows."""
        return not self.is_url and ("\\" in self.target or self.target[1:2] == ":")

    def there(self, path: Path) -> str:
        """Return the location of a file of the folder."""
        parts = path.relative_to(self.source).parts
        if self.is_url:
            parts = tuple(quote(os.fsencode(part)) for part in parts)
        return self._prefix + self._separator.join(parts)

    def here(self, location: str) -> Path | None:
        """Return the file of a location, None if it is not in the folder."""
        rest = location.removeprefix(self._prefix)
        if not location.startswith(self._prefix) or rest.startswith("/") or "://" in rest:
            return None
        if self.is_url:
            rest = os.fsdecode(unquote_to_bytes(rest))
        return self.source / rest.replace(self._separator, "/")

    @property
    def _separator(self) -> str:
        return "\\" if self.is_windows else "/"

    @property
    def _prefix(self) -> str:
        return self.target and self.target.rstrip(self._separator) + self._separator


def write(
    playlist: Playlist,
    target: Path | IO[bytes],
    file_format: str | None = None,
    *,
    relative: bool = False,
    roots: Sequence[RootMap] = (),
) -> Written:
    """Write a playlist.

    A regular file is replaced atomically, so that a player never reads half of it; a pipe or device
    is written to directly.

    Without a format, the extension of the target chooses it. Relative paths start at the folder of
    the file, or for a stream at the current folder, so that the folder can be moved as a whole;
    JSON is always absolute. Files in a folder of `roots` get the location that it gives them, the
    innermost folder first. The caller should mention the tracks that the format cannot express,
    and those in none of the roots.

    Raises
    ------
    QueryError
        The format is not known, or the target is a file that is no playlist: a song, a text.
    RecsysError
        The target cannot be written.
    """
    path = target if isinstance(target, Path) else None
    chosen = resolve_format(path, file_format)
    if path is not None:
        atomic.check_replaceable(path, "a playlist", is_playlist)
    folder = path.parent if path is not None else Path()
    form = FORMATS[chosen]
    locations = _Locations(folder.resolve() if relative else None, tuple(roots))
    written = _sorted_out(playlist, form, locations)
    content = form.writer(playlist, written.tracks, locations)
    if isinstance(target, Path):
        _replace(target, content)
    else:
        target.write(content)
    return written


def save(
    playlist: Playlist, path: str | Path, file_format: str | None, *, relative: bool
) -> Written:
    """Write a playlist to a file; see :meth:`recsys.types.Playlist.save`."""
    return write(playlist, Path(path).expanduser(), file_format, relative=relative)


def _sorted_out(playlist: Playlist, form: Format, locations: _Locations) -> Written:
    left_out = tuple(t for t in playlist.tracks if form.line_per_path and _breaks_line(t.path))
    tracks = tuple(track for track in playlist.tracks if track not in left_out)
    unmapped = (t for t in tracks if locations.roots and locations.mapped(t) is None)
    return Written(tracks, left_out, tuple(unmapped))


# Lists that exist


def is_playlist(head: bytes) -> bool:
    """Return whether a file that begins so is a playlist of a kind that recsys writes."""
    text = head.removeprefix(BOM).lstrip()
    return (
        _is_list_of_paths(head)
        or text[:10].lower() == b"[playlist]"
        or (text[:1] == b"<" and b"<playlist" in head and XSPF_NAMESPACE.encode() in head)
        or _JSON_BEGINNING.match(text) is not None
    )


def _is_list_of_paths(head: bytes, *, addresses: bool = False) -> bool:
    """Return whether a file that begins so is M3U, or names a track on every line.

    Any other line makes it a text of the user, such as a list of files with a song among them.
    `addresses` of the net count where nothing is replaced.
    """
    text = head.removeprefix(BOM)
    # Binary, a script, or segments of a stream.
    if b"\0" in text or text.startswith(b"#!") or b"\n#EXT-X-" in text:
        return False
    if text.lstrip().startswith(b"#EXTM3U"):
        return True
    lines = text.splitlines() if len(head) < atomic.HEAD_BYTES else text.splitlines()[:-1]
    paths = [line.strip() for line in lines if line.strip() and line[:1] != b"#"]
    named = [os.path.splitext(path)[1].lower() in _TRACK_SUFFIXES for path in paths]  # noqa: PTH122
    others = [path for path, is_track in zip(paths, named, strict=True) if not is_track]
    return any(named) and (not others or (addresses and all(map(_ADDRESS.match, others))))


@dataclass(frozen=True, slots=True)
class ListFile:
    """A playlist file of one path per line, as it is on disk."""

    path: Path
    content: bytes
    file_format: str

    @classmethod
    def read(cls, path: Path) -> ListFile:
        """Read a playlist that can be continued.

        Raises
        ------
        QueryError
            It is of another format than M3U or lines of paths, or no playlist at all.
        RecsysError
            It cannot be read.
        """
        file_format = resolve_format(path)
        if not FORMATS[file_format].can_grow:
            raise QueryError(
                f"a playlist in {file_format} cannot be continued: {path}",
                "Continue an .m3u8, .m3u or .txt file, or make a new one with -o.",
            )
        try:
            if regular(path).stat().st_size > MOST_BYTES:
                raise QueryError(
                    f"the playlist {path} has more than {MOST_BYTES // 2**20} MiB",
                    "It is something else, or damaged.",
                )
            content = path.read_bytes()
        except OSError as error:
            raise RecsysError(
                f"cannot read the playlist {path}: {error.strerror}", "Name an existing file."
            ) from error
        if content.strip() and not _is_list_of_paths(content[: atomic.HEAD_BYTES], addresses=True):
            raise QueryError(
                f"{path} is no playlist of paths: it was left as it is",
                "Continue a file that names tracks, or make a new one with -o.",
            )
        return cls(path, content, file_format)

    def entries(self) -> list[str]:
        """Return the locations in the file, in their order; comments are left out."""
        lines = (line.rstrip(b"\r") for line in self.content.removeprefix(BOM).split(b"\n"))
        return [os.fsdecode(line) for line in lines if line.strip() and line[:1] != b"#"]

    def files(self, roots: Sequence[RootMap] = ()) -> list[Path | None]:
        """Return the files of the entries; None for what is none, as an address of the net."""
        return [self._file(entry, roots) for entry in self.entries()]

    def _file(self, entry: str, roots: Sequence[RootMap]) -> Path | None:
        for root in roots:
            path = root.here(entry)
            if path is not None:
                return path
        if entry.startswith("file://"):
            entry = os.fsdecode(unquote_to_bytes(os.fsencode(entry.removeprefix("file://"))))
        elif "://" in entry:
            return None
        if "\0" in entry:  # no file has such a name
            return None
        return Path(os.path.abspath(self.path.parent / entry))  # noqa: PTH100 (links are kept)

    def is_relative(self) -> bool:
        """Return whether its paths begin at the folder of the file."""
        entries = self.entries()
        return bool(entries) and not any(e.startswith("/") or "://" in e for e in entries)

    def append(
        self, playlist: Playlist, *, relative: bool, roots: Sequence[RootMap] = ()
    ) -> Written:
        """Write the file again with the tracks of a playlist at its end; its lines stay.

        RecsysError if it cannot be written.
        """
        folder = self.path.parent.resolve() if relative else None
        locations = _Locations(folder, tuple(roots))
        form = FORMATS[self.file_format]
        written = _sorted_out(playlist, form, locations)
        end = b"\r\n" if b"\r\n" in self.content else b"\n"
        # A list without its header has bare paths.
        extended = self.content.removeprefix(BOM).startswith(b"#EXTM3U")
        entry = _m3u_entry if extended else _path_entry
        lines = [line for track in written.tracks for line in entry(track, locations)]
        content = self.content
        if content and not content.endswith(b"\n"):
            content += end
        _replace(self.path, content + b"".join(line + end for line in lines))
        return written


def resolve_format(path: Path | None, file_format: str | None = None) -> str:
    """Return the given format, or the one of the extension of a path; QueryError without one.

    Examples
    --------
    >>> resolve_format(Path("evening.m3u"))
    'm3u'
    """
    if file_format is not None:
        if file_format not in FORMATS:
            raise QueryError(
                f"unknown playlist format {file_format!r}", f"Formats: {', '.join(FORMATS)}."
            )
        return file_format
    extension = path.suffix.lower() if path is not None else ""
    by_extension = {end: name for name, form in FORMATS.items() for end in form.extensions}
    if extension in by_extension:
        return by_extension[extension]
    target = f"the name {path.name!r}" if path is not None else "a stream"
    raise QueryError(
        f"{target} has no extension of a playlist format",
        f"Name a format ({', '.join(FORMATS)}), or end the name with one of "
        f"{', '.join(by_extension)}.",
    )


@dataclass(frozen=True, slots=True)
class _Locations:
    """Locations of tracks: mapped, relative to a folder (links resolved), or absolute."""

    folder: Path | None
    roots: tuple[RootMap, ...] = ()

    def mapped(self, track: Track) -> str | None:
        """Return the location that a root gives a track, None where none does."""
        root = self._root(track)
        return None if root is None else root.there(track.path)

    def _root(self, track: Track) -> RootMap | None:
        within = (root for root in self.roots if track.path.is_relative_to(root.source))
        return max(within, key=lambda root: len(root.source.parts), default=None)

    def path(self, track: Track) -> bytes:
        """Return the path of a track as its original bytes."""
        mapped = self.mapped(track)
        if mapped is not None:
            path = os.fsencode(mapped)
            return b"./" + path if path[:1] in _TRIMMED else path
        if self.folder is None:
            return os.fsencode(track.path)
        # Links in the folder are resolved, so those in the path of the track must be too: ".." is
        # the parent of the target of a link, not of the link. The file keeps its name.
        where = track.path.parent.resolve() / track.path.name
        path = os.fsencode(os.path.relpath(where, self.folder))
        # "#" would begin a comment, "x:" a URL, and players trim spaces.
        unsafe = path[:1] in _TRIMMED or b":" in path.split(b"/", 1)[0]
        return b"./" + path if unsafe else path

    def url(self, track: Track) -> str:
        """Return the location of a track, percent-encoded."""
        root = self._root(track)
        if root is None:
            return track.path.as_uri() if self.folder is None else quote(self.path(track))
        location = root.there(track.path)
        if root.is_url:
            return location
        path = PureWindowsPath(location) if root.is_windows else PurePosixPath(location)
        return path.as_uri() if path.is_absolute() else quote(self.path(track))


def _m3u8(playlist: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return extended M3U in UTF-8; names that are not UTF-8 keep their original bytes."""
    lines = [b"#EXTM3U", _text(f"#PLAYLIST:{_one_line(playlist.name)}")]
    for track in tracks:
        lines += _m3u_entry(track, locations)
    return b"\n".join(lines) + b"\n"


def _m3u_entry(track: Track, locations: _Locations) -> list[bytes]:
    title = _text(f"#EXTINF:{_seconds(track)},{_one_line(track.display_name)}")
    return [title, locations.path(track)]


def _path_entry(track: Track, locations: _Locations) -> list[bytes]:
    return [locations.path(track)]


def _paths(_: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return one path per line, as the original bytes."""
    return b"".join(locations.path(track) + b"\n" for track in tracks)


def _pls(_: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return PLS version 2, in UTF-8 as M3U8."""
    lines = [b"[playlist]"]
    for number, track in enumerate(tracks, start=1):
        lines.append(b"File%d=%b" % (number, locations.path(track)))
        lines.append(b"Title%d=%b" % (number, _text(_one_line(track.display_name))))
        lines.append(b"Length%d=%d" % (number, _seconds(track)))
    lines += [b"NumberOfEntries=%d" % ((len(lines) - 1) // 3), b"Version=2"]
    return b"\n".join(lines) + b"\n"


def _xspf(playlist: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return XSPF version 1 (xspf.org/spec)."""
    root = ElementTree.Element("playlist", {"version": "1", "xmlns": XSPF_NAMESPACE})
    _element(root, "title", _one_line(playlist.name))
    track_list = ElementTree.SubElement(root, "trackList")
    for track in tracks:
        entry = ElementTree.SubElement(track_list, "track")
        _element(entry, "location", locations.url(track))
        _element(entry, "title", _one_line(track.title))
        _element(entry, "creator", _one_line(track.artist or ""))
        _element(entry, "album", _one_line(track.tags.album or ""))
        if math.isfinite(track.duration_s):
            _element(entry, "duration", str(round(track.duration_s * 1000)))
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _element(parent: ElementTree.Element, name: str, text: str | None) -> None:
    if text:
        ElementTree.SubElement(parent, name).text = _NOT_XML.sub("", text)


def _json(playlist: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return JSON in UTF-8; bytes of paths that are not UTF-8 become surrogate escapes."""

    def fields(track: Track) -> dict[str, Any]:
        mapped = locations.mapped(track)
        return track_fields(track) | ({} if mapped is None else {"path": mapped})

    known = dict(zip((track.id for track in playlist.tracks), playlist.similarities, strict=False))
    content = {
        "name": playlist.name,
        "seed": playlist.seed,
        "seeds": [fields(track) for track in playlist.seeds],
        "tracks": [fields(track) | {"similarity": known.get(track.id)} for track in tracks],
        "note": playlist.note,
        "readings": [reading.fields() for reading in playlist.readings],
    }
    # A lone surrogate is no UTF-8; written as a backslash escape it is JSON all the same.
    return (
        _UNSAFE.sub(_escaped, json.dumps(content, ensure_ascii=False, indent=2)).encode(
            "utf-8", "backslashreplace"
        )
        + b"\n"
    )


def _escaped(unsafe: re.Match[str]) -> str:
    return f"\\u{ord(unsafe[0]):04x}"


def track_fields(track: Track) -> dict[str, Any]:
    """Return a track for JSON: ``genre`` is the model's, ``genre_tag`` the file's."""
    return {
        "path": str(track.path),
        "genre": track.genre,
        "genre_tag": track.tags.genre_tag,
        "artist": track.artist,
        "title": track.title,
        "album": track.tags.album,
        "duration_s": round(track.duration_s, 3) if math.isfinite(track.duration_s) else None,
        "track_id": track.id or None,  # a file outside the library has none
        **track.numbers,
        **track.mix.fields(),
    }


@dataclass(frozen=True, slots=True)
class Format:
    """A playlist format."""

    writer: Callable[[Playlist, Iterable[Track], _Locations], bytes]
    extensions: tuple[str, ...]  # that select the format
    line_per_path: bool = False  # so paths with line breaks are left out
    can_grow: bool = False  # lines may be added at the end


FORMATS = {
    "m3u8": Format(_m3u8, (".m3u8",), line_per_path=True, can_grow=True),
    # By convention M3U is in Latin-1, or whatever the system of its writer used. Here it is M3U8: a
    # path in other bytes than those on disk names no file, and players that take M3U for Latin-1
    # (VLC) look first whether it is UTF-8.
    "m3u": Format(_m3u8, (".m3u",), line_per_path=True, can_grow=True),
    "pls": Format(_pls, (".pls",), line_per_path=True),
    "xspf": Format(_xspf, (".xspf",)),
    "json": Format(_json, (".json",)),
    "paths": Format(_paths, (".txt",), line_per_path=True, can_grow=True),
}
"""Formats by their names on the command line."""


def _breaks_line(path: Path) -> bool:
    return "\n" in str(path) or "\r" in str(path)


def _one_line(text: str) -> str:
    return " ".join(one_line(text).split())


def _seconds(track: Track) -> int:
    """Return the duration as players read it: -1 is unknown."""
    return round(track.duration_s) if math.isfinite(track.duration_s) else -1


def _text(line: str) -> bytes:
    """Encode text for display; bytes of a file name that are not UTF-8 become question marks."""
    return line.encode("utf-8", "replace")


def _replace(path: Path, content: bytes) -> None:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device
            path.write_bytes(content)
        else:
            atomic.write_bytes(path, content)
    except OSError as error:
        raise RecsysError(
            f"cannot write the playlist {path}: {error.strerror or error}",
            "Name a file in an existing, writable folder.",
        ) from error
