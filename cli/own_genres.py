"""``recsys model own-genres``: learn the library's own genres from its tags or folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import (
    FILE,
    NamedPath,
    db_option,
    json_option,
    model_path,
    seed_option,
)
from recsys.cli.output import console, escape, note, print_json, progress, shown, table
from recsys.errors import require

if TYPE_CHECKING:
    from rich.table import Table

    from recsys.classifier.training.own_genres import (
        ClassifierFigures,
        Estimate,
        FittedGenres,
        Proposal,
    )

SPELLINGS_SHOWN = 5
"""Of one genre; the model card names all of them."""

LEFT_OUT_SHOWN = 8

_COUNT = click.IntRange(min=2)


@click.command("own-genres", short_help="Learn your library's own genres.")
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=NamedPath())
@click.option("--from-tags", is_flag=True, help="Learn the genres in the tags of the library.")
@click.option(
    "--from-folders",
    is_flag=True,
    help="Learn the folders directly below DIR, or below the indexed folders.",
)
@click.option(
    "--out",
    type=FILE,
    metavar="MODEL.safetensors",
    help="Model to write, whether the library uses it or not.  [default: next to the library, if "
    "it is used]",
)
@click.option(
    "--min-tracks",
    type=_COUNT,
    default=8,
    show_default=True,
    help="Leave out genres with fewer tracks.",
)
@click.option(
    "--min-artists",
    type=_COUNT,
    default=3,
    show_default=True,
    help="Leave out genres with fewer artists.",
)
@seed_option("Random seed of the folds, the sampling and the intervals.")
@click.option("--yes", is_flag=True, help="Use the genres without asking.")
@json_option("One JSON object; nothing is asked.")
@db_option
def command(
    folders: tuple[Path, ...],
    from_tags: bool,
    from_folders: bool,
    out: Path | None,
    min_tracks: int,
    min_artists: int,
    seed: int,
    yes: bool,
    as_json: bool,
    db: Path | None,
) -> None:
    """Learn your library's own genres from its tags or folders, in seconds.

    A genre head is fitted to the stored embeddings; nothing is analysed again. It is compared with
    the present model by artist-grouped cross-validation. Then you are asked whether the library is
    to use it. DIR restricts the tracks to those in it.

    \b
    Examples:
      recsys model own-genres --from-tags
      recsys model own-genres --from-folders ~/Music/by-genre --out mine.safetensors
    """
    if from_tags == from_folders:
        raise click.UsageError("Give --from-tags or --from-folders, one of them.")
    require("sklearn", "train")
    from recsys.api import Library
    from recsys.classifier.card import DEFAULT_MODEL
    from recsys.classifier.training.own_genres import (
        FOLDS,
        LabelOrigin,
        OwnGenreOptions,
        free_model_path,
        propose,
        save_proposal,
    )
    from recsys.library import absolute, outermost

    database = Library(db).database
    out = absolute(model_path(out)) if out else None
    options = OwnGenreOptions(
        source=LabelOrigin.TAGS if from_tags else LabelOrigin.FOLDERS,
        folders=tuple(outermost(folders)),
        min_tracks=min_tracks,
        min_artists=min_artists,
        seed=seed,
    )
    with progress("fits", "Learning") as bar:
        bar.start(FOLDS + 1)
        proposal = propose(database, options, on_fold=bar.advance)
    if not as_json:
        _print(proposal)
    # --out is written before the question: it does not depend on the answer.
    card = save_proposal(proposal, out) if out else None
    if out and not as_json:
        click.echo(f"\nThe model is {shown(out)}.")
    rescored = None
    if yes or (not as_json and _ask()):
        out = out or free_model_path(database)
        rescored = _use(proposal, out, card)
    if as_json:
        print_json(_as_dict(proposal, out, rescored))
    elif out is not None and rescored is not None:
        click.echo(
            f"The library now uses {shown(out)}: {rescored} tracks have new genres,"
            " nothing was analysed again.\n"
            "To undo: recsys index --reanalyse --model "
            f"{shown(proposal.trunk or DEFAULT_MODEL)} FOLDER"
        )
    else:
        click.echo("The library was not changed.")


def _use(proposal: Proposal, path: Path, card: Any) -> int:  # noqa: ANN401 (a ModelCard or None)
    """Make the library use the proposal; a model written only for that is removed on failure."""
    from recsys.classifier.card import card_path
    from recsys.classifier.training.own_genres import save_proposal, use_proposal

    if card is not None:
        return use_proposal(proposal, path, card)
    try:
        return use_proposal(proposal, path, save_proposal(proposal, path))
    except BaseException:  # Ctrl-C too
        path.unlink(missing_ok=True)
        card_path(path).unlink(missing_ok=True)
        raise


def _ask() -> bool:
    try:
        return click.confirm("\nUse these genres for the library?", default=False)
    except click.Abort:
        note("nothing was changed; --yes uses the genres without asking")
        raise


# Printing


def _print(proposal: Proposal) -> None:
    own = proposal.own
    screen = console()
    screen.print(
        f"{len(own.tracks)} tracks of {len(own.labels)} genres, by {own.n_artists} artists;"
        f" {own.unlabelled} tracks have no genre, {own.copies} are copies of others"
        + (f", {own.drawn} of large genres were left out by sampling" if own.drawn else "")
    )
    merged = [genre for genre in own.merged if len(genre.spellings) > 1]
    for genre in merged:
        screen.print(f"  merged: {escape(genre.sentence(SPELLINGS_SHOWN))}")
    if any(len(genre.spellings) > SPELLINGS_SHOWN for genre in merged):
        screen.print("  (--json has all spellings)")
    if own.left_out:
        screen.print(escape(_left_out(proposal)))
    screen.print(_genre_table(proposal))
    screen.print(_comparison_table(proposal))
    for line in _verdict(proposal):
        screen.print(line)
    for line in proposal.notes:
        note(line)


def _left_out(proposal: Proposal) -> str:
    options, left_out = proposal.options, proposal.own.left_out
    named = ", ".join(
        f"{genre.genre} ({genre.tracks} tracks, {genre.artists} artists)"
        for genre in left_out[:LEFT_OUT_SHOWN]
    )
    hidden = len(left_out) - LEFT_OUT_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return (
        f"  left out, with fewer than {options.min_tracks} tracks"
        f" or {options.min_artists} artists: {named}{more}"
    )


def _genre_table(proposal: Proposal) -> Table:
    own, found = proposal.own, proposal.found
    rows = table("genre", "tracks", "artists", "precision", "recall", "F1", right=range(1, 6))
    for number, label in enumerate(own.labels):
        score = found.evaluation.per_genre[label]
        artists = len(set(own.groups[own.targets == number].tolist()))
        figures = (f"{value:.2f}" for value in (score.precision, score.recall, score.f1))
        rows.add_row(escape(label), str(score.n), str(artists), *figures)
    return rows


def _comparison_table(proposal: Proposal) -> Table:
    own, found = proposal.own, proposal.found
    n = len(own.tracks)
    # Rows of different tracks stand in one table.
    title = "Compare within one block: each is of other tracks" if found.comparison else None
    rows = table("evaluated on", "tracks", "", "accuracy", "macro F1", right=(1,), title=title)

    def add(genres: str, n: int, contender: ClassifierFigures) -> None:
        figures = (_interval(contender.accuracy), _interval(contender.macro_f1))
        rows.add_row(genres, str(n), escape(contender.name), *figures)

    add(f"{len(own.labels)} own genres", n, found.new)
    add("", n, found.majority)
    if both := found.comparison:
        unseen = " that it has not learned from" if found.known else ""
        rows.add_section()
        add(f"{len(both.labels)} genres of the present model, tracks{unseen}", both.n, both.new)
        add("", both.n, both.present)
    return rows


def _interval(measured: Estimate) -> str:
    return f"{measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"


def _verdict(proposal: Proposal) -> Iterator[str]:
    """Yield the gain or loss over the present model."""
    both = proposal.found.comparison
    yield "New head: cross-validated, no artist on both sides."
    yield "Intervals: 95%, whole artists resampled."
    if both is None and proposal.found.shared:
        yield _not_compared(proposal.found)
        return
    if both is None:
        yield f"None of the {len(proposal.own.labels)} own genres is one of the present model's"
        yield f"({escape(', '.join(proposal.present.labels))}), so the two cannot be compared."
        return
    for name, gain in (("accuracy", both.gain_accuracy), ("macro F1", both.gain_macro_f1)):
        word = "Gain" if gain.value >= 0 else "Loss"
        sure = "" if gain.low > 0 or gain.high < 0 else ": within chance"
        yield (
            f"{word} in {name} over the present model: {gain.value:+.3f}"
            f" ({gain.low:+.3f} to {gain.high:+.3f}){sure}"
        )


def _not_compared(found: FittedGenres) -> str:
    text = "Not compared with the present model"
    others = found.shared - found.known
    if not found.known:
        return f"{text}: {others} tracks have one of its genres, too few."
    rest = f" The {others} others are too few." if others else ""
    return (
        f"{text}: it learned from {found.known} of the {found.shared} tracks whose genre it has, "
        f"and knows their answers.{rest}"
    )


def _as_dict(proposal: Proposal, out: Path | None, rescored: int | None) -> dict[str, Any]:
    from recsys.classifier.training.evaluate import as_dict

    own, found = proposal.own, proposal.found
    return {
        "model": str(out) if out else None,
        "replaced": rescored is not None,
        "rescored": rescored,
        "source": proposal.options.source,
        "labels": own.labels,
        "tracks": len(own.tracks),
        "artists": own.n_artists,
        "grouped_by": own.grouped_by,
        "unlabelled": own.unlabelled,
        "copies": own.copies,
        "drawn_out": own.drawn,
        "merged": {genre.name: dict(genre.spellings) for genre in own.merged},
        "left_out": [asdict(genre) for genre in own.left_out],
        "folds": found.folds,
        "seed": proposal.options.seed,
        "temperature": found.calibration.temperature,
        "evaluation": as_dict(found.evaluation),
        "new_head": asdict(found.new),
        "majority": asdict(found.majority),
        "comparison": asdict(found.comparison) if found.comparison else None,
        "comparable": {"shared": found.shared, "learned": found.known},
        "notes": proposal.notes,
    }
