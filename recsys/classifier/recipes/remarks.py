"""What must be said beside a figure: why it is missing, and what it must not be taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.classifier.recipes.identity import RANDOM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recsys.classifier.recipes.measure import Measurement
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.recipes.reproduce import Task

CAUTIONS = (
    "The intervals hold for units that know nothing of each other. Segments of one track and"
    " several tracks of one artist are alike, so these intervals are too narrow.",
    "Every figure is of one seed. Where data was divided once and not into folds, how much another"
    " seed or another division would change is not in the interval either.",
    "'learned from' counts what 'n' counts: segments where the report mixed them, else tracks; of"
    " several folds the fewest. The report's protocol and the honest one often learn from"
    " different numbers of tracks, so that their difference is not of leaks and artists alone.",
)
"""What holds for every table."""

SKIPPED_SHOWN = 5
"""Files that are named where some were left out."""


def not_measured(recipe: Recipe, ways: Mapping[str, Measurement], weights: str) -> bool:
    """Return whether the figures of a recipe say nothing about the published one.

    Parameters
    ----------
    recipe : Recipe
    ways : mapping
        Its measurements.
    weights : str
        Which pretrained weights were used.

    Returns
    -------
    bool
        True where it began from random weights in the place of trained ones, or where it is
        about songs of several genres and there were none.
    """
    untrained = recipe.weights is not None and weights == RANDOM
    about_mixed = recipe.training is not None and recipe.training.loss == "sigmoid"
    return untrained or (about_mixed and not any("mixed" in one.notes for one in ways.values()))


def mostly_unknown(unknown: int | None, tracks: int | None) -> bool:
    """Return whether most tracks have no known artist; False where nobody counted."""
    return unknown is not None and tracks is not None and 2 * unknown > tracks


def remarks(
    recipe: Recipe,
    ways: Mapping[str, Measurement],
    failed: str,
    *,
    weights: str,
    quick: bool,
    epochs: int | None,
) -> list[str]:
    """Return what must be said beside the figures of a recipe.

    Parameters
    ----------
    recipe : Recipe
    ways : mapping
        Its measurements, by way.
    failed : str
        Why others could not be made; empty if none failed.
    weights : str
        Which pretrained weights were used.
    quick : bool
        Nothing was measured in earnest.
    epochs : int or None
        The most that were allowed, if not the recipe's.

    Returns
    -------
    list of str
    """
    notes = ["quick run, measures nothing"] if quick else []
    if recipe.training is not None and epochs is not None and epochs < recipe.training.epochs:
        notes.append(f"at most {epochs} epochs instead of {recipe.training.epochs}")
    if failed:
        notes.append(f"could not be run, {failed}")
    if ways and not_measured(recipe, ways, weights):
        figures = [f"{way} {one.test['accuracy']:.3f}" for way, one in ways.items()]
        notes.append(f"not measured: {recipe.unmeasured}")
        notes.append(f"ran to the end without ({', '.join(figures)})")
    if "honest" in ways:
        notes += _about_artists(ways["honest"])
    for one in ways.values():
        notes += _about_songs(one)
    return notes + list(_beside_published(recipe, ways.get("report")))


def _about_artists(honest: Measurement) -> list[str]:
    """Say where the honest figure knows less of artists than its name promises."""
    unknown, tracks = honest.unknown_artists, honest.n_tracks
    if not unknown:
        return []
    words = f"{unknown} of {tracks} artists unknown"
    by_track = mostly_unknown(unknown, tracks)
    return [f"honest by track only: {words}" if by_track else words]


def _about_songs(one: Measurement) -> list[str]:
    notes = []
    if "mixed" in one.notes:
        notes.append(
            f"{one.way}: of songs of several genres; of {one.test['n']} tracks of one,"
            f" {one.test['accuracy']:.3f}"
        )
    if memorised := one.notes.get("memorised"):
        notes.append(
            f"learns {memorised['segments']} segments by heart to"
            f" {memorised['accuracy']:.3f} in {memorised['epochs']} epochs"
        )
    return notes


def _beside_published(recipe: Recipe, report: Measurement | None) -> Iterator[str]:
    """Yield what the report tells beside its accuracy, each after its neighbour from here."""
    published = recipe.published
    if report is not None and report.train_accuracy is not None:
        exact = recipe.training is None or "train_accuracy_of" in report.notes
        yield f"train {report.train_accuracy:.3f}{'' if exact else ' during the last epoch'}"
    if published.train is not None:
        yield f"published train {published.train:.3f}"
    if report is not None and (valid := valid_accuracy(recipe, report)) is not None:
        yield f"valid {valid:.3f}"
    if published.valid is not None:
        yield f"published valid {published.valid:.3f}"
    if published.loss is not None:
        if report is not None:
            yield f"loss {report.loss:.3f}"
        yield f"published loss {published.loss:.3f}"
    if report is not None and "chosen" in report.notes:
        yield _choice(report.notes)
    if published.also:
        yield f"published also: {', '.join(published.also)}"


def valid_accuracy(recipe: Recipe, report: Measurement) -> float | None:
    """Return the accuracy on validation of the epoch that was kept under the report's protocol.

    Parameters
    ----------
    recipe : Recipe
    report : Measurement
        Under the report's protocol.

    Returns
    -------
    float or None
        None where nothing was validated.
    """
    history = [entry for entry in report.history if entry.get("valid_loss") is not None]
    if recipe.training is None or not history:
        return None
    best = min(history, key=lambda entry: float(entry["valid_loss"]))
    kept = best if recipe.training.keep == "best" else history[-1]
    found: float | None = kept["valid_accuracy"]
    return found


def _choice(notes: Mapping[str, Any]) -> str:
    """Say which settings were chosen, and among how many."""
    chosen = ", ".join(f"{name} = {value}" for name, value in notes["chosen"].items())
    counts = [f"{notes[key]} {key}" for key in ("fits", "trials") if key in notes]
    return f"chosen: {chosen}" + (f" ({', '.join(counts)})" if counts else "")


def about_data(done: Mapping[Task, Measurement]) -> list[str]:
    """Return what is uneven, missing or known to be wrong in the data, each once.

    Parameters
    ----------
    done : mapping
        Measurements.

    Returns
    -------
    list of str
        After the words for the data: ``audio, 429 tracks, 10 genres: ...``.
    """
    lines: dict[str, None] = {}
    for one in done.values():
        said = [*one.notes.get("data", ())]
        skipped = words_for_skipped(one.notes.get("skipped_files", ()))
        if not skipped and one.notes.get("skipped"):
            skipped = f"{one.notes['skipped']} files skipped"
        for line in (*said, *([skipped] if skipped else [])):
            lines[f"{one.data}: {line}"] = None
    return list(lines)


def words_for_skipped(files: Sequence[Sequence[str]]) -> str:
    """Name files that were left out, with the reasons.

    Parameters
    ----------
    files : sequence of (str, str)
        Name and reason.

    Returns
    -------
    str
        Empty if there are none; of many, some are named.
    """
    if not files:
        return ""
    shown = ", ".join(f"{name} ({reason})" for name, reason in files[:SKIPPED_SHOWN])
    more = f" and {len(files) - SKIPPED_SHOWN} more" if len(files) > SKIPPED_SHOWN else ""
    return f"{len(files)} file{'s' if len(files) > 1 else ''} skipped: {shown}{more}"
