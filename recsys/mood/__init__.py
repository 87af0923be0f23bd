"""Energy, valence and three more numbers of every track, and the moods that they name.

The table ``moods.toml`` says which tags of the model make each number, and which regions of the
numbers are a mood. A library may have a table of its own (:meth:`recsys.api.Library.use_moods`) and
heads that were fitted to its own music (:mod:`recsys.mood.fit`).
"""

from recsys.mood.numbers import Heads, MoodNumbers, mood_numbers
from recsys.mood.table import MoodTable

__all__ = ["Heads", "MoodNumbers", "MoodTable", "mood_numbers"]
