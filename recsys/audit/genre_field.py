"""The genre field of an audio file, exactly as it stands there, in every format mutagen writes.

:func:`recsys.library.read_tags` reads for people: it joins values and tidies them. Here the raw
values are kept one by one, so that what was overwritten can be put back as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.errors import TagError

if TYPE_CHECKING:
    from pathlib import Path

_ID3_FRAME = "TCON"
_MP4_ATOM = "\xa9gen"
_APE_KEY = "Genre"
_ASF_KEY = "WM/Genre"
_VORBIS_KEY = "GENRE"

_UTF16, _UTF8 = 1, 3


@dataclass(frozen=True, slots=True)
class GenreField:
    """What a file says of its genre.

    Attributes
    ----------
    values : tuple of str or None
        The raw values in their order; None where the field is absent.
    has_tags : bool
        The file has tags at all, with this field or without.
    """

    values: tuple[str, ...] | None
    has_tags: bool


def read_genre_field(path: Path) -> GenreField:
    """Read the genre field as it stands.

    Raises
    ------
    TagError
        If the format has no tags that can be written, or they are damaged.
    OSError
        If the file cannot be opened.
    """
    opened = _open(path)
    if not opened.has_tags:
        return GenreField(None, has_tags=False)
    tags = opened.file.tags
    return GenreField(_kind_of(path, tags).read(tags), has_tags=True)


def write_genre_field(
    path: Path, values: tuple[str, ...] | None, *, keep_tags: bool = True
) -> None:
    """Write the genre field in place and leave every other field as it is.

    Parameters
    ----------
    path : Path
        The file. If this is broken off the file may be damaged; see
        :func:`recsys.audit.retagging.rewrite`.
    values : tuple of str or None
        The new values; None removes the field.
    keep_tags : bool
        False also removes the tags as a whole when nothing is left in them: the file had none.

    Raises
    ------
    TagError
        If the format has no tags that can be written, they are damaged, or writing failed.
    OSError
        If the file cannot be opened.
    """
    import mutagen

    file = _open(path).file
    kind = _kind_of(path, file.tags)
    try:
        kind.write(file.tags, values)
        if keep_tags or _fields_left(file.tags):
            file.save(**kind.save_options(file.tags))
        else:
            file.delete()
    except (mutagen.MutagenError, NotImplementedError, OSError, ValueError) as error:
        raise _cannot_write(path, error) from error


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file of mutagen with tags, and whether it had them before."""

    file: Any
    has_tags: bool


def _open(path: Path) -> _Opened:
    """Open a file with mutagen, ID3 frames untranslated where they can be saved so."""
    import mutagen

    with path.open("rb"):  # so that a file out of reach is told from one with damaged tags
        pass
    try:
        file = mutagen.File(path)
        if file is not None and hasattr(file.tags, "update_to_v23"):
            # Translated frames are saved as ID3v2.4; older players do not read those, and what
            # stood there before would not come back. ID3v2.2 and v1 alone cannot be kept.
            keep = file.tags.version >= (2, 3)
            file = type(file)(path, translate=not keep, v2_version=3)
    except Exception as error:
        # On damaged tags mutagen raises almost anything.
        raise TagError(
            f"its tags cannot be read: {error}", "Repair or retag the file with another program."
        ) from error
    if file is None:
        raise _no_tags_there()
    if file.tags is not None:
        return _Opened(file, has_tags=True)
    try:
        file.add_tags()
    except (mutagen.MutagenError, NotImplementedError) as error:  # raw AAC and AC-3, say
        raise _no_tags_there() from error
    if others := _tags_of_others(path):
        raise TagError(
            f"its tags ({', '.join(sorted(others))}) are of a kind that can be read and not "
            "written, and others beside them would hide them",
            "Give it ID3 tags with a tag editor, or convert it to FLAC.",
        )
    return _Opened(file, has_tags=False)


def _no_tags_there() -> TagError:
    return TagError(
        "its format has no tags that can be written",
        "MP3, FLAC, Ogg, Opus, MP4, WavPack, APE, WMA, WAV and AIFF files have.",
    )


