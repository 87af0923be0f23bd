"""Find tracks whose genre tag and model disagree with confidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.checks import check_types
from recsys.errors import EmptyLibraryError, QueryError
from recsys.genres import all_genres, genre_among_all, knows_styles, style_strengths, styles_of
from recsys.library import outermost
from recsys.names import (
    first_genre,
    labels_meant,
    merge_spellings,
    resolve_name,
    spelling_key,
    unknown_names,
)
from recsys.types import NOT_MUSIC, UNKNOWN, GenreSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recsys.store import Store
    from recsys.types import Analysis, ModelInfo, Track

UNLIKELY = 0.1
"""A tag is doubted only if the probabilities of its genres add up to this at most."""

_PAGE = 1000  # tracks per query

_WRITTEN = {"hiphop": "Hip-Hop", "rnb": "R&B"}
"""Spelling in tags where it differs from the model's label."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """Tracks to compare, and how confident the model must be.

    Attributes
    ----------
    paths : tuple of Path
        Only tracks under these folders, or these files; empty for the whole library.
    min_confidence : float
        Least probability of the model's genre, in [0, 1].
    genre : str or None
        Only tracks whose tag or model names this genre or style of the model.
    missing : bool
        Suggest genres for tracks without a genre tag too.
    """

    paths: tuple[Path, ...] = ()
    min_confidence: float = 0.8
    genre: str | None = None
    missing: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if not 0.0 <= self.min_confidence <= 1.0:
            raise QueryError(
                f"{self.min_confidence} is no confidence", "Give a number from 0 to 1."
            )


class VerdictKind(StrEnum):
    """How the tag of a track compares with the model."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNSURE = "unsure"
    """The model is not confident enough to contradict the tag."""
    FOREIGN = "foreign"
    """A name in the tag is no genre of the model."""
    UNTAGGED = "untagged"
    """No tag, and the model is confident."""
    UNKNOWN = "unknown"
    """No tag, and the model is not confident."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Comparison of one tag with the model."""

    kind: VerdictKind
    genre: str  # the one that the library shows, or where that is unknown the most probable one
    confidence: float  # the probability of the most probable genre
    tagged: tuple[str, ...]  # genres and styles of the model that the tag means
    tagged_probability: float  # sum over the genres


@dataclass(frozen=True, slots=True)
class Finding:
    """A track whose tag is doubtful, or missing."""

    track: Track
    verdict: Verdict
    suggestion: str  # genre tag to write, in the library's own spelling


