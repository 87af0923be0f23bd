"""Where the genre tag of a file and the model disagree, and both are clear about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import QueryError
from recsys.library import outermost
from recsys.names import first_genre, labels_meant, merge_spellings, spelling_key
from recsys.names import unknown_names as names_without_label
from recsys.recommender.taxonomy import resolve_genre

if TYPE_CHECKING:
    from recsys.store import Store
    from recsys.types import FloatArray, ModelInfo, Track

UNLIKELY = 0.1
"""The labels that a tag means must have this probability together at most, to be called wrong."""

_PAGE = 1000

_WRITTEN = {"hiphop": "Hip-Hop", "rnb": "R&B"}
"""How genres are written that nobody writes as the model's label does."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What to look at.

    Attributes
    ----------
    paths : tuple of Path
        Only tracks under these folders, or these files; empty for the whole library.
    min_confidence : float
        How probable the model must hold its genre, in [0, 1].
    genre : str or None
        Only where the tag or the model says this genre of the model.
    missing : bool
        Suggest genres for tracks without a genre tag too.
    """

    paths: tuple[Path, ...] = ()
    min_confidence: float = 0.8
    genre: str | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What model and tag say of one track.

    Attributes
    ----------
    kind : str
        ``agrees``, ``disagrees``, ``unsure`` (the model is not clear enough to say so),
        ``foreign`` (a name in the tag means no genre of the model), or, without a tag,
        ``untagged`` where the model is clear and ``unknown`` where it is not.
    genre : str
        The model's most probable genre.
    confidence : float
        Its probability.
    tagged : tuple of str
        The labels of the model that the tag means.
    tagged_probability : float
        Of all of them together.
    """

    kind: str
    genre: str
    confidence: float
    tagged: tuple[str, ...]
    tagged_probability: float


def judge(
    info: ModelInfo, probabilities: FloatArray, genre_tag: str | None, min_confidence: float
) -> Verdict:
    """Compare one tag with what the model heard.

    A tag is called wrong only when all of its names mean genres of the model, none of them is the
    most probable one, together they have a probability of :data:`UNLIKELY` at most, and the most
    probable genre reaches both its threshold and `min_confidence`.

    Parameters
    ----------
    info : ModelInfo
        Labels and thresholds.
    probabilities : ndarray of float32, shape (n_genres,)
        Calibrated.
    genre_tag : str or None
        As the file has it.
    min_confidence : float
        In [0, 1].

    Returns
    -------
    Verdict
    """
    genre = info.top_genre(probabilities)
    place = info.labels.index(genre)
    confidence = float(probabilities[place])
    tagged = labels_meant(genre_tag or "", info.labels)
    tagged_probability = float(sum(probabilities[info.labels.index(label)] for label in tagged))
    clear = confidence >= max(min_confidence, info.thresholds[place])
    if first_genre(genre_tag) is None:
        kind = "untagged" if clear else "unknown"
    elif names_without_label(genre_tag or "", info.labels):
        kind = "foreign"
    elif genre in tagged:
        kind = "agrees"
    else:
        kind = "disagrees" if clear and tagged_probability <= UNLIKELY else "unsure"
    return Verdict(kind, genre, confidence, tagged, tagged_probability)


@dataclass(frozen=True, slots=True)
class Finding:
    """A track whose tag is doubtful, or missing.

    Attributes
    ----------
    track : Track
        The track, with its tag.
    verdict : Verdict
        What the model says.
    suggestion : str
        The genre tag that would be written, in the library's own spelling.
    """

    track: Track
    verdict: Verdict
    suggestion: str


@dataclass(frozen=True, slots=True)
class FolderFindings:
    """The findings in one folder, the surest first.

    Attributes
    ----------
    folder : Path
    findings : tuple of Finding
        At least one.
    judged : int
        Tracks in the folder whose tag, or lack of one, was looked at.
    agreeing : int
        Those of them whose tag the model confirms.
    """

    folder: Path
    findings: tuple[Finding, ...]
    judged: int
    agreeing: int

    @property
    def whole(self) -> bool:
        """Whether the folder disagrees as one: several findings, at least half, and none agrees.

        The model is rarely sure of every track of an album, so the unsure ones do not count.
        """
        n = len(self.findings)
        return n > 1 and 2 * n >= self.judged and self.agreeing == 0

    @property
    def confidence(self) -> float:
        """Mean confidence of the findings."""
        return sum(own.verdict.confidence for own in self.findings) / len(self.findings)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything an audit found.

    Attributes
    ----------
    model : str
        Name of the model.
    groups : tuple of FolderFindings
        Folders that disagree as a whole first, then by the confidence of their findings.
    counts : dict of str to int
        Tracks by :attr:`Verdict.kind`; only those that the options let through.
    foreign_names : dict of str to int
        Names in tags that mean no genre of the model, and on how many tracks; the commonest first.
    """

    model: str
    groups: tuple[FolderFindings, ...]
    counts: dict[str, int]
    foreign_names: dict[str, int]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the groups."""
        return tuple(finding for group in self.groups for finding in group.findings)


