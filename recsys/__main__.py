"""Lets ``python -m recsys`` do what the command ``recsys`` does."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working directory, which ``-m`` puts first: nothing is imported from it

from recsys.cli.main import main

main()
