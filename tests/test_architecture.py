"""Imports go one way, SQL stands in one place, and asking for music loads no torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import recsys

PACKAGE = Path(recsys.__file__).parent
REPOSITORY = PACKAGE.parent

CLASSIFIER = ("calibrate", "card", "inference", "log_mel", "musicnn")

GROUPS = {
    "base": (
        *("types", "errors", "checks", "names", "credits", "memory", "registry", "atomic"),
        *("bootstrap", "genres", "hosts", "keys", "kinds", "learned", "mounts", "notebook"),
    ),
    "sound": ("audio", "audio.*", "mel", "one_librosa", "toml_tables"),
    "library": ("library", "library.*"),
    "workers": ("workers", "worker_server"),
    "taste": ("taste", "taste.*"),
    "mood": ("mood", "mood.numbers", "mood.table"),
    "store": ("store", "store.*"),
    "index": ("index", "index.base", "index.genre_index"),
    "index_sync": ("index.sync",),
    "recommender": ("recommender", "recommender.*"),
    "playlists": ("playlists", "playlists.*"),
    "words": ("words", "words.*"),
    "classifier": ("classifier", *(f"classifier.{name}" for name in CLASSIFIER), "data"),
    "mix": ("mix", "mix.*"),
    "indexing": ("indexing", "indexing.*"),
    "onnx": ("classifier.onnx", "classifier.onnx_text"),
    "training": (
        "classifier.training",
        "classifier.training.*",
        "classifier.onnx_export",
    ),
    "papers": ("papers", "papers.*"),
    "milvus": ("milvus", "milvus.*"),
    "cluster": ("cluster", "cluster.*"),
    "quality": ("quality", "quality.*"),
    "audit": ("audit", "audit.*"),
    "robustness": ("robustness",),
    "mood_fit": ("mood.fit",),
    "reports": ("reports", "reports.*"),
    "api": (
        *("api", "seeds", "seed_words", "feedback", "classify", "library_status", "listing"),
        *("export", "pages", "fields", "discography", "linking"),
    ),
    "web": ("web", "web.*"),
    "players": ("players", "players.*"),
    "demo": ("demo",),
    "cli": ("cli", "cli.*", "__main__"),
}
"""Every module of the package, by the part of the design to which it belongs."""

CORE = (
    *("base", "sound", "library", "workers", "taste", "mood", "store", "index", "index_sync"),
    *("recommender", "playlists", "words", "classifier", "mix", "indexing"),
)
WINGS = (
    *("onnx", "training", "papers", "milvus", "cluster", "quality", "audit", "robustness"),
    *("mood_fit", "reports", "web", "players"),
)

MAY_IMPORT = {
    "base": set(),
    "sound": {"base"},
    "library": {"base", "sound"},
    "workers": {"base", "sound", "library"},
    "taste": {"base"},
    "mood": {"base"},
    "store": {"base", "taste", "mood"},
    "index": {"base"},
    "index_sync": {"base", "store", "index"},
    "recommender": {"base", "taste", "store", "index"},
    "playlists": {"base", "library", "taste", "store", "index", "recommender"},
    "words": {"base", "store", "index", "recommender"},
    "classifier": {"base", "sound", "library", "workers"},
    "mix": {"base", "sound", "library", "workers", "store"},
    "indexing": {
        *("base", "sound", "library", "workers", "store", "index", "index_sync", "classifier"),
        "mix",
    },
    "onnx": {"base", "sound", "classifier"},
    "training": {*CORE, "onnx"},
    "papers": {
        *("base", "sound", "library", "workers", "words", "classifier", "onnx", "training"),
        "reports",
    },
    "milvus": {"base", "taste", "store", "index"},
    "cluster": {*CORE},
    "quality": {"base", "sound", "library", "workers", "store", "index", "recommender"},
    "audit": {"base", "library", "store", "index_sync", "recommender"},
    "robustness": {"base", "sound", "library", "workers", "classifier"},
    "mood_fit": {
        *("base", "sound", "library", "workers", "mood", "store", "recommender", "classifier")
    },
    "reports": {"base", "sound", "library", "workers", "classifier", "training", "quality"},
    "api": {*CORE, *set(WINGS) - {"web", "players"}},
    "web": {*CORE, "api"},
    "players": {*CORE, "api"},
    "demo": {"base"},
    "cli": {*CORE, *WINGS, "api", "demo"},
}
"""Which other parts each part may import, anywhere in its code."""

HEAVY = (
    "torch",
    "librosa",
    "sklearn",
    "scipy",
    "numba",
    "rich",
    "av",
    "soundfile",
    "onnxruntime",
    "pymilvus",
    "ray",
    "pyarrow",
    "fsspec",
)
LIGHT_GROUPS = ("base", "taste", "store", "index", "index_sync", "recommender", "playlists")

SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE FROM|CREATE|ALTER|DROP|PRAGMA|VACUUM|BEGIN|COMMIT|ATTACH)\b"
)


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package by its name below ``recsys``."""
    folders = {"": PACKAGE, "cli.": REPOSITORY / "cli", "data.": REPOSITORY / "data"}
    found = {}
    for prefix, folder in folders.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = prefix + ".".join(part for part in parts if part != "__init__")
            found[name.rstrip(".")] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imported(name: str) -> set[str]:
    """Return the full names of everything that a module imports, wherever in its code."""
    names: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            source = str(node.module)
            names.update(f"{source}.{alias.name}" for alias in node.names)
    return names


