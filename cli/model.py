"""``recsys model``: measure models, export them, fit own genres."""

from __future__ import annotations

from recsys.cli.lazy import LazyGroup

command = LazyGroup(
    name="model",
    help="Evaluate and export genre models, and learn your own genres.",
    modules={
        "evaluate": "recsys.cli.evaluate",
        "robustness": "recsys.cli.robustness",
        "export": "recsys.cli.export_model",
        "own-genres": "recsys.cli.own_genres",
    },
)
