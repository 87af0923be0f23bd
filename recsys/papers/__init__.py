"""The systems of published reports, as recipes that run again."""

from __future__ import annotations

from recsys.papers.recipe import Recipe, load_recipe, recipe_names, variant_names

__all__ = ["Recipe", "load_recipe", "recipe_names", "variant_names"]
