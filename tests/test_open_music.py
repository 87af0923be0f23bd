"""The script that fetches open music, on a package made here."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

pytest.importorskip("debian.copyright")
pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb is not there: no system of Debian's family"
)

NOTICE = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2001 Somebody
License: GPL-2+

Files: music/wind.ogg
Copyright: 2002 A Composer
           2003 Another
License: CC-BY-SA-3.0
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "open_music" / "__main__.py"
    spec = importlib.util.spec_from_file_location("open_music_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "open_music_script", module)
    spec.loader.exec_module(module)
    return module


def ogg(seconds: float) -> bytes:
    out = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(8000 * seconds))
    soundfile.write(out, noise, 8000, format="OGG")
    return out.getvalue()


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("DEBIAN", "usr/share/doc/tunes-data", "usr/share/tunes/music"):
        (root / folder).mkdir(parents=True)
    control = (
        "Package: tunes-data\nVersion: 1.2-3\nArchitecture: all\nMaintainer: N <n@example.org>\n"
    )
    (root / "DEBIAN/control").write_text(f"{control}Description: tunes\n")
    (root / "usr/share/doc/tunes-data/copyright").write_text(NOTICE)
    (root / "usr/share/tunes/music/wind.ogg").write_bytes(ogg(31))
    (root / "usr/share/tunes/music/jingle.ogg").write_bytes(ogg(2))
    (root / "usr/share/tunes/readme.txt").write_text("no music")
    with zipfile.ZipFile(root / "usr/share/tunes/more.pk3", "w") as archive:
        archive.writestr("sound/rain.ogg", ogg(32))
    out = tmp_path / "tunes-data_1.2-3_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, out], check=True, capture_output=True)
    return out


def test_what_is_fetched_and_what_the_manifest_says(
    script: ModuleType, deb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = []

    def download(package: str, folder: Path) -> Path:
        downloads.append(package)
        return deb

    table = tmp_path / "packages.toml"
    patterns = ["usr/share/tunes/music/*.ogg", "usr/share/tunes/more.pk3/*.ogg"]
    table.write_text(f'[tunes-data]\nrole = "learn"\nfiles = {patterns!r}\n')
    monkeypatch.setattr(script, "PACKAGES", table)
    monkeypatch.setattr(script, "download", download)
    cache = tmp_path / "cache"
    assert script.main(["--cache", str(cache)]) == 0
    with (cache / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["rain.ogg", "wind.ogg"]  # a jingle is no track
    wind, rain = rows["wind.ogg"], rows["rain.ogg"]
    assert wind["licence"] == "CC-BY-SA-3.0"
    assert wind["copyright"] == "2002 A Composer; 2003 Another"
    assert rain["licence"] == "GPL-2+"
    assert wind["version"] == "1.2-3"
    assert wind["role"] == "learn"
    assert float(wind["duration_s"]) == pytest.approx(31, abs=0.1)
    assert wind["sha256"] == hashlib.sha256((cache / wind["path"]).read_bytes()).hexdigest()
    assert rain["path"] == "tunes-data/usr/share/tunes/more.pk3/sound/rain.ogg"
    assert script.main(["--cache", str(cache)]) == 0
    assert downloads == ["tunes-data"]  # the manifest has it


def test_a_name_that_is_not_in_the_table(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--cache", str(tmp_path), "no-such-package"]) == 2
    assert "no-such-package" in capsys.readouterr().err


def test_every_package_has_a_role_and_files(script: ModuleType) -> None:
    packages = script.wanted_packages([])
    assert {package.role for package in packages} == {"learn", "measure", "speech"}
    assert all(package.files for package in packages)
