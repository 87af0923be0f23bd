"""Each head against a known answer: of scikit-learn, of a formula, or planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import (
    TAG_PENALTY,
    WHITENING_EXPONENT,
    TrackResponses,
    TuningData,
    fit_heads,
    penultimate,
    teacher_tags,
)
from recsys.errors import ModelError
from recsys.types import FloatArray
from tests.classifier.training.small_network import (
    FILTERS,
    FRAMES,
    N_GENRES,
    equal_genres,
    planted_tracks,
    small_network,
    tuning_data,
)


def track_means(model: MusiCNN, given: TuningData) -> FloatArray:
    units = penultimate(model, [track.plain for track in given.tracks])
    return np.stack([rows.mean(axis=0) for rows in units])


def linear(layer: torch.nn.Linear, rows: FloatArray) -> FloatArray:
    with torch.no_grad():
        return layer(torch.from_numpy(rows.astype(np.float32))).numpy()


def test_the_penultimate_layer_is_that_of_the_network() -> None:
    """Whatever the tracks, and across the bounds of what is computed together."""
    model, rng = small_network(), np.random.default_rng(0)
    responses = [
        rng.standard_normal((count, sum(FILTERS), FRAMES)).astype(np.float16)
        for count in (1, 300, 7)
    ]
    found = penultimate(model, responses)
    assert [len(rows) for rows in found] == [1, 300, 7]
    for windows, rows in zip(responses, found, strict=True):
        with torch.no_grad():
            expected = model.penultimate(model.pooled(torch.from_numpy(windows).float()))
        np.testing.assert_allclose(rows, expected, atol=1e-4)


@pytest.mark.parametrize("n_genres", [2, 3])
def test_genres_are_those_of_discriminant_analysis(n_genres: int) -> None:
    """Over the units that vary by more than rounding."""
    model = small_network(n_genres=n_genres)
    targets = equal_genres(10, n_genres)
    given = tuning_data(targets)
    fitted = fit_heads(model, given)
    means = track_means(model, given).astype(np.float64)
    alive = means.std(axis=0) > 1e-4
    analysis = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto", priors=[1 / n_genres] * n_genres
    ).fit(means[:, alive], targets)
    others = track_means(model, tuning_data(targets, seed=50))
    decisions = analysis.decision_function(others[:, alive].astype(np.float64))
    if n_genres == 2:
        decisions = np.stack([-decisions, decisions], axis=1) / 2
    found = linear(fitted.genres, others)
    centred = found - found.mean(axis=1, keepdims=True)
    expected = decisions - decisions.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, expected, rtol=1e-3, atol=1e-3 * expected.std())
    assert (found.argmax(axis=1) == targets).mean() > 0.9


def test_a_genre_without_tracks_never_wins() -> None:
    targets = equal_genres(8)
    fitted = fit_heads(small_network(n_genres=5), tuning_data(np.where(targets == 0, 4, targets)))
    rng = np.random.default_rng(0)
    anything = np.concatenate(
        [scale * rng.standard_normal((200, 16)) + shift for scale, shift in ((1, 0), (50, -300))]
    )
    scores = linear(fitted.genres, anything)
    assert set(scores.argmax(axis=1)) <= {1, 2, 4}
    mean = scores[:, [1, 2, 4]].mean(axis=1)
    for missing in (0, 3):
        np.testing.assert_allclose(mean - scores[:, missing], 100, rtol=0.05)


def test_one_genre_alone_always_wins() -> None:
    given = tuning_data(np.full(6, 1))
    fitted = fit_heads(small_network(), given)
    anything = 30 * np.random.default_rng(0).standard_normal((50, 16))
    assert set(linear(fitted.genres, anything).argmax(axis=1)) == {1}


def test_rounding_of_a_dead_unit_does_not_count() -> None:
    """A unit that varies in the seventh digit alone would get the largest weights of all."""
    model = small_network()
    with torch.no_grad():
        model.dense.weight[5] *= 1e-7
        model.dense.bias[5] = 1.0
    fitted = fit_heads(model, tuning_data(equal_genres(8)))
    assert not fitted.genres.weight[:, 5].any()
    assert bool(fitted.genres.weight.any())


def test_as_many_genres_as_tracks() -> None:
    with pytest.raises(ModelError, match="3 tracks are too few to tell 3 genres apart") as caught:
        fit_heads(small_network(), tuning_data(np.arange(3)))
    assert caught.value.hint


def test_the_axes_of_the_embedding_are_independent_and_evened_out() -> None:
    """Over the tracks the variance of each is that of its principal axis, to the power 1 - 0.8."""
    model, given = small_network(), tuning_data(equal_genres(30))
    fitted = fit_heads(model, given)
    means = track_means(model, given)
    found = np.cov(linear(fitted.embed, means).T)
    dimension = model.embed.out_features
    variances = np.sort(np.linalg.eigvalsh(np.cov(means.T)))[::-1]
    floor = 0.02 * variances.mean()
    chosen = variances[:dimension]
    expected = chosen * np.maximum(chosen, floor) ** (-2 * WHITENING_EXPONENT)
    np.testing.assert_allclose(np.diag(found), expected, rtol=0.02, atol=1e-4)
    np.testing.assert_allclose(found - np.diag(np.diag(found)), 0, atol=0.02 * expected.max())
    np.testing.assert_allclose(linear(fitted.embed, means).mean(axis=0), 0, atol=1e-3)


def test_an_embedding_with_more_directions_than_there_are() -> None:
    model = MusiCNN(2, filters=FILTERS, channels=6, hidden=4, dimension=12, n_tags=4).eval()
    fitted = fit_heads(model, tuning_data(equal_genres(6, 2)))
    assert not fitted.embed.weight[4:].any()
    with torch.no_grad():
        _, embedding, _ = fitted.heads(torch.randn(5, 4))
    assert bool(torch.isfinite(embedding).all())


def test_tags_of_a_linear_teacher_are_recovered() -> None:
    """Ridge regression leaves n / (n + penalty) of a coefficient where inputs are independent, and
    close to all of it where there are many windows."""
    rng = np.random.default_rng(0)
    model = small_network()
    responses = [rng.standard_normal((3000, sum(FILTERS), FRAMES)).astype(np.float16) for _ in "ab"]
    units = penultimate(model, responses)
    slopes = rng.standard_normal((16, 4))
    taught = [(rows @ slopes + 2.0).astype(np.float32) for rows in units]
    tracks = [TrackResponses((windows,), ()) for windows in [*responses, *responses]]
    # Four tracks, so that there is a discriminant: the windows count twice.
    given = TuningData(tracks, np.asarray([0, 1, 0, 1]), [*taught, *taught], [])
    found = linear(fit_heads(model, given).tags, units[0])
    windows = 4 * 3000
    for mine, theirs in zip(found.T, taught[0].T, strict=True):
        assert np.corrcoef(mine, theirs)[0, 1] > 0.99
        assert mine.std() / theirs.std() > 0.9 * windows / (windows + TAG_PENALTY)
    np.testing.assert_allclose(found.mean(axis=0), taught[0].mean(axis=0), atol=0.1)


def test_outliers_are_separated_from_music() -> None:
    model, given = small_network(), tuning_data(equal_genres(20), outliers=30)
    fitted = fit_heads(model, given)
    new = tuning_data(equal_genres(5), seed=70)
    music = np.concatenate(penultimate(model, [track.plain for track in new.tracks]))
    others = np.concatenate(penultimate(model, given.outliers))
    assert (linear(fitted.nothing, music) < 0).all()
    assert (linear(fitted.nothing, others) > 0).all()


def test_without_examples_everything_is_music() -> None:
    fitted = fit_heads(small_network(), tuning_data(equal_genres(4), outliers=0))
    anything = 100 * np.random.default_rng(0).standard_normal((20, 16))
    assert (linear(fitted.nothing, anything) < -15).all()


def test_the_network_that_went_in_stays_as_it_was() -> None:
    model = small_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fitted = fit_heads(model, tuning_data(equal_genres(4)))
    changed = {n for n, v in fitted.state_dict().items() if not torch.equal(v, before[n])}
    heads = ("genres", "nothing", "embed", "tags")
    assert changed == {f"{head}.{part}" for head in heads for part in ("weight", "bias")}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_teachers_tags_are_of_the_plain_tracks() -> None:
    model, tracks = small_network(), planted_tracks(equal_genres(2))
    for track, logits in zip(tracks, teacher_tags(model, tracks), strict=True):
        (units,) = penultimate(model, [track.audio[0]])
        np.testing.assert_allclose(logits, linear(model.tags, units), atol=1e-5)


def test_data_of_some_tracks() -> None:
    given = tuning_data(equal_genres(4))
    some = given.of(np.asarray([7, 2]))
    assert some.tracks == [given.tracks[7], given.tracks[2]]
    assert some.targets.tolist() == [7 % N_GENRES, 2]
    assert some.tag_logits == [given.tag_logits[7], given.tag_logits[2]]
    assert some.outliers is given.outliers
