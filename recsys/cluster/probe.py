"""Connects to a Ray cluster and lets go again: ``python -m recsys.cluster.probe ADDRESS``.

In a process apart, because Ray asks whatever listens at a wrong port for minutes, and cannot be
told to stop. Says why it did not go, on one line, and ends with 1 then.
"""

from __future__ import annotations

import sys

QUIET = 50
"""Level of logging above which Ray has nothing to say."""


def main(address: str) -> int:
    """Connect; return the exit code."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=QUIET)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
        sys.stdout.write(" ".join(str(error).split()) + "\n")
        return 1
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
