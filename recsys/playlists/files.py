"""Playlists as files that players and scripts read.

A format is a function from a playlist to bytes and a row in :data:`FORMATS`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

from recsys import atomic
from recsys.errors import QueryError, RecsysError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.types import Playlist, Track

XSPF_NAMESPACE = "http://xspf.org/ns/0/"

# Control characters and lone surrogates, which XML 1.0 cannot hold in any form.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Written:
    """Result of writing a playlist."""

    tracks: tuple[Track, ...]
    left_out: tuple[Track, ...] = ()  # a format of one path per line cannot express a line break


def write(
    playlist: Playlist,
    target: Path | IO[bytes],
    file_format: str | None = None,
    *,
    relative: bool = False,
) -> Written:
    """Write a playlist.

    A regular file is replaced atomically, so that a player never reads half of it; a pipe or device
    is written to directly.

    Without a format, the extension of the target chooses it. Relative paths start at the folder of
    the file, or for a stream at the current folder, so that the folder can be moved as a whole;
    JSON is always absolute. The caller should mention the tracks that the format cannot express.

    Raises
    ------
    QueryError
        The format is not known.
    RecsysError
        The target cannot be written.
    """
    path = target if isinstance(target, Path) else None
    chosen = resolve_format(path, file_format)
    folder = path.parent if path is not None else Path()
    form, locations = FORMATS[chosen], _Locations(folder.resolve() if relative else None)
    left_out = tuple(t for t in playlist.tracks if form.line_per_path and _breaks_line(t.path))
    tracks = tuple(track for track in playlist.tracks if track not in left_out)
    content = form.writer(playlist, tracks, locations)
    if isinstance(target, Path):
        _replace(target, content)
    else:
        target.write(content)
    return Written(tracks, left_out)


def resolve_format(path: Path | None, file_format: str | None = None) -> str:
    """Return the given format, or the one of the extension of a path; QueryError without one.

    Examples
    --------
    >>> resolve_format(Path("evening.m3u"))
    'm3u8'
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
    """Locations of tracks: relative to a folder (links resolved), or absolute."""

    folder: Path | None

    def path(self, track: Track) -> bytes:
        """Return the path of a track as its original bytes."""
        if self.folder is None:
            return os.fsencode(track.path)
        # Links in the folder are resolved, so those in the path of the track must be too: ".." is
        # the parent of the target of a link, not of the link. The file keeps its name.
        where = track.path.parent.resolve() / track.path.name
        path = os.fsencode(os.path.relpath(where, self.folder))
        # "#" would begin a comment, "x:" a URL, and players trim spaces.
        unsafe = path[:1] in (b"#", b" ") or b":" in path.split(b"/", 1)[0]
        return b"./" + path if unsafe else path

    def url(self, track: Track) -> str:
        """Return the location of a track, percent-encoded."""
        return track.path.as_uri() if self.folder is None else quote(self.path(track))


def _m3u8(playlist: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return extended M3U in UTF-8; names that are not UTF-8 keep their original bytes."""
    lines = [b"#EXTM3U", _text(f"#PLAYLIST:{_one_line(playlist.name)}")]
    for track in tracks:
        seconds = round(track.duration_s)
        lines.append(_text(f"#EXTINF:{seconds},{_one_line(track.display_name)}"))
        lines.append(locations.path(track))
    return b"\n".join(lines) + b"\n"


def _paths(_: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return one path per line, as the original bytes."""
    return b"".join(locations.path(track) + b"\n" for track in tracks)


def _xspf(playlist: Playlist, tracks: Iterable[Track], locations: _Locations) -> bytes:
    """Return XSPF version 1 (xspf.org/spec)."""
    root = ElementTree.Element("playlist", {"version": "1", "xmlns": XSPF_NAMESPACE})
    _element(root, "title", playlist.name)
    track_list = ElementTree.SubElement(root, "trackList")
    for track in tracks:
        entry = ElementTree.SubElement(track_list, "track")
        _element(entry, "location", locations.url(track))
        _element(entry, "title", track.title)
        _element(entry, "creator", track.artist)
        _element(entry, "album", track.tags.album)
        _element(entry, "duration", str(round(track.duration_s * 1000)))
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _element(parent: ElementTree.Element, name: str, text: str | None) -> None:
    if text:
        ElementTree.SubElement(parent, name).text = _NOT_XML.sub("", text)


def _json(playlist: Playlist, tracks: Iterable[Track], _: _Locations) -> bytes:
    """Return JSON in UTF-8; bytes of paths that are not UTF-8 become surrogate escapes."""
    content = {
        "name": playlist.name,
        "seed": playlist.seed,
        "seeds": [track_fields(track) for track in playlist.seeds],
        "tracks": _steps(playlist, tracks),
        "note": playlist.note,
    }
    # A lone surrogate is no UTF-8; written as a backslash escape it is JSON all the same.
    return (
        json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")
        + b"\n"
    )


def _steps(playlist: Playlist, tracks: Iterable[Track]) -> list[dict[str, Any]]:
    """Return tracks with the similarity of each to the one before it, null where it is unknown."""
    known = dict(zip((track.id for track in playlist.tracks), playlist.similarities, strict=False))
    return [{**track_fields(track), "similarity": known.get(track.id)} for track in tracks]


def track_fields(track: Track) -> dict[str, Any]:
    """Return a track for JSON: ``genre`` is the model's, ``genre_tag`` the file's."""
    return {
        "path": str(track.path),
        "genre": track.genre,
        "genre_tag": track.tags.genre_tag,
        "artist": track.artist,
        "title": track.title,
        "album": track.tags.album,
        "duration_s": round(track.duration_s, 3),
        "track_id": track.id,
    }


@dataclass(frozen=True, slots=True)
class Format:
    """A playlist format."""

    writer: Callable[[Playlist, Iterable[Track], _Locations], bytes]
    extensions: tuple[str, ...]  # that select the format
    line_per_path: bool = False  # so paths with line breaks are left out


FORMATS = {
    "m3u8": Format(_m3u8, (".m3u8", ".m3u"), line_per_path=True),
    "xspf": Format(_xspf, (".xspf",)),
    "json": Format(_json, (".json",)),
    "paths": Format(_paths, (".txt",), line_per_path=True),
}
"""Formats by their names on the command line."""


def _breaks_line(path: Path) -> bool:
    return "\n" in str(path) or "\r" in str(path)


def _one_line(text: str) -> str:
    return " ".join(text.split())


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
