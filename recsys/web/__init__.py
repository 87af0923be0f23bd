"""``recsys serve``: the library in a browser. A wing, behind the extra ``[web]``."""
