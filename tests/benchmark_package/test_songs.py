from __future__ import annotations

from pathlib import Path

import pytest

from recsys.audio import decode
from recsys.benchmark import songs as songs_module
from recsys.benchmark.songs import FORMATS, make_songs
from recsys.classifier.log_mel import MEL
from recsys.library import audio_hash


@pytest.fixture(autouse=True)
def _short_phrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(songs_module, "_RENDERED_S", 2.0)


def test_every_format_is_whole_and_no_two_sound_alike(tmp_path: Path) -> None:
    paths = make_songs(tmp_path, 10, duration_s=5.0)
    assert [path.suffix for path in paths] == [*FORMATS, *FORMATS]
    for path in paths:
        waveform = decode(path, MEL)
        assert waveform.duration_s == pytest.approx(5.0, abs=0.1)
        assert waveform.warning is None
    assert len({audio_hash(path) for path in paths}) == 10


def test_songs_that_are_there_are_taken_as_they_are(tmp_path: Path) -> None:
    first = make_songs(tmp_path, 2, duration_s=1.0)
    first[0].write_bytes(b"mine")
    again = make_songs(tmp_path, 3, duration_s=1.0)
    assert again[:2] == first
    assert first[0].read_bytes() == b"mine"
