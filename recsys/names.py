"""Names of genres and tags: one spelling per genre, and the labels of a model that they mean.

Two rules for genre names in the tags of files:

**Spelling** (:func:`spelling_key`). Two names are one genre when they are equal without case,
accents, width and everything that is no letter or digit. ``&``, ``+``, ``'n'`` and ``and`` are
equal, and the word "music" at the end does not count. So ``Hip-Hop``, ``hip hop``, ``HIP_HOP`` and
``HipHop Music`` are one genre; ``Rap`` and ``Hip Hop Soul`` are others.

**Meaning** (:func:`labels_meant`). A name means a label of the model when it is spelled like it,
when it holds the label as words ("Hard Rock", "Delta Blues", "Blues Rock": both) or at the end of
one ("Synthpop"), when the label is a kind of it (the tag "Rock" and the label "hard rock"), or when
:data:`KINDS` lists it ("Rap": hiphop). A tag may hold several names ("Rock; Pop"); it means all of
their labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from recsys.errors import QueryError, shell

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import ModelInfo

_SEPARATORS = re.compile(r"[;,/|\\\0\n•]+")
_ID3V1_NUMBER = re.compile(r"^\s*\(\d{1,3}\)")
_AND = frozenset({"and", "und", "n"})
_MUSIC = frozenset({"music", "musik", "musique", "musica", "muziek"})

_KINDS_OF = {
    "blues": "boogiewoogie",
    "classical": (
        "klassik klassiek classique classica clasica baroque barock opera oper operetta symphony "
        "symphonic orchestral chamber concerto sonata oratorio stringquartet gregorianchant"
    ),
    "country": "bluegrass honkytonk hillbilly countrynwestern nashvillesound outlawcountry",
    "disco": "",
    "hiphop": "rap gangstarap deutschrap trap boombap grime",
    "jazz": "bebop hardbop dixieland ragtime bigband swing",
    "metal": "metalcore deathcore grindcore thrash djent",
    "pop": "",
    "reggae": "dub dancehall ragga raggamuffin rocksteady rootsreggae",
    "rock": "punk grunge rockabilly psychobilly rocknroll shoegaze britpop",
}

KINDS = MappingProxyType(
    {kind: label for label, kinds in _KINDS_OF.items() for kind in kinds.split()}
)
"""Names that do not show of which genre they are a kind, by their spelling keys.

Only undisputed ones: a name that is missing here and means no label by its words is unknown, and
its tracks are not judged.
"""

APART = frozenset({"rhythmnblues", "triphop"})
"""Names that hold the word of another genre: Rhythm & Blues is not blues."""

_LONGEST_RUN = 4
"""Longest run of words that is looked up as one name."""


def split_genres(tag: str) -> tuple[str, ...]:
    r"""Return the names in a genre tag, in their order, each spelling once.

    Names are divided by ``;``, ``,``, ``/``, ``|``, a backslash, a bullet, a line end or NUL. ID3's
    numbers in brackets are dropped, and so are names without letters and digits.

    Examples
    --------
    >>> split_genres("(17)Rock; Hip-Hop/Rap")
    ('Rock', 'Hip-Hop', 'Rap')
    >>> split_genres("R&B, r & b")
    ('R&B',)
    """
    text = _ID3V1_NUMBER.sub("", unicodedata.normalize("NFKC", tag))
    names = (" ".join(part.split()).strip("&+ ") for part in _SEPARATORS.split(text))
    by_key: dict[str, str] = {}
    for name in names:
        if key := spelling_key(name):
            by_key.setdefault(key, name)
    return tuple(by_key.values())


def spelling_key(name: str) -> str:
    """Return the key that all spellings of one genre name share: lower-case letters and digits.

    Empty where the name holds none.

    Examples
    --------
    >>> {spelling_key(name) for name in ("Hip-Hop", "hip hop", "HIP_HOP", "HipHop Music")}
    {'hiphop'}
    >>> {spelling_key(name) for name in ("R&B", "RnB", "R'n'B", "r and b")}
    {'rnb'}
    """
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    """Return the words of a name, casefolded, without the word "music" at their end."""
    # Twice: casefolding can make letters that decompose again.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    bare = "".join(char for char in folded if not unicodedata.combining(char))
    spaced = "".join(c if c.isalnum() else " n " if c in "&+" else " " for c in bare)
    words = ["n" if word in _AND else word for word in spaced.split()]
    while len(words) > 1 and words[-1] in _MUSIC:
        words.pop()
    return words


def labels_meant(tag: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Return which labels a genre tag means, in their order; see the rule in the module.

    Examples
    --------
    >>> gtzan = ("blues", "classical", "hiphop", "jazz", "pop", "rock")
    >>> labels_meant("Blues Rock", gtzan)
    ('blues', 'rock')
    >>> labels_meant("Synth-Pop; Rap", gtzan)
    ('hiphop', 'pop')
    >>> labels_meant("Schlager", gtzan), labels_meant("Rhythm & Blues", gtzan)
    ((), ())
    """
    meant = {label for name in split_genres(tag) for label in _meant_by_name(name, labels)}
    return tuple(label for label in labels if label in meant)


