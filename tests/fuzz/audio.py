"""Damaged sound through identity, tags, decoding and analysis, in a worker process as in `index`.

    python -m tests.fuzz.audio --seed 1 --minutes 60 --corpus ~/Music/formats

The seed makes the files: small synthetic ones in every format with tags, and those of the corpus. A
file may be analysed, or refused with a reason. Anything else is a finding: an exception that nobody
expected, a number that is not finite, text that cannot be shown, a failure that blames the machine,
too much time or memory. A decoder that crashes costs the file alone; these are counted and listed.
``--only NUMBER`` repeats one file; ``--keep DIR`` keeps odd ones, ``--replay DIR`` examines them.
"""

from __future__ import annotations

import argparse
import math
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np

from recsys.classifier.card import load_card
from recsys.classifier.inference import place_for_any_process
from recsys.errors import AudioError, PassingError, RecsysError
from recsys.indexing.examine import AnalysedTrack, Examined, Examiner
from recsys.library import track_file
from recsys.workers import CRASHED, WorkerPool
from tests.fuzz.mutations import mutated
from tests.fuzz.sources import Source, in_folder, synthetic

TIME_LIMIT_S = 30.0
MOST_MEMORY = 400 * 2**20
ADDRESS_SPACE = 8 * 2**30
"""Limit of this process and its workers, so that a mad length does not take the machine down."""

SPLICED_BYTES = 2**20
"""Of other files, for splices: more would only take time."""


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged file, and where it came from."""

    number: int
    source: str
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.number:07}-{self.source}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case."""

    case: Case
    kind: str
    finding: str | None  # None where it is as it should be
    seconds: float
    peak: int  # bytes of the process; 0 where it is not known


@dataclass
class Report:
    """The outcomes of a run."""

    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Verdict] = field(default_factory=list)
    crashes: list[Verdict] = field(default_factory=list)
    slowest: Verdict | None = None
    largest: Verdict | None = None
    files: int = 0
    read_bytes: int = 0

    def add(self, verdict: Verdict) -> None:
        self.files += 1
        self.read_bytes += len(verdict.case.data)
        self.kinds[verdict.kind] += 1
        if verdict.finding:
            self.findings.append(verdict)
        if verdict.kind == CRASHED.message:
            self.crashes.append(verdict)
        if self.slowest is None or verdict.seconds > self.slowest.seconds:
            self.slowest = verdict
        if self.largest is None or verdict.peak > self.largest.peak:
            self.largest = verdict

    def lines(self) -> Iterator[str]:
        yield f"{self.files} files, {self.read_bytes / 1e6:.0f} MB"
        yield from (f"{count:8}  {kind}" for kind, count in self.kinds.most_common())
        if self.slowest and self.largest:
            yield f"slowest  {self.slowest.seconds:.2f} s  {self.slowest.case.name}"
            yield f"largest  {self.largest.peak / 2**20:.0f} MiB  {self.largest.case.name}"
        yield from (f"crash    {one.case.name}" for one in self.crashes)
        yield from (f"FINDING  {one.case.name}  {one.finding}" for one in self.findings)


def cases(sources: list[Source], seed: int, numbers: range, most: int = 4) -> Iterator[Case]:
    """Yield damaged files, each of which depends on the sources, the seed and its number alone."""
    others = [source.data[:SPLICED_BYTES] for source in sources]
    for number in numbers:
        source = sources[number % len(sources)]
        yield Case(number, source.name, mutated(source.data, others, f"{seed}/{number}", most))


