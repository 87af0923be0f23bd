"""Fetch open music and recorded speech from Debian's packages, for training and measurements.

    python scripts/open_music --cache FOLDER

needs a system with ``apt-get`` and ``dpkg-deb`` (Debian or a derivative of it) and the Python
packages ``mutagen`` and ``python-debian``. Which packages, and what each is for, is in
``packages.toml`` beside this file. Nothing is installed. The files come to lie in
``FOLDER/PACKAGE/``, and ``FOLDER/manifest.csv`` has a line for each: package and version, role,
album, composer where a tag names one, copyright and licence from the package's copyright file,
length and SHA-256. A package that the manifest has is not fetched again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import logging
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

import mutagen
from debian.copyright import Copyright, NotMachineReadableError

PACKAGES = Path(__file__).with_name("packages.toml")
MANIFEST = "manifest.csv"
ARCHIVES = (".zip", ".pk3")
LEAST_S = 30.0
"""Shorter files of a music package are jingles and effects."""

SEE = "see the copyright file of the package"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package, and what of it is wanted."""

    package: str
    role: str  # learn, measure or speech
    files: tuple[str, ...]  # patterns


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the manifest."""

    package: str
    version: str
    role: str
    path: str  # below the cache folder
    album: str
    composer: str
    copyright: str
    licence: str
    duration_s: float
    sha256: str


class FetchError(Exception):
    """A package that cannot be had, with the reason."""


def wanted_packages(names: list[str]) -> list[Wanted]:
    """Read the table of packages; only some of them where names are given."""
    table = tomllib.loads(PACKAGES.read_text(encoding="utf-8"))
    if unknown := sorted(set(names) - set(table)):
        raise FetchError(f"{', '.join(unknown)}: not in {PACKAGES}")
    return [
        Wanted(name, row["role"], tuple(row["files"]))
        for name, row in table.items()
        if not names or name in names
    ]


def download(package: str, folder: Path) -> Path:
    """Download a package with apt-get and return its file."""
    try:
        found = subprocess.run(
            ["apt-get", "download", package],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise FetchError("apt-get is missing: the packages are Debian's") from error
    files = sorted(folder.glob(f"{package}_*.deb"))
    if found.returncode or not files:
        reason = found.stderr.strip().splitlines()[-1:] or ["no file came"]
        raise FetchError(f"{package}: {reason[0]} (does `apt-get update` help?)")
    return files[0]


def version_of(deb: Path) -> str:
    """Return the version of a package file."""
    shown = subprocess.run(
        ["dpkg-deb", "--field", deb, "Version"], capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def members(deb: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a package, and of the archives in it, with their paths."""
    command = ["dpkg-deb", "--fsys-tarfile", deb]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacked,
        tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar,
    ):
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            path = member.name.removeprefix("./")
            if path.endswith(ARCHIVES):
                yield from _inside(path, stream)
            else:
                yield path, stream
    if unpacked.returncode:
        raise FetchError(f"{deb.name}: dpkg-deb ended with {unpacked.returncode}")


def _inside(path: str, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with tempfile.TemporaryFile() as copy:
        while block := stream.read(1 << 20):
            copy.write(block)
        with zipfile.ZipFile(copy) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    with archive.open(name) as inner:
                        yield f"{path}/{name}", inner


class Licences:
    """Copyright and licence of the files of a package, from its copyright file."""

    def __init__(self, text: str) -> None:
        try:
            self._read: Copyright | None = Copyright(io.StringIO(text), strict=False)
        except (NotMachineReadableError, ValueError):
            self._read = None

    def of(self, path: str) -> tuple[str, str]:
        """Return copyright and licence of a file, by its path in the package.

        The patterns are of the sources, which lie elsewhere: the longest end of the path that one
        matches counts, and the paragraph of all files where none does.
        """
        if self._read is None:
            return SEE, SEE
        parts = path.split("/")
        found = None
        for start in range(len(parts)):
            found = self._read.find_files_paragraph("/".join(parts[start:]))
            if found is not None and found.files != ("*",):
                break
        if found is None or found.license is None:
            return SEE, SEE
        return "; ".join(
            map(str.strip, str(found.copyright or SEE).splitlines())
        ), found.license.synopsis


def describe(wanted: Wanted, version: str, path: Path, cache: Path, licences: Licences) -> Entry:
    """Return the line of the manifest of a file that was unpacked."""
    # EasyMP3 and its like know no WAV; its length is read without them.
    audio = mutagen.File(path, easy=True) or mutagen.File(path)
    tags = (audio.tags if audio is not None else None) or {}
    first = {name: next(iter(tags.get(name, ())), "") for name in ("album", "composer", "artist")}
    inside = path.relative_to(cache / wanted.package).as_posix()
    return Entry(
        wanted.package,
        version,
        wanted.role,
        path.relative_to(cache).as_posix(),
        first["album"] or wanted.package,
        first["composer"] or first["artist"],
        *licences.of(inside),
        round(audio.info.length, 2) if audio is not None else 0.0,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def fetch(wanted: Wanted, cache: Path) -> list[Entry]:
    """Download and unpack a package; return a line of the manifest for each file that is kept."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        deb = download(wanted.package, Path(folder))
        version, notice, kept = version_of(deb), "", []
        for path, stream in members(deb):
            is_notice = path == f"usr/share/doc/{wanted.package}/copyright"
            if not is_notice and not any(fnmatch(path, pattern) for pattern in wanted.files):
                continue
            place = cache / wanted.package / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(stream.read())
            if is_notice:
                notice = place.read_text(encoding="utf-8")
            else:
                kept.append(place)
    licences = Licences(notice)
    entries = [describe(wanted, version, path, cache, licences) for path in sorted(kept)]
    if wanted.role == "speech":
        return entries
    return [entry for entry in entries if entry.duration_s >= LEAST_S]


def read_manifest(cache: Path) -> list[Entry]:
    """Read the lines of the manifest; none where there is no manifest yet."""
    path = cache / MANIFEST
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return [Entry(**{**row, "duration_s": float(row["duration_s"])}) for row in rows]  # type: ignore[arg-type]


def write_manifest(cache: Path, entries: list[Entry]) -> None:
    """Write the manifest as a whole."""
    path = cache / MANIFEST
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Entry))
        writer.writerows(astuple(entry) for entry in entries)
    new.replace(path)


def main(arguments: list[str]) -> int:
    """Fetch what is missing; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/open_music",
        description="Fetch open music and recorded speech from Debian's packages.",
    )
    parser.add_argument("packages", nargs="*", help="names; without any, all of packages.toml")
    parser.add_argument("--cache", type=Path, required=True, help="folder for files and manifest")
    options = parser.parse_args(arguments)
    logging.getLogger("debian").setLevel(logging.ERROR)  # "Fixing Format URL" helps nobody
    options.cache.mkdir(parents=True, exist_ok=True)
    entries, failed = read_manifest(options.cache), False
    try:
        packages = wanted_packages(options.packages)
    except FetchError as error:
        print(error, file=sys.stderr)
        return 2
    for number, wanted in enumerate(packages, 1):
        found = [entry for entry in entries if entry.package == wanted.package]
        if not found:
            try:
                found = fetch(wanted, options.cache)
            except FetchError as error:
                print(error, file=sys.stderr)
                failed = True
                continue
            entries += found
            write_manifest(options.cache, entries)
        minutes = sum(entry.duration_s for entry in found) / 60
        count = f"{len(found)} files, {minutes:.0f} min"
        print(f"{number}/{len(packages)} {wanted.package} ({wanted.role}): {count}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
