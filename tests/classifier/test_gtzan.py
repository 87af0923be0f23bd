"""The faults of GTZAN are known by the names of its tracks."""

from __future__ import annotations

import csv
import os
import re
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.datasets import (
    GENRES,
    describe,
    faults,
    known_artists,
    looks_like_gtzan,
    repetitions,
    track_groups,
)
from recsys.credits import artists_of

REAL_DATA = os.environ.get("RECSYS_REAL_DATA")
WHOLE = [f"{genre}/{genre}.{number:05d}" for genre in GENRES for number in range(100)]


def test_the_list_is_sound() -> None:
    known = faults()
    assert known.corrupt == ("jazz.00054",)
    assert "Sturm" in known.source
    names = [name for repetition in known.repetitions for name in repetition.tracks]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(rf"({'|'.join(GENRES)})\.000\d\d", name) for name in names)
    assert all(len(repetition.tracks) > 1 for repetition in known.repetitions)
    reasons = {reason for repetition in known.repetitions for reason in repetition.established_by}
    assert reasons == {"catalogue", "features", "titles"}


@pytest.mark.parametrize(
    "pair",
    [
        ("hiphop.00039", "hiphop.00045"),
        ("metal.00058", "rock.00016"),
        ("jazz.00033", "jazz.00051"),
        ("disco.00050", "disco.00070"),
    ],
)
def test_repetitions_are_known(pair: tuple[str, str]) -> None:
    assert any(set(pair) <= set(repetition.tracks) for repetition in faults().repetitions)


def test_artists_are_known_of_nearly_all_of_gtzan_and_of_nothing_else() -> None:
    found = known_artists(WHOLE)
    assert len(found) == 974
    assert found["blues/blues.00000"] == "John Lee Hooker"
    assert all(artist == artist.strip() != "" for artist in found.values())
    assert set(found) <= set(WHOLE)
    # Without most names being those of GTZAN, one that happens to be is somebody else's.
    assert known_artists(["blues/blues.00000", "jazz/So What", "pop/Hello"]) == {}
    assert known_artists(["blues/blues.00000", "blues/blues.00001", "pop/Hello"]).keys() == {
        "blues/blues.00000",
        "blues/blues.00001",
    }


def test_credits_that_share_a_performer_are_one_group() -> None:
    text = (files("recsys.data") / "gtzan-artists.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    groups_of: dict[str, set[str]] = {}
    for row in rows:
        for name in artists_of(row["artist"]):
            groups_of.setdefault(name, set()).add(row["group"])
    assert {name: groups for name, groups in groups_of.items() if len(groups) > 1} == {}
    credited: dict[str, set[str]] = {}
    for row in rows:
        credited.setdefault(row["group"], set()).add(row["artist"])
    merged = {group for group, names in credited.items() if len(names) > 1}
    assert len(merged) == 21
    assert sum(row["group"] in merged for row in rows) == 182
    # No rule on credits joins these.
    assert {"Boney M.", "Branford Marsalis", "Buckwheat Zydeco"} <= merged
    assert credited["Bob Marley"] == {
        "Bob Marley",
        "Bob Marley & Funkstar De Luxe",
        "Bob Marley & The Wailers",
    }


def test_credits_as_published_are_grouped_as_in_the_index() -> None:
    text = (files("recsys.data") / "gtzan-artists.csv").read_text(encoding="utf-8")
    credits_of = {row["track"]: row["artist"] for row in csv.DictReader(text.splitlines())}
    artists = dict(known_artists(WHOLE))
    trio = [key for key, artist in artists.items() if artist == "Branford Marsalis"]
    assert len(trio) == 8
    blues = WHOLE[:100]
    credited = [credits_of[key.split("/")[1]] for key in trio]
    assert len(set(credited)) == 2
    groups = track_groups([*trio, *blues], credited + [None] * 100)
    assert len(set(groups[:8].tolist())) == 1
    assert groups[0] not in groups[8:]
    # Files that are only named as in GTZAN have artists of their own.
    own = track_groups([*trio, *blues], [f"artist {n}" for n in range(8)] + [None] * 100)
    assert len(set(own[:8].tolist())) == 8


def test_gtzan_is_recognised_by_its_names() -> None:
    assert looks_like_gtzan(WHOLE)
    assert looks_like_gtzan([*WHOLE[:60], *(f"mine/{n}" for n in range(40))])
    assert not looks_like_gtzan([*WHOLE[:40], *(f"mine/{n}" for n in range(60))])
    assert not looks_like_gtzan(["jazz/pop.00001", "jazz/jazz.1", "swing/swing.00001"])
    assert not looks_like_gtzan([])


def test_repetitions_among_what_is_there() -> None:
    some = ["metal/metal.00058", "rock/rock.00016", "jazz/jazz.00033"]
    assert repetitions(some) == [("metal/metal.00058", "rock/rock.00016")]
    assert repetitions(["a/1", "b/2", "jazz/jazz.00033", "jazz/jazz.00051"]) == []


def test_faults_are_described() -> None:
    assert describe(["jazz/jazz.00054", "metal/metal.00058", "rock/rock.00016"]) == [
        "jazz.00054 is corrupt in GTZAN as published",
        "1 track repeats another in GTZAN as published (rock.00016 = metal.00058)",
    ]
    corrupt, same, pieces = describe(WHOLE)
    assert corrupt.startswith("jazz.00054 ")
    assert same.startswith("52 tracks repeat others in GTZAN as published (")
    assert pieces.startswith("18 tracks have the artist and title of others in GTZAN (")
    assert describe(["jazz/jazz.00033", "pop/pop.00000"]) == []
    assert describe(["jazz/So What", "rock/Angie"]) == []


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA, reason="RECSYS_REAL_DATA points at no real audio")
def test_the_features_show_the_repetitions() -> None:
    path = Path(str(REAL_DATA)).parent / "tables" / "features_30_sec.csv"
    if not path.exists():
        pytest.skip(f"no public feature table at {path}")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = np.asarray(
        [[float(v) for k, v in r.items() if k not in {"filename", "length", "label"}] for r in rows]
    )
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    features = {row["filename"].removesuffix(".wav"): scaled[n] for n, row in enumerate(rows)}
    for repetition in faults().repetitions:
        pairs = combinations(repetition.tracks, 2)
        nearest = min(float(np.linalg.norm(features[a] - features[b])) for a, b in pairs)
        assert ("features" in repetition.established_by) == (nearest < 1.0), repetition
