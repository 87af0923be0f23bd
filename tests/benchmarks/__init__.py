"""How fast recsys is, measured on this machine: ``python -m tests.benchmarks --help``."""
