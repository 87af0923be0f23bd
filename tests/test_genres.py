"""The genre of a track among all that a model knows: the table of styles, and the rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.genres import (
    CONFIDENT,
    HOLDS_FROM,
    STRONG,
    STYLES,
    all_genres,
    genre_weights,
    genres_among_all,
    knows_styles,
    styles_of,
)
from recsys.names import MOODS, spelling_key
from recsys.types import Analysis
from tests.planted import make_info

INFO = make_info(threshold=0.4, tags=("jazz", "Ambient music", "ambient", "folk", "sad"))


def genre(p: float, **strengths: float) -> str:
    """Return the genre of a track that is rock with a probability, of some strengths of styles."""
    rest = (1 - p) / 3
    row = [strengths.get(name, -1.0) for name in ("jazz", "ambient", "ambient", "folk", "sad")]
    probabilities = np.array([[rest, rest, rest, p]], np.float32)
    return genres_among_all(INFO, probabilities, np.array([row], np.float32))[0]


@pytest.mark.parametrize(
    ("p", "strengths", "expected"),
    [
        (CONFIDENT + 0.01, {"ambient": 9.0}, "rock"),
        (CONFIDENT - 0.01, {"ambient": STRONG}, "ambient"),
        (CONFIDENT - 0.01, {"ambient": STRONG - 0.1}, "rock"),
        (CONFIDENT - 0.01, {"jazz": 9.0}, "rock"),  # of two of its genres the head chooses
        (CONFIDENT - 0.01, {"jazz": 9.0, "folk": STRONG}, "folk"),
        (0.39, {"ambient": HOLDS_FROM}, "ambient"),
        (0.39, {"jazz": HOLDS_FROM}, "jazz"),
        (0.39, {"jazz": 1.5, "ambient": 1.4}, "jazz"),
        (0.39, {"ambient": HOLDS_FROM - 0.1, "sad": 9.0}, "unknown"),
    ],
)
def test_the_rule(p: float, strengths: dict[str, float], expected: str) -> None:
    assert genre(p, **strengths) == expected


def test_tags_of_one_style_are_one_with_the_mean_of_their_strengths() -> None:
    rows = np.array([[-1, 3.0, 0.5, -1, 0]], np.float32)  # a mean of 1.75, below STRONG
    p = np.array([[0.2, 0.2, 0.1, 0.5]], np.float32)
    assert genres_among_all(INFO, p, rows) == ["rock"]
    rows[0, 2] = 1.0
    assert genres_among_all(INFO, p, rows) == ["ambient"]
    assert all_genres(INFO.labels, INFO.tags) == (*INFO.labels, "ambient", "folk")


@pytest.mark.parametrize(
    ("tag", "style"),
    [
        ("Hip hop music", "hiphop"),
        ("Electronica", "electronic"),
        ("Heavy metal", "metal"),
        ("Rhythm and blues", "rnb"),
        ("New-age music", "new age"),
        ("new age", "new age"),
        ("Music of Latin America", "latin"),
        ("House music", "house"),
        ("Orchestra", "orchestral"),
        ("Video game music", "video game music"),
        ("Drum and bass", "drum and bass"),
        ("Carnatic music", "indian"),
    ],
)
def test_what_a_tag_is_called(tag: str, style: str) -> None:
    assert styles_of((tag,))[0].name == style


@pytest.mark.parametrize(
    "tag",
    [
        *("Speech", "Choir", "sitar", "harpsichord", "Guitar", "Piano", "Happy music", "80s"),
        *("Soundtrack music", "Background music", "Christmas music", "Lullaby", "Song", "indie"),
        *("female vocalists", "A capella", "Vocal music", "Mellow", "classic rock", "Independent"),
    ],
)
def test_what_is_no_style(tag: str) -> None:
    assert styles_of((tag,)) == ()


def test_the_table_names_itself() -> None:
    assert all(STYLES[spelling_key(name)] == name for name in STYLES.values())
    assert STYLES.keys() & MOODS == {"ambient", "dance"}


def test_weights_are_led_by_the_track_s_own_genre() -> None:
    names = all_genres(INFO.labels, INFO.tags)
    for p, logits in ((0.5, (0, 3, 3, 1, 0)), (0.95, (3, 3, 3, 3, 0)), (0.3, (2, 0, 0, 0, 0))):
        rest = (1 - p) / 3
        scores = 1 / (1 + np.exp(-np.array(logits, dtype=float)))
        analysis = Analysis(
            np.array([rest, rest, rest, p], np.float32),
            np.ones(16, np.float32) / 4,
            INFO.fingerprint,
            scores.astype(np.float32),
        )
        weights = genre_weights(INFO, analysis)
        strengths = INFO.tag_strengths(analysis.tags)[np.newaxis]
        (own,) = genres_among_all(INFO, analysis.probabilities[np.newaxis], strengths)
        assert weights.max() == weights[names.index(own)]
        assert 0 < weights.sum() <= 1 + 1e-6
        assert weights[-1] == 0
    nothing = replace(analysis, tags=np.full(5, 0.1, np.float32))
    assert genre_weights(INFO, nothing).tolist() == [0.0] * len(names) + [1.0]


def test_one_style_is_too_few() -> None:
    assert knows_styles(INFO)
    assert not knows_styles(make_info(tags=("ambient", "sad")))
    assert genre_weights(make_info(), analysis_without_tags()).shape == (0,)


def analysis_without_tags() -> Analysis:
    return Analysis(np.full(4, 0.25, np.float32), np.ones(16, np.float32) / 4, "planted-1")
