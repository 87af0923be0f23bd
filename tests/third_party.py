"""Writes the packages in THIRD_PARTY.md, from metadata: ``python -m tests.third_party``.

All extras must be installed, as `make test` installs them.
"""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "THIRD_PARTY.md"
CONSTRAINTS = ROOT / "constraints.txt"

SECTIONS = {
    "": "The core",
    **{name: f"The extra `{name}`" for name in ("train", "papers", "onnx", "words", "mix")},
    **{name: f"The extra `{name}`" for name in ("mpd", "ray", "milvus", "web", "map", "mdns")},
    **{name: f"The extra `{name}`" for name in ("check", "dev")},
}
"""Extras in the order of the page; a package stands where it is first needed."""

MARK = "<!-- From here on written by `make licences`. -->\n"

# Of packages whose metadata name no licence, as their own texts have it.
SAID_ELSEWHERE = {"click-default-group": "BSD-3-Clause", "skops": "MIT"}

NAMES = {
    "apache software license": "Apache-2.0",
    "bsd license": "BSD",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd-3-clause license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "the unlicense (unlicense)": "Unlicense",
}


def licence_of(package: Distribution) -> str:
    """Return the licence that the metadata name: expression, field or classifiers."""
    meta = package.metadata
    name = canonicalize_name(meta["Name"])
    if said := meta.get("License-Expression"):
        return str(said)
    classified = [
        value.split("::")[-1].strip()
        for value in meta.get_all("Classifier") or ()
        if value.startswith("License ::") and value.count("::") > 1
    ]
    if classified:
        return " AND ".join(dict.fromkeys(NAMES.get(c.casefold(), c) for c in classified))
    field = " ".join((meta.get("License") or "").split())
    if field and field != "UNKNOWN" and len(field) < 80:
        return NAMES.get(field.casefold(), field)
    return SAID_ELSEWHERE[name]


def pinned() -> dict[str, str]:
    """Return the versions in constraints.txt by canonical name."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def needed_by(name: str, extras: frozenset[str], found: dict[str, str]) -> None:
    """Add to `found` what a package and its extras need, by canonical name."""
    environment = {key: str(value) for key, value in default_environment().items()}
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({**environment, "extra": e}) for e in ("", *extras)):
            continue
        key = canonicalize_name(requirement.name)
        wanted = frozenset(requirement.extras)
        if key == "recsys" or key not in found or wanted:
            try:
                found.setdefault(key, distribution(key).metadata["Name"])
            except PackageNotFoundError:
                continue
            needed_by(key, wanted, found)


def sections() -> dict[str, list[tuple[str, str, str]]]:
    """Return name, version and licence of the packages of every section."""
    known, seen = pinned(), {"recsys"}
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for extra in SECTIONS:
        found: dict[str, str] = {}
        needed_by("recsys", frozenset({extra} - {""}), found)
        new = sorted(key for key in found if key not in seen and key in known)
        seen |= set(new)
        rows[extra] = [(found[key], known[key], licence_of(distribution(key))) for key in new]
    return rows


def render() -> str:
    """Return the page; its head is written by hand."""
    parts = [PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK]
    for extra, rows in sections().items():
        if rows:
            table = [f"| {name} | {version} | {licence} |" for name, version, licence in rows]
            head = f"## {SECTIONS[extra]}\n\n| package | version | licence |\n| --- | --- | --- |"
            parts.append("\n".join([head, *table, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
