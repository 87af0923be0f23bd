"""``recsys train --from-tags`` and ``--from-folders``: the library's own genres."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.output import console, escape, note, print_json, shown, table

if TYPE_CHECKING:
    from recsys.classifier.training.evaluate import Measured
    from recsys.classifier.training.own_genres import Comparison, Contender, Proposal

SPELLINGS_SHOWN = 5
"""Of one genre; the model card names all of them."""


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """What was asked for on the command line.

    Attributes
    ----------
    database : Path or None
        The library; None for that in the user's data folder.
    source : str
        ``tags`` or ``folders``.
    folders : tuple of Path
        Learn only from tracks in these.
    out : Path or None
        Where the model is kept; None for beside the library, and only if it is used.
    min_tracks, min_artists : int
        A genre needs at least so many.
    seed : int
        Of folds and draws.
    yes, as_json : bool
        Replace without asking; one line for scripts.
    """

    database: Path | None
    source: str
    folders: tuple[Path, ...]
    out: Path | None
    min_tracks: int
    min_artists: int
    seed: int
    yes: bool
    as_json: bool


def own_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of learning a library's own genres."""
    options = (
        click.option(
            "--from-tags",
            is_flag=True,
            help="Learn the genres in the tags of the indexed library, over what was heard.",
        ),
        click.option(
            "--from-folders",
            is_flag=True,
            help="The same from the folders directly below DIR, or below the indexed folders.",
        ),
        click.option(
            "--min-tracks",
            type=click.IntRange(min=2),
            default=8,
            show_default=True,
            help="Own genres with fewer are left out.",
        ),
        click.option(
            "--min-artists",
            type=click.IntRange(min=2),
            default=3,
            show_default=True,
            help="Own genres with fewer are left out.",
        ),
        click.option("--yes", is_flag=True, help="Use own genres for the library without asking."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def train_own(request: OwnRequest) -> None:
    """Learn the library's own genres, show what that brings, and use them if the user agrees."""
    from recsys.api import default_database
    from recsys.classifier.training.own_genres import (
        LabelRules,
        place_beside,
        propose,
        save_proposal,
    )
    from recsys.cli.training import model_path
    from recsys.library import absolute, outermost

    database = absolute(request.database) if request.database else default_database()
    out = absolute(model_path(request.out)) if request.out else None
    rules = LabelRules(
        source="tags" if request.source == "tags" else "folders",
        min_tracks=request.min_tracks,
        min_artists=request.min_artists,
        seed=request.seed,
    )
    with _counting("Learning") as on_fold:
        folders = outermost(request.folders)
        proposal = propose(database, rules, folders, on_fold=on_fold)
    if not request.as_json:
        _show(proposal)
    card = save_proposal(proposal, out) if out else None
    if out and not request.as_json:
        click.echo(f"\nThe model is {shown(out)}.")
    rescored = None
    if request.yes or (not request.as_json and _ask()):
        out = out or place_beside(database)
        rescored = _use(proposal, out, card)
    _tell(request, proposal, out, rescored)


def _use(proposal: Proposal, place: Path, card: Any) -> int:  # noqa: ANN401 (a ModelCard or None)
    """Make the proposal the library's own; a file that was made just for that goes if it fails."""
    from recsys.classifier.card import card_path
    from recsys.classifier.training.own_genres import save_proposal, use_proposal

    if card is not None:
        return use_proposal(proposal, place, card)
    try:
        return use_proposal(proposal, place, save_proposal(proposal, place))
    except BaseException:
        place.unlink(missing_ok=True)
        card_path(place).unlink(missing_ok=True)
        raise


def _ask() -> bool:
    try:
        return click.confirm("\nUse these genres for the library?", default=False)
    except click.Abort:
        note("nothing was replaced; --yes uses the genres without asking")
        raise


@contextmanager
def _counting(words: str) -> Iterator[Callable[[], None]]:
    """Show a bar while heads are fitted."""
    from recsys.classifier.training.own_genres import FOLDS
    from recsys.cli.output import progress

    with progress("fits") as bar:
        if bar is None:
            yield lambda: None
            return
        task = bar.add_task(words, total=FOLDS + 1, failed=0)
        yield lambda: bar.advance(task)


def _show(proposal: Proposal) -> None:
    own, found = proposal.own, proposal.found
    screen = console()
    artists = len(set(own.groups.tolist()))
    screen.print(
        f"{len(own.tracks)} tracks of {len(own.labels)} genres, by {artists} artists;"
        f" {own.unlabelled} tracks have no genre, {own.copies} are copies of others"
        + (f", {own.drawn} of large genres were left out by draw" if own.drawn else "")
    )
    merged = [genre for genre in own.merged if len(genre.spellings) > 1]
    for genre in merged:
        screen.print(f"  merged: {escape(genre.sentence(SPELLINGS_SHOWN))}")
    if any(len(genre.spellings) > SPELLINGS_SHOWN for genre in merged):
        screen.print("  (--json has all spellings)")
    _show_left_out(proposal)
    screen.print(_genre_table(proposal))
    screen.print(_comparison_table(proposal))
    for line in _verdict(found.comparison, own.labels, proposal.present.labels):
        screen.print(line)
    for line in proposal.notes:
        note(line)


def _show_left_out(proposal: Proposal) -> None:
    rules, left_out = proposal.rules, proposal.own.left_out
    if not left_out:
        return
    named = ", ".join(
        f"{genre.genre} ({genre.tracks} tracks, {genre.artists} artists)" for genre in left_out[:8]
    )
    more = f" and {len(left_out) - 8} more" if len(left_out) > 8 else ""
    console().print(
        f"  left out, with fewer than {rules.min_tracks} tracks or {rules.min_artists} artists: "
        + escape(named + more)
    )


def _genre_table(proposal: Proposal) -> Any:  # noqa: ANN401 (a table of rich)
    own, found = proposal.own, proposal.found
    rows = table("genre", "tracks", "artists", "precision", "recall", "F1", right=range(1, 6))
    for number, label in enumerate(found.labels):
        score = found.evaluation.per_genre[label]
        artists = len(set(own.groups[own.targets == number].tolist()))
        figures = (f"{value:.2f}" for value in (score.precision, score.recall, score.f1))
        rows.add_row(escape(label), str(score.n), str(artists), *figures)
    return rows


def _comparison_table(proposal: Proposal) -> Any:  # noqa: ANN401 (a table of rich)
    found, n = proposal.found, len(proposal.own.tracks)
    rows = table("judged by", "tracks", "", "accuracy", "macro F1", right=(1,))
    _add(rows, f"{len(found.labels)} own genres", n, found.new)
    _add(rows, "", n, found.majority)
    if both := found.comparison:
        _add(rows, f"{len(both.labels)} genres of the present model", both.n, both.new)
        _add(rows, "", both.n, both.present)
    return rows


def _add(rows: Any, judged_by: str, n: int, contender: Contender) -> None:  # noqa: ANN401
    figures = (_interval(contender.accuracy), _interval(contender.macro_f1))
    rows.add_row(judged_by, str(n), escape(contender.name), *figures)


def _interval(measured: Measured) -> str:
    return f"{measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"


def _verdict(
    both: Comparison | None, labels: Sequence[str], present_labels: Sequence[str]
) -> Iterator[str]:
    """Yield the gain or loss in words."""
    yield (
        "New head: cross-validated, no artist on both sides. Intervals: 95%, whole artists drawn."
    )
    if both is None:
        yield f"None of the {len(labels)} own genres is one of the present model's"
        yield f"({', '.join(map(escape, present_labels))}), so the two cannot be compared."
        return
    for name, gain in (("accuracy", both.gain_accuracy), ("macro F1", both.gain_macro_f1)):
        word = "gain" if gain.value >= 0 else "loss"
        sure = "" if gain.low > 0 or gain.high < 0 else ": within what chance does"
        yield (
            f"{word.capitalize()} in {name} over the present model: {gain.value:+.3f}"
            f" ({gain.low:+.3f} to {gain.high:+.3f}){sure}"
        )


def _tell(request: OwnRequest, proposal: Proposal, out: Path | None, rescored: int | None) -> None:
    if request.as_json:
        print_json(_as_dict(request, proposal, out, rescored))
    elif rescored is not None:
        click.echo(
            f"The library now uses {shown(str(out))}: {rescored} sounds have new genres,"
            " nothing was heard again.\n"
            f"The way back: recsys index --reanalyse --model {shown(_former(proposal))} FOLDER"
        )
    else:
        click.echo("The library was not changed.")


def _former(proposal: Proposal) -> Path:
    from recsys.classifier.card import DEFAULT_MODEL

    return proposal.trunk or DEFAULT_MODEL


def _as_dict(
    request: OwnRequest, proposal: Proposal, out: Path | None, rescored: int | None
) -> dict[str, Any]:
    from recsys.classifier.training.evaluate import as_dict

    own, found = proposal.own, proposal.found
    return {
        "model": str(out) if out else None,
        "replaced": rescored is not None,
        "rescored": rescored,
        "source": request.source,
        "labels": own.labels,
        "tracks": len(own.tracks),
        "artists": len(set(own.groups.tolist())),
        "grouped_by": own.grouped_by,
        "unlabelled": own.unlabelled,
        "copies": own.copies,
        "drawn_out": own.drawn,
        "merged": {genre.name: dict(genre.spellings) for genre in own.merged},
        "left_out": [asdict(genre) for genre in own.left_out],
        "folds": found.folds,
        "seed": found.seed,
        "temperature": found.temperature,
        "evaluation": as_dict(found.evaluation),
        "new_head": asdict(found.new),
        "majority": asdict(found.majority),
        "comparison": asdict(found.comparison) if found.comparison else None,
        "notes": proposal.notes,
    }
