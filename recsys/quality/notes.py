"""What has to be known to read the figures of a library, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.quality.metrics import NOBODY

if TYPE_CHECKING:
    from recsys.quality.judge import Task


def notes_of(task: Task, near_duplicates: int) -> tuple[str, ...]:
    """Return a sentence for everything that is not as one might take it to be.

    Parameters
    ----------
    task : Task
        What was measured.
    near_duplicates : int
        Queries with a near-duplicate in their list by embedding.
    """
    catalogue, labels = task.catalogue, task.labels
    n, queries = len(catalogue), len(task.rows)
    unnamed = int((catalogue.artists == NOBODY).sum())
    notes = []
    if labels.source == "none":
        notes.append(f"No genre figures: {labels.reason}.")
    elif labels.labelled < n:
        notes.append(
            f"{n - labels.labelled} of {n} tracks have no label and take no part in genre figures."
        )
    if labels.source == "model":
        notes.append(
            "The labels are the model's own: genre figures do not show whether it hears rightly."
        )
    if queries < n:
        notes.append(
            f"{queries} of {n} tracks query, drawn with seed {task.seed}; hubness is measured "
            "among them alone."
        )
    if unnamed:
        notes.append(
            f"{unnamed} of {n} tracks name no artist; for them 'other artists' removes nothing."
        )
    if not catalogue.tag_names:
        notes.append("No track has a genre tag, so there is no row for tag genre only.")
    notes.append(
        "Near-duplicates stay in all rankings here, though recsys similar hides them; "
        f"{near_duplicates} of {queries} queries have one in their list by embedding."
    )
    return tuple(notes)
