"""What is known of an index on Milvus without asking for its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys.errors import GenreIndexError

if TYPE_CHECKING:
    from recsys.index.base import EmbeddingIndex


@dataclass
class State:
    """What is known of an index without asking for its rows.

    Attributes
    ----------
    fingerprint, revision
        As in :class:`recsys.index.base.EmbeddingIndex`.
    counts : dict of str to int
        Tracks by part.
    highest_id : int
        No id that is held is higher.
    settled : bool
        Nothing was written since; if something was, the counts may be wrong.
    graph : bool
        A graph is searched, instead of all tracks of a part.
    """

    fingerprint: str = ""
    revision: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    highest_id: int = 0
    settled: bool = False
    graph: bool = False


def check_dimension(index: EmbeddingIndex, dimension: int) -> None:
    """Raise an error unless an index holds embeddings of this length.

    Raises
    ------
    GenreIndexError
        It holds others.
    """
    if index.dimension != dimension:
        raise GenreIndexError(
            f"the index on Milvus holds embeddings of dimension {index.dimension}, and the"
            f" model makes them of dimension {dimension}",
            "It was not made by this library: push it once more with --replace.",
        )
