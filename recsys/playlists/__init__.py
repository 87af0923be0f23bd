"""Playlists: from seed tracks, round a cycle of genres, or on a way from one track to another.

Each way of making one is a series of sources of candidates (searches in the index, read lazily)
that extend one :class:`~recsys.playlists.draft.Draft`. The draft holds the constraints, so they
apply to all alike. The same seed and the same library give the same playlist.
"""

from recsys.playlists.draft import DEFAULT_LENGTH, PREFERRED_ARTIST_GAP, PlaylistOptions
from recsys.playlists.maker import PlaylistMaker
from recsys.playlists.order import AUTO

__all__ = ["AUTO", "DEFAULT_LENGTH", "PREFERRED_ARTIST_GAP", "PlaylistMaker", "PlaylistOptions"]
