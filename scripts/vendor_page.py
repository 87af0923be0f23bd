"""Takes the libraries of the page from npm: ``python scripts/vendor_page.py``.

Each package is pinned by version and by the hash that npm publishes for it. The modules are those
of the package but for their imports, which name the neighbouring file, and a line that says where
they come from; other files are taken as they are. `--check` changes nothing and fails where a file
differs. Both print how large the scripts of the page are.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

STATIC = Path(__file__).parents[1] / "recsys" / "web" / "static"
VENDOR = STATIC / "vendor"
CAMERA = VENDOR / "face-api.js"  # loaded when the camera is opened, and else never


@dataclass(frozen=True)
class Package:
    """A version of an npm package, and what the page takes of it."""

    name: str
    version: str
    licence: str
    sha512: str  # of the tarball, base64, as `npm view PACKAGE dist.integrity` prints it
    modules: dict[str, str]  # path in the package to file name
    others: dict[str, str] = field(default_factory=dict)  # files that are no modules, likewise
    contains: str = ""  # what others made, and under which licence


PACKAGES = (
    Package(
        "preact",
        "11.2.0",
        "MIT",
        "/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js"},
    ),
    Package(
        "htm",
        "3.1.1",
        "Apache-2.0",
        "983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        {"dist/htm.mjs": "htm.js"},
    ),
    Package(
        "kdbush",
        "4.1.0",
        "ISC",
        "e9vurzrXJQrFX6ckpHP3bvj5l+9CnYzkxDNnNQ1h2QTqdWsUAJgXiKdGNcOa1EY85dU8KbQ+z/FdQdB7P+9yfQ==",
        {"index.js": "kdbush.js"},
    ),
    Package(
        "@vladmandic/face-api",
        "1.7.15",
        "MIT",
        "WDMmK3CfNLo8jylWqMoQgf4nIst3M0fzx1dnac96wv/dvMTN4DxC/Pq1DGtduDk1lktCamQ3MIDXFnvrdHTXDw==",
        {"dist/face-api.esm.js": "face-api.js"},
        {
            f"model/{name}_model{end}": f"face/{name}_model{end}"
            for name in ("tiny_face_detector", "face_expression")
            for end in (".bin", "-weights_manifest.json")
        },
        "A fork of face-api.js by Vincent Mühler (MIT), with its weights. It contains\n"
        "TensorFlow.js 4.22.0 by Google LLC and long.js by Daniel Wirtz (Apache-2.0: the text\n"
        "stands under htm), and seedrandom by David Bau (MIT).",
    ),
)


def tarball(package: Package, folder: Path) -> Path:
    """Fetch the tarball of `package` with npm; exit if its hash is another."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    path = folder / name.strip()
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != package.sha512:
        sys.exit(f"{package.name} {package.version} has the hash {digest}, not {package.sha512}")
    return path


def browser_module(package: Package, source: str) -> str:
    """Name the origin of a module, and import its neighbours by file name."""
    source = re.sub(r'(from\s*)"preact"', r'\1"./preact.js"', source)
    source = re.sub(r"\n?//# sourceMappingURL=.*", "", source).strip()
    return (
        f"/* {package.name} {package.version}, {package.licence}: see LICENCES.txt */\n{source}\n"
    )


def vendored() -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    files: dict[str, bytes] = {}
    licences: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for package in PACKAGES:
            with tarfile.open(tarball(package, Path(temporary))) as tar:

                def read(path: str, tar: tarfile.TarFile = tar) -> bytes:
                    member = tar.extractfile(f"package/{path}")
                    if member is None:
                        sys.exit(f"{path} is no file")
                    return member.read()

                for path, name in package.modules.items():
                    files[name] = browser_module(package, read(path).decode()).encode()
                files |= {name: read(path) for path, name in package.others.items()}
                licences.append(licence(package, read("LICENSE").decode()))
    files["LICENCES.txt"] = "\n\n".join(licences).encode()
    return files


def licence(package: Package, text: str) -> str:
    """Return the licence of a package under its name."""
    title = f"{package.name} {package.version} ({package.licence})"
    contains = f"{package.contains}\n\n" if package.contains else ""
    return f"{title}\n{'=' * len(title)}\n\n{contains}{text.strip()}\n"


def sizes() -> str:
    """Say how large the scripts are."""

    def compressed(paths: list[Path]) -> str:
        return f"{sum(len(gzip.compress(path.read_bytes())) for path in paths) / 1000:.0f} kB"

    scripts = [path for path in STATIC.rglob("*.js") if path != CAMERA]
    weights = sum(path.stat().st_size for path in VENDOR.rglob("*.bin"))
    return (
        f"scripts of the page: {compressed(scripts)} compressed; with the camera"
        f" {compressed([CAMERA])} more, and {weights / 1000:.0f} kB of weights"
    )


def main() -> None:
    """Write the files, or compare them."""
    files = vendored()
    if "--check" in sys.argv[1:]:
        stale = [name for name, data in files.items() if (VENDOR / name).read_bytes() != data]
        if stale:
            sys.exit(f"not what npm has: {', '.join(stale)}; run scripts/vendor_page.py")
    else:
        for name, data in files.items():
            (VENDOR / name).parent.mkdir(parents=True, exist_ok=True)
            (VENDOR / name).write_bytes(data)
    print(sizes())


if __name__ == "__main__":
    main()
