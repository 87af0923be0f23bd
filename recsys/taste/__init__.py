"""What a listener likes, and what must not come back.

    like, dislike, play, skip, ban, unban --> Event --> store
                                                          |--> Bans: what no answer may hold
                                                          |--> Taste: what each track is moved by

Events hang on the identity of the sound (the audio hash), so that they outlast moves, new tags and
new analyses.
"""

from recsys.taste.bans import Bans
from recsys.taste.events import Event, EventKind, Subject

__all__ = ["Bans", "Event", "EventKind", "Subject"]
