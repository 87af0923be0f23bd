"""The systems of published reports, as recipes that run again."""

from __future__ import annotations

from recsys.papers.recipe import RECIPE_NAMES, Recipe, load_recipe, variant_names

__all__ = ["RECIPE_NAMES", "Recipe", "load_recipe", "variant_names"]
