"""Damaged files of every kind that recsys reads, made from a seed; see :mod:`tests.fuzz.audio`."""
