"""``recsys audit``: genre tags that the model doubts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.exit_codes import INTERRUPTED, SOME_FILES_FAILED
from recsys.cli.options import NamedPath, db_option, json_option
from recsys.cli.output import (
    console,
    escape,
    note,
    path_cell,
    print_failure,
    print_json,
    shown,
    table,
)
from recsys.fields import tag_outcome_fields, tag_run_fields

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.audit import AuditReport, Finding, FolderFindings, Retagger, RetagOutcome

LAST = "last"

_UNDONE = {"restored": "restored", "unchanged": "already had the old tag", "failed": "failed"}


@click.command(name="audit", short_help="Find genre tags that the model doubts, and correct them.")
@click.argument("paths", nargs=-1, type=NamedPath(), metavar="[PATH]...")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    metavar="P",
    help="Least probability of the model's genre, 0 to 1.",
)
@click.option("--genre", help="Only tracks with this genre by tag or by model.")
@click.option("--missing", is_flag=True, help="Suggest genres for tracks without a tag too.")
@click.option(
    "--write-tags",
    is_flag=True,
    help="Ask folder by folder, and write the accepted genres. A journal keeps the old tags.",
)
@click.option("--yes", is_flag=True, help="With --write-tags: accept all without asking.")
@click.option(
    "--undo",
    metavar="RUN",
    help="Restore the tags that a run replaced: its id (see --history), or 'last'.",
)
@click.option("--history", is_flag=True, help="List the runs that can be undone.")
@json_option("One JSON object.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    min_confidence: float,
    genre: str | None,
    missing: bool,
    write_tags: bool,
    yes: bool,
    undo: str | None,
    history: bool,
    as_json: bool,
    db: Path | None,
) -> None:
    """Find tracks whose genre tag the model contradicts with confidence.

    A tag is doubted only when it names genres of the model alone (Hard Rock counts as rock; a tag
    with Schlager is never doubted), the model is confident of another genre, and gives those of the
    tag a probability near 0. Styles, such as ambient, agree with tags and doubt none.
    Folders that disagree as a whole come first. PATH restricts the audit to files and folders.

    Nothing is written without --write-tags. The model is often wrong: check before you accept.

    \b
    Examples:
      recsys audit
      recsys audit ~/Music/Incoming --missing --min-confidence 0.9
      recsys audit --write-tags
      recsys audit --undo last
      recsys audit --write-tags --yes --json ~/Music/Incoming
    """
    _check_usage(write_tags, yes, undo, history, as_json)
    from recsys.api import Library
    from recsys.audit import AuditOptions
    from recsys.library import absolute

    with Library(db) as library:
        if history:
            _print_history(library, as_json=as_json)
        elif undo is not None:
            _finish(ctx, _undo(library, undo, paths, as_json=as_json))
        else:
            options = AuditOptions(tuple(map(absolute, paths)), min_confidence, genre, missing)
            report = library.audit(options)
            retagger = library.retagger()
            if write_tags and report.findings:
                retagger.check_ready()  # before the user has answered questions in vain
            if as_json:
                outcomes = list(retagger.write(report.findings)) if write_tags else []
                _print_json(report, retagger, outcomes)
            elif write_tags:
                outcomes = _write(ctx, report, retagger, accept_all=yes)
            else:
                outcomes = []
                _print(report)
            _finish(ctx, outcomes)


def _check_usage(
    write_tags: bool, yes: bool, undo: str | None, history: bool, as_json: bool
) -> None:
    if sum((write_tags, undo is not None, history)) > 1:
        raise click.UsageError("--write-tags, --undo and --history exclude each other.")
    if yes and not write_tags:
        raise click.UsageError("--yes requires --write-tags.")
    if write_tags and as_json and not yes:
        raise click.UsageError("--json asks no questions; add --yes to accept all.")
    if undo is not None and undo != LAST and not undo.isdecimal():
        raise click.UsageError(f"--undo takes the id of a run or 'last', not {undo!r}.")


def _finish(ctx: click.Context, outcomes: Sequence[RetagOutcome]) -> None:
    """Report the files that failed, and set the exit code."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print_failure(outcome.path, outcome.reason, outcome.hint)
    if failed:
        ctx.exit(SOME_FILES_FAILED)


# Printing


def _print(report: AuditReport) -> None:
    for group in report.groups:
        _print_group(group)
    click.echo(_summary(report))
    if report.findings:
        click.echo("Nothing was changed; --write-tags asks folder by folder and writes.")


def _print_group(group: FolderFindings) -> None:
    n = len(group.findings)
    share = f"all {n} tracks" if n == group.judged > 1 else f"{n} of {group.judged} tracks"
    none_agrees = ", and none agrees" if group.whole and n < group.judged else ""
    click.echo(f"{shown(group.folder)}: {share}{none_agrees}")
    screen = console()
    rows = table("Tag", "Model", "P(model)", "P(tag)", "File", right=(2, 3))
    rows.columns[-1].no_wrap = screen.is_terminal
    for finding in group.findings:
        verdict, tag = finding.verdict, finding.track.tags.genre_tag
        rows.add_row(
            escape(tag or "-"),
            escape(finding.suggestion),
            f"{verdict.confidence:.2f}",
            f"{verdict.tagged_probability:.2f}" if verdict.tagged else "",
            path_cell(finding.track.path.name, screen),
        )
    screen.print(rows)


