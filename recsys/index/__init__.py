"""Embedding indexes, cut into one part per genre."""
