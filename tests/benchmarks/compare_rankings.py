"""Ranking rules in full and in thin libraries, on music that the model has not learned from.

    python -m tests.benchmarks.compare_rankings gtzan --weights MSD_musicnn --train-split LIST
        --valid-split LIST [--mel ARCHIVE]

Two networks are made by the shipped recipe, each from one half of the tracks, divided by artist,
and each analyses the other half, which is a library. A network also analyses its half with the
calibration of the other one. In a thin library, the tracks of one genre group but 3, 5 or 8 are
removed; all of the group are asked for, as files outside it.

A list is as good as its nDCG@20 (K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR
techniques", ACM TOIS 20, 2002). The relevance of a track is the cosine of its z-scores of MusiCNN's
fifty tags, as published, with those of the query, not below 0. No ranking sees it. Tracks of the
query's artist take no part. Intervals are bootstraps over artists, of differences by query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import calibrate, softmax
from recsys.classifier.inference import Pooled
from recsys.classifier.training.make import make_folds
from recsys.classifier.training.tune import outputs_of, tune_and_fit
from recsys.genres import genre_scores
from recsys.recommender.tiers import AS_NEAR_AS_CAN_BE, ENDS_AT, NEARLY_EQUAL, RELATED
from recsys.types import IdArray, ModelInfo
from tests.benchmarks.held_out import HeldOut, load_held_out

K = 20
THIN = (3, 5, 8)
DRAWS = 2
"""Thin libraries of each genre and size."""

_TIER = 4.0  # more than the 2 by which cosines can differ

Values: TypeAlias = np.ndarray


@dataclass(frozen=True)
class HeldOutLibrary:
    """Analyses of tracks by a network that was not trained on them, each a query too."""

    cosines: Values  # (n, n)
    shares: Values  # (n, genres): of the query's best genre score
    places: IdArray  # (n, genres): place of a genre by the query's scores, from 0
    known: Values  # (n,): whether the query's genre is
    genres: IdArray  # (n,): most probable genre
    relevance: Values  # (n, n)
    artists: IdArray  # (n,)


@dataclass(frozen=True)
class Case:
    """Queries of a library, and what they may be answered with."""

    kind: str
    queries: IdArray
    allowed: Values  # (queries, n)


Rule: TypeAlias = Callable[[HeldOutLibrary, Case], Values]
"""Scores of all tracks for the queries of a case, shape (queries, n); higher is better."""


# Rules


def by_similarity(library: HeldOutLibrary, case: Case) -> Values:
    """Rank by cosine alone."""
    return library.cosines[case.queries]


def by_all_tiers(library: HeldOutLibrary, case: Case) -> Values:
    """Give every genre a tier, however low its score, that ends with its tracks."""
    tiers = library.places[case.queries][:, library.genres]
    return _tiered(library, case, tiers)


def by_score(weight: float, least: float) -> Rule:
    """Add the logarithm of the genre score, as a share of the best and not below `least`."""

    def rank(library: HeldOutLibrary, case: Case) -> Values:
        shares = np.maximum(library.shares[case.queries], least)
        return library.cosines[case.queries] + weight * np.log(shares)[:, library.genres]

    return rank


def by_tiers_that_end(
    first: float, related: float, ends_at: float, *, nearest_leads: bool = False
) -> Rule:
    """Rank as :mod:`recsys.recommender.tiers` does, with other figures."""

    def rank(library: HeldOutLibrary, case: Case) -> Values:
        cosines, shares = library.cosines[case.queries], library.shares[case.queries]
        places = np.where(shares >= first, 0, library.places[case.queries])
        last = shares.shape[1]
        tiers = np.where(shares >= related, places, last)[:, library.genres]
        tiers = np.where(cosines >= ends_at, tiers, last)
        if nearest_leads:
            near = np.where(case.allowed, cosines, -np.inf)
            best = np.where(tiers == 0, near, -np.inf).max(axis=1)
            leading = best < np.minimum(near.max(axis=1), AS_NEAR_AS_CAN_BE)
            tiers[np.flatnonzero(leading), near.argmax(axis=1)[leading]] = 0
        return _tiered(library, case, tiers)

    return rank


def _tiered(library: HeldOutLibrary, case: Case, tiers: IdArray) -> Values:
    cosines = library.cosines[case.queries]
    return np.where(library.known[case.queries, np.newaxis], cosines - _TIER * tiers, cosines)


ALL_TIERS, SIMILARITY, SHIPPED = (
    "every genre a tier",
    "similarity alone",
    "tiers that end (shipped)",
)

RULES: dict[str, Rule] = {
    ALL_TIERS: by_all_tiers,
    SIMILARITY: by_similarity,
    SHIPPED: by_tiers_that_end(NEARLY_EQUAL, RELATED, ENDS_AT, nearest_leads=True),
    "the same, the nearest may be hidden": by_tiers_that_end(NEARLY_EQUAL, RELATED, ENDS_AT),
    **{
        f"related from {related}, no end": by_tiers_that_end(NEARLY_EQUAL, related, -1.0)
        for related in (0.3, 0.1, 0.05, 0.02)
    },
    **{
        f"first tier from {first:.2f}": by_tiers_that_end(
            first, min(first, RELATED), ENDS_AT, nearest_leads=True
        )
        for first in (1.0, 0.5, 0.2)
    },
    **{
        f"tiers end at {ends_at}": by_tiers_that_end(
            NEARLY_EQUAL, RELATED, ends_at, nearest_leads=True
        )
        for ends_at in (0.2, 0.3, 0.5, 0.6)
    },
    **{
        f"cosine + {weight} log score": by_score(weight, RELATED)
        for weight in (0.02, 0.05, 0.1, 0.2, 0.5)
    },
}


# Libraries


def held_out_libraries(data: HeldOut) -> list[HeldOutLibrary]:
    """Train on either half of the tracks, and analyse the other one."""
    music, responses = data.music, data.tuning.tracks
    halves = make_folds(music.targets, music.groups, 2, data.settings.seed)
    everything = np.arange(len(responses))
    outputs = []
    for number, half in enumerate(halves):
        settings = replace(data.settings, seed=data.settings.seed + number)
        learned = data.tuning.of(np.setdiff1d(everything, half))
        network = tune_and_fit(data.teacher, learned, settings)
        outputs.append(outputs_of(network, [responses[row].plain for row in half]))
    # A half is calibrated on the other one, so that its own labels are not seen.
    others = zip(reversed(outputs), reversed(halves), strict=True)
    return [
        _library(data, found, half, other, held_out)
        for found, half, (other, held_out) in zip(outputs, halves, others, strict=True)
    ]


def _library(
    data: HeldOut, found: Pooled, rows: IdArray, other: Pooled, other_rows: IdArray
) -> HeldOutLibrary:
    calibration = calibrate(other.logits, data.music.targets[other_rows])
    probabilities = softmax(found.logits, calibration.temperature).astype(np.float32)
    info = ModelInfo(
        name="held out",
        fingerprint="",
        labels=data.music.labels,
        thresholds=calibration.thresholds,
        confusion=np.asarray(calibration.confusion, np.float32),
        dimension=found.embeddings.shape[1],
    )
    shares = np.zeros(probabilities.shape)
    places = np.zeros(probabilities.shape, np.int64)
    for row, own in enumerate(probabilities):
        scores = genre_scores(info, own)
        for place, (genre, score) in enumerate(scores):
            column = info.labels.index(genre)
            shares[row, column], places[row, column] = score / scores[0][1], place
    genres = probabilities.argmax(axis=1)
    taught = np.stack([data.tuning.tag_logits[row].mean(axis=0) for row in rows])
    tags = (taught - taught.mean(axis=0)) / taught.std(axis=0)
    tags /= np.linalg.norm(tags, axis=1, keepdims=True)
    return HeldOutLibrary(
        cosines=(found.embeddings @ found.embeddings.T).astype(np.float64),
        shares=shares,
        places=places,
        known=probabilities.max(axis=1) >= np.asarray(calibration.thresholds)[genres],
        genres=genres,
        relevance=np.maximum(tags @ tags.T, 0.0),
        artists=data.music.groups[rows],
    )


def cases_of(library: HeldOutLibrary, seed: int) -> list[Case]:
    """Return the full library, and thin ones of every genre."""
    rng = np.random.default_rng(seed)
    others = library.artists[:, np.newaxis] != library.artists
    found = [Case("full", np.arange(len(others)), others)]
    for genre in np.unique(library.genres):
        own = np.flatnonzero(library.genres == genre)
        for size in THIN * DRAWS:
            if len(own) > size:
                allowed = others[own]
                allowed[:, rng.permutation(own)[size:]] = False
                found.append(Case("thin", own, allowed))
    return found


# Figures


def ndcg(library: HeldOutLibrary, case: Case, scores: Values) -> Values:
    """Return the nDCG@20 of every query of a case."""
    discount = 1 / np.log2(np.arange(2, K + 2))
    relevance = np.where(case.allowed, library.relevance[case.queries], 0.0)
    ideal = -np.sort(-relevance, axis=1)[:, :K] @ discount
    return np.take_along_axis(relevance, _lists(case, scores), axis=1) @ discount / ideal


def hidden(library: HeldOutLibrary, case: Case, scores: Values) -> Values:
    """Return whether the nearest track of all is missing from the list of every query."""
    nearest = np.where(case.allowed, library.cosines[case.queries], -np.inf).argmax(axis=1)
    return (_lists(case, scores) != nearest[:, np.newaxis]).all(axis=1)


def _lists(case: Case, scores: Values) -> IdArray:
    kept = np.where(case.allowed, scores, -np.inf)
    return np.argsort(-kept, axis=1, kind="stable")[:, :K]


def compare(data: HeldOut) -> Table:
    """Measure every rule on the cases of both libraries."""
    table = Table("", "nDCG@20", "less similarity", "less every genre a tier", "nearest hidden")
    pairs = [
        (library, case)
        for library in held_out_libraries(data)
        for case in cases_of(library, data.settings.seed)
    ]
    for kind in ("full", "thin"):
        chosen = [(library, case) for library, case in pairs if case.kind == kind]
        artists = np.concatenate([library.artists[case.queries] for library, case in chosen])

        def measured(rule: Rule, figure: Callable[..., Values], of: list = chosen) -> Values:
            return np.concatenate([figure(*pair, rule(*pair)) for pair in of])

        values = {name: measured(rule, ndcg) for name, rule in RULES.items()}
        for name, rule in RULES.items():
            differences = [
                _difference(values[name] - values[baseline], artists)
                for baseline in (SIMILARITY, ALL_TIERS)
            ]
            share = measured(rule, hidden).mean()
            table.add_row(
                f"{kind}: {name}", f"{values[name].mean():.4f}", *differences, f"{share:.3f}"
            )
        table.add_section()
    return table


def _difference(values: Values, artists: IdArray) -> str:
    if not values.any():
        return ""
    low, high = bootstrap_interval(values, artists)
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def main() -> None:
    """Measure and print a table."""
    Console(width=130).print(compare(load_held_out("Compare ranking rules.")))


if __name__ == "__main__":
    main()
