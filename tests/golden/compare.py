"""Compare two recordings: ``python -m tests.golden.compare BEFORE.json AFTER.json``.

Rankings, names and exit codes must be equal, embeddings to 1e-4, other numbers to 1e-3. Fields may
be added. The texts of reasons, warnings, notes and messages must be equal too, unless
``--allow-reworded`` is given: then each rewording is printed once, to be read. The exit code is 1
when something differs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

TOLERANCES = {"embedding": 1e-4, "low": 0.05, "high": 0.05, "interval": 0.05}
"""By key; the intervals are drawn at random, so another library may draw them otherwise."""

TOLERANCE = 1e-3

WORDS = {
    *("error", "message", "note", "notes", "problems", "reason", "reasons", "repairs", "warning"),
}
"""Keys whose text is for people."""

SHOWN = 12
"""Differences of one case that are printed."""

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Difference:
    """Where two recordings differ, and how.

    Attributes
    ----------
    case, place : str
        Which command, and where in its answer.
    text : str
        Before and after.
    words : bool
        Only the text for people differs.
    """

    case: str
    place: str
    text: str
    words: bool = False


def differences(
    before: dict[str, Any], after: dict[str, Any], *, hashes: bool = True
) -> list[Difference]:
    """Return all differences; without `hashes`, those of the audio hashes are left out."""
    found = []
    for case, answer in before.items():
        if case not in after:
            found.append(Difference(case, "", "was not recorded again"))
            continue
        found += _differences(case, "", "", answer, after[case])
    return [d for d in found if hashes or not d.place.endswith(".audio_hash")]


def _differences(case: str, place: str, key: str, a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, dict) and isinstance(b, dict):
        for name, value in a.items():
            if name in b:
                yield from _differences(case, f"{place}.{name}", name, value, b[name])
            else:
                yield Difference(
                    case, f"{place}.{name}", f"{value!r:.60} -> nothing", name in WORDS
                )
    elif isinstance(a, list) and isinstance(b, list):
        yield from _in_list(case, place, key, a, b)
    elif _is_number(a) and _is_number(b):
        # A recording is rounded: half a unit of its last digit on either side is no difference.
        if abs(a - b) > TOLERANCES.get(key, TOLERANCE) + 1e-9:
            yield Difference(case, place, f"{a} -> {b}")
    elif a != b:
        words = key in WORDS and isinstance(a, str) and isinstance(b, str)
        yield Difference(case, place, f"{a} -> {b}", words)


def _in_list(case: str, place: str, key: str, a: list[Any], b: list[Any]) -> Iterator[Difference]:
    if key in WORDS:
        if a != b:
            text = f"{' | '.join(map(str, a))} -> {' | '.join(map(str, b))}"
            yield Difference(case, place, text, words=True)
        return
    if [_path(row) for row in a] != [_path(row) for row in b]:
        yield Difference(case, place, f"other order or other tracks, {_moves(a, b)}")
        return
    if len(a) != len(b):
        yield Difference(case, place, f"{len(a)} -> {len(b)} entries")
        return
    if a and all(map(_is_number, a + b)):
        worst = max(range(len(a)), key=lambda i: abs(a[i] - b[i]))
        yield from _differences(case, f"{place}[{worst}]", key, a[worst], b[worst])
        return
    for number, (one, other) in enumerate(zip(a, b, strict=True)):
        yield from _differences(case, f"{place}[{number}]", key, one, other)


def _path(row: Any) -> str:
    return str(row.get("path", "")) if isinstance(row, dict) else ""


def _moves(a: list[Any], b: list[Any]) -> str:
    """Name the first rank at which two lists of tracks part, with the similarities there."""
    pairs = list(zip_longest(a, b, fillvalue={"path": "nothing"}))
    rank, (one, other) = next((n, p) for n, p in enumerate(pairs, 1) if _path(p[0]) != _path(p[1]))
    same = " (same tracks)" if sorted(map(_path, a)) == sorted(map(_path, b)) else ""
    return f"at {rank}: {_named(one)} -> {_named(other)}{same}"


def _named(row: Any) -> str:
    if not isinstance(row, dict):
        return str(row)
    return f"{_path(row)} ({row['similarity']})" if "similarity" in row else _path(row)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def report(found: list[Difference], *, allow_reworded: bool = False) -> tuple[list[str], bool]:
    """Return lines to be read, and whether the recordings agree."""
    lines: list[str] = []
    failing = [d for d in found if not (allow_reworded and d.words)]
    for case in dict.fromkeys(d.case for d in failing):
        of_case = [d for d in failing if d.case == case]
        lines.append(case)
        lines += [f"    {d.place or 'case'}: {d.text}" for d in of_case[:SHOWN]]
        if len(of_case) > SHOWN:
            lines.append(f"    and {len(of_case) - SHOWN} more")
    if allow_reworded:
        seen: dict[str, int] = {}
        first: dict[str, Difference] = {}
        for d in found:
            if d.words:
                pattern = _NUMBER.sub("#", d.text)
                seen[pattern] = seen.get(pattern, 0) + 1
                first.setdefault(pattern, d)
        lines += [
            f"reworded {seen[p]} times: {d.case}{d.place}: {d.text}" for p, d in first.items()
        ]
    return lines, not failing


def main(arguments: list[str] | None = None) -> int:
    """Compare two files, print what differs; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--allow-reworded", action="store_true")
    parser.add_argument("--ignore-hashes", action="store_true")
    chosen = parser.parse_args(arguments)
    before, after = (
        json.loads(path.read_text(encoding="utf-8")) for path in (chosen.before, chosen.after)
    )
    found = differences(before, after, hashes=not chosen.ignore_hashes)
    lines, agree = report(found, allow_reworded=chosen.allow_reworded)
    added = [case for case in after if case not in before]
    if added:
        lines.append(f"new cases: {', '.join(added)}")
    lines.append(f"{len(before)} cases: {'no difference' if agree else 'they differ'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
