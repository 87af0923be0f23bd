"""The systems of published reports, as recipes that run again."""

from __future__ import annotations

from recsys.classifier.recipes.loading import load_recipe, recipe_names, variant_names
from recsys.classifier.recipes.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_names", "variant_names"]