def audit(store: Store, options: AuditOptions = AuditOptions()) -> AuditReport:
    """Find the tracks whose genre tag and model disagree with confidence. Nothing is changed.

    Parameters
    ----------
    store : Store
        The library.
    options : AuditOptions
        What to look at.

    Raises
    ------
    QueryError
        If the library has no model or no tracks, nothing of it lies under a path, the genre is not
        one of the model's, or the confidence is no probability.
    """
    info = _model(store)
    genre = None if options.genre is None else resolve_genre(info, options.genre)
    if not 0.0 <= options.min_confidence <= 1.0:
        raise QueryError(f"{options.min_confidence} is no confidence", "Give a number from 0 to 1.")
    tally = _Tally(info, options, genre)
    for track, probabilities in _heard(store, options.paths):
        tally.add(track, probabilities)
    if not tally.tracks:
        raise _no_tracks(options.paths)
    return tally.report()


class _Tally:
    """What has been found so far."""

    def __init__(self, info: ModelInfo, options: AuditOptions, genre: str | None) -> None:
        self.tracks = 0
        self._info = info
        self._options = options
        self._genre = genre
        self._counts: Counter[str] = Counter()
        self._foreign: Counter[str] = Counter()
        self._judged: Counter[Path] = Counter()
        self._agreeing: Counter[Path] = Counter()
        self._names: Counter[str] = Counter()
        self._doubtful: list[tuple[Track, Verdict]] = []

    def add(self, track: Track, probabilities: FloatArray) -> None:
        """Look at one track."""
        self.tracks += 1
        tag = track.tags.genre_tag
        verdict = judge(self._info, probabilities, tag, self._options.min_confidence)
        if name := first_genre(tag):
            self._names[name] += 1
        if verdict.kind != "foreign" and (name or self._options.missing):
            self._judged[track.path.parent] += 1
            self._agreeing[track.path.parent] += verdict.kind == "agrees"
        if self._genre is not None and self._genre not in (verdict.genre, *verdict.tagged):
            return
        self._counts[verdict.kind] += 1
        if verdict.kind == "foreign":
            self._foreign.update(names_without_label(tag or "", self._info.labels))
        if verdict.kind == "disagrees" or (verdict.kind == "untagged" and self._options.missing):
            self._doubtful.append((track, verdict))

    def report(self) -> AuditReport:
        """Return the findings by folder."""
        written = _spellings(self._info, self._names.elements())
        findings = [
            Finding(own, verdict, written[verdict.genre]) for own, verdict in self._doubtful
        ]
        return AuditReport(
            model=self._info.name,
            groups=_grouped(findings, self._judged, self._agreeing),
            counts=dict(self._counts),
            foreign_names=dict(self._foreign.most_common()),
        )


def _model(store: Store) -> ModelInfo:
    info = store.model()
    if info is None:
        raise _no_tracks(())
    return info


def _no_tracks(paths: tuple[Path, ...]) -> QueryError:
    if paths:
        return QueryError(
            f"nothing in the library lies under {', '.join(map(str, paths))}",
            "See recsys status for its folders.",
        )
    return QueryError(
        "the library holds no tracks yet", "Index a folder first: recsys index ~/Music"
    )


def _heard(store: Store, paths: tuple[Path, ...]) -> Iterator[tuple[Track, FloatArray]]:
    """Yield every analysed track that is there, with its probabilities."""
    for track in _tracks_under(store, outermost(paths)) if paths else store.all_tracks():
        if track.missing:
            continue
        analysis = store.analysis(track.id)
        if analysis is not None:
            yield track, analysis.probabilities


def _tracks_under(store: Store, paths: Iterable[Path]) -> Iterator[Track]:
    for path in paths:
        numbers = (number for number, _ in store.iter_tracks_under(path))
        while page := list(islice(numbers, _PAGE)):
            found = store.tracks(page)
            yield from (found[number] for number in page if number in found)


def _spellings(info: ModelInfo, names: Iterable[str]) -> dict[str, str]:
    """Return how each genre of the model is written: as most tags of the library spell it."""
    merged = {genre.key: genre.name for genre in merge_spellings(names)}
    spellings = {}
    for label in info.labels:
        key = spelling_key(label)
        spellings[label] = merged.get(key) or _WRITTEN.get(key) or _capitalised(label)
    return spellings


def _capitalised(label: str) -> str:
    return label if label != label.lower() else label[:1].upper() + label[1:]


def _grouped(
    findings: list[Finding], judged: Counter[Path], agreeing: Counter[Path]
) -> tuple[FolderFindings, ...]:
    by_folder: dict[Path, list[Finding]] = {}
    for finding in findings:
        by_folder.setdefault(finding.track.path.parent, []).append(finding)
    groups = []
    for folder, own in by_folder.items():
        own.sort(key=lambda finding: (-finding.verdict.confidence, finding.track.path))
        groups.append(FolderFindings(folder, tuple(own), judged[folder], agreeing[folder]))
    return tuple(sorted(groups, key=lambda g: (not g.whole, -g.confidence, g.folder)))
