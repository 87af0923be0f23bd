"""Parameter types and options that several commands share: one option means one thing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from recsys.errors import ModelError, QueryError

if TYPE_CHECKING:
    from recsys.types import Range

Command = TypeVar("Command", bound=Callable[..., Any])

# Choices and defaults of the library, repeated here: importing it would make --help slow.
DEVICES = ("auto", "cpu", "cuda", "mps")
EFFORTS = ("fast", "balanced", "full")
TIME_LIMIT_S = 120.0


class NamedPath(click.Path):
    """A path that is not empty: an unset shell variable must not mean the working directory.

    ``urls`` decides about ``s3://bucket/music``: True keeps it as str, False refuses it, None takes
    it for a path.
    """

    def __init__(self, *, dir_okay: bool = True, urls: bool | None = None) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)
        self._urls = urls

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 (as click has it)
        """Return a Path, or a URL as it is."""
        if value == "":
            self.fail("an empty path was given", param, ctx)
        if self._urls is not None and isinstance(value, str) and "://" in value:
            if self._urls:
                return value
            self.fail(f"{value} is no folder; recsys cluster index reads URLs", param, ctx)
        if isinstance(value, str):
            value = os.path.expanduser(value)  # noqa: PTH111 (a shell leaves a quoted ~)
        return super().convert(value, param, ctx)


FILE = NamedPath(dir_okay=False)

# A number without a unit is minutes.
_UNITS_S = {"": 60, "s": 1, "m": 60, "min": 60, "h": 3600}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A length of time such as ``2h``, ``90m``, ``1h30m``, ``4:30`` or ``45`` (minutes)."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value).lower()
        clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d\d)", text)
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|min|m|s|)", text)
        if clock is not None:
            hours, minutes, rest = (int(part or 0) for part in clock.groups())
            seconds = 3600.0 * hours + 60 * minutes + rest
        elif parts and "".join(n + unit for n, unit in parts) == text:
            seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
        else:
            self.fail(f"{value!r} is not a duration; give 2h, 90m, 1h30m, 4:30 or 90s", param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is not a positive duration", param, ctx)
        return seconds


class RangeParam(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """Numbers between limits that belong to them: ``0.7..``, ``..0.3``, ``0.2..0.5``."""

    name = "range"

    def convert(
        self, value: str | Range, param: click.Parameter | None, ctx: click.Context | None
    ) -> Range:
        """Return the range."""
        from recsys.types import Range

        if isinstance(value, Range):
            return value
        try:
            return Range.parse(value)
        except QueryError as error:
            self.fail(f"{error.message}\n  {error.hint}", param, ctx)


def completed_by(kind: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return what completes a parameter in a shell: a function of :mod:`recsys.cli.completing`."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
        from recsys.cli import completing  # nothing that runs a command needs it

        items: list[Any] = getattr(completing, kind)(ctx, incomplete)
        return items

    return complete


def db_option(command: Command) -> Command:
    """``--db``: the library's database."""
    return click.option(
        "--db",
        type=NamedPath(),
        envvar="RECSYS_DB",
        show_envvar=True,
        help="Database of the library  [default: library.db in the user's data folder]",
    )(command)


def unused_db_option(command: Command) -> Command:
    """``--db`` where no library is needed: scripts may pass it to every command."""
    return click.option("--db", type=NamedPath(), hidden=True, expose_value=False)(command)


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

    An option on the command line overrides an environment variable; two options are a usage error.
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
        type=FILE,
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
        help="Give up on a file whose analysis takes longer: a decoder can hang.",
    )(command)


def wait_option(command: Command) -> Command:
    """``--wait``: for the lock of the library."""
    return click.option("--wait", is_flag=True, help="Wait if another run holds the library.")(
        command
    )


def genre_option(help_text: str) -> Callable[[Command], Command]:
    """``--genre``: of the tracks to choose from, in any spelling."""
    return click.option("--genre", help=help_text, shell_complete=completed_by("genres"))


def tag_option(help_text: str) -> Callable[[Command], Command]:
    """``--tag``: of the tracks to choose from, in any spelling."""
    return click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="TAG",
        shell_complete=completed_by("tags"),
        help=help_text,
    )


