"""What recommending asks of a library, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from recsys.types import Analysis, FloatArray, GenreSource, IdArray, ModelInfo, Track


class Catalogue(Protocol):
    """The tracks of a library and what was heard in them, without their index.

    :class:`recsys.store.Store` is one, :class:`recsys.milvus.catalogue.MilvusCatalogue` another.
    Tracks that the library's model has not analysed are in none of the answers.
    """

    @property
    def path(self) -> object:
        """Where the library lies, for messages."""

    def model(self) -> ModelInfo | None:
        """Return the library's model, None before the first one is set."""

    def genre_source(self) -> GenreSource:
        """Return which labels sort the tracks into genre groups."""

    def genre_counts(self) -> Mapping[str, int]:
        """Return the number of tracks in each part, in the order of the names."""

    def roots(self) -> Sequence[Path]:
        """Return the folders that were indexed, in the order of their names."""

    def analysis(self, track_id: int) -> Analysis | None:
        """Return what was heard in a track, None where there is none of this id."""

    def analyses(self, ids: Iterable[int]) -> Mapping[int, Analysis]:
        """Return what was heard in these tracks; ids without a track are left out."""

    def tag_scores(self, ids: Iterable[int]) -> Mapping[int, FloatArray]:
        """Return the tag scores of these tracks, shape (n_tags,); ids without any are left out."""

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """Return the tag scores of every track that has any.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Ascending.
        scores : ndarray of float32, shape (n, n_tags)
        """

    def track(self, track_id: int) -> Track | None:
        """Return a track, None where there is none of this id."""

    def tracks(self, ids: Iterable[int]) -> Mapping[int, Track]:
        """Return the tracks of these ids; ids without one are left out."""

    def track_by_path(self, path: Path) -> Track | None:
        """Return the track of this file, None where there is none."""

    def tracks_with_hash(self, audio_hash: str) -> Sequence[Track]:
        """Return the tracks of the same sound, by id."""

    def find_tracks(self, words: str, limit: int = 50) -> Sequence[Track]:
        """Return the tracks whose artist, title, album or genre tag hold every word.

        A word matches the beginning of a word; case and accents do not count. Tracks whose artist
        or title is exactly ``words`` come first, then those with every word in artist and title,
        then the rest, each by artist, title and id; at most ``limit``.
        """
