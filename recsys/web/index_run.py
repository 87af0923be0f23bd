"""A program: indexes folders, and tells its progress as lines of JSON.

A process of its own, so that the server goes on answering while it computes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from recsys.api import Library
from recsys.errors import RecsysError
from recsys.indexing import IndexOptions, IndexPlan
from recsys.mix.run import MixEvent, MixPlan
from recsys.types import IndexEvent, IndexStatus, IndexSummary

TOLD_EVERY_S = 0.5


def main() -> None:
    """Index the folders of the one argument, JSON."""
    given = json.loads(sys.argv[1])
    told, last = {"done": 0, "total": None, "failed": 0, "path": None}, 0.0
    try:
        options = IndexOptions(also=tuple(given["also"]))
        library = Library(given["database"])
        for event in library.index_events(given["folders"] or None, options):
            if isinstance(event, IndexPlan | MixPlan):
                told |= {"done": 0, "total": event.pending}
            elif isinstance(event, IndexEvent | MixEvent):
                _count(told, event)
            elif isinstance(event, IndexSummary):
                _tell({"summary": {**event.counts(), "notes": list(event.notes)}})
            if (now := time.monotonic()) - last >= TOLD_EVERY_S:
                last = now
                _tell(told)
        _tell(told)
    except RecsysError as error:
        _tell({"error": {"detail": error.message, "hint": error.hint}})
        sys.exit(1)


def _count(told: dict[str, Any], event: IndexEvent | MixEvent) -> None:
    if isinstance(event, IndexEvent):
        # Files whose result is known already come before the plan, and are not in its total.
        told["done"] += told["total"] is not None
        told["failed"] += event.status == IndexStatus.FAILED and not event.failed_before
    else:
        told["done"] += 1
        told["failed"] += event.mix is None
    told["path"] = os.fspath(event.path)


def _tell(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
