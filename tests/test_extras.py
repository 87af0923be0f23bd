from __future__ import annotations

import json

import pytest

from recsys.errors import MissingExtraError, require


def test_what_is_installed_is_returned() -> None:
    assert require("json", "papers") is json


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match="no_such_library") as caught:
        require("no_such_library.part", "papers")
    assert "pip install 'recsys[papers]'" in caught.value.hint
