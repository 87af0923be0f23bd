"""Reads a phrase for sound: wishes, eras, names, and what is not understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from recsys.errors import QueryError
from recsys.words.table import (
    ADJECTIVES,
    Entry,
    Role,
    Sound,
    SoundKind,
    Vocabulary,
    alike,
    tokens_of,
)
from recsys.words.years import is_year, read_years

VERY, NORMAL, LITTLE = 1.5, 1.0, 0.5
"""Strength that a sound is wanted to have: z-scores, see :mod:`recsys.words.ranking`."""

_LONGEST_NAME = 6
"""Words of the longest name that is looked for in the library."""

_TYPO_FROM, _TYPO_RATIO = 5, 0.84
"""Letters from which a word may be a misspelling, and how similar it is then."""

_ARTICLES = {"the", "of", "in"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Sounds, any of which is wanted, or none of which is."""

    sounds: tuple[Sound, ...]
    weight: float = NORMAL  # strength that is wanted; of an unwanted sound, its weight
    unwanted: bool = False
    only_strong: bool = False  # unwanted where it is strong: "not too sad"
    said: str = ""  # the words, where they are another sound's: "without vocals"
    guessed: str = ""  # the words that a text model took for the sounds, or a misspelling

    def __str__(self) -> str:
        name = self.said or " or ".join(sound.name for sound in self.sounds)
        if self.unwanted:
            return f"{'not very' if self.only_strong else 'without'} {name}"
        degree = {VERY: "very ", LITTLE: "a little "}.get(self.weight, "")
        return degree + name

    def standing_for(self) -> str:
        """Return the tags that stand for sounds that the model has no tag for, or nothing."""
        tags = [tag for s in self.sounds if s.near and s.group is None for tag in s.tags]
        return ", ".join(dict.fromkeys(tags))


@dataclass(frozen=True, slots=True)
class Era:
    """Years of release; None has no limit."""

    first: int | None
    last: int | None
    unwanted: bool = False

    def __str__(self) -> str:
        text = self._years()
        return f"not {text}" if self.unwanted else text

    def _years(self) -> str:
        if self.first is None:
            return f"until {self.last}"
        if self.last is None:
            return f"from {self.first} on"
        if self.first == self.last:
            return str(self.first)
        if self.first % 10 == 0 and self.last == self.first + 9:
            decade = f"{self.first % 100:02}" if 1950 <= self.first < 2010 else str(self.first)
            return f"{decade}s"
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class PhraseName:
    """A name of the library in a phrase."""

    name: str  # for display
    kind: str  # artist, title, album, or "words" for words of artists and titles
    track_ids: tuple[int, ...]
    unwanted: bool = False

    def __str__(self) -> str:
        said = f"titles with {self.name!r}" if self.kind == "words" else self.name
        return f"without {said}" if self.unwanted else f"like {said}"


class NameFinder(Protocol):
    """Looks for names in a library."""

    def named(self, words: str, *, artists_only: bool = False) -> PhraseName | None:
        """Return the artist, title or album of exactly this name, but for case and marks."""

    def holding(self, words: str) -> PhraseName | None:
        """Return the tracks whose artist or title has all of these words."""


