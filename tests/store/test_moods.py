"""Energy, valence and so on in the database: computed at once, and again when the table changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.mood import mood_numbers
from recsys.mood.numbers import DIGITS, Heads, settings_text
from recsys.mood.table import shipped_text
from recsys.store import Store
from recsys.types import MOOD_NUMBERS, Track
from tests.planted import LABELS, PlantedLibrary, Sound, make_info, unit

TAGS = tuple(
    dict.fromkeys(
        tag
        for rule in mood_numbers(None).table.numbers.values()
        for tag in (*rule.more, *rule.less)
    )
)


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    rng = np.random.default_rng(4)
    sounds = [
        Sound(
            LABELS[i % 4],
            unit(rng.standard_normal(16)),
            strengths=tuple(rng.normal(size=len(TAGS))),
        )
        for i in range(30)
    ]
    return PlantedLibrary(tmp_path, sounds, make_info(tags=TAGS))


def numbers(tracks: list[Track]) -> list[tuple[float | None, ...]]:
    return [tuple(track.numbers.values()) for track in tracks]


def expected(library: PlantedLibrary, settings: str | None = None) -> list[tuple[float, ...]]:
    embeddings = np.stack([sound.embedding for sound in library.sounds.values()])
    _, scores = library.store.all_tag_scores()
    values = mood_numbers(settings).values(library.info, embeddings, scores)
    return [tuple(row) for row in np.round(values.astype(float), DIGITS).tolist()]


def test_tracks_have_the_numbers_of_the_table(library: PlantedLibrary) -> None:
    found = [*library.store.all_tracks()]
    assert numbers(found) == expected(library)
    assert library.store.numbers().tolist() == [list(row) for row in expected(library)]
    track = library.store.track(3)
    assert track is not None
    assert track.energy == found[2].energy != found[3].energy


def test_another_table_computes_them_again_and_the_shipped_one_brings_them_back(
    library: PlantedLibrary,
) -> None:
    before = numbers([*library.store.all_tracks()])
    text = shipped_text().replace("Mellow = 2", "Mellow = 1")
    settings = settings_text(text, None)
    assert library.store.set_moods(settings) == 30
    assert numbers([*library.store.all_tracks()]) == expected(library, settings) != before
    assert library.store.set_moods(settings) == 0  # nothing to do
    assert library.store.moods().text == text
    assert library.store.set_moods(None) == 30
    assert numbers([*library.store.all_tracks()]) == before


def test_a_new_version_with_another_table_computes_them_at_the_next_run(
    library: PlantedLibrary,
) -> None:
    store = library.store
    store._db.execute("UPDATE models SET mood_key = 'of another version'")
    store._db.execute("UPDATE analyses SET energy = 0.5")
    assert store.compute_moods() == 30
    assert numbers([*store.all_tracks()]) == expected(library)
    assert store.compute_moods() == 0


def test_heads_make_the_numbers_of_their_model_alone(library: PlantedLibrary) -> None:
    info = library.info
    weights = np.zeros((info.dimension + len(TAGS) + 1, len(MOOD_NUMBERS)), dtype=np.float32)
    weights[-1] = (0.1, 0.2, 0.3, 0.4, 2.0)  # clipped to 1
    heads = Heads(info.fingerprint, str(info.effort), weights, {})
    library.store.set_moods(settings_text(None, heads))
    assert set(numbers([*library.store.all_tracks()])) == {(0.1, 0.2, 0.3, 0.4, 1.0)}
    other = Heads("another model", str(info.effort), weights, {})
    library.store.set_moods(settings_text(None, other))
    assert numbers([*library.store.all_tracks()]) == expected(library)


def test_a_model_without_the_tags_has_no_numbers(tmp_path: Path) -> None:
    sounds = [Sound("jazz", unit(range(1, 17)), strengths=(1.0, 2.0))]
    library = PlantedLibrary(tmp_path, sounds, make_info(tags=("rock", "happy")))
    assert numbers([*library.store.all_tracks()]) == [(None,) * 5]
    assert np.isnan(library.store.numbers()).all()


def test_a_library_of_before_gets_them_when_it_is_opened(library: PlantedLibrary) -> None:
    store = library.store
    before = numbers([*store.all_tracks()])
    views = [row[0] for row in store._rows("SELECT sql FROM sqlite_master WHERE type = 'view'")]
    columns = ", ".join(MOOD_NUMBERS)
    for statement in (
        "DROP VIEW analysed_tracks",
        "DROP VIEW tracks_with_analysis",
        *(f"ALTER TABLE analyses DROP COLUMN {name}" for name in MOOD_NUMBERS),
        "ALTER TABLE library DROP COLUMN mood_settings",
        "ALTER TABLE models DROP COLUMN mood_key",
        *(view.replace(f", {columns}", "") for view in views),
        "DELETE FROM _sqlite_migrations WHERE name = 'numbers_of_moods'",
        "PRAGMA user_version = 9",
    ):
        store._db.execute(statement)
    path = store.path
    store.close()
    with Store.open(path) as renewed:
        assert numbers([*renewed.all_tracks()]) == before