def unknown_names(tag: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names in a genre tag that mean no label of a model.

    Examples
    --------
    >>> unknown_names("Folk; Rock", ("blues", "rock"))
    ('Folk',)
    """
    return tuple(name for name in split_genres(tag) if not _meant_by_name(name, labels))


def _meant_by_name(name: str, labels: Sequence[str]) -> set[str]:
    key, held = spelling_key(name), _keys_held(name)
    meant = set()
    for label in labels:
        own = spelling_key(label)
        ends_with_it = any(word.endswith(own) for word in held)
        if own and (ends_with_it or own in held or key in _keys_held(label)):
            meant.add(label)
    return meant


@lru_cache(maxsize=4096)  # a library has few names on many tracks
def _keys_held(name: str) -> frozenset[str]:
    """Return the keys of all genres that a name holds as words, and of those they are kinds of.

    A run of words that is listed in :data:`KINDS` or :data:`APART` is taken as a whole: "rock
    steady" is reggae and holds no rock.
    """
    words = _words(name)
    listed = [run for run in _runs(words) if _key(words, run) in KINDS.keys() | APART]
    taken = {position for run in listed for position in run}
    kinds = {KINDS[key] for run in listed if (key := _key(words, run)) in KINDS}
    keys = {_key(words, run) for run in _runs(words) if run in listed or not taken & {*run}}
    return frozenset(keys | kinds) - APART


def _runs(words: Sequence[str]) -> Iterator[range]:
    """Yield the positions of every run of adjacent words."""
    for length in range(min(_LONGEST_RUN, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            yield range(start, start + length)


def _key(words: Sequence[str], run: range) -> str:
    return "".join(words[run.start : run.stop])


@dataclass(frozen=True, slots=True)
class MergedGenre:
    """One genre of a collection and its spellings."""

    key: str  # shared by the spellings: spelling_key
    name: str  # the commonest spelling; of equally common ones the first in ASCII order
    spellings: tuple[tuple[str, int], ...]  # with their tracks, the commonest first

    @property
    def count(self) -> int:
        """Tracks of all spellings."""
        return sum(count for _, count in self.spellings)

    def sentence(self, most: int = 5) -> str:
        """Return a sentence with name, count and at most `most` spellings.

        Examples
        --------
        >>> merge_spellings(["Hip-Hop", "hip hop", "Hip-Hop"])[0].sentence()
        "Hip-Hop: 3 tracks from 'Hip-Hop' (2), 'hip hop' (1)"
        """
        shown = ", ".join(f"{name!r} ({count})" for name, count in self.spellings[:most])
        hidden = len(self.spellings) - most
        more = f" and {hidden} more" if hidden > 0 else ""
        tracks = "track" if self.count == 1 else "tracks"
        return f"{self.name}: {self.count} {tracks} from {shown}{more}"


def merge_spellings(names: Iterable[str]) -> tuple[MergedGenre, ...]:
    """Gather the spellings of each genre: the one with the most tracks first, equals by key.

    `names` has one name per track, such as :func:`first_genre` returns, in any order; those without
    a letter or digit are skipped.
    """
    by_key: dict[str, Counter[str]] = {}
    for name in names:
        if key := spelling_key(name):
            by_key.setdefault(key, Counter())[name] += 1
    merged = []
    for key, counts in by_key.items():
        spellings = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        merged.append(MergedGenre(key, spellings[0][0], tuple(spellings)))
    return tuple(sorted(merged, key=lambda genre: (-genre.count, genre.key)))


def first_genre(tag: str | None) -> str | None:
    """Return the first name in a genre tag, by which a track is counted; None without a name.

    Examples
    --------
    >>> first_genre("Hip-Hop/Rap"), first_genre(" ; "), first_genre(None)
    ('Hip-Hop', None, None)
    """
    return next(iter(split_genres(tag or "")), None)


# Tags of a model: moods, and the tag that a name means


MOODS = frozenset(
    spelling_key(name)
    for name in (
        *("acoustic", "ambient", "beautiful", "catchy", "chill", "chillout", "dance", "happy"),
        *("easy listening", "instrumental", "Mellow", "party", "sad", "sexy"),
    )
)
"""Spelling keys of the tags by which the mood of two tracks is compared."""

_NAMES_OFFERED = 3


def mood_columns(info: ModelInfo) -> list[int]:
    """Return the columns of the moods among the tags of a model; all columns without a mood."""
    moods = [column for column, tag in enumerate(info.tags) if spelling_key(tag) in MOODS]
    return moods or list(range(len(info.tags)))


def resolve_name(name: str, known: Sequence[str], kind: str, others: str = "") -> str:
    """Return which of some names another one means: case, accents, hyphens, spaces do not matter.

    Every name of a genre, style or tag that a user gives is read here, so that "hip hop" is the
    same everywhere. QueryError with the nearest names; `kind` is what they are, "genre" say, and
    `others` begins the sentence that lists them all.

    Examples
    --------
    >>> resolve_name("Hip-Hop", ("hiphop", "jazz"), "genre")
    'hiphop'
    """
    if name in known:  # a name of marks alone has no key
        return name
    keys = [spelling_key(each) for each in known]
    key = spelling_key(name)
    if key and key in keys:
        return known[keys.index(key)]
    import difflib  # only needed for an error message

    near = [known[keys.index(k)] for k in difflib.get_close_matches(key, keys, n=_NAMES_OFFERED)]
    offered = " or ".join(map(repr, dict.fromkeys([*labels_meant(name, known), *near])))
    raise QueryError(
        f"unknown {kind} {name!r}" + (f"; did you mean {offered}?" if offered else ""),
        f"{others or 'Known:'} {', '.join(known)}.",
    )


def resolve_tag(info: ModelInfo, name: str, roots: Iterable[Path] = ()) -> int:
    """Return the column of the tag that a name means, see :func:`resolve_name`.

    QueryError if the model has no tags, or not this one; `roots`, the folders of the library, and
    the nearest names make its hint. A genre of the model is pointed to ``--genre``.
    """
    check_has_tags(info, roots)
    try:
        return info.tags.index(resolve_name(name, info.tags, "tag", "The model knows:"))
    except QueryError as error:
        genres = {spelling_key(label): label for label in info.labels}
        if (genre := genres.get(spelling_key(name))) is None:
            raise
        raise QueryError(
            f"unknown tag {name!r}; it is a genre: --genre {genre}", error.hint
        ) from None


def check_has_tags(info: ModelInfo, roots: Iterable[Path] = ()) -> None:
    """Raise QueryError unless a model has tags."""
    if not info.tags:
        raise QueryError(
            f"the model {info.name} ({info.fingerprint}), which analysed the library, has no tags",
            "Analyse the library again with the shipped model, or another with tags: "
            + shell("recsys", "index", "--reanalyse", *(tuple(roots) or ("FOLDER",))),
        )
