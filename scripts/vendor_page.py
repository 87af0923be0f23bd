"""Takes the libraries of the page from npm: ``python scripts/vendor_page.py``.

Each package is pinned by version and by the hash that npm publishes for it. The modules are those
of the package but for their imports, which name the neighbouring file, and a line that says where
they come from. `--check` changes nothing and fails where a file differs.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "recsys" / "web" / "static" / "vendor"


@dataclass(frozen=True)
class Package:
    """A version of an npm package, and what the page takes of it."""

    name: str
    version: str
    licence: str
    sha512: str  # of the tarball, base64, as `npm view PACKAGE dist.integrity` prints it
    modules: dict[str, str]  # path in the package to file name


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


def vendored() -> dict[str, str]:
    """Return the files of the folder, by name."""
    files: dict[str, str] = {}
    licences: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for package in PACKAGES:
            with tarfile.open(tarball(package, Path(temporary))) as tar:

                def read(path: str, tar: tarfile.TarFile = tar) -> str:
                    member = tar.extractfile(f"package/{path}")
                    if member is None:
                        sys.exit(f"{path} is no file")
                    return member.read().decode()

                for path, name in package.modules.items():
                    files[name] = browser_module(package, read(path))
                title = f"{package.name} {package.version} ({package.licence})"
                licences.append(f"{title}\n{'=' * len(title)}\n\n{read('LICENSE').strip()}\n")
    files["LICENCES.txt"] = "\n\n".join(licences)
    return files


def main() -> None:
    """Write the files, or compare them."""
    files = vendored()
    if "--check" in sys.argv[1:]:
        stale = [n for n, text in files.items() if (VENDOR / n).read_text("utf-8") != text]
        if stale:
            sys.exit(f"not what npm has: {', '.join(stale)}; run scripts/vendor_page.py")
        return
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (VENDOR / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
