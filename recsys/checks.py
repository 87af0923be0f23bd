"""Checks of options that people write in Python."""

from __future__ import annotations

import errno
from dataclasses import fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from recsys.errors import NOT_REGULAR, QueryError

if TYPE_CHECKING:
    from pathlib import Path

_TEXTS = "tuple[str, ...]"

_KINDS: dict[str, tuple[type, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": (str, "text"),
    "bool": (bool, "True or False"),
}


def check_types(options: Any) -> None:  # noqa: ANN401 (any dataclass)
    """Raise QueryError for an option of another type than its field has.

    Fields of other types than numbers, texts and tuples of texts are left to their own checks.

    Examples
    --------
    >>> from recsys import SimilarOptions
    >>> SimilarOptions(tags="chill")
    Traceback (most recent call last):
    recsys.errors.QueryError: tags must be several names, got the text 'chill'
    """
    for field in fields(options):
        # Annotations are text, because their modules import them from __future__.
        kind = str(field.type).removesuffix(" | None")
        value = getattr(options, field.name)
        if kind != str(field.type) and value is None:
            continue
        if kind == _TEXTS:
            _check_texts(field.name, value)
        elif kind in _KINDS and (
            not isinstance(value, _KINDS[kind][0]) or (kind != "bool" and isinstance(value, bool))
        ):
            raise QueryError(
                f"{field.name} must be {_KINDS[kind][1]}, got {value!r}",
                f"Its type is {field.type}.",
            )


def regular(path: Path) -> Path:
    """Return a path to read from; OSError for a pipe or device, which may never end.

    A missing file, or a folder, is left to the reader.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    return path


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number, also one of NumPy, and not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_at_least(least: int, **numbers: int | None) -> None:
    """Raise QueryError for a number below another; None is none."""
    for name, value in numbers.items():
        if value is not None and value < least:
            raise QueryError(
                f"{name} must be at least {least}, got {value}",
                f"Give {least} or more, or leave it out.",
            )


def _check_texts(name: str, value: object) -> None:
    if isinstance(value, str):
        raise QueryError(
            f"{name} must be several names, got the text {value!r}", f"Give {name}=({value!r},)."
        )
    if not isinstance(value, tuple | list) or not all(isinstance(each, str) for each in value):
        raise QueryError(
            f"{name} must be several names, got {value!r}", f"Give a tuple of texts: {name}=(...,)."
        )
