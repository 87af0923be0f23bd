"""A run on a cluster as a program of its own, with gates at which a test can wait and interfere.

``python -m tests.cluster.driver SETTINGS``, the settings as JSON; says each event on one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from recsys.classifier.card import load_card
from recsys.cluster.run import ClusterRun, FilesAnalysed
from recsys.indexing import IndexPlan
from recsys.indexing.examine import Examiner
from recsys.mel import DEFAULT_EFFORT
from recsys.types import IndexEvent
from tests.cluster.gates import Gated


def main(settings: dict[str, Any]) -> int:
    features = load_card(None).at_effort(DEFAULT_EFFORT).features
    run = ClusterRun(
        out=settings["out"],
        address=settings["address"],
        examine=Gated(Examiner(None, features), Path(settings["gate"])),
    )
    try:
        with contextlib.closing(run.run(settings["places"])) as events:
            for event in events:
                if isinstance(event, IndexEvent):
                    told: dict[str, Any] = {
                        "path": os.fspath(event.path),
                        "status": event.status,
                        "reason": event.reason,
                    }
                elif isinstance(event, FilesAnalysed):
                    told = {"analysed": event.count}
                elif isinstance(event, IndexPlan):
                    told = {"pending": event.pending}
                    _vanish(settings.get("vanish"))
                else:
                    told = dict(event.counts())
                print(json.dumps(told), flush=True)  # noqa: T201 (what the test reads)
    except KeyboardInterrupt:
        return 130
    return 0


def _vanish(url: str | None) -> None:
    if url is not None:
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        system.rm_file(path)


if __name__ == "__main__":
    # Ignored where a shell has started the tests in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(json.loads(sys.argv[1])))