def _tags_of_others(path: Path) -> dict[str, str]:
    """Return what a file without tags for mutagen says otherwise: RIFF INFO, AIFF text chunks."""
    from dataclasses import asdict

    from recsys.library import read_tags

    return {name: text for name, text in asdict(read_tags(path)).items() if text}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one family of formats keeps the field."""

    read: Callable[[Any], tuple[str, ...] | None]
    write: Callable[[Any, tuple[str, ...] | None], None]
    save_options: Callable[[Any], dict[str, Any]] = lambda _: {}


def _kind_of(path: Path, tags: Any) -> _Kind:  # noqa: ANN401 (mutagen is untyped)
    from mutagen._vorbis import VComment
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    kinds = {
        ID3: _Kind(_read_id3, _write_id3, _id3_options),
        VComment: _Kind(_read_vorbis, _write_vorbis),
        MP4Tags: _Kind(_reader(_MP4_ATOM), _writer(_MP4_ATOM)),
        APEv2: _Kind(_reader(_APE_KEY), _writer(_APE_KEY)),
        ASFTags: _Kind(_reader(_ASF_KEY), _writer(_ASF_KEY)),
    }
    for family, kind in kinds.items():
        if isinstance(tags, family):
            return kind
    raise TagError(
        f"tags of the kind {type(tags).__name__} cannot be written",
        f"Convert {path.suffix or 'the file'} to FLAC, MP3, Ogg or MP4.",
    )


def _fields_left(tags: Any) -> int:  # noqa: ANN401 (mutagen is untyped)
    return len(list(tags.keys()))


def _reader(key: str) -> Callable[[Any], tuple[str, ...] | None]:
    def read(tags: Any) -> tuple[str, ...] | None:  # noqa: ANN401 (mutagen is untyped)
        return tuple(str(value) for value in tags[key]) if key in tags else None

    return read


def _writer(key: str) -> Callable[[Any, tuple[str, ...] | None], None]:
    def write(tags: Any, values: tuple[str, ...] | None) -> None:  # noqa: ANN401 (untyped)
        if values is not None:
            tags[key] = list(values)
        elif key in tags:
            del tags[key]

    return write


def _read_vorbis(tags: Any) -> tuple[str, ...] | None:  # noqa: ANN401 (mutagen is untyped)
    return tuple(tags[_VORBIS_KEY]) if _VORBIS_KEY in tags else None


def _write_vorbis(tags: Any, values: tuple[str, ...] | None) -> None:  # noqa: ANN401 (untyped)
    """Write comments under the name that stands there: it may be ``Genre`` or ``genre``."""
    spelled = next((key for key, _ in list(tags) if key.upper() == _VORBIS_KEY), _VORBIS_KEY)
    if values is not None:
        tags[spelled] = list(values)
    elif _VORBIS_KEY in tags:
        del tags[_VORBIS_KEY]


def _read_id3(tags: Any) -> tuple[str, ...] | None:  # noqa: ANN401 (mutagen is untyped)
    frame = tags.get(_ID3_FRAME)
    return None if frame is None else tuple(str(text) for text in frame.text)


def _write_id3(tags: Any, values: tuple[str, ...] | None) -> None:  # noqa: ANN401 (untyped)
    from mutagen.id3 import TCON

    tags.delall(_ID3_FRAME)
    if values is not None:
        encoding = _UTF8 if _id3_version(tags) == 4 else _UTF16
        tags.add(TCON(encoding=encoding, text=list(values)))  # type: ignore[no-untyped-call]


def _id3_version(tags: Any) -> int:  # noqa: ANN401 (mutagen is untyped)
    """Return which ID3v2 is to be written: the one that is there, and 3 where there is none.

    More players read 3 than 4; version 2 and ID3v1 alone are written as 3.
    """
    return 4 if tags._header is not None and tags.version >= (2, 4) else 3


def _id3_options(tags: Any) -> dict[str, Any]:  # noqa: ANN401 (mutagen is untyped)
    # Without a separator several values stay several in ID3v2.3 too.
    return {"v2_version": _id3_version(tags), "v23_sep": None}


def _cannot_write(path: Path, error: Exception) -> TagError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return TagError(
        f"its tags cannot be written: {reason}",
        f"Check the disk and the permissions of {path.parent}.",
    )
