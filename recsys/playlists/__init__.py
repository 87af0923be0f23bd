"""Playlists: from seed tracks, through a cycle of genres, in a mood, or between two tracks.

    queues of candidates (lazy searches of the index) --> PlaylistDraft (constraints) --> Playlist

Every kind of playlist extends a :class:`~recsys.playlists.draft.PlaylistDraft`, so that the
constraints apply to all. The same seed and the same library give the same playlist.
"""

from recsys.playlists.draft import DEFAULT_LENGTH, PREFERRED_ARTIST_GAP, PlaylistOptions
from recsys.playlists.maker import PlaylistMaker
from recsys.playlists.order import AUTO

__all__ = ["AUTO", "DEFAULT_LENGTH", "PREFERRED_ARTIST_GAP", "PlaylistMaker", "PlaylistOptions"]
