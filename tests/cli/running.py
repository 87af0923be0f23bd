"""Run commands in this process, and read their output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from recsys.cli.main import cli


def call(*arguments: object, db: Path | None = None, **options: Any) -> Result:
    """Run a command; `db` is the library of the environment, the options are click's."""
    env = {} if db is None else {"RECSYS_DB": str(db)}
    return CliRunner(env=env).invoke(cli, [str(argument) for argument in arguments], **options)


def json_of(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def lines_of(result: Result, code: int = 0) -> list[dict[str, Any]]:
    assert result.exit_code == code, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def paths_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def refused(result: Result, *words: str, code: int = 1) -> None:
    """Assert on a failure with message and hint, and no output."""
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output
    assert "bug in recsys" not in result.output
    assert result.stdout == ""
