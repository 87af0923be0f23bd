"""The shipped model, its card, and where they come from."""
