"""Damaged sound is analysed or refused, whatever the damage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.fuzz.audio import Case, Harness, Report, as_they_are, cases
from tests.fuzz.mutations import mutated
from tests.fuzz.sources import Source, synthetic
from tests.sounds import staircase


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    return synthetic(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    harness = Harness(tmp_path_factory.mktemp("damaged"))
    yield harness
    harness.close()


def outcomes(harness: Harness, made: Iterator[Case]) -> Report:
    report = Report()
    for case in made:
        report.add(harness.examine(case))
    return report


def test_intact_files_are_analysed(harness: Harness, sources: list[Source]) -> None:
    report = outcomes(harness, as_they_are(sources))
    assert report.findings == []
    assert report.kinds == {"analysed": len(sources)}


def test_damaged_files_are_analysed_or_refused(harness: Harness, sources: list[Source]) -> None:
    report = outcomes(harness, cases(sources, 0, range(80)))
    assert report.findings == []
    assert report.crashes == []
    assert report.kinds["analysed"] + report.kinds["analysed with a warning"] > 15


@pytest.mark.slow
def test_many_damaged_files(harness: Harness, sources: list[Source]) -> None:
    report = outcomes(harness, cases(sources, 1, range(4000)))
    assert report.findings == []


def aac(path: Path, layout: str) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout=layout)
        # Interleaved: PyAV cannot make planar frames of eight channels.
        sound = np.repeat(staircase(2.0, 44_100), stream.layout.nb_channels)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(sound, format="flt", layout=layout)
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(format="fltp", layout=layout, frame_size=1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("layouts", [("stereo", "mono"), ("mono", "stereo"), ("mono", "7.1")])
def test_channels_that_change_are_no_crash(
    layouts: tuple[str, str], harness: Harness, tmp_path: Path
) -> None:
    """PyAV would read past the end of frames with fewer channels than the first, or with eight."""
    data = b"".join(aac(tmp_path / f"{layout}.aac", layout) for layout in layouts)
    report = outcomes(harness, as_they_are([Source("x.aac", data)]))
    assert (report.findings, report.crashes) == ([], [])
    assert report.kinds.keys() <= {"analysed", "analysed with a warning"}


def test_damage_depends_on_its_seed_alone() -> None:
    data, others = bytes(range(256)) * 64, [b"x" * 1000]
    again = [mutated(data, others, f"0/{number}") for number in range(50)]
    assert again == [mutated(data, others, f"0/{number}") for number in range(50)]
    assert len(set(again)) > 40
    assert all(mutated(b"", others, f"1/{number}") is not None for number in range(50))
