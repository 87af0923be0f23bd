"""Tags of any audio file, as clean and bounded text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recsys.errors import AudioError
from recsys.types import Tags

# Names of one field in the formats: mutagen's "easy" names (ID3, MP4, Vorbis) and FFmpeg's, then
# raw ID3 (WAV, AIFF), then ASF. mutagen ignores the case of APE keys.
_FIELDS: dict[str, tuple[str, ...]] = {
    "artist": ("artist", "TPE1", "Author"),
    "album_artist": ("albumartist", "album artist", "album_artist", "TPE2", "WM/AlbumArtist"),
    "album": ("album", "TALB", "WM/AlbumTitle"),
    "title": ("title", "TIT2", "Title"),
    "track_number": ("tracknumber", "track", "TRCK", "WM/TrackNumber"),
    "year": ("date", "year", "TDRC", "TYER", "WM/Year"),
    "genre": ("genre", "TCON", "WM/Genre"),
    "language": ("language", "TLAN", "WM/Language"),
}


def read_tags(path: Path) -> Tags:
    """Read the tags of any file; empty where none can be parsed.

    Several values of a field are joined by ``"; "``.
    """
    fields = _mutagen_fields(path) or _ffmpeg_fields(path)
    texts = {name: _text(fields, keys) for name, keys in _FIELDS.items()}
    return Tags(
        artist=texts["artist"],
        album_artist=texts["album_artist"],
        album=texts["album"],
        title=texts["title"],
        track_number=_number(texts["track_number"], r"\d{1,6}"),
        year=_number(texts["year"], r"\b\d{4}\b|^\d{4}"),
        genre_tag=texts["genre"],
        language=texts["language"],
    )


def _mutagen_fields(path: Path) -> Any:  # noqa: ANN401 (mutagen is untyped)
    import mutagen

    try:
        with path.open("rb") as file:
            tagged = mutagen.File(file, easy=True)
    except Exception:  # noqa: BLE001 (on damaged tags mutagen raises almost anything)
        return None
    return None if tagged is None else tagged.tags


def _ffmpeg_fields(path: Path) -> dict[str, str]:
    """Read tags that mutagen does not: RIFF INFO lists in WAV files, AIFF text chunks."""
    from recsys.audio import open_container

    try:
        with open_container(path) as container:
            return dict(container.metadata)
    except AudioError:
        return {}


def _text(tags: Any, keys: Iterable[str]) -> str | None:  # noqa: ANN401 (mutagen is untyped)
    for key in keys:
        try:
            value = tags.get(key)
        except (KeyError, ValueError, TypeError):
            continue
        if value is None:
            continue
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        values = values if isinstance(values, list | tuple) else [values]
        cleaned = [_clean(str(part)) for part in values]
        if any(cleaned):
            return "; ".join(dict.fromkeys(part for part in cleaned if part))
    return None


def _clean(text: str) -> str:
    """Drop control characters, broken encodings and wide spaces."""
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(c if c.isprintable() else " " for c in encodable).split())


def _number(text: str | None, pattern: str) -> int | None:
    match = re.search(pattern, text or "")
    return int(match.group()) if match else None
