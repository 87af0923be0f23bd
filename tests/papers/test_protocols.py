"""No track, and by artist no artist and no repetition, is on two sides of a division."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier.training.datasets import GENRES, LabelledTrack, SegmentSet, faults
from recsys.cli.papers_train import PROTOCOLS as CHOICES
from recsys.errors import ModelError
from recsys.papers.protocols import PROTOCOLS, Division, FilteredLists, Fold, check_artists, divide


def make(tracks: list[LabelledTrack], counts: list[int] | None = None) -> SegmentSet:
    """Segments without content: two of each track, or as many as said."""
    track_of = np.repeat(np.arange(len(tracks)), counts or [2] * len(tracks))
    labels = tuple(sorted({track.genre for track in tracks}))
    return SegmentSet(tuple(tracks), np.zeros((len(track_of), 1), np.float32), track_of, labels)


def even(genres: str, count: int, per_artist: int = 2) -> SegmentSet:
    """As many tracks of every genre, two by each artist."""
    return make(
        [
            LabelledTrack(f"{g}/{n}", g, f"{g} {n // per_artist}")
            for g in genres
            for n in range(count)
        ]
    )


@st.composite
def libraries(draw: st.DrawFn) -> SegmentSet:
    """Up to four genres of 3 to 12 tracks, artists who play in several, 1 to 3 segments each."""
    tracks, counts = [], []
    for genre in "abcd"[: draw(st.integers(2, 4))]:
        for number in range(draw(st.integers(3, 12))):
            artist = draw(st.sampled_from([None, "", "Ann", "ann ", "Bob", "Cy", "Di", "Eve"]))
            tracks.append(LabelledTrack(f"{genre}/{number}", genre, artist))
            counts.append(draw(st.integers(1, 3)))
    return make(tracks, counts)


def sides(fold: Fold) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return combinations((fold.train, fold.valid, fold.test), 2)


def check_tracks(segments: SegmentSet, division: Division) -> None:
    """No track is on two sides, nothing is lost, and every genre is learned from."""
    for fold in division.folds:
        everything = np.concatenate([fold.train, fold.valid, fold.test])
        np.testing.assert_array_equal(np.sort(everything), np.arange(segments.n_segments))
        for one, other in sides(fold):
            assert not set(segments.track_of[one]) & set(segments.track_of[other])
        assert set(segments.targets[fold.train]) == set(range(len(segments.labels)))
        assert len(fold.test)
    assert not division.leaky


def check_tested_once(segments: SegmentSet, division: Division) -> None:
    tested = np.concatenate([fold.test for fold in division.folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(segments.n_segments))


def same(one: Division, other: Division) -> bool:
    pairs = zip(one.folds, other.folds, strict=True)
    return all(
        np.array_equal(getattr(a, part), getattr(b, part))
        for a, b in pairs
        for part in ("train", "valid", "test")
    )


@settings(max_examples=60, deadline=None)
@given(libraries(), st.sampled_from([0.0, 0.1, 0.2]), st.integers(1, 5), st.integers(0, 9))
def test_random_keeps_tracks_together(
    segments: SegmentSet, valid_share: float, folds: int, seed: int
) -> None:
    division = divide(segments, "random", valid_share=valid_share, folds=folds, seed=seed)
    check_tracks(segments, division)
    if folds > 1:
        check_tested_once(segments, division)
    else:
        (fold,) = division.folds
        assert set(segments.targets[fold.test]) == set(range(len(segments.labels)))
    again = divide(segments, "random", valid_share=valid_share, folds=folds, seed=seed)
    assert same(division, again)


@settings(max_examples=80, deadline=None)
@given(libraries(), st.sampled_from([0.0, 0.1, 0.2]), st.integers(1, 5), st.integers(0, 9))
def test_by_artist_keeps_artists_together(
    segments: SegmentSet, valid_share: float, folds: int, seed: int
) -> None:
    try:
        division = divide(segments, "by-artist", valid_share=valid_share, folds=folds, seed=seed)
    except ModelError as error:
        assert "too few artists" in error.message  # noqa: PT017 (both outcomes are right)
        return
    check_tracks(segments, division)
    artists = [(track.artist or "").strip().casefold() for track in segments.tracks]
    of_segment = np.asarray(artists)[segments.track_of]
    for fold in division.folds:
        for one, other in sides(fold):
            assert not (set(of_segment[one]) & set(of_segment[other])) - {""}
    if folds > 1:
        check_tested_once(segments, division)
    again = divide(segments, "by-artist", valid_share=valid_share, folds=folds, seed=seed)
    assert same(division, again)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(30, 60),
    st.integers(30, 60),
    st.floats(0.1, 0.4),
    st.floats(0.1, 0.3),
    st.integers(0, 9),
)
def test_random_shares_are_as_asked(
    a: int, b: int, test_share: float, valid_share: float, seed: int
) -> None:
    tracks = [
        LabelledTrack(f"{g}/{n}", g) for g, count in (("a", a), ("b", b)) for n in range(count)
    ]
    division = divide(
        make(tracks), "random", test_share=test_share, valid_share=valid_share, seed=seed
    )
    (fold,) = division.folds
    total = a + b
    assert abs(len(fold.test) / 2 - test_share * total) <= 1
    assert abs(len(fold.valid) / 2 - valid_share * total) <= 1
    in_a = int(np.sum(fold.test < 2 * a)) / 2
    assert abs(in_a - test_share * a) <= 2


def gtzan() -> SegmentSet:
    """The names of all of GTZAN, without artists."""
    return make([LabelledTrack(f"{g}/{g}.{n:05d}", g) for g in GENRES for n in range(100)])


def test_by_artist_no_repetition_is_on_two_sides() -> None:
    segments = gtzan()
    division = divide(segments, "by-artist", valid_share=0.1)
    check_tracks(segments, division)
    check_tested_once(segments, division)
    assert len(division.folds) == 5
    names = [track.key.split("/")[1] for track in segments.tracks]
    for fold in division.folds:
        found = [{names[n] for n in segments.track_of[part]} for part in (fold.train, fold.valid)]
        found.append({names[n] for n in segments.track_of[fold.test]})
        for repetition in faults().repetitions:
            assert sum(bool(side & set(repetition.tracks)) for side in found) == 1


def test_a_seed_decides() -> None:
    segments = even("ab", 20)
    for protocol in ("random", "by-artist", "by-segment"):
        one, again, other = (divide(segments, protocol, seed=seed) for seed in (1, 1, 2))
        assert same(one, again)
        assert not same(one, other)
        assert "seed 1" in one.description


def test_a_number_of_test_tracks() -> None:
    segments = even("abcd", 50)
    assert len(divide(segments, "random", test_count=100).folds[0].test) == 200
    # More than half of them: the share counts.
    assert len(divide(segments, "random", test_count=101).folds[0].test) == 80


def test_by_segment_leaks_and_reports_it() -> None:
    segments = even("ab", 20)
    division = divide(segments, "by-segment", test_share=0.3, valid_share=0.1)
    (fold,) = division.folds
    assert division.leaky
    assert [len(part) for part in (fold.train, fold.valid, fold.test)] == [48, 8, 24]
    everything = np.concatenate([fold.train, fold.valid, fold.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(80))
    tested = set(segments.track_of[fold.test])
    known = len(tested & set(segments.track_of[fold.train]))
    assert known > 0
    assert f"of {len(tested)} tested tracks, {known} have" in division.description
    assert division.description.startswith("LEAKY")


def test_fewer_folds_where_a_genre_is_small() -> None:
    tracks = [
        LabelledTrack(f"{g}/{n}", g) for g, count in (("a", 20), ("b", 3)) for n in range(count)
    ]
    for protocol in ("random", "by-artist"):
        division = divide(make(tracks), protocol, folds=5)
        assert len(division.folds) == 3
        assert "3 folds (not 5: a genre has too few tracks or artists)" in division.description
        check_tested_once(make(tracks), division)


def test_small_genres_leave_the_parts_as_large_as_asked() -> None:
    segments = make([*even("ab", 60).tracks, *even("c", 4, per_artist=3).tracks])
    division = divide(segments, "by-artist", valid_share=0.1)
    check_tracks(segments, division)
    sizes = [len(np.unique(segments.track_of[fold.valid])) for fold in division.folds]
    assert max(sizes) <= 20, division.description


def test_one_division_by_artist_is_of_about_the_share() -> None:
    segments = even("abc", 40)
    division = divide(segments, "by-artist", folds=1, test_share=0.25, valid_share=0.1)
    (fold,) = division.folds
    check_tracks(segments, division)
    assert len(fold.test) == 60
    assert 16 <= len(fold.valid) <= 32


def lists(segments: SegmentSet) -> FilteredLists:
    keys = [track.key for track in segments.tracks]
    return FilteredLists(
        train=frozenset(key for key in keys if int(key[2:]) < 10),
        test=frozenset(key for key in keys if 10 <= int(key[2:]) < 14),
    )


def keys_of(segments: SegmentSet, part: np.ndarray) -> set[str]:
    return {segments.tracks[n].key for n in segments.track_of[part]}


def test_filtered_is_as_the_lists_say_with_validation_from_the_first() -> None:
    segments = even("ab", 20)
    named = lists(segments)
    division = divide(segments, "filtered", lists=named, valid_share=0.2)
    (fold,) = division.folds
    assert "12 tracks in no list left out" in division.description
    assert keys_of(segments, fold.test) == named.test
    train, valid = keys_of(segments, fold.train), keys_of(segments, fold.valid)
    assert train | valid == named.train
    assert not train & valid
    assert len(valid) in {4, 6}
    artists = {track.key: track.artist for track in segments.tracks}
    assert not {artists[key] for key in train} & {artists[key] for key in valid}
    (fold,) = divide(segments, "filtered", lists=named).folds
    assert len(fold.valid) == 0
    assert keys_of(segments, fold.train) == named.train


def test_lists_are_read_from_files(tmp_path: Path) -> None:
    for name, text in (("train", "a/1.wav\n"), ("valid", "b/2.mp3\n")):
        (tmp_path / name).write_text(text)
    found = FilteredLists.read(tmp_path / "train", tmp_path / "valid")
    assert found == FilteredLists(frozenset({"a/1"}), frozenset({"b/2"}))


def test_lists_that_cannot_be_used() -> None:
    segments = even("ab", 20)
    named = lists(segments)
    with pytest.raises(ModelError, match="needs lists"):
        divide(segments, "filtered")
    with pytest.raises(ModelError, match="in more than one list, a/0 among them"):
        divide(segments, "filtered", lists=FilteredLists(named.train, named.train))
    only_a = FilteredLists(frozenset(k for k in named.train if k[0] == "a"), named.test)
    with pytest.raises(ModelError, match="no track of b to learn from"):
        divide(segments, "filtered", lists=only_a)
    with pytest.raises(ModelError, match="no track to test"):
        divide(segments, "filtered", lists=FilteredLists(named.train, frozenset({"x/1"})))


def test_the_command_offers_every_protocol() -> None:
    assert CHOICES == PROTOCOLS


def test_too_little_is_reported_with_names_and_counts() -> None:
    few = make([*even("a", 9).tracks, *even("b", 2).tracks])
    for protocol in PROTOCOLS:
        with pytest.raises(ModelError, match=r"too few tracks of b \(2\)"):
            divide(few, protocol)
    alone = make([*even("a", 9).tracks, *(LabelledTrack(f"b/{n}", "b", "Bob") for n in range(9))])
    with pytest.raises(ModelError, match=r"too few artists .*: b \(1\)") as caught:
        divide(alone, "by-artist")
    assert "--protocol random" in caught.value.hint
    check_tracks(alone, divide(alone, "random"))


@pytest.mark.parametrize(("test", "valid"), [(0.0, 0.1), (0.8, 0.2), (1.0, 0.0), (0.2, -0.1)])
def test_shares_that_leave_nothing(test: float, valid: float) -> None:
    with pytest.raises(ModelError, match="leaves nothing"):
        divide(even("ab", 5), "random", test_share=test, valid_share=valid)


def test_an_unknown_protocol() -> None:
    with pytest.raises(ModelError, match="unknown protocol 'magic'"):
        divide(even("ab", 5), "magic")


def test_the_smallest_library_can_be_divided() -> None:
    segments = even("ab", 3, per_artist=1)
    for protocol in ("random", "by-artist"):
        for folds in (1, 3):
            division = divide(segments, protocol, valid_share=0.2, folds=folds)
            check_tracks(segments, division)


def test_genres_that_share_artists_are_on_both_sides() -> None:
    genres, artists = "abbaab", "012012"
    tracks = [
        LabelledTrack(f"{genre}/{number}", genre, artist)
        for number, (genre, artist) in enumerate(zip(genres, artists, strict=True))
    ]
    division = divide(make(tracks), "by-artist", folds=2)
    for fold in division.folds:
        assert {genres[segment // 2] for segment in fold.train} == set("ab")


@pytest.mark.parametrize(
    ("artists", "words"),
    [
        ([f"{n // 2}" for n in range(12)], "by artist (6 known), "),
        (["Ann", "ann ", "Bob", "Cy"] + [None] * 8, "by artist (3 known; 8 tracks of no known"),
        ([None, "", " "] + [None] * 9, "by track, and with it what repeats it: no artist is known"),
    ],
)
def test_artists_are_told_apart_from_tracks_that_stand_alone(
    artists: list[str | None], words: str
) -> None:
    tracks = [LabelledTrack(f"{'ab'[n // 6]}/{n}", "ab"[n // 6], artists[n]) for n in range(12)]
    assert words in divide(make(tracks), "by-artist", folds=2).description


def test_too_few_artists_are_seen_from_names_alone() -> None:
    genres = {"a/1": "a", "a/2": "a", "b/1": "b", "b/2": "b"}
    check_artists(genres, {"a/1": "Ann", "a/2": None, "b/1": "Ann", "b/2": "Bob"})
    with pytest.raises(ModelError, match=r"too few artists .*: b \(1\)"):
        check_artists(genres, {"a/1": "Ann", "b/1": "Bob", "b/2": "bob"})
