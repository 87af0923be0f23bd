from __future__ import annotations

import json
from importlib import metadata

import pytest

from recsys.errors import MissingExtraError, install_command, require


def test_what_is_installed_is_returned() -> None:
    assert require("json", "papers") is json


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match="no_such_library") as caught:
        require("no_such_library.part", "papers")
    assert caught.value.hint == f"Install it with: {install_command('papers')}"


@pytest.mark.parametrize(
    ("origin", "installed"),
    [
        (None, "'recsys[papers]'"),
        (
            '{"url": "file:///src/rec%20sys", "dir_info": {"editable": true}}',
            "-e '/src/rec sys[papers]'",
        ),
        ('{"url": "file:///src/recsys", "dir_info": {}}', "'/src/recsys[papers]'"),
        (
            '{"url": "file:///x/recsys-0.1.0.whl", "archive_info": {}}',
            "'/x/recsys-0.1.0.whl[papers]'",
        ),
    ],
)
def test_the_command_names_the_source_of_the_installation(
    monkeypatch: pytest.MonkeyPatch, origin: str | None, installed: str
) -> None:
    monkeypatch.setattr(metadata.Distribution, "read_text", lambda *_: origin, raising=False)
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda *_: origin)
    assert install_command("papers").endswith(f" -m pip install {installed}")
