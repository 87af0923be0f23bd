"""What can be wrong with a library database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Query = Callable[[str], list[tuple[Any, ...]]]

_UNSOUND = (
    (
        "SELECT count(*) FROM tracks WHERE NOT EXISTS"
        " (SELECT 1 FROM models JOIN meta ON fingerprint = value WHERE key = 'model')",
        "{} tracks are there but no model.",
    ),
    (
        "SELECT count(*) FROM heard WHERE genre IS NULL",
        "{} tracks have no analysis by the current model.",
    ),
    (
        "SELECT count(*) FROM analyses JOIN models USING (fingerprint)"
        " WHERE length(embedding) <> 4 * dimension",
        "{} analyses have an embedding of the wrong length.",
    ),
    (
        "SELECT count(*) FROM analyses JOIN models USING (fingerprint)"
        " WHERE coalesce(length(analyses.tags), 0) <> 4 * json_array_length(models.tags)",
        "{} analyses have another number of tags than their model.",
    ),
    (
        "SELECT count(*) FROM tracks JOIN failures USING (path)",
        "{} files are both tracks and failures.",
    ),
)


def file_problems(rows: Query) -> list[str]:
    """Return what is wrong with the file as a database, in sentences.

    Parameters
    ----------
    rows : callable
        Runs a statement and returns its rows.
    """
    damage = [str(text) for (text,) in rows("PRAGMA integrity_check")]
    problems = [] if damage == ["ok"] else [f"Damaged: {text}." for text in damage]
    if broken := rows("PRAGMA foreign_key_check"):
        problems.append(f"{len(broken)} analyses are of a model that is not stored.")
    return problems


def content_problems(rows: Query) -> list[str]:
    """Return what is wrong with the contents of a sound file, in sentences."""
    counted = [(rows(sql)[0][0], sentence) for sql, sentence in _UNSOUND]
    return [sentence.format(count) for count, sentence in counted if count]
