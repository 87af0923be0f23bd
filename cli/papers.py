"""``recsys papers``: the systems of five published reports."""

from __future__ import annotations

from recsys.cli.lazy import LazyGroup

command = LazyGroup(
    name="papers",
    help="Train and measure the systems of five published reports.\n\nAll of them need the extra "
    "[papers].",
    modules={
        "list": "recsys.cli.recipes",
        "train": "recsys.cli.papers_train",
        "generate": "recsys.cli.papers_generate",
        "judge": "recsys.cli.papers_judge",
        "reproduce": "recsys.cli.reproduce",
        "explore": "recsys.cli.explore",
        "features": "recsys.cli.features",
    },
)
