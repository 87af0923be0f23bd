"""What a default model is bad at and what it must not be used for, in words, for its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.features import CompressedMel

FEW = 20
"""Tracks heard at length; figures of genres with fewer say next to nothing."""

NOT_FOR = (
    "deciding anything about people or money: payments, the rating of artists, filtering of"
    " content",
    "identifying recordings or performers",
)


def limits_of(metrics: Mapping[str, Any], features: CompressedMel) -> dict[str, list[str]]:
    """Return the limits of a default model, those that depend on what was measured as numbers.

    Parameters
    ----------
    metrics : mapping
        As in the card.
    features : CompressedMel
        What a window looks like.

    Returns
    -------
    dict
        ``bad_at`` and ``not_to_be_used_for``, sentences and ends of sentences.
    """
    return {
        "bad_at": [*_measured(metrics), *_always(features)],
        "not_to_be_used_for": list(NOT_FOR),
    }


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    judged = metrics["cross_validation"]
    genres = judged["per_genre"]
    worst = min(genres, key=lambda genre: float(genres[genre]["precision"]))
    said = [
        f"It knows {len(genres)} genres: other music is given the nearest of them, or unknown.",
        f"{1 - judged['accuracy']:.0%} of {judged['n']} tracks that it had not learned from were"
        " given a wrong genre, often with confidence.",
        f"Least to be trusted is {worst}: {genres[worst]['precision']:.0%} of what is called so"
        " is so.",
    ]
    at_length = metrics.get("cross_validation_clips", judged)["per_genre"]
    few = [genre for genre in genres if at_length.get(genre, {"n": 0})["n"] < FEW]
    if few:
        said.append(
            f"Of {', '.join(few)} fewer than {FEW} tracks each were heard at length; what was"
            " measured of these says next to nothing."
        )
    return said


def _always(features: CompressedMel) -> list[str]:
    heard = features.max_windows * features.window_s
    return [
        "Tracks that it learned from (training.keys) are known nearly by heart: figures from them"
        " are worth nothing.",
        "Files of a few seconds get probabilities that are too high.",
        f"It hears at most {heard:g} s of a track, in {features.max_windows} pieces, and nothing"
        f" above {features.sample_rate / 2000:g} kHz.",
        "Unknown was learned from synthesised sounds: speech, field recordings or audio books may"
        " be given a genre.",
        "What encoders at low bit rates make of quiet treble moves the embedding.",
        "Tags are a guess at what listeners of last.fm wrote about 2010, learned at second hand.",
    ]
