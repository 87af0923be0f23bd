"""Speech is told from music by the embedding, and stays out of lists on request."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from recsys import Filters, Library
from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.filters import TrackFilter
from recsys.recommender.speech import check_knows_speech, knows_speech, speech_probability
from recsys.types import FloatArray, ModelInfo
from tests.planted import PlantedLibrary, Sound, make_info, unit

DATA = Path(__file__).parents[2] / "data"
HEAD = json.loads((DATA / "speech-head.json").read_text(encoding="utf-8"))
WEIGHTS = np.array(HEAD["weights"])
TEXT = (
    "The library is a folder of music. Nothing in it is changed by this program, which reads every "
    "file once and remembers what it found. Then it answers questions about the tracks. "
)


def shipped_like() -> ModelInfo:
    info = make_info(dimension=len(WEIGHTS), tags=[f"tag {i}" for i in range(50)])
    return ModelInfo(
        **{
            **{name: getattr(info, name) for name in info.__slots__},
            "tag_means": tuple(HEAD["tag_means"]),
            "fingerprint": "other genres over the same network",
        }
    )


def embedding(logit: float) -> FloatArray:
    """Return an embedding with this logit of speech."""
    along = WEIGHTS / np.linalg.norm(WEIGHTS)
    across = np.roll(along, 1) - (np.roll(along, 1) @ along) * along
    across /= np.linalg.norm(across)
    share = (logit - HEAD["bias"]) / np.linalg.norm(WEIGHTS)
    return unit(share * along + np.sqrt(1 - share**2) * across)


def test_the_head_is_of_the_shipped_network() -> None:
    card = json.loads((DATA / "genre-model.json").read_text(encoding="utf-8"))
    assert HEAD["embeddings_of"] == card["fingerprint"]
    assert HEAD["tag_means"] == card["tag_means"]
    assert WEIGHTS.shape == (card["dimension"],)


def test_the_probability_is_the_logistic_of_the_logit() -> None:
    for logit in (-2.0, 0.0, 1.0):
        expected = 1 / (1 + np.exp(-logit))
        assert speech_probability(embedding(logit)) == pytest.approx(expected, abs=0.01)


def test_other_networks_are_refused() -> None:
    assert not knows_speech(make_info())
    assert knows_speech(shipped_like())
    with pytest.raises(QueryError, match="'planted' cannot tell speech"):
        check_knows_speech(make_info())


def test_speech_is_in_no_list(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", embedding(-1.0 if number % 3 else 1.0), artist=f"A{number}")
        for number in range(12)
    ]
    library = PlantedLibrary(tmp_path, sounds, shipped_like())
    filters = Filters(no_speech=True)
    recommender = Recommender(library.store, library.index, library.info)
    options = SimilarOptions(k=12, show_duplicates=True, filters=filters)
    answer = recommender.similar(library.query(2), options)
    assert {row.track.id % 3 for row in answer.results} == {0, 2}
    assert answer.filtered == {"speech": 4, "query": 1}
    for seed in range(4):
        maker = PlaylistMaker(library.store, library.index, library.info)
        playlist = maker.anywhere(PlaylistOptions(seed=seed, filters=filters))
        assert 1 not in {track.id % 3 for track in playlist.tracks}
    # Without an embedding nothing is known, and a seed is exempt.
    speech = library.track(1)
    assert TrackFilter(filters).objection(speech) is None
    assert TrackFilter(filters).objection(speech, sounds[0].embedding) == "speech"
    assert TrackFilter(filters, [speech]).objection(speech, sounds[0].embedding) is None


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_a_voice_is_speech(tmp_path: Path) -> None:
    for voice in ("en-us+f3", "de+m3"):
        path = tmp_path / f"{voice}.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, 3 * TEXT], check=True)
        (result,) = Library(tmp_path / "none.db").classify(path)
        assert result.speech is not None
        assert result.speech > 0.5
