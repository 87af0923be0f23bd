"""A program: makes the map of a library, and writes it next to the library.

It tells the share that is done, and what went wrong, as lines of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from recsys.errors import RecsysError
from recsys.index.sync import open_index, required_model
from recsys.store import Store
from recsys.web.projection import Projection, map_file, project, save, trustworthiness


def main() -> None:
    """Make the map of the library that the argument names."""
    database = Path(sys.argv[1])
    try:
        with Store.open(database, read_only=True) as store:
            model, index = required_model(store), open_index(store)
            ids = np.sort(index.ids())
            embeddings = index.vectors(ids.tolist())
        places = project(embeddings, on_progress=lambda share: _tell({"share": round(share, 2)}))
        true = trustworthiness(embeddings, places)
        save(Projection(ids, places, model.fingerprint, true), map_file(database))
    except RecsysError as error:
        _tell({"detail": error.message, "hint": error.hint})
        sys.exit(1)


def _tell(values: dict[str, object]) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
