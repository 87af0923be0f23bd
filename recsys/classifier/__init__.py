"""The genre model: datasets, training, evaluation, inference."""
