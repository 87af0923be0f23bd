"""Writes docs/results/model.md from the card of the shipped model: ``python -m tests.results``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CARD = ROOT / "data" / "genre-model.json"
PAGE = ROOT / "docs" / "results" / "model.md"

EVALUATIONS = {
    "cross_validation_clips": "Cross-validation by artist, clips of 30 s, ten windows",
    "clips_at_default_effort": "The same clips at the default effort, six windows",
    "cross_validation_excerpts": "Cross-validation by artist, excerpts of 3 s, one window",
    "cross_validation": "Cross-validation by artist, all tracks",
    "valid_clips": "Validation list, clips of 30 s, trained on the train list",
    "valid": "Validation list, all tracks, trained on the train list",
}


def render(card: dict[str, Any]) -> str:
    """Return the page."""
    metrics = card["metrics"]
    parts = [
        f"# {card['name']}, fingerprint {card['fingerprint']}\n",
        "Generated from the model card by `make docs`. Models made in the same way, evaluated on "
        f"tracks that they were not trained on; seed {card['training']['seed']}, 95% intervals"
        " (whole artists drawn, where their number is given).\n",
    ]
    # Cards of models made before a figure was measured lack it.
    parts += [
        _evaluation(title, metrics[key]) for key, title in EVALUATIONS.items() if key in metrics
    ]
    if spread := metrics.get("fold_seeds"):
        parts.append(_spread(spread))
    parts.append(_tags(metrics["tags"]))
    return "\n".join(parts)


def _evaluation(title: str, figures: dict[str, Any]) -> str:
    low, high = figures["interval"]
    rows = [
        f"| {genre} | {score['n']} | {score['precision']:.2f} | {score['recall']:.2f}"
        f" | {score['f1']:.2f} |"
        for genre, score in figures["per_genre"].items()
    ]
    return "\n".join(
        [
            f"## {title}\n",
            f"n = {figures['n']}{_artists(figures)}, accuracy {figures['accuracy']:.3f}"
            f" ({low:.3f} to {high:.3f}), macro F1 {figures['macro_f1']:.3f},"
            f" ECE {figures['ece']:.3f}\n",
            "| genre | n | precision | recall | F1 |\n| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _artists(figures: dict[str, Any]) -> str:
    return f" by {figures['artists']} artists" if figures.get("artists") else ""


def _spread(seeds: dict[str, list[float]]) -> str:
    lines = [
        f"{EVALUATIONS[name]}: {', '.join(f'{value:.3f}' for value in values)}\n"
        for name, values in seeds.items()
    ]
    return "\n".join(["## Accuracy by seed of the folds\n", *lines])


def _tags(tags: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {tag['rank_correlation']:.2f} | {tag['roc_auc']:.2f} |"
        for name, tag in tags.items()
    ]
    return "\n".join(
        [
            "## Tags\n",
            "Agreement with the teacher, cross-validated by artist: Spearman's rank correlation, "
            "and the ROC AUC of the tenth of the tracks to which the teacher gives the tag most.\n",
            "| tag | rank correlation | AUC |\n| --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(render(json.loads(CARD.read_text(encoding="utf-8"))), encoding="utf-8")
