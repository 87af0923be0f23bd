"""A taste is kept as long as nothing that it is made of changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from recsys.feedback import KnownTaste
from recsys.taste import Event, EventKind, Subject
from tests.stored import analysed, model_info, new_library, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recsys.store import Store

LIKED, OTHER = "liked", "other"


def a_like(sound: str, day: int = 1) -> Event:
    time = datetime(2026, 11, day, tzinfo=UTC)
    return Event(EventKind("like"), Subject("track"), sound, sound, time, "test", (sound,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_library(tmp_path) as opened:
        opened.write(
            [record(f"/{name}", analysed("jazz"), audio_hash=name) for name in (LIKED, OTHER)]
        )
        opened.add_events([a_like(LIKED), a_like("elsewhere")])
        yield opened


def track_added(store: Store) -> None:
    store.write([record("/new", analysed("rock", 3), audio_hash="new")])


def other_analysed(store: Store) -> None:
    store.write([record("/other", analysed("rock", 3), audio_hash=OTHER)])


def other_liked(store: Store) -> None:
    store.add_events([a_like(OTHER)])


def like_undone(store: Store) -> None:
    store.undo_events()


def liked_analysed(store: Store) -> None:
    store.write([record("/liked", analysed("rock", 3), audio_hash=LIKED)])


def liked_removed(store: Store) -> None:
    (track,) = store.tracks_with_hash(LIKED)
    store.write([], removed=[track.id])


def liked_comes(store: Store) -> None:
    store.write([record("/elsewhere", analysed("jazz", 2), audio_hash="elsewhere")])


def other_model(store: Store) -> None:
    store.set_model(replace(model_info(), fingerprint="m2"), "{}")


@pytest.mark.parametrize("change", [track_added, other_analysed])
def test_a_change_of_other_tracks_leaves_it(store: Store, change: Callable[[Store], None]) -> None:
    known = KnownTaste.of(store)
    change(store)
    now = known.refreshed(store)
    assert now.taste is known.taste
    assert now.revision == store.revision > known.revision
    assert now.refreshed(store) is now


@pytest.mark.parametrize(
    "change",
    [other_liked, like_undone, liked_analysed, liked_removed, liked_comes, other_model],
)
def test_a_change_of_what_it_is_made_of_renews_it(
    store: Store, change: Callable[[Store], None]
) -> None:
    known = KnownTaste.of(store)
    change(store)
    now = known.refreshed(store)
    assert now.taste is not known.taste
    assert now == replace(KnownTaste.of(store), taste=now.taste)