@dataclass(frozen=True, slots=True)
class FolderFindings:
    """The findings in one folder, the most confident first."""

    folder: Path
    findings: tuple[Finding, ...]  # at least one
    judged: int  # tracks in the folder that were compared with the model
    agreeing: int  # those of them whose tag the model confirms

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
    """The result of an audit.

    Attributes
    ----------
    model : str
        Name of the model.
    groups : tuple of FolderFindings
        Folders that disagree as a whole first, then by the confidence of their findings.
    counts : dict of VerdictKind to int
        Tracks by kind, after the filter by genre.
    foreign_names : dict of str to int
        Names in tags that mean no genre of the model, to their tracks; most common first.
    """

    model: str
    groups: tuple[FolderFindings, ...]
    counts: dict[VerdictKind, int]
    foreign_names: dict[str, int]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the groups."""
        return tuple(finding for group in self.groups for finding in group.findings)


def audit(store: Store, options: AuditOptions = AuditOptions()) -> AuditReport:
    """Find the tracks whose genre tag and model disagree with confidence. Nothing is changed.

    Raises
    ------
    QueryError
        If the library has no model or no tracks, none is under a path, or the genre is not one of
        the model's.
    """
    info = store.model()
    if info is None:
        raise _no_tracks(())
    # What tracks show as their genre may be a style, unless the head's genres alone sort them.
    styles = knows_styles(info) and store.genre_source() != GenreSource.GTZAN
    names = _names(info, styles=styles)
    wanted = options.genre
    if wanted is not None:
        wanted = resolve_name(wanted, names, "genre", "The model knows:")
    tracks = 0
    counts: Counter[VerdictKind] = Counter()
    foreign: Counter[str] = Counter()
    spelled: Counter[str] = Counter()
    judged: Counter[Path] = Counter()
    agreeing: Counter[Path] = Counter()
    doubtful: list[tuple[Track, Verdict]] = []
    for track, analysis in _analysed(store, options.paths):
        tracks += 1
        tag, folder = track.tags.genre_tag, track.path.parent
        verdict = compare_tag(info, analysis, tag, options.min_confidence, styles=styles)
        if name := first_genre(tag):
            spelled[name] += 1
        if verdict.kind != VerdictKind.FOREIGN and (name or options.missing):
            judged[folder] += 1
            agreeing[folder] += verdict.kind == VerdictKind.AGREES
        # Only now: a filter by genre must not turn a few tracks into a whole folder.
        if wanted is not None and wanted not in (verdict.genre, *verdict.tagged):
            continue
        counts[verdict.kind] += 1
        if verdict.kind == VerdictKind.FOREIGN:
            foreign.update(unknown_names(tag or "", names))
        if verdict.kind == VerdictKind.DISAGREES or (
            verdict.kind == VerdictKind.UNTAGGED and options.missing
        ):
            doubtful.append((track, verdict))
    if not tracks:
        raise _no_tracks(options.paths)
    spellings = _spellings(info, spelled.elements())
    findings = [Finding(track, own, spellings[own.genre]) for track, own in doubtful]
    groups = _grouped(findings, judged, agreeing)
    return AuditReport(info.name, groups, dict(counts), dict(foreign.most_common()))


def compare_tag(
    info: ModelInfo,
    analysis: Analysis,
    genre_tag: str | None,
    min_confidence: float,
    *,
    styles: bool = False,
) -> Verdict:
    """Compare one tag with the analysis of its track.

    A tag is called wrong only when all of its names mean genres of the model, none of them is the
    most probable one, together they have a probability of :data:`UNLIKELY` at most, and the most
    probable genre reaches both its threshold and `min_confidence`.

    With `styles`, names of styles are known, too. A style has no probability, so it contradicts no
    tag: where the track shows one, the tag is right if it means the style, what the style is a kind
    of, or the most probable genre. A tag of styles alone is never called wrong, nor one with a
    style of which the track has more than average.
    """
    probabilities = analysis.probabilities
    top = info.top_genre(probabilities)
    column = info.labels.index(top)
    shown = genre_among_all(info, analysis) if styles else top
    genre = top if shown == UNKNOWN else shown
    confidence = float(probabilities[column])
    names = _names(info, styles=styles)
    tagged = labels_meant(genre_tag or "", names)
    of_head = [label for label in tagged if label in info.labels]
    tagged_probability = float(sum(probabilities[info.labels.index(label)] for label in of_head))
    confident = genre == top and confidence >= max(min_confidence, info.thresholds[column])
    if first_genre(genre_tag) is None:
        kind = VerdictKind.UNTAGGED if confident else VerdictKind.UNKNOWN
    elif unknown_names(genre_tag or "", names):
        kind = VerdictKind.FOREIGN
    elif {genre, top, *labels_meant(genre, tagged)} & {*tagged}:
        kind = VerdictKind.AGREES
    elif (
        confident
        and of_head
        and tagged_probability <= UNLIKELY
        and not (styles and _carries_some(info, analysis, tagged))
    ):
        kind = VerdictKind.DISAGREES
    else:
        kind = VerdictKind.UNSURE
    return Verdict(kind, genre, confidence, tagged, tagged_probability)


def _names(info: ModelInfo, *, styles: bool) -> tuple[str, ...]:
    return all_genres(info.labels, info.tags) if styles else info.labels


def _carries_some(info: ModelInfo, analysis: Analysis, names: Sequence[str]) -> bool:
    """Return whether a track has more than average of a style that is no genre of the head."""
    strengths = style_strengths(info, info.tag_strengths(analysis.tags)[np.newaxis])[0]
    return any(
        strength > 0 and style.name in names and style.name not in info.labels
        for style, strength in zip(styles_of(info.tags, info.labels), strengths, strict=True)
    )


def _no_tracks(paths: tuple[Path, ...]) -> QueryError:
    if paths:
        return QueryError(
            f"no track of the library is under {', '.join(map(str, paths))}",
            "See recsys status for its folders.",
        )
    return EmptyLibraryError(
        "the library holds no tracks yet", "Index a folder first: recsys index ~/Music"
    )


def _analysed(store: Store, paths: tuple[Path, ...]) -> Iterator[tuple[Track, Analysis]]:
    """Yield every track of music whose file is there, with its analysis."""
    for track in _tracks_under(store, outermost(paths)) if paths else store.all_tracks():
        left_out = track.missing or track.kind in NOT_MUSIC
        analysis = None if left_out else store.analysis(track.id)
        if analysis is not None:
            yield track, analysis


def _tracks_under(store: Store, paths: Iterable[Path]) -> Iterator[Track]:
    for path in paths:
        ids = (track_id for track_id, _ in store.iter_tracks_under(path))
        while page := list(islice(ids, _PAGE)):
            found = store.tracks(page)
            yield from (found[track_id] for track_id in page if track_id in found)


def _spellings(info: ModelInfo, names: Iterable[str]) -> dict[str, str]:
    """Return the commonest spelling of each of the model's genres in the library's tags."""
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
