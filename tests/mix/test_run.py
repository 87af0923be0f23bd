"""A pass over a library: what lacks something is measured once, and nothing else suffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.errors import AudioError, PassingError, RecsysError
from recsys.mix import run
from recsys.mix.run import MixEvent, MixPlan, MixSummary, measure_library
from recsys.store import Store
from recsys.store.rows import Unmeasured
from recsys.types import Mix, MixKind
from tests.sounds import staircase, write
from tests.stored import analysed, model_info, record

LOUDNESS = (MixKind.LOUDNESS,)
FULL = Mix(120.0, 0.65, "x", "A minor", 0.9, "x", -9.5, -0.1, "y")


class Pool:
    """Stands in for the processes."""

    time_limit_s = 1.0
    answer: Callable[[Unmeasured], Any]

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def stream(self, _function: object, items: list[Unmeasured], _pause: float) -> Iterator[Any]:
        for item in items:
            outcome = Pool.answer(item)
            if isinstance(outcome, KeyboardInterrupt):
                raise outcome
            yield item, outcome

    def slow(self, _least: float) -> list[Any]:
        return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "library.db", create=True) as store:
        store.set_model(model_info(), "{}")
        yield store


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Unmeasured], Any]], None]:
    monkeypatch.setattr(run, "WorkerPool", Pool)

    def use(answer: Callable[[Unmeasured], Any]) -> None:
        monkeypatch.setattr(Pool, "answer", staticmethod(answer), raising=False)

    return use


def fill(store: Store, *names: str, **fields: Any) -> list[int]:
    return store.write([record(f"/m/{name}", analysed(), **fields) for name in names])


def measured(store: Store, *kinds: MixKind, root: str = "/m", **options: Any) -> list[Any]:
    return list(measure_library(store, kinds or LOUDNESS, [Path(root)], **options))


def test_what_is_measured_is_stored_and_not_measured_again(store: Store, answers: Any) -> None:
    ids = fill(store, "a.mp3", "b.mp3")
    answers(lambda _: FULL)
    events = measured(store, *MixKind)
    assert events[0] == MixPlan(2)
    assert [type(each) for each in events[1:-1]] == [MixEvent, MixEvent]
    assert events[-1] == MixSummary(2, 0)
    for track_id in ids:
        track = store.track(track_id)
        assert track is not None
        assert track.mix == FULL
        assert (track.tempo, track.key, track.loudness) == (120.0, "A minor", -9.5)
    assert measured(store, *MixKind) == [MixPlan(0), MixSummary()]
    assert store.mix_counts() == {"tempo": 2, "key": 2, "loudness": 2, "failed": 0}


def test_only_what_is_asked_for_and_lacking_is_measured(store: Store, answers: Any) -> None:
    (track_id,) = fill(store, "a.mp3")
    answers(lambda _: FULL)
    measured(store, MixKind.KEY)
    track = store.track(track_id)
    assert track is not None
    assert track.mix == Mix(key="A minor", key_confidence=0.9, key_by="x")
    asked: list[tuple[MixKind, ...]] = []
    answers(lambda item: asked.append(item.kinds) or FULL)
    measured(store, MixKind.KEY, MixKind.LOUDNESS)
    assert asked == [(MixKind.LOUDNESS,)]
    track = store.track(track_id)
    assert track is not None
    assert (track.key, track.loudness, track.tempo) == ("A minor", -9.5, None)


def test_a_sound_without_a_beat_is_measured_once(store: Store, answers: Any) -> None:
    (track_id,) = fill(store, "a.mp3")
    answers(lambda _: Mix(tempo_by="x"))
    measured(store, MixKind.TEMPO)
    assert measured(store, MixKind.TEMPO)[0] == MixPlan(0)
    track = store.track(track_id)
    assert track is not None
    assert (track.tempo, track.mix.tempo_by) == (None, "x")


def test_copies_of_a_sound_are_measured_once_and_other_folders_left(
    store: Store, answers: Any
) -> None:
    fill(store, "a.mp3", "b.mp3", audio_hash="the same")
    fill(store, "sub/c.mp3")
    answers(lambda _: FULL)
    assert measured(store, root="/m/sub")[0] == MixPlan(1)
    assert measured(store, root="/m/a.mp3")[0] == MixPlan(1)
    assert measured(store)[0] == MixPlan(0)
    assert all(track.loudness == -9.5 for track in store.all_tracks())


def test_it_survives_moves_and_another_model(store: Store, answers: Any) -> None:
    (track_id,) = fill(store, "a.mp3", audio_hash="h")
    answers(lambda _: FULL)
    measured(store)
    store.write([record("/m/moved.mp3", analysed(), audio_hash="h", track_id=track_id)])
    store.set_model(model_info("m2"), "{}")
    store.write([record("/m/moved.mp3", analysed(model="m2"), audio_hash="h")])
    store.drop_orphans()
    track = store.track(track_id)
    assert track is not None
    assert track.loudness == -9.5


def test_what_no_track_has_any_more_goes_with_the_orphans(store: Store, answers: Any) -> None:
    ids = fill(store, "a.mp3", "b.mp3")
    answers(lambda _: FULL)
    measured(store)
    store.write([], removed=ids[:1])
    store.drop_orphans()
    fill(store, "a.mp3")
    assert measured(store)[0] == MixPlan(1)


def test_a_failure_is_kept_with_its_reason_and_harms_no_track(store: Store, answers: Any) -> None:
    ids = fill(store, "a.mp3", "b.mp3")
    answers(lambda item: AudioError("broken") if item.path.name == "a.mp3" else FULL)
    events = measured(store)
    assert events[-1] == MixSummary(1, 1)
    assert [event.reason for event in events[1:-1]] == ["broken", None]
    assert len(store.tracks(ids)) == 2
    assert store.failures() == []
    assert measured(store)[0] == MixPlan(0)
    assert store.mix_counts()["failed"] == 1
    answers(lambda _: FULL)
    assert measured(store, retry_failed=True)[-1] == MixSummary(1, 0)
    assert store.mix_counts()["failed"] == 0


def test_other_versions_try_failures_again(
    store: Store, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "a.mp3")
    answers(lambda _: AudioError("broken"))
    measured(store)
    monkeypatch.setattr("recsys.store.store.made_by", lambda: "another")
    assert measured(store)[0] == MixPlan(1)


def test_trouble_of_the_disk_is_not_held_against_a_file(store: Store, answers: Any) -> None:
    fill(store, "a.mp3")
    answers(lambda _: PassingError("the disk has gone"))
    assert measured(store)[-1] == MixSummary(0, 1)
    assert measured(store)[0] == MixPlan(1)


def test_an_interrupted_run_keeps_what_was_measured(store: Store, answers: Any) -> None:
    fill(store, *(f"{number:02}.mp3" for number in range(20)))
    answers(lambda item: KeyboardInterrupt() if item.path.name == "18.mp3" else FULL)
    with pytest.raises(KeyboardInterrupt):
        measured(store)
    assert store.mix_counts()["loudness"] == 18
    assert measured_paths(store, answers) == ["18.mp3", "19.mp3"]


def measured_paths(store: Store, answers: Any) -> list[str]:
    answers(lambda _: FULL)
    return [each.path.name for each in measured(store) if isinstance(each, MixEvent)]


def test_trouble_of_the_installation_ends_the_run(store: Store, answers: Any) -> None:
    from recsys.errors import StoreError

    fill(store, "a.mp3")
    answers(lambda _: StoreError("gone"))
    with pytest.raises(RecsysError, match="gone"):
        measured(store)


def test_worker_processes_measure_files(tmp_path: Path, store: Store) -> None:
    """The one with real processes and files; a text among them."""
    good = write(tmp_path / "m" / "a.flac", staircase(4, 44_100), 44_100)
    bad = tmp_path / "m" / "b.flac"
    bad.write_text("a text")
    ids = store.write([record(path, analysed()) for path in (good, bad)])
    events = list(measure_library(store, LOUDNESS, [tmp_path / "m"], workers=1))
    assert events[-1] == MixSummary(1, 1)
    track = store.track(ids[0])
    assert track is not None
    # A sine of amplitude 0.5 in one channel, near 300 Hz, where the weighting is about 0 dB less.
    assert track.loudness == pytest.approx(-9.0 - 0.69, abs=1.0)
    assert track.mix.true_peak == pytest.approx(20 * np.log10(0.5), abs=0.1)
