"""MPD, the Music Player Daemon: similar tracks, playlists and radio in its queue.

Needs the extra ``[mpd]``. :mod:`recsys.players.mpd.connection` speaks with MPD,
:mod:`recsys.players.mpd.queue` puts tracks into its queue, and
:mod:`recsys.players.mpd.station` keeps the queue fed.
"""
