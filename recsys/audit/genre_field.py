"""The raw genre field of an audio file, in every format that mutagen writes.

:func:`recsys.library.read_tags` reads for display: it joins values and tidies them. Here every raw
value is kept, so that an overwritten field can be restored exactly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from recsys.errors import TagError
from recsys.library import read_tags

if TYPE_CHECKING:
    from pathlib import Path

Untyped: TypeAlias = Any
"""Mutagen has no types."""

_ID3_FRAME = "TCON"
_KEYS = {"VComment": "GENRE", "MP4Tags": "\xa9gen", "APEv2": "Genre", "ASFTags": "WM/Genre"}
"""Key of the field by mutagen's class of tags; ID3 keeps it in a frame."""

_UTF16, _UTF8 = 1, 3


@dataclass(frozen=True, slots=True)
class GenreField:
    """The genre field of one file."""

    values: tuple[str, ...] | None  # raw, in their order; None where the field is absent
    has_tags: bool  # the file has tags at all, with this field or without


def read_genre_field(path: Path) -> GenreField:
    """Read the raw genre field.

    TagError if the format has no tags that can be written or they are damaged, OSError if the file
    cannot be opened.
    """
    file, has_tags = _open(path)
    return GenreField(_read(path, file.tags) if has_tags else None, has_tags)


def write_genre_field(
    path: Path, values: tuple[str, ...] | None, *, keep_tags: bool = True
) -> None:
    """Write the genre field in place, or remove it for None; every other field stays as it is.

    A crash may damage the file; see :func:`recsys.audit.retagging.rewrite`. Without `keep_tags` the
    tags as a whole are removed when nothing is left in them: the file had none. TagError and
    OSError as in :func:`read_genre_field`, TagError also if writing fails.
    """
    import mutagen

    file, _ = _open(path)
    try:
        _write(path, file.tags, values)
        if keep_tags or list(file.tags.keys()):
            file.save(**_save_options(file.tags))
        else:
            file.delete()
    except (mutagen.MutagenError, NotImplementedError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise TagError(
            f"its tags cannot be written: {reason}",
            f"Check the disk and the permissions of {path.parent}.",
        ) from error


def _open(path: Path) -> tuple[Untyped, bool]:
    """Return a file of mutagen with tags, and whether it had them before."""
    import mutagen

    with path.open("rb"):  # an OSError here means the file, not its tags
        pass
    try:
        file = mutagen.File(path)
        if file is not None and hasattr(file.tags, "update_to_v23"):
            # Translated frames are saved as ID3v2.4, which older players do not read and which
            # could not be restored. ID3v2.2 and v1 alone cannot be kept untranslated.
            keep = file.tags.version >= (2, 3)
            file = type(file)(path, translate=not keep, v2_version=3)
    except Exception as error:
        # Mutagen raises almost anything on damaged tags.
        raise TagError(
            f"its tags cannot be read: {error}", "Repair or retag the file with another program."
        ) from error
    if file is None:
        raise _untaggable()
    if file.tags is not None:
        return file, True
    try:
        file.add_tags()
    except (mutagen.MutagenError, NotImplementedError) as error:  # raw AAC and AC-3, say
        raise _untaggable() from error
    # RIFF INFO and AIFF text chunks are read by recsys but not by mutagen; other tags would
    # hide them from players.
    if others := [name for name, text in asdict(read_tags(path)).items() if text]:
        raise TagError(
            f"its tags ({', '.join(sorted(others))}) are of a kind that can be read and not "
            "written, and other tags would hide them",
            "Give it ID3 tags with a tag editor, or convert it to FLAC.",
        )
    return file, False


def _untaggable() -> TagError:
    return TagError(
        "its format has no tags that can be written",
        "MP3, FLAC, Ogg, Opus, MP4, WavPack, APE, WMA, WAV and AIFF files have.",
    )


def _is_id3(tags: Untyped) -> bool:
    from mutagen.id3 import ID3

    return isinstance(tags, ID3)


def _key(path: Path, tags: Untyped) -> str:
    for family in type(tags).__mro__:
        if family.__name__ in _KEYS:
            return _KEYS[family.__name__]
    raise TagError(
        f"tags of the kind {type(tags).__name__} cannot be written",
        f"Convert {path.suffix or 'the file'} to FLAC, MP3, Ogg or MP4.",
    )


def _read(path: Path, tags: Untyped) -> tuple[str, ...] | None:
    if _is_id3(tags):
        frame = tags.get(_ID3_FRAME)
        return None if frame is None else tuple(str(text) for text in frame.text)
    key = _key(path, tags)
    return tuple(str(value) for value in tags[key]) if key in tags else None


def _write(path: Path, tags: Untyped, values: tuple[str, ...] | None) -> None:
    if _is_id3(tags):
        _write_id3(tags, values)
        return
    key = _key(path, tags)
    if values is None:
        if key in tags:
            del tags[key]
        return
    if key == _KEYS["VComment"]:  # keep the spelling of the file: Genre, genre, GENRE
        key = next((name for name, _ in list(tags) if name.upper() == key), key)
    tags[key] = list(values)


def _write_id3(tags: Untyped, values: tuple[str, ...] | None) -> None:
    from mutagen.id3 import TCON

    tags.delall(_ID3_FRAME)
    if values is not None:
        encoding = _UTF8 if _id3_version(tags) == 4 else _UTF16
        tags.add(TCON(encoding=encoding, text=list(values)))  # type: ignore[no-untyped-call]


def _id3_version(tags: Untyped) -> int:
    """Return the version to write: the present one, 3 where there is none, which more players read.

    Version 2 and ID3v1 alone are written as 3.
    """
    return 4 if tags._header is not None and tags.version >= (2, 4) else 3


def _save_options(tags: Untyped) -> dict[str, Any]:
    # Without a separator several values stay several in ID3v2.3 too.
    return {"v2_version": _id3_version(tags), "v23_sep": None} if _is_id3(tags) else {}
