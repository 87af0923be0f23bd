"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

Command = TypeVar("Command", bound=Callable[..., Any])

DEVICES = ("auto", "cpu", "cuda", "mps")

EFFORTS = ("fast", "balanced", "full")

TIME_LIMIT_S = 120.0


class NamedPath(click.Path):
    """A path that is not empty: an unset shell variable must not mean the working directory."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 (as click has it)
        """Refuse an empty string, and return a Path."""
        if value == "":
            self.fail("an empty path was given", param, ctx)
        return super().convert(value, param, ctx)


def db_option(command: Command) -> Command:
    """``--db``: the library's database."""
    return click.option(
        "--db",
        type=NamedPath(),
        envvar="RECSYS_DB",
        show_envvar=True,
        help="Database of the library  [default: library.db in the user's data folder]",
    )(command)


def index_option(command: Command) -> Command:
    """``--index``: a library on Milvus."""
    return click.option(
        "--index",
        metavar="PLACE",
        envvar="RECSYS_INDEX",
        show_envvar=True,
        help="Read the library from Milvus: milvus://HOST:19530, or a Milvus Lite file. "
        "See recsys milvus push.",
    )(command)


def library_place(db: Path | None, index: str | None) -> tuple[Path | None, str | None]:
    """Return the database or the Milvus address of the library; the other one is None.

    An option on the command line overrides an environment variable.

    Raises
    ------
    click.UsageError
        Both are given.
    """
    if index is None or db is None:
        return db, index
    source = click.get_current_context().get_parameter_source
    typed = {name for name in ("db", "index") if source(name) is ParameterSource.COMMANDLINE}
    if typed == {"db", "index"}:
        raise click.UsageError("--db and --index exclude each other.")
    return (db, None) if typed == {"db"} else (None, index)


def json_option(help_text: str) -> Callable[[Command], Command]:
    """``--json``: output for scripts."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def device_option(command: Command) -> Command:
    """``--device``: the device of the model."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Device of the model. auto is the CPU; cuda and mps need the extra [train].",
    )(command)


def model_option(command: Command) -> Command:
    """``--model``: a checkpoint."""
    return click.option(
        "--model",
        type=NamedPath(dir_okay=False),
        help="Checkpoint (.safetensors with its .json card) or ONNX model (.onnx with its .toml).  "
        "[default: the library's model, or the shipped one]",
    )(command)


def effort_option(default: str) -> Callable[[Command], Command]:
    """``--effort``: the number of windows per track."""
    return click.option(
        "--effort",
        type=click.Choice(EFFORTS),
        help="Windows analysed per track: fast 3 windows of 3 s, balanced 6, full as many as the "
        f"model was trained on.  [default: {default}]",
    )


def workers_option(command: Command) -> Command:
    """``--workers``: the number of decoding processes."""
    return click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Decoding processes.  [default: one per processor]",
    )(command)


def time_limit_option(command: Command) -> Command:
    """``--time-limit``: how long the analysis of one file may take."""
    return click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        default=TIME_LIMIT_S,
        show_default=True,
        metavar="SECONDS",
        help="Give up a file whose analysis takes longer, as when its decoder hangs.",
    )(command)