class Harness:
    """Examines one damaged file after the other in one worker process."""

    def __init__(self, folder: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        place = place_for_any_process(None)
        self._folder = folder
        self._examiner = Examiner(None, load_card().features, place)
        self._pool = WorkerPool(1, time_limit_s=time_limit_s)

    def close(self) -> None:
        self._pool.close()

    def examine(self, case: Case) -> Verdict:
        """Return what becomes of a file."""
        path = self._folder / case.name
        path.write_bytes(case.data)
        for pid in self._pool.pids():
            with suppress(OSError):  # writing 5 sets the peak back
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        start = time.monotonic()
        try:
            file = track_file(path)
            assert file is not None
            # Alone: the next file must not share the figures.
            ((_, outcome),) = self._pool.map_unordered(self._examiner, [file])
        except RecsysError as error:  # WorkerError stops a run
            outcome = error
        seconds = time.monotonic() - start
        peak = max(map(_peak, self._pool.pids()), default=0)
        path.unlink()
        kind, finding = judged(outcome)
        if peak > MOST_MEMORY:
            finding = finding or f"took {peak / 2**20:.0f} MiB"
        if finding:
            kind = "FINDING"
        return Verdict(case, kind, finding, seconds, peak)


def _peak(pid: int) -> int:
    """Return the peak memory of a process, in bytes; 0 where the system does not tell."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        if match := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(match[1]) * 1024
    return 0


def judged(outcome: Examined | RecsysError) -> tuple[str, str | None]:
    """Return the kind of an outcome, and what is wrong with it."""
    if isinstance(outcome, Examined):
        return _judged_analysis(outcome)
    kind = re.sub(r"-?\d[\d.e+-]*", "N", outcome.message.split(":")[0])
    if not isinstance(outcome, AudioError):
        return kind, f"{type(outcome).__name__}: {outcome.message}"
    if isinstance(outcome, PassingError) or outcome.message.startswith("unexpected "):
        return kind, f"{type(outcome).__name__}: {outcome.message}"
    if wrong := _unshowable(outcome.message):
        return kind, wrong
    return kind, None


def _judged_analysis(outcome: Examined) -> tuple[str, str | None]:
    track = outcome.result
    assert isinstance(track, AnalysedTrack)
    kind = "analysed with a warning" if track.warning else "analysed"
    analysis = track.analysis
    numbers = np.concatenate([analysis.probabilities, analysis.embedding, analysis.tags])
    if not np.isfinite(numbers).all():
        return kind, "a number of the analysis is not finite"
    if abs(float(np.linalg.norm(analysis.embedding)) - 1) > 1e-3:
        return kind, f"an embedding of length {np.linalg.norm(analysis.embedding):g}"
    if abs(float(analysis.probabilities.sum()) - 1) > 1e-3:
        return kind, f"probabilities with a sum of {analysis.probabilities.sum():g}"
    if not (math.isfinite(track.duration_s) and 0 < track.duration_s < 1e7):
        return kind, f"a duration of {track.duration_s} s"
    texts = [value for value in asdict(outcome.tags).values() if isinstance(value, str)]
    for text in (*texts, track.warning or "", outcome.audio_hash):
        if wrong := _unshowable(text):
            return kind, wrong
    return kind, None


def _unshowable(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"text that is no Unicode: {text!a:.200}"
    return None if text.isprintable() else f"text with control characters: {text!a:.200}"


def as_they_are(sources: list[Source]) -> Iterator[Case]:
    """Yield files without more damage."""
    for number, source in enumerate(sources):
        yield Case(number, source.name, source.data)


def run(
    made: Iterator[Case], minutes: float, keep: Path | None
) -> Iterator[tuple[Report, Verdict]]:
    """Yield the growing report and the newest verdict until the time is over."""
    report, end = Report(), time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="recsys-fuzz-") as folder:
        harness = Harness(Path(folder))
        try:
            for case in made:
                if time.monotonic() > end:
                    return
                verdict = harness.examine(case)
                report.add(verdict)
                if keep and (verdict.finding or verdict.kind == CRASHED.message):
                    (keep / case.name).write_bytes(case.data)
                yield report, verdict
        finally:
            harness.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--corpus", type=Path, help="folder with more files to damage")
    parser.add_argument("--start", type=int, default=0, help="number of the first file")
    parser.add_argument("--only", type=int, help="number of the one file to examine")
    parser.add_argument("--replay", type=Path, help="folder of files to examine as they are")
    parser.add_argument("--keep", type=Path, help="folder for files of findings and crashes")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    if options.replay:
        made = as_they_are(in_folder(options.replay))
    else:
        with tempfile.TemporaryDirectory(prefix="recsys-fuzz-") as folder:
            sources = synthetic(Path(folder))
        sources += in_folder(options.corpus) if options.corpus else []
        only = options.only
        numbers = range(options.start, sys.maxsize) if only is None else range(only, only + 1)
        made = cases(sources, options.seed, numbers)
    report, told = Report(), time.monotonic()
    with suppress(KeyboardInterrupt):
        for report, verdict in run(made, options.minutes, options.keep):
            if verdict.finding:
                click.echo(f"FINDING  {verdict.case.name}  {verdict.finding}")
            if time.monotonic() - told > 20:
                told = time.monotonic()
                click.echo(f"{report.files} files, {len(report.findings)} findings")
            if options.only is not None or options.replay:
                figures = f"{verdict.seconds:.2f} s  {verdict.peak / 2**20:.0f} MiB"
                click.echo(f"{verdict.case.name}  {verdict.kind}  {figures}")
    click.echo("\n".join(report.lines()))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
