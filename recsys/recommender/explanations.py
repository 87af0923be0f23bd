"""Why a recommended track stands where it stands: the numbers, and the same in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Explanation:
    """The numbers that decided one row of an answer.

    Attributes
    ----------
    genre : str
        The model's genre of the recommended track.
    tier : int
        From 1; 0 when the ranking is by similarity alone.
    query_genre_score : float
        The query's score of this genre, in [0, 1].
    track_genre_probability : float or None
        How sure the model is of this genre for the track itself, in [0, 1]; None when the track
        was removed from the library meanwhile.
    similarity : float
        Cosine between query and track, in [-1, 1].
    """

    genre: str
    tier: int
    query_genre_score: float
    track_genre_probability: float | None
    similarity: float

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, for JSON."""
        return asdict(self)

    def sentences(self) -> tuple[str, ...]:
        """Return the explanation in words: the tier, the genre of the track, the similarity.

        Examples
        --------
        >>> for sentence in Explanation("rock", 2, 0.21, 0.93, 0.874).sentences():
        ...     print(sentence)
        tier 2: rock, the query's next genre (score 0.21)
        the track itself is rock with probability 0.93
        similarity 0.874 (1 is the same sound)
        """
        return (
            self._tier_sentence(),
            *self._track_sentence(),
            f"similarity {self.similarity:.3f} (1 is the same sound)",
        )

    def _tier_sentence(self) -> str:
        score = f"(score {self.query_genre_score:.2f})"
        if self.tier == 0:
            return f"ranked by similarity alone; {self.genre} has no part in it {score}"
        places = {1: "most probable genre", 2: "next genre"}
        place = places.get(self.tier, f"{ordinal(self.tier)} genre")
        return f"tier {self.tier}: {self.genre}, the query's {place} {score}"

    def _track_sentence(self) -> tuple[str, ...]:
        if self.track_genre_probability is None:
            return ()
        return (
            f"the track itself is {self.genre} with probability {self.track_genre_probability:.2f}",
        )


def ordinal(number: int) -> str:
    """Return an English ordinal.

    Examples
    --------
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