def words_option(help_text: str) -> Callable[[Command], Command]:
    """``--words``: a phrase for the sound that is wanted."""
    return click.option("--words", metavar="PHRASE", help=help_text)


class Exclusion(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """What is to be left out: a file or folder if there is one of this name, or else words."""

    name = "exclusion"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        """Return a path, or words."""
        if not str(value).strip():
            self.fail("an empty text was given", param, ctx)
        is_there = os.path.lexists(os.path.expanduser(value))  # noqa: PTH111
        return Path(value) if is_there else value


def lean_options(command: Command) -> Command:
    """``--like`` and ``--not-like``: seeds that a query leans towards, or away from."""
    command = click.option(
        "--not-like",
        multiple=True,
        metavar="TRACK",
        shell_complete=completed_by("tracks"),
        help="Lean away from this track, artist or album, and leave out its near-duplicates; "
        "repeat it for several. The query is the mean of TRACK... + 0.75 x the mean of --like - "
        "0.5 x the mean of --not-like (Rocchio).",
    )(command)
    return click.option(
        "--like",
        multiple=True,
        metavar="TRACK",
        shell_complete=completed_by("tracks"),
        help="Lean towards this track, artist or album; repeat it for several.",
    )(command)


# Attributes of tracks as recsys.types.TRACK_NUMBERS has them, with the help of their options.
NUMBERS = {
    "energy": "Only tracks as energetic as this: 0.7.. (no less), ..0.3 (no more), 0.2..0.5.",
    "valence": "Only tracks as cheerful as this: 0 is sad, 1 happy.",
    "danceability": "Only tracks as danceable as this, in [0, 1].",
    "acousticness": "Only tracks as acoustic as this, in [0, 1].",
    "instrumentalness": "Only tracks as instrumental as this: 0 is sung, 1 without a voice.",
    "vocals": "Only tracks of which this share is sung: ..0.1 is next to none, 0.5.. most.",
    "tempo": "Only tracks of this tempo in beats per minute (118..126), where recsys index --also "
    "tempo found one that is certain enough.",
    "loudness": "Only tracks as loud as this in LUFS (-14..), where recsys index --also loudness "
    "measured it.",
}

_NUMBER_OPTIONS = (
    *(
        click.option(f"--{name}", type=RangeParam(), metavar="RANGE", help=text)
        for name, text in NUMBERS.items()
    ),
    click.option(
        "--mood",
        "moods",
        multiple=True,
        metavar="MOOD",
        shell_complete=completed_by("moods"),
        help="Only tracks of this mood: happy, sad, angry, calm, ..., a region of these numbers "
        "(recsys mood list); repeat it to require several.",
    ),
)


def number_options(command: Command) -> Command:
    """``--energy`` and so on, as `ranges`, and ``--mood``, as `moods`."""

    @wraps(command)
    def with_ranges(**given: Any) -> Any:  # noqa: ANN401 (as click has it)
        ranges = {name: given.pop(name) for name in NUMBERS}
        chosen = {name: limits for name, limits in ranges.items() if limits is not None}
        return command(ranges=chosen, **given)

    decorated: Any = with_ranges
    for option in reversed(_NUMBER_OPTIONS):
        decorated = option(decorated)
    result: Command = decorated
    return result


_FILTERS = (
    click.option(
        "--not-artist",
        "not_artists",
        multiple=True,
        metavar="ARTIST",
        shell_complete=completed_by("artists"),
        help="No tracks by this artist; repeat it for several.",
    ),
    click.option(
        "--no-same-artist", is_flag=True, help="No other tracks by the artists of the seeds."
    ),
    click.option(
        "--exclude",
        type=Exclusion(),
        multiple=True,
        metavar="WORDS|PATH|FOLDER",
        help="No tracks with all these words in artist, title, album and genre tag, or no track of "
        "this folder; repeat it for several.",
    ),
    click.option(
        "--min-length",
        "min_length_s",
        type=Duration(),
        help="No shorter tracks: 60s, 1m30s, 1:30; a number alone is minutes.",
    ),
    click.option("--max-length", "max_length_s", type=Duration(), help="No longer tracks: 12m."),
    click.option(
        "--include",
        type=click.Choice(("speech", "other")),
        multiple=True,
        help="Tracks that are no music, too: speech, or other sounds; repeat it for both.",
    ),
    click.option(
        "--language",
        "languages",
        multiple=True,
        metavar="LANGUAGE",
        help="Only tracks whose language tag names this one (de, ger, German); repeat it to allow "
        "several.",
    ),
)
_NO_DEFAULTS = click.option(
    "--no-defaults",
    "use_defaults",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Ignore the defaults of the library, see recsys prefer.",
)
_KEY_MATCH = click.option(
    "--key-match",
    is_flag=True,
    help="Only tracks whose key goes with the seed's: the same, its relative, a fifth up or down "
    "(recsys index --also key).",
)
_FILTER_NAMES = (
    *("not_artists", "no_same_artist", "exclude", "min_length_s", "max_length_s", "languages"),
    *("include", "ranges", "moods"),
)


def filter_options(command: Command) -> Command:
    """Options that leave tracks out; they come as one argument, see :func:`default_options`."""
    decorated = _KEY_MATCH(_NO_DEFAULTS(command))
    return default_options(decorated, (*_FILTER_NAMES, "key_match", "use_defaults"))


def default_options(command: Command, names: tuple[str, ...] = _FILTER_NAMES) -> Command:
    """Options that leave tracks out, as `filters`: fields of :class:`recsys.recommender.Filters`.

    Not as the dataclass itself, whose import would load NumPy before the command is ready for it.
    """

    @wraps(command)
    def with_filters(**given: Any) -> Any:  # noqa: ANN401 (as click has it)
        filters = {name: given.pop(name) for name in names}
        return command(filters=filters, **given)

    decorated: Any = number_options(with_filters)
    for option in reversed(_FILTERS):
        decorated = option(decorated)
    result: Command = decorated
    return result


def no_taste_option(command: Command) -> Command:
    """``--no-taste``: answers as if the listener had said nothing."""
    return click.option(
        "--no-taste",
        is_flag=True,
        help="Leave out what you liked, disliked, played and skipped; bans hold.",
    )(command)


def seed_option(help_text: str) -> Callable[[Command], Command]:
    """``--seed``: of everything random."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help=help_text
    )


# Training


def out_model_option(command: Command) -> Command:
    """``--out``: the model to write; see :func:`model_path`."""
    return click.option(
        "--out", required=True, type=FILE, metavar="MODEL.safetensors", help="Model to write."
    )(command)


def split_options(command: Command) -> Command:
    """``--train-split`` and ``--valid-split``: two lists of tracks."""
    for name, verb in (("--valid-split", "validate"), ("--train-split", "train")):
        text = f"Tracks to {verb} on: one GENRE/TRACK.ext per line, extension ignored."
        command = click.option(name, type=FILE, metavar="LIST", help=text)(command)
    return command


def artists_option(command: Command) -> Command:
    """``--artists``: a table that overrides the artist tags."""
    return click.option(
        "--artists",
        type=FILE,
        metavar="CSV",
        help="Artists of the tracks (columns track,artist), instead of those in the tags.",
    )(command)


def recipe_options(command: Command) -> Command:
    """``--weights`` and ``--epochs``: what a run may change about a recipe."""
    command = click.option(
        "--epochs",
        type=click.IntRange(min=1),
        help="Maximum number of epochs.  [default: the recipe's]",
    )(command)
    return click.option(
        "--weights",
        default="published",
        show_default=True,
        metavar="FILE",
        help="Pretrained weights, for recipes that begin from some: 'published' downloads them, "
        "'random' does without; or a file, or a folder that holds them under their published "
        "names.",
    )(command)


def model_path(out: Path) -> Path:
    """Return the path of a model to write; ``.safetensors`` is added to a name without an ending.

    ModelError, before hours of work, if the name ends otherwise, the folder is not writable, or a
    file of this name is no model.
    """
    from recsys.classifier.card import check_model_path

    if not out.suffix:
        out = out.with_name(f"{out.name}.safetensors")
    if out.suffix != ".safetensors":
        raise ModelError(f"--out {out} must end in .safetensors", f"Try {out.stem}.safetensors.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        state = "is not writable" if out.parent.is_dir() else "does not exist"
        raise ModelError(f"the folder {out.parent} {state}", "Choose another folder with --out.")
    check_model_path(out)
    return out
