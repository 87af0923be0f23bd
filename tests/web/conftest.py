"""A server of a small library of synthetic music, with covers, and of libraries that misbehave."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
from mutagen.flac import Picture
from PIL import Image
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from recsys.api import Library
from recsys.demo import SAMPLE_RATE, STYLES, render
from recsys.web import shapes
from recsys.web.app import create_app
from recsys.web.security import Rules
from recsys.web.tokens import Tokens
from tests.sounds import write

HOST = "127.0.0.1:8337"
DURATION_S = 6.0
HOSTILE = "<script>alert(1)</script>\x1b[31m"

API = "/api/v1"


def png(colour: str, size: int = 700) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (size, size // 2), colour).save(target, "PNG")
    return target.getvalue()


def make_music(folder: Path) -> None:
    """Two tracks of five styles in three formats; one has a cover, one hostile tags."""
    rng = np.random.default_rng(3)
    for position, (name, style) in enumerate(list(STYLES.items())[:5]):
        for number in range(2):
            path = folder / name / f"{number}{('.flac', '.ogg', '.mp3')[(position + number) % 3]}"
            write(path, render(style, rng, DURATION_S), SAMPLE_RATE)
            file = mutagen.File(path, easy=True)
            if file.tags is None:
                file.add_tags()
            file["artist"], file["title"] = f"The {name} band", f"Number {number}"
            file["album"] = f"Best of {name}"
            if position < 2:
                file["language"] = ("German", "deu; fra")[position]
            file.save()
    with_cover = mutagen.File(folder / next(iter(STYLES)) / "0.flac")
    picture = Picture()
    picture.data, picture.type, picture.mime = png("red"), 3, "image/png"
    with_cover.add_picture(picture)
    with_cover["title"] = HOSTILE
    with_cover.save()
    (folder / list(STYLES)[1] / "cover.png").write_bytes(png("blue"))
    (folder / "bad.mp3").write_bytes(b"no sound")


@dataclass(frozen=True)
class Indexed:
    music: Path
    database: Path


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    folder = tmp_path_factory.mktemp("web")
    make_music(folder / "music")
    database = folder / "library.db"
    with Library(database) as library:
        library.index([folder / "music"])
    return Indexed(folder / "music", database)


@cache
def adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(getattr(shapes, name))


def check_form(response: Any) -> None:
    """Fail where an answer is not what the description of the API says."""
    path, method = response.request.url.path, response.request.method.lower()
    if not path.startswith(API) or path.endswith("openapi.json") or response.status_code == 304:
        return
    response.read()
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code >= 400:
        assert kind == "application/problem+json", response.text
        adapter("ProblemDetails").validate_python(response.json(), strict=True)
        return
    for form, operations in DESCRIBED["paths"].items():
        if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", form), path):
            told = operations[method]["responses"][str(response.status_code)]
            if kind == "application/json" and "$ref" in told["content"][kind]["schema"]:
                name = told["content"][kind]["schema"]["$ref"].rpartition("/")[2]
                adapter(name).validate_python(response.json(), strict=True, extra="forbid")
            else:
                assert kind in told.get("content", {"": None}), (form, kind)
            break


DESCRIBED = create_app(Library, Path("none.db"), Rules(frozenset())).openapi()


Serving = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Start a server of a library; it ends with the test."""
    clients: list[TestClient] = []

    def start(database: Path, *, tokens: bool = False, **options: Any) -> TestClient:
        rules = Rules(frozenset({HOST}), Tokens(database) if tokens else None)
        app = create_app(partial(Library, database, paths=False), database, rules)
        client = TestClient(app, f"http://{HOST}", client=("127.0.0.1", 5), **options)
        client.event_hooks = {"response": [check_form]}
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(indexed: Indexed, serving: Serving) -> TestClient:
    """A server of the small library, which is only read."""
    return serving(indexed.database)


@pytest.fixture
def copied(indexed: Indexed, tmp_path: Path) -> Indexed:
    """A library of one's own."""
    music = tmp_path / "music"
    shutil.copytree(indexed.music, music)
    database = tmp_path / "library.db"
    with Library(database) as library:
        library.index([music])
    return Indexed(music, database)


def copy_of(indexed: Indexed, folder: Path) -> Path:
    """Copy the library into a folder; return its database. The files of its tracks stay."""
    folder.mkdir(exist_ok=True)
    for path in indexed.database.parent.glob("library.*"):
        target = folder / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    return folder / "library.db"


@pytest.fixture
def own(indexed: Indexed, tmp_path: Path, serving: Serving) -> TestClient:
    """A server of a copy of the library's database, whose files are those of the small library."""
    return serving(copy_of(indexed, tmp_path))


def get(client: TestClient, path: str, code: int = 200, **params: Any) -> Any:
    found = client.get(f"{API}/{path}", params=params)
    assert found.status_code == code, found.text
    return found.json()


def post(client: TestClient, path: str, body: Any = None, code: int = 200) -> Any:
    found = client.post(f"{API}/{path}", json={} if body is None else body)
    assert found.status_code == code, found.text
    return found.json()