@dataclass(frozen=True, slots=True)
class PhraseReading:
    """How a phrase was read."""

    given: str
    wishes: tuple[Wish, ...] = ()
    eras: tuple[Era, ...] = ()
    names: tuple[PhraseName, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was understood."""
        return not (self.wishes or self.eras or self.names)

    def check(self) -> None:
        """Raise QueryError if nothing was understood."""
        if self.empty:
            raise QueryError(
                f"nothing was understood of {self.given!r}",
                "Name sounds, moods, voices, years, or artists of the library: "
                '--words "slow sad piano without vocals from the 80s".',
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """The genre groups that the phrase names."""
        found = (s.group for wish in self.wishes if not wish.unwanted for s in wish.sounds)
        return tuple(dict.fromkeys(group for group in found if group is not None))

    def __str__(self) -> str:
        """Return the reading in one line.

        Examples
        --------
        >>> vocabulary = Vocabulary(("sad", "instrumental", "female vocalists", "80s"), ())
        >>> print(read_phrase("very sad zither without vocals from the 80s", vocabulary))
        very sad, without vocals, 80s; not understood: zither
        """
        plus = " + ".join(_explained(w) for w in self.wishes if not (w.unwanted or w.said))
        parts = [plus] if plus else []
        parts += [_explained(wish) for wish in self.wishes if wish.unwanted or wish.said]
        wanted = " or ".join(str(era) for era in self.eras if not era.unwanted)
        parts += [wanted] if wanted else []
        parts += [str(era) for era in self.eras if era.unwanted]
        parts += map(str, self.names)
        text = ", ".join(parts) or "nothing"
        if self.unknown:
            text += f"; not understood: {', '.join(self.unknown)}"
        return text

    def fields(self) -> dict[str, object]:
        """Return the reading as scripts read it."""
        return {
            "given": self.given,
            "reading": str(self),
            "wanted": [str(w) for w in self.wishes if not w.unwanted],
            "unwanted": [
                w.said or " or ".join(s.name for s in w.sounds) for w in self.wishes if w.unwanted
            ],
            "years": [
                {"first": e.first, "last": e.last, "unwanted": e.unwanted} for e in self.eras
            ],
            "names": [
                {"name": n.name, "kind": n.kind, "tracks": len(n.track_ids), "unwanted": n.unwanted}
                for n in self.names
            ],
            "not_understood": list(self.unknown),
        }


def _explained(wish: Wish) -> str:
    """Return a wish with what stands for it."""
    text, tags = str(wish), wish.standing_for()
    if wish.guessed:
        text = f"{wish.guessed} ~ {text}"
    return f"{text} ({tags})" if tags else text


Guess = Callable[[str, Vocabulary], "Sound | None"]
""":meth:`recsys.words.text_model.TextModel.guess`."""


def read_phrase(
    phrase: str,
    vocabulary: Vocabulary,
    names: NameFinder | None = None,
    guess: Guess | None = None,
) -> PhraseReading:
    """Read a phrase.

    Parameters
    ----------
    phrase : str
        For example "slow sad piano without vocals from the 80s". A part in double quotes is a name.
    vocabulary : Vocabulary
        The words that are understood.
    names : NameFinder, optional
        Names of the library, for what the vocabulary does not know.
    guess : callable, optional
        Takes words that nothing else knows to a sound, or to None.

    Returns
    -------
    PhraseReading
        What was not understood is in ``unknown``.
    """
    reader = _Reader(vocabulary, names, guess)
    for position, part in enumerate(re.split(r'["“”]', phrase)):
        if position % 2:
            reader.read_quoted(part)
        else:
            reader.read(tokens_of(part))
    return reader.reading(phrase)


@dataclass
class _Negation:
    """How far a negation reaches: it is open until a sound has taken it."""

    role: Role
    closed: bool = False
    last: SoundKind | None = None  # of the last sound that it took


@dataclass
class _Reader:
    """Reads tokens from left to right."""

    vocabulary: Vocabulary
    names: NameFinder | None
    guess: Guess | None
    wishes: list[Wish] = field(default_factory=list)
    eras: list[Era] = field(default_factory=list)
    found: list[PhraseName] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    _negation: _Negation | None = None
    _weight: float = NORMAL
    _joined: bool = False  # an "or" after a sound
    _strange: list[bool] = field(default_factory=list)
    _unknown_end: int | None = None  # where the last word ends that was not understood

    def reading(self, phrase: str) -> PhraseReading:
        """Return what was read."""
        wishes = tuple(dict.fromkeys(_without_contradictions(self.wishes)))
        eras, unknown = tuple(dict.fromkeys(self.eras)), tuple(dict.fromkeys(self.unknown))
        return PhraseReading(phrase, wishes, eras, tuple(self.found), unknown)

    def read_quoted(self, text: str) -> None:
        """Read the name between quotes."""
        if not text.strip():
            return
        found = None
        if self.names is not None:
            found = self.names.named(text) or self.names.holding(text)
        if found is None:
            self.unknown.append(text.strip())
        else:
            self._add_name(found)

    def read(self, tokens: Sequence[str]) -> None:
        """Read the words of one part."""
        position, self._unknown_end = 0, None
        self._strange = self._strange_positions(tokens)
        while position < len(tokens):
            position += self._step(tokens, position)

    def _step(self, tokens: Sequence[str], start: int) -> int:
        """Read what begins at a token; return how many tokens that was."""
        if tokens[start] == ",":
            self._reset()
            return 1
        for read in (self._read_era, self._read_name, self._read_entry):
            if length := read(tokens, start):
                return length
        return self._read_unknown(tokens, start)

    # Years

    def _read_era(self, tokens: Sequence[str], start: int) -> int:
        found = read_years(tokens, start)
        if found is None:
            return 0
        (first, last), length = found
        return self._add_era(first, last, length)

    def _add_era(self, first: int | None, last: int | None, length: int) -> int:
        era = Era(first, last, self._takes_negation(None))
        limits = _both_limits(self.eras[-1], era) if self.eras else None
        if limits is None:
            self.eras.append(era)
        else:
            self.eras[-1] = limits
        self._weight = NORMAL
        return length

    # Names

    def _read_name(self, tokens: Sequence[str], start: int, *, told: bool = False) -> int:
        """Read the name of an artist that holds a word which nothing else knows.

        After "like" (`told`), any name is one, whatever its words are.
        """
        if self.names is None:
            return 0
        end = next((i for i in range(start, len(tokens)) if tokens[i] == ","), len(tokens))
        longest = min(_LONGEST_NAME, end - start)
        if not told and not any(self._strange[start : start + longest]):
            return 0
        for length in range(longest, 0, -1):
            words = tokens[start : start + length]
            strange = self._strange[start : start + length]
            if not told and not any(strange):
                return 0
            if all(word in _ARTICLES for word in words):
                return 0
            # A title or album may begin with any word; only one that begins strangely is taken.
            found = self.names.named(" ".join(words), artists_only=not (told or strange[0]))
            if found is not None:
                self._add_name(found)
                return length
        return 0

    def _strange_positions(self, tokens: Sequence[str]) -> list[bool]:
        """Return for each word whether it is in no entry of the vocabulary, and no year."""
        strange = [token != "," and not is_year(token) for token in tokens]
        for start in range(len(tokens)):
            if (match := self.vocabulary.find(tokens, start)) is not None:
                strange[start : start + match[1]] = [False] * match[1]
        return strange

    def _add_name(self, found: PhraseName) -> None:
        self.found.append(replace(found, unwanted=self._takes_negation(None)))
        self._weight = NORMAL

    # Words of the table

    def _read_entry(self, tokens: Sequence[str], start: int) -> int:
        match = self.vocabulary.find(tokens, start)
        if match is None:
            return 0
        entry, length = match
        if entry.role is not None and entry.sound is not None:
            following = self.vocabulary.find(tokens, start + length)
            before_sound = following is not None and following[0].sound is not None
            entry = Entry(role=entry.role) if before_sound else Entry(sound=entry.sound)
        if entry.sound is not None:
            self._add_sound(entry.sound)
        elif entry.years is not None:
            self._add_era(entry.years.first, entry.years.last, length)
        elif entry.role is Role.UNMEASURED:
            self.unknown.append(" ".join(tokens[start : start + length]))
            self._takes_negation(SoundKind.INSTRUMENT)
        elif entry.role is not None:
            length += self._apply(entry.role, tokens, start + length)
        return length

    def _apply(self, role: Role, tokens: Sequence[str], after: int) -> int:
        """Apply a word between sounds; return how many further tokens were read."""
        negation = self._negation
        if role in (Role.NO, Role.NOT, Role.NOT_VERY):
            self._negation, self._joined = _Negation(role), False
        elif role in (Role.VERY, Role.LITTLE):
            self._weight = VERY if role is Role.VERY else LITTLE
        elif role is Role.OR:
            if negation is not None and negation.last is not None:
                self._negation = _Negation(negation.role)
            else:
                self._joined = bool(self.wishes)
        elif role is Role.AND:
            self._continue_negation(tokens, after)
        elif role is Role.LIKE:
            if after < len(tokens):
                return self._read_name(tokens, after, told=True)
        elif negation is not None and negation.last is not None:
            # "no sad songs": whatever follows is wanted again. "no songs with vocals": not yet.
            self._negation = None
        elif role is Role.STOP and tokens[after - 1] == "but":
            self._reset()
        return 0

    def _continue_negation(self, tokens: Sequence[str], after: int) -> None:
        """After "and", go on with a negation if the next sound is of the same kind."""
        negation = self._negation
        if negation is None or negation.last is None:
            return
        following = self.vocabulary.find(tokens, after)
        sound = following[0].sound if following is not None else None
        if sound is not None and alike(sound.kind, negation.last):
            self._negation = _Negation(negation.role)
        else:
            self._negation = None

    def _add_sound(self, sound: Sound, guessed: str = "") -> None:
        role = self._negation.role if self._negation is not None else None
        unwanted, weight = self._takes_negation(sound.kind), self._weight
        joined, self._joined, self._weight = self._joined, False, NORMAL
        opposite = self.vocabulary.sounds.get(sound.opposite or "")
        if unwanted and opposite is not None and role is not Role.NOT_VERY:
            self.wishes.append(Wish((opposite,), weight, said=f"without {sound.name}"))
        elif unwanted:
            strong = role is Role.NOT_VERY
            self.wishes.append(Wish((sound,), NORMAL, True, strong, guessed=guessed))
        elif joined and self.wishes and not (self.wishes[-1].unwanted or self.wishes[-1].said):
            last = self.wishes[-1]
            sounds = tuple(dict.fromkeys([*last.sounds, sound]))
            self.wishes[-1] = replace(last, sounds=sounds)
        else:
            self._want(Wish((sound,), weight, guessed=guessed))

    def _want(self, wish: Wish) -> None:
        """Add a wish; of two for one sound, the stronger one stays."""
        for position, other in enumerate(self.wishes):
            if other.sounds == wish.sounds and not (other.unwanted or other.said):
                if wish.weight > other.weight:
                    self.wishes[position] = wish
                return
        self.wishes.append(wish)

    def _takes_negation(self, kind: SoundKind | None) -> bool:
        """Return whether the next sound, name or era is unwanted, and say how far that reaches."""
        negation = self._negation
        if negation is None or negation.closed:
            self._negation = None
            return False
        negation.last = kind or SoundKind.STYLE
        negation.closed = not (negation.role is Role.NO and kind in ADJECTIVES)
        return True

    def _reset(self) -> None:
        self._negation, self._weight, self._joined = None, NORMAL, False

    # What nothing knows

    def _read_unknown(self, tokens: Sequence[str], start: int) -> int:
        end = start
        while end < len(tokens) and self._strange[end]:
            end += 1
        run = tokens[start : max(end, start + 1)]
        for read in (self._read_typo, self._read_words, self._read_guess):
            if length := read(run):
                return length
        if self._unknown_end == start:
            self.unknown[-1] += f" {run[0]}"
        else:
            self.unknown.append(run[0])
        self._unknown_end = start + 1
        self._takes_negation(None)
        return 1

    def _read_typo(self, run: Sequence[str]) -> int:
        word = run[0]
        known = [other for other in self.vocabulary.single_words() if other[0] == word[0]]
        near = [other for other in known if _without_doubles(other) == _without_doubles(word)][:1]
        if not near and len(word) >= _TYPO_FROM:
            import difflib  # only for words that nothing else knows

            near = difflib.get_close_matches(word, known, n=1, cutoff=_TYPO_RATIO)
        match = self.vocabulary.find(near, 0) if near else None
        if match is None or match[0].sound is None:
            return 0
        self._add_sound(match[0].sound, guessed=word)
        return 1

    def _read_words(self, run: Sequence[str]) -> int:
        """Read words of artists and titles, as many in a row as some track has."""
        if self.names is None:
            return 0
        for length in range(len(run), 0, -1):
            found = self.names.holding(" ".join(run[:length]))
            if found is not None:
                self._add_name(found)
                return length
        return 0

    def _read_guess(self, run: Sequence[str]) -> int:
        if self.guess is None:
            return 0
        for length in range(len(run), 0, -1):
            words = " ".join(run[:length])
            sound = self.guess(words, self.vocabulary)
            if sound is not None:
                self._add_sound(sound, guessed=words)
                return length
        return 0


def _both_limits(one: Era, other: Era) -> Era | None:
    """Return the years between two limits, "after 1960 but before 1980"; None for other eras."""
    if one.unwanted or other.unwanted:
        return None
    for a, b in ((one, other), (other, one)):
        if a.first is not None and a.last is None and b.first is None and b.last is not None:
            return Era(a.first, b.last) if a.first <= b.last else None
    return None


def _without_doubles(word: str) -> str:
    """Return a word with every letter once where it is doubled: "jazz" and "jaz" are alike."""
    return re.sub(r"(.)\1+", r"\1", word)


def _without_contradictions(wishes: Sequence[Wish]) -> list[Wish]:
    """Return wishes of which no unwanted one is measured by tags that another one wants.

    "Metal, not too heavy": metal stands for heavy, among others.
    """
    wanted = {tag for wish in wishes if not wish.unwanted for s in wish.sounds for tag in s.tags}
    kept = []
    for wish in wishes:
        if not wish.unwanted:
            kept.append(wish)
            continue
        sounds = [
            replace(s, tags=tuple(t for t in s.tags if t not in wanted)) if s.near else s
            for s in wish.sounds
        ]
        left = tuple(sound for sound in sounds if sound.tags or sound.group is not None)
        if left:
            kept.append(replace(wish, sounds=left))
    return kept


def all_of(names: Iterable[PhraseName], *, unwanted: bool) -> frozenset[int]:
    """Return the ids of the tracks of names."""
    return frozenset(i for name in names if name.unwanted is unwanted for i in name.track_ids)
