"""The image is built, and serves a library to who has a token; where a Docker daemon is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.live import until

ROOT = Path(__file__).parents[2]
BUILD_S = 1800


def docker(*arguments: str, limit_s: float = 120) -> str:
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=True)
    return done.stdout.strip()


def has_daemon() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(BUILD_S),
    pytest.mark.skipif(not has_daemon(), reason="no Docker daemon"),
]


@pytest.fixture
def image() -> Iterator[str]:
    name = f"recsys-test-{os.getpid()}"
    docker("build", "--tag", name, str(ROOT), limit_s=BUILD_S)
    yield name
    docker("image", "rm", "--force", name)


def test_a_container_serves_its_library(image: str) -> None:
    volume = f"{image}-data"
    mounted = ("--volume", f"{volume}:/data")
    try:
        token = docker("run", "--rm", *mounted, image, "serve", "--token").splitlines()[0]
        docker("run", "--detach", "--rm", "--name", image, *mounted, image)
        try:
            docker("exec", image, "python", "-m", "recsys.demo", "/tmp/music")
            docker("exec", image, "recsys", "index", "/tmp/music", limit_s=600)
            status = ("python", "-c", _STATUS, token)
            until(lambda: docker("exec", image, *status).isdecimal())
            assert int(docker("exec", image, *status)) > 10
        finally:
            docker("rm", "--force", image)
    finally:
        docker("volume", "rm", "--force", volume)


_STATUS = (
    "import sys; from recsys.web.client import Client; "
    "print(Client(token=sys.argv[1]).status()['tracks'])"
)
