"""Lets ``python -m recsys`` do what the command ``recsys`` does."""

from recsys.cli.main import main

main()