def _summary(report: AuditReport) -> str:
    counts: dict[str, int] = dict.fromkeys(
        ("disagrees", "agrees", "unsure", "foreign", "untagged", "unknown"), 0
    )
    counts.update({str(kind): n for kind, n in report.counts.items()})
    without = counts["untagged"] + counts["unknown"]
    tagged = sum(counts.values()) - without
    text = (
        f"{counts['disagrees']} of {tagged} tracks with a tag disagree with {report.model}; "
        f"{counts['agrees']} agree, {counts['unsure']} are unclear"
    )
    if counts["foreign"]:
        names = list(report.foreign_names)
        more = ", ..." if len(names) > 3 else ""
        text += (
            f", {counts['foreign']} have a tag that means no genre of the model "
            f"({', '.join(names[:3])}{more})"
        )
    if without:
        text += f"; {without} more have none, {counts['untagged']} of them could be given one"
        text += " (--missing)"
    return text + "."


def _print_json(report: AuditReport, retagger: Retagger, outcomes: Sequence[RetagOutcome]) -> None:
    print_json(
        {
            "model": report.model,
            "counts": report.counts,
            "foreign_names": report.foreign_names,
            "folders": [
                {
                    "folder": os.fspath(group.folder),
                    "whole": group.whole,
                    "judged": group.judged,
                    "agreeing": group.agreeing,
                    "findings": [_finding_json(finding) for finding in group.findings],
                }
                for group in report.groups
            ],
            "run": retagger.run,
            "outcomes": [tag_outcome_fields(own) for own in outcomes],
        }
    )


def _finding_json(finding: Finding) -> dict[str, Any]:
    track, verdict = finding.track, finding.verdict
    return {
        "path": os.fspath(track.path),
        "track_id": track.id,
        "genre_tag": track.tags.genre_tag,
        "tagged": list(verdict.tagged),
        "tagged_probability": round(verdict.tagged_probability, 6),
        "genre": verdict.genre,
        "confidence": round(verdict.confidence, 6),
        "suggestion": finding.suggestion,
    }


# Writing


def _write(
    ctx: click.Context, report: AuditReport, retagger: Retagger, *, accept_all: bool
) -> list[RetagOutcome]:
    """Ask about every folder, and write it at once if accepted."""
    outcomes: list[RetagOutcome] = []
    try:
        for group in report.groups:
            _print_group(group)
            answer = "a" if accept_all else _ask_about(group)
            accept_all = accept_all or answer == "a"
            if answer == "q":
                break
            if answer == "t":
                if not _write_one_by_one(group, retagger, outcomes):
                    break
            elif answer != "n":
                outcomes += retagger.write(group.findings)
    except click.Abort:  # Ctrl-C, or the end of the input
        _print_written(report, retagger, outcomes)
        ctx.exit(INTERRUPTED)
    _print_written(report, retagger, outcomes)
    return outcomes


def _ask_about(group: FolderFindings) -> str:
    answers = {"y": "yes", "n": "no", "t": "track by track", "a": "all folders", "q": "quit"}
    if len(group.findings) == 1:
        del answers["t"]
    question = f"Write {'these' if 't' in answers else 'this'}? {', '.join(answers.values())}"
    answer: str = click.prompt(question, type=click.Choice(list(answers)), default="n")
    return answer


def _write_one_by_one(
    group: FolderFindings, retagger: Retagger, outcomes: list[RetagOutcome]
) -> bool:
    """Ask about every track of a folder; return False to quit."""
    for finding in group.findings:
        tag = finding.track.tags.genre_tag or "no genre"
        question = f"{shown(finding.track.path.name)}: {finding.suggestion} instead of {tag}?"
        answer = click.prompt(question, type=click.Choice(("y", "n", "q")), default="n")
        if answer == "q":
            return False
        if answer == "y":
            outcomes += retagger.write([finding])
    return True


def _print_written(
    report: AuditReport, retagger: Retagger, outcomes: Sequence[RetagOutcome]
) -> None:
    if not report.findings:
        click.echo(_summary(report))
        return
    written = sum(outcome.status == "written" for outcome in outcomes)
    text = f"Wrote the genre of {written} of {len(report.findings)} tracks."
    if written:
        text += f" recsys audit --undo {retagger.run} restores the old ones."
    click.echo(text)


# Undoing


def _undo(
    library: Library, which: str, paths: Sequence[Path], *, as_json: bool
) -> list[RetagOutcome]:
    _note_damage(library)
    # Iterating does the work.
    run, stream = library.undo_tags(None if which == LAST else int(which), paths)
    outcomes = list(stream)
    if as_json:
        print_json({"run": run.number, "outcomes": [tag_outcome_fields(own) for own in outcomes]})
        return outcomes
    counts = {status: sum(own.status == status for own in outcomes) for status in _UNDONE}
    click.echo(
        f"Run {run.number} of {run.time}: "
        + ", ".join(f"{count} {_UNDONE[status]}" for status, count in counts.items() if count)
    )
    return outcomes


def _note_damage(library: Library) -> None:
    for text in library.tag_journal_notes():
        note(f"{text}.")


def _print_history(library: Library, *, as_json: bool) -> None:
    _note_damage(library)
    runs = library.tag_runs()
    if as_json:
        print_json({"runs": [tag_run_fields(run) for run in runs]})
        return
    if not runs:
        click.echo("No written genre tag is left to undo.")
        return
    rows = table("Run", "Started", "Files", right=(0, 2))
    for run in runs:
        rows.add_row(str(run.number), run.time, str(len(run.changes)))
    console().print(rows)
