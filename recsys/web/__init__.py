"""``recsys serve``: the library in a browser. A wing, behind the extra ``[web]``."""

PORT = 8337
"""Where the server listens, unless it is told otherwise."""