def own_module(full_name: str) -> str | None:
    """Return the module of this package that an import means, None for anything else."""
    if full_name.split(".")[0] != "recsys":
        return None
    name = full_name.removeprefix("recsys").lstrip(".")
    while name not in modules():
        name = name.rpartition(".")[0]
    return name


def groups_of(name: str) -> list[str]:
    return [
        group
        for group, patterns in GROUPS.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def group_of(name: str) -> str:
    groups = groups_of(name)
    assert len(groups) == 1, f"say in GROUPS where recsys.{name} belongs (now: {groups})"
    return groups[0]


def named_modules() -> list[str]:
    return [name for name in modules() if name]


def modules_in(*groups: str) -> list[str]:
    return [name for name in named_modules() if set(groups_of(name)) & set(groups)]


def modules_outside(*groups: str) -> list[str]:
    return sorted(set(named_modules()) - set(modules_in(*groups)))


@pytest.mark.parametrize("name", named_modules())
def test_a_module_imports_only_what_lies_before_it(name: str) -> None:
    group = group_of(name)
    allowed = MAY_IMPORT[group] | {group}
    for full_name in imported(name):
        target = own_module(full_name)
        if target:
            assert group_of(target) in allowed, f"recsys.{name} ({group}) imports {full_name}"


def test_librosa_is_loaded_in_one_place() -> None:
    loading = {name for name in named_modules() if "librosa" in imported(name)}
    assert loading == {"one_librosa"}


def test_the_parts_have_an_order() -> None:
    assert MAY_IMPORT.keys() == GROUPS.keys()
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert order[0] == "base"
    assert order[-1] == "cli"


@pytest.mark.parametrize("group", CORE)
def test_the_core_imports_no_wing(group: str) -> None:
    assert MAY_IMPORT[group] <= set(CORE)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions and for type checkers count, re-exports of a package do not."""
    graph = {
        name: {target for full in imported(name) if (target := own_module(full)) != name}
        for name in named_modules()
    }
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    edges = {name: targets - packages for name, targets in graph.items() if name not in packages}
    TopologicalSorter(edges).prepare()  # raises CycleError


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_wheel_has_every_package() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {
        ".".join(filter(None, ("recsys", name)))
        for name, path in modules().items()
        if path.name == "__init__.py"
    }
    # A namespace of beets, to which its other plugins belong: it has no __init__.py.
    assert not (REPOSITORY / "beetsplug" / "__init__.py").exists()
    packages.add("beetsplug")
    assert sorted(packages) == settings["tool"]["setuptools"]["packages"]


def test_the_licence_of_the_shipped_weights_goes_with_them() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["recsys.data"]
    notices = {"MUSICNN-LICENSE.md", "YAMNET-NOTICE.md"}
    shipped = {*notices, "genre-model.json", "genre-model.safetensors"}
    for name in shipped:
        assert (REPOSITORY / "data" / name).is_file()
        assert any(fnmatchcase(name, pattern) for pattern in patterns)


def test_nothing_imports_the_command_line() -> None:
    importers = {
        name
        for name in modules()
        if any((own_module(full) or "").split(".")[0] == "cli" for full in imported(name))
    }
    assert {group_of(name) for name in importers} == {"cli"}


def strings(name: str) -> list[str]:
    """Return the strings of a module that are not docstrings or comments."""
    bare = {
        id(node.value)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
    ]


def holds_sql(name: str) -> bool:
    return any(SQL.match(text) for text in strings(name))


def test_sql_is_recognised_where_it_is_known_to_stand() -> None:
    assert holds_sql("store.store")
    assert holds_sql("store.schema")


@pytest.mark.parametrize("name", modules_outside("store"))
def test_only_the_store_speaks_sql(name: str) -> None:
    assert not holds_sql(name)
    assert not {full.split(".")[0] for full in imported(name)} & {"sqlite3", "sqlite_utils"}


@pytest.mark.parametrize("name", modules_in(*LIGHT_GROUPS))
def test_asking_never_imports_what_is_heavy(name: str) -> None:
    assert not {full.split(".")[0] for full in imported(name)} & set(HEAVY)


@pytest.mark.parametrize(
    "module",
    ["recommender", "playlists", "playlists.files", "store", "index.genre_index", "index.sync"],
)
def test_importing_what_answers_loads_nothing_heavy(module: str) -> None:
    report = f"import sys, recsys.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stdout.split()
    assert f"recsys.{module}" in loaded
    assert not {name.split(".")[0] for name in loaded} & {*HEAVY, "sqlite_utils"}


def test_a_command_that_asks_loads_nothing_that_it_does_not_need() -> None:
    report = "import sys, recsys.api, recsys.cli.similar, recsys.index.sync; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stdout.split()
    assert "recsys.recommender.recommender" in loaded
    assert not {name.split(".")[0] for name in loaded} & {*HEAVY, "faiss", "pandas", "sqlite_utils"}
    unneeded = (
        *("features", "playlists", "classifier", "milvus", "words"),
        "recommender.explanations",
    )
    assert not {f"recsys.{name}" for name in unneeded} & set(loaded)


def test_writing_a_library_loads_no_pandas() -> None:
    report = "import sys, recsys.store.schema; print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
